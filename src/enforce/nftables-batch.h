/* SPDX-License-Identifier: MIT */
/*
 * A transaction of nftables: messages that the kernel takes all together or not at all. For
 * nftables.c.
 */
#pragma once

#include "enforce/nftables-query.h"

struct mnl_socket;

typedef struct NftablesBatch {
	char *data;
	size_t size;
	size_t room;
	size_t last;		  /* where the last message begins */
	uint32_t sequence;	  /* of the last message */
	const NftablesName *name; /* of the set that elements are of */
	bool intervals;
	int error; /* of the first thing that could not be added */
} NftablesBatch;

void nftables_batch_init(NftablesBatch *batch);
void nftables_batch_done(NftablesBatch *batch);
#define _cleanup_nftables_batch_ _cleanup_(nftables_batch_done)

/* Whether nothing was added. */
bool nftables_batch_is_empty(const NftablesBatch *batch);

/* Makes a table of ours, which belongs to the socket with OWNED (Linux 5.12); removes one. */
void nftables_batch_add_table(NftablesBatch *batch, const NftablesName *name, bool owned);
void nftables_batch_delete_table(NftablesBatch *batch, const NftablesName *name);

/* Makes a set of addresses, protocols and ports with intervals and timeouts. */
void nftables_batch_add_set(NftablesBatch *batch, const NftablesName *name, bool ipv4);

/* From when on times count, and how much longer than it says an element lasts. */
typedef struct NftablesTiming {
	uint64_t now_mono_ns, slack_ns;
} NftablesTiming;

/* Says which set, with INTERVALS or not, the elements are of that follow. NAME is borrowed. */
void nftables_batch_begin_elements(NftablesBatch *batch, const NftablesName *name, bool intervals);

/*
 * Removes COUNT elements, gives others new times (Linux 6.12), or adds new ones: one that is there
 * already is an error.
 */
void nftables_batch_delete_elements(NftablesBatch *batch, const NftablesElement *const *elements,
				    size_t count);
void nftables_batch_update_elements(NftablesBatch *batch, const NftablesElement *const *elements,
				    size_t count, const NftablesTiming *timing);
void nftables_batch_add_elements(NftablesBatch *batch, const NftablesElement *const *elements,
				 size_t count, const NftablesTiming *timing);

/*
 * Has the kernel do it by SOCKET. Returns 0 or a negative errno: what could not be added above, or
 * the kernel's for the first message that it refused; nothing has changed then.
 */
int nftables_batch_commit(NftablesBatch *batch, struct mnl_socket *socket);
