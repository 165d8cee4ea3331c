/* SPDX-License-Identifier: MIT */
/*
 * What one daemon leaves to the next: whose each grant is, kept in the kernel beside the entries
 * that enforce it, so that the grant table can be made anew after a restart or a crash.
 */
#pragma once

#include "daemon/announce.h"
#include "enforce/enforcer.h"
#include "policy/config.h"
#include "policy/grant-table.h"

/* Keeps whose GRANT is, and forgets it. What fails is logged: then the grant ends with this daemon.
 */
void heritage_note(Enforcer *enforcer, const Grant *grant);
void heritage_forget(Enforcer *enforcer, uint64_t id);

/* Who inherits; borrowed. */
typedef struct Heir {
	Enforcer *enforcer;
	const Announcer *announcer;
	const Config *config;
	const ClientSet *clients;
	GrantTable *grants; /* empty */
	uint64_t now_real_usec;
} Heir;

/*
 * Fills the grant table with what an earlier daemon granted, decided anew by what is configured
 * now. What is not allowed any more is said, and so is what the kernel cannot look for, which are
 * all but two prefix lengths of a family. Returns 0 or a negative errno, logged.
 */
int heritage_take(const Heir *heir);

/* Has the kernel, where the configuration is in force now, hold exactly that. Same returns. */
int heritage_put(const Heir *heir);
