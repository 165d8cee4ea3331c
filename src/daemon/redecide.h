/* SPDX-License-Identifier: MIT */
/*
 * Deciding again what was granted, by other rules: for reloads, and when clients change. Logs
 * nothing.
 */
#pragma once

#include "daemon/projection.h"
#include "policy/client.h"
#include "policy/config.h"
#include "policy/grant-table.h"

/* What is in force now, and where grants are. */
typedef struct RedecideRules {
	const Config *config;
	const ClientSet *clients;
	GrantTable *grants;
	Projection *projection;
	uint64_t now_real_usec;
} RedecideRules;

/*
 * Decides anew what GRANT may be: changes it, or returns why it has to be revoked, in a word, and
 * *RET_DETAIL in a sentence. NULL: it stays.
 */
const char *redecide_grant(const RedecideRules *rules, const Grant *grant, const char **ret_detail);
