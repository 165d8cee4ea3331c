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
	size_t last;	   /* where the last message begins */
	uint32_t sequence; /* of the last message */
	int error;	   /* of the first thing that could not be added */
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

/*
 * Adds COUNT elements, which are new, to a set with or without INTERVALS, each of which lasts until
 * SLACK behind its end; removes elements.
 */
void nftables_batch_add_elements(NftablesBatch *batch, const NftablesName *name, bool intervals,
				 const NftablesElement *const *elements, size_t count,
				 uint64_t now_mono_ns, uint64_t slack_ns);
void nftables_batch_delete_elements(NftablesBatch *batch, const NftablesName *name, bool intervals,
				    const NftablesElement *const *elements, size_t count);

/*
 * Has the kernel do it by SOCKET. Returns 0 or a negative errno: what could not be added above, or
 * the kernel's for the first message that it refused; nothing has changed then.
 */
int nftables_batch_commit(NftablesBatch *batch, struct mnl_socket *socket);
