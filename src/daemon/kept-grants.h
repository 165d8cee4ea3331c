/* SPDX-License-Identifier: MIT */
/*
 * Grants that an administrator made for good: a file in the state directory, from which the
 * manager makes them again at each start. One for each source (and interface, where the source is
 * link-local).
 *
 * Keeps and tells; grants nothing, and knows nothing of the grant table. The file is the daemon's
 * own, but what stands in it is judged like anything that was read. Logs nothing.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/diagnostics.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/ports.h"

#define KEPT_GRANTS_MAX 4096

typedef struct KeptGrant {
	Prefix source;
	char interface[IF_NAMESIZE]; /* of a link-local source; else empty */
	PortList ports;		     /* empty: every protected port */
	bool has_idle, has_grace;    /* else the configuration's */
	uint64_t idle_ns, grace_ns;  /* DURATION_INFINITY: never */
	uint64_t deadline_real_usec; /* UINT64_MAX: none */
} KeptGrant;

typedef struct KeptGrants KeptGrants;

/*
 * Reads what DIR_FD, the state directory (which the caller keeps open), has; no file: nothing was
 * kept. A grant that cannot be read is left out, and said in DIAGNOSTICS; it goes with the next
 * change. Returns 0, -ENOMEM, or what reading the file says (said, too).
 */
int kept_grants_load(int dir_fd, Diagnostics *diagnostics, KeptGrants **ret_kept);
void kept_grants_free(KeptGrants *kept);
DEFINE_CLEANUP(KeptGrants, kept_grants_free)
#define _cleanup_kept_grants_ _cleanup_(kept_grants_freep)

/*
 * Keeps a copy of GRANT, instead of the one of the same source and interface. On disk when this
 * returns 0. -E2BIG: KEPT_GRANTS_MAX; -EROFS: the directory takes nothing (full, read-only, …);
 * -ENOMEM. Nothing has changed then.
 */
int kept_grants_put(KeptGrants *kept, const KeptGrant *grant);

/* Keeps that one no longer. INTERFACE: empty or NULL for none. -ENOENT: it was not kept; -EROFS and
 * -ENOMEM as above. */
int kept_grants_remove(KeptGrants *kept, const Prefix *source, const char *interface);

/*
 * Has EDIT look at each: it returns 0 (the grant stays, with the ports that it has now, which are
 * EDIT's to change), 1 (it goes) or a negative errno. Written once, if anything has changed. Same
 * returns.
 */
int kept_grants_edit(KeptGrants *kept, int (*edit)(KeptGrant *grant, void *userdata),
		     void *userdata);

/* Forgets all, and those whose deadline is not behind NOW_REAL_USEC. Same returns. */
int kept_grants_clear(KeptGrants *kept);
int kept_grants_expire(KeptGrants *kept, uint64_t now_real_usec);

/* The kept ones: NULL where there is none. They are the store's, until it changes. */
size_t kept_grants_count(const KeptGrants *kept);
const KeptGrant *kept_grants_get(const KeptGrants *kept, size_t index);
const KeptGrant *kept_grants_find(const KeptGrants *kept, const Prefix *source,
				  const char *interface);
