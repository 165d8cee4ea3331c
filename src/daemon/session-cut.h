/* SPDX-License-Identifier: MIT */
/*
 * Which conversations have to end: what was lost, and is nobody's right now. Owns what is added to
 * it. Ends nothing itself.
 */
#pragma once

#include "daemon/session-records.h"
#include "enforce/enforcer.h"
#include "policy/config.h"
#include "policy/grant-table.h"
#include "policy/hash-table.h"

/* What the right to a conversation follows from; borrowed. */
typedef struct SessionRules {
	const Config *config;
	const ClientSet *clients;
	const GrantTable *grants;
	uint64_t now_real_usec;
} SessionRules;

/* A right that was lost: to OLD's ports from its source, but for what is left of it. */
typedef struct Loss Loss;

/* Prefixes that were always allowed, and to which ports. */
typedef struct Former {
	struct Former *next;
	PrefixList prefixes;
	PortList ports;
} Former;

typedef struct SessionCut {
	const SessionRules *rules; /* what the right follows from now */
	bool revokes;		   /* what comes from source to ports */
	const Prefix *source;	   /* NULL: everything */
	const PortList *ports;	   /* NULL or empty: every port */
	Former *formers;
	HashTable losses; /* by the source of what was lost */
	bool has_losses;
	bool lengths[129]; /* of those sources */
} SessionCut;

void session_cut_done(SessionCut *cut);
#define _cleanup_session_cut_ _cleanup_(session_cut_done)

/* Takes over OLD, and LEFT (NULL: nothing). Returns 0, or -ENOMEM with nothing taken over. */
int session_cut_add_loss(SessionCut *cut, SessionOrigin *old, SessionOrigin *left);

/* Adds what BEFORE always allowed, if AFTER allows something else. Returns 0 or -ENOMEM. */
int session_cut_add_former(SessionCut *cut, const Config *before, const Config *after);

/* Whether nothing was lost. */
bool session_cut_is_empty(const SessionCut *cut);

/* An EnforcerCut: USERDATA is the SessionCut, with its rules. */
bool session_cut_means(const EnforcerSession *session, void *userdata);
