/* SPDX-License-Identifier: MIT */
/*
 * What grants have let through, as the kernel counts it: which elements of the map "grant_packets"
 * are in use. There are fewer than there can be grants; who gets none is not counted.
 */
#pragma once

#include <stdint.h>

#include <spale/bpf-abi.h>

typedef struct GrantCounters {
	int fd;	       /* of the map; borrowed */
	uint32_t next; /* where a free one is looked for first */
	uint64_t used[SPALE_GRANT_COUNTERS / 64];
} GrantCounters;

/* A counter that nobody uses, at 0, which is the caller's from now on. SPALE_NO_COUNTER: none. */
uint32_t grant_counters_take(GrantCounters *counters);

/* COUNTER is in use: an earlier daemon took it. It may be any number. */
void grant_counters_keep(GrantCounters *counters, uint32_t counter);

/* Nobody counts in COUNTER any more. It may be SPALE_NO_COUNTER. */
void grant_counters_return(GrantCounters *counters, uint32_t counter);

/* What was counted, on all CPUs. -ENODATA: nobody counts there; or another negative errno. */
int grant_counters_read(const GrantCounters *counters, uint32_t counter, uint64_t *ret_packets);
