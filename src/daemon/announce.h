/* SPDX-License-Identifier: MIT */
/*
 * How knocks and grants are told to the journal: what an event of theirs carries, and how many
 * lines strangers may cause.
 */
#pragma once

#include "daemon/journal.h"
#include "enforce/enforcer.h"
#include "policy/grant-table.h"
#include "policy/refusal.h"

/* Lines about refused knocks: bounded, for strangers cause them. */
typedef struct AnnounceLimit {
	uint64_t since_mono_ns; /* begin of the second that is counted */
	unsigned said;
	uint64_t unsaid;
} AnnounceLimit;

/* What happened to GRANT, and why; REASON and DETAIL may be NULL. */
void announce_grant(JournalEvent event, const Grant *grant, const char *reason, const char *detail);

/* The same for a grant that is gone already. */
void announce_gone(JournalEvent event, uint64_t id, const char *client, const Prefix *source,
		   const char *reason, const char *detail);

/* UNTIL: the deadline of GRANT, UINT64_MAX for none. */
void announce_accepted(const struct spale_knock *knock, const Grant *grant,
		       uint64_t until_real_usec);

/* CLIENT: whose key is in front, which nobody has proven; NULL: nobody's. */
void announce_refused(AnnounceLimit *limit, const struct spale_knock *knock, const char *client,
		      Refusal refusal, uint64_t now_mono_ns);

/* Who was enrolled, changed or removed, where AFTER replaces BEFORE. */
void announce_clients(const ClientSet *before, const ClientSet *after);

/* A packet that was denied, as the kernel samples them. LOG_ONLY: it passed all the same. */
void announce_denied(const struct spale_event *event, bool log_only);

/* Says how many lines were left out, once their second is over. When to call again. */
uint64_t announce_flush(AnnounceLimit *limit, uint64_t now_mono_ns);
