/* SPDX-License-Identifier: MIT */
/*
 * What nftables has: tables, sets and their elements, as the kernel tells. For nftables.c.
 *
 * Works in the network namespace of the caller. What others have put there is untrusted.
 */
#pragma once

#include "enforce/nftables-elements.h"

/* How the kernel calls a set. */
typedef struct NftablesName {
	uint8_t family; /* NFPROTO_* */
	const char *table;
	const char *set;
} NftablesName;

typedef struct NftablesTable {
	uint32_t owner; /* port number of the socket that it belongs to, 0: none */
	bool is_ours;	/* by its comment */
} NftablesTable;

typedef struct NftablesSet {
	uint32_t flags; /* NFT_SET_* */
	uint32_t key_type;
	uint32_t key_length;
} NftablesSet;

/* In which nftables counts time: milliseconds. */
#define NFTABLES_TICK_NS 1000000ULL

/* How a table of ours is told from others of its name. */
#define NFTABLES_TABLE_COMMENT "made by spaled"

/* What the elements of a set of an IPv4 or IPv6 address, a protocol and a port are made of. */
uint32_t nftables_key_type(bool ipv4);
uint32_t nftables_key_length(bool ipv4);

/* 0, -ENOENT (there is none) or another negative errno. */
int nftables_query_table(const NftablesName *name, NftablesTable *ret_table);
int nftables_query_set(const NftablesName *name, NftablesSet *ret_set);

/*
 * Appends the elements of a set whose keys are as above: OURS by their comment, FOREIGN the others.
 * Ends count from NOW, and those of ours are SLACK earlier than the kernel's. Both lists are
 * sorted. Returns 0, -ENOENT, -EINTR (it changes too often) or another negative errno.
 */
int nftables_query_elements(const NftablesName *name, bool ipv4, uint64_t now_mono_ns,
			    uint64_t slack_ns, NftablesElements *ours, NftablesElements *foreign);
