/* SPDX-License-Identifier: MIT */
/*
 * The grants as nftables shows them: elements of two sets, one for each family, in a table of our
 * own or in one of the administrator's. A projection of the grant table: it can be made anew from
 * that at any time, and nothing that the packet path does depends on it.
 *
 * Elements are ours by their comment ("spale: …"), in the administrator's sets too; others are left
 * alone. Each has a timeout a little behind its grant's end, so that it goes though the daemon be
 * dead, and stays until the daemon has seen whether the grant goes on.
 *
 * Works in the network namespace of the caller. Errors are returned, not logged; nftables_error()
 * has the sentence. Built without libnftnl, nftables_new() is -EOPNOTSUPP.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/grant-table.h"
#include "util/cleanup.h"

typedef struct Nftables Nftables;

/* How much longer than its grant an element lives, if the daemon does not remove it. */
#define NFTABLES_SLACK_NS 5000000000ULL

/* The table and sets of Mirror=own. */
#define NFTABLES_OWN_FAMILY "inet"
#define NFTABLES_OWN_TABLE  "spale"
#define NFTABLES_OWN_SET4   "grants4"
#define NFTABLES_OWN_SET6   "grants6"

/* What is so since the last call that succeeded. */
typedef struct NftablesStatus {
	size_t elements;	 /* ours, in both sets */
	size_t missing;		 /* of them the last nftables_sync() had to put back */
	size_t left_out;	 /* grants, or parts of them, that cannot be shown */
	char why[256];		 /* the first of those; a sentence */
	bool postponed;		 /* there was too much to do at once: nftables_apply() again */
	uint64_t again_mono_ns;	 /* when what is there may need a change; SPALE_NEVER_NS */
	uint64_t resync_mono_ns; /* when somebody else's element makes room; the same */
} NftablesStatus;

/*
 * Makes the mirror for TARGET (not MIRROR_NO), and watches nftables from now on. SOCKET_FD is the
 * socket of an earlier daemon (nftables_socket_fd()), which is taken over, or -1. Nothing is in
 * nftables before nftables_sync(). Returns 0, -EOPNOTSUPP or another negative errno.
 */
int nftables_new(const MirrorTarget *target, int socket_fd, Nftables **ret_nftables);

/* What is in nftables stays, but for a table that belongs to the socket, unless that is kept. */
void nftables_free(Nftables *nftables);
DEFINE_CLEANUP(Nftables, nftables_free)
#define _cleanup_nftables_ _cleanup_(nftables_freep)

/* A sentence about the last call that failed. */
const char *nftables_error(const Nftables *nftables);

/* The socket that a table of our own belongs to: it lives as long as that; owned by NFTABLES. */
int nftables_socket_fd(const Nftables *nftables);

/* Readable when somebody changed something; owned by NFTABLES. */
int nftables_watch_fd(const Nftables *nftables);

/* Whether what changed may be about our sets (nftables_sync() then), or a negative errno. */
int nftables_consume_changes(Nftables *nftables);

/*
 * Looks at what nftables has, and makes it what GRANTS say: our own table is made, sets of the
 * administrator's are checked. -ENOENT: the table or a set is not there; -EINVAL: a set is of a
 * wrong kind; -EBUSY: there is a table of our name that is not ours; or another negative errno.
 */
int nftables_sync(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns);

/*
 * The same with a single transaction of what is new since the last call, none if nothing is. On
 * failure nftables_sync() is to be called.
 */
int nftables_apply(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns);

/*
 * Removes everything of ours. With WITHIN (more than the slack) for another daemon that may come:
 * elements end by then at the latest, and a table that belongs to the socket stays as it is. 0 or a
 * negative errno.
 */
int nftables_leave(Nftables *nftables, uint64_t within_ns, uint64_t now_mono_ns);

/* Owned by NFTABLES. */
const NftablesStatus *nftables_status(const Nftables *nftables);
