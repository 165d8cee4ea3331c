/* SPDX-License-Identifier: MIT */
/*
 * From what a set has to what it is to have: the messages of a transaction, and how much of it the
 * kernel can do at once. For nftables.c.
 */
#pragma once

#include "enforce/nftables-batch.h"
#include "enforce/nftables-elements.h"
#include "enforce/nftables-query.h"

/* Ends that differ by this much at most are the same: the kernel counts in ticks. */
#define NFTABLES_TOLERANCE_NS 1000000000ULL

/*
 * Removing one element of a set with intervals takes the kernel the longer the more there are,
 * 0.2 ms among 20,000, and all other changes of nftables wait for it. So a transaction removes no
 * more than these, if it can be helped.
 */
#define NFTABLES_REMOVALS_MAX 250

typedef struct NftablesChange {
	const NftablesName *name;
	bool intervals;
	bool updates; /* nftables_change_can_update() */
	const NftablesElements *have, *want;
	uint64_t now_mono_ns;
} NftablesChange;

/*
 * Whether an element that is added again gets the new time, as from Linux 6.12 on. Before, it has
 * to be removed for that in the same transaction.
 */
bool nftables_change_can_update(void);

/* Adds to BATCH what makes the set have what it is to have. Returns 0 or -ENOMEM. */
int nftables_change_put(const NftablesChange *change, NftablesBatch *batch);

/*
 * Takes back from WANT what would remove more than NFTABLES_REMOVALS_MAX elements of HAVE for good,
 * or as many to be put again; but not for those that are in the way of new ones, or that would end
 * meanwhile. Returns whether it did, for another time to do the rest, or -ENOMEM.
 */
int nftables_change_postpone(const NftablesElements *have, NftablesElements *want, bool updates,
			     uint64_t now_mono_ns);
