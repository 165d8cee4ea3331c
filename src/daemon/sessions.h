/* SPDX-License-Identifier: MIT */
/*
 * Who may be in conversation with this host. Connections outlive their grants (KeepEstablished=),
 * so what a client was granted is remembered behind its grants' ends, to end the conversations when
 * the client loses the right to them: over a restart of the daemon, too.
 */
#pragma once

#include "daemon/session-cut.h"

/* Sources that are remembered of one client. */
#define SESSIONS_PER_CLIENT_MAX 32

typedef struct Sessions Sessions;

/* Borrows ENFORCER. NULL: no memory. */
Sessions *sessions_new(Enforcer *enforcer);
void sessions_free(Sessions *sessions);
DEFINE_CLEANUP(Sessions, sessions_free)
#define _cleanup_sessions_ _cleanup_(sessions_freep)

/*
 * Remembers that GRANT, if it is a client's, was made. Conversations from the client's oldest
 * source end where that is one too many, unless a grant or prefix of RULES allows them.
 */
void sessions_note(Sessions *sessions, const SessionRules *rules, const Grant *grant);

/*
 * Remembers what an earlier daemon has remembered, for sessions_run_redecide() to judge. Returns 0
 * or, logged, a negative errno; then conversations that lose their right may go on.
 */
int sessions_recall(Sessions *sessions);

/* The same, but does nothing where that is known of the client: its sources keep their order. */
void sessions_remember(Sessions *sessions, const SessionRules *rules, const Grant *grant);

/*
 * After a reload, in as many calls of sessions_run_redecide() as it takes, of MOST sources each:
 * decides anew what every client may have, by RULES, and ends the conversations that are not
 * allowed any more, as well as those from prefixes that BEFORE always allowed and AFTER does not
 * (neither is kept). Those that a live grant or an allowed prefix covers stay, whoever has begun
 * them. True: that was all.
 */
void sessions_begin_redecide(Sessions *sessions, const Config *before, const Config *after);
bool sessions_run_redecide(Sessions *sessions, const SessionRules *rules, size_t most);

/*
 * Ends the conversations of SOURCE (NULL: everybody) with PORTS (NULL or empty: all), as far as
 * nobody has a right to them by RULES: after a revocation, whether a grant was left or not.
 */
void sessions_cut(Sessions *sessions, const SessionRules *rules, const Prefix *source,
		  const PortList *ports);

/* The same for whatever the client of KEY had, which is forgotten. */
void sessions_cut_client(Sessions *sessions, const SessionRules *rules, const PublicKey *key);
