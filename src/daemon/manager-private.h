/* SPDX-License-Identifier: MIT */
/*
 * The manager from inside: what manager.c and the manager-*.c share. Everybody else sees
 * daemon/manager.h and daemon/manager-requests.h only.
 */
#pragma once

#include "daemon/announce.h"
#include "daemon/knock-judge.h"
#include "daemon/manager.h"
#include "daemon/projection.h"
#include "daemon/sessions.h"

struct Manager {
	Enforcer *enforcer;
	Config *config;
	ClientSet *clients;
	KeyRing keys;
	KnockJudge *judge;
	GrantTable *grants;
	Clock clock;
	Interfaces interfaces;
	bool waits; /* for interfaces that are named and not there */
	Projection projection;
	Sessions *sessions;
	uint64_t look_mono_ns;		/* before that no grant ends */
	uint64_t suspended_ns;		/* CLOCK_BOOTTIME - CLOCK_MONOTONIC, as made up for */
	uint64_t counts[REFUSAL_COUNT]; /* knocks */
	Announcer announcer;
	State *state;	      /* the caller's */
	PolicyLayers *layers; /* what config is made of; NULL: it cannot be changed */
	ClientRoster roster;  /* what clients are made of */
	bool has_roster;
	bool keeps_good; /* the last good configuration is written down */
};

/* The time by the manager's clock. */
uint64_t manager_mono_ns(const Manager *manager);
uint64_t manager_real_usec(const Manager *manager);

/* How long the machine was suspended, as the clocks say at NOW. */
uint64_t manager_measure_suspended_ns(const Manager *manager, uint64_t now_mono_ns);

/* What conversations are judged by at the moment. */
SessionRules manager_session_rules(const Manager *manager);

/* Tells who wants to know that interfaces have changed, if they have. */
void manager_tell_interfaces(Manager *manager);

/* ---- manager-grants.c ---------------------------------------------------------------------- */

/* Makes the grant of a verified knock. */
Refusal manager_make_grant(Manager *manager, const struct spale_knock *knock,
			   const KnockVerdict *verdict, uint64_t now_mono_ns);

/* Ends a grant: removes it from the table and from the kernel, and says why. */
void manager_end_grant(Manager *manager, const Grant *grant, GrantEnd end, const char *reason,
		       const char *detail);

/* ---- manager-reload.c ---------------------------------------------------------------------- */

/* Puts policy and clients into force in the kernel, or says why not. */
int manager_enforce(Manager *manager, const Config *config, const ClientSet *clients);

/* Has the kernel enforce CONFIG instead of what is in force, or the latter as before. */
int manager_try_config(Manager *manager, const Config *config);

/*
 * CONFIG, which the kernel enforces already, is in force from now on; everything is decided again.
 * IDS: redecide_ids() of all grants. Returns how many were revoked.
 */
size_t manager_commit_config(Manager *manager, Config *config, const uint64_t *ids);

/* The same for clients, of which CALLER (NULL: nobody in particular) has asked for others. */
void manager_commit_clients(Manager *manager, ClientSet *clients, const uint64_t *ids,
			    const char *caller);

/* Remembers who may be in conversation by the grants that there are. */
void manager_note_sessions(Manager *manager);
