/* SPDX-License-Identifier: MIT */
/*
 * Who may reach which ports of a source, and until when: pieces that are cut where they overlap.
 * For nftables-elements.c. Pure; names are borrowed from the grants.
 */
#pragma once

#include "enforce/nftables-elements.h"

/* Clients that a comment names at most. */
#define NFTABLES_NAMES_MAX 4

/* Who: the first few names in their order, so that it does not matter who came first. */
typedef struct NftablesNames {
	const char *names[NFTABLES_NAMES_MAX];
	size_t count;
	bool more;
} NftablesNames;

/* Ports of a source, until when, and for whom. */
typedef struct NftablesPiece {
	uint8_t protocol;
	uint32_t first, last; /* ports */
	uint64_t end_mono_ns;
	NftablesNames names;
} NftablesPiece;

typedef struct NftablesPieces {
	NftablesPiece *items;
	size_t count;
	size_t allocated;
} NftablesPieces;

void nftables_pieces_done(NftablesPieces *pieces);
#define _cleanup_nftables_pieces_ _cleanup_(nftables_pieces_done)

/* Makes room for one more behind COUNT items of an array. Returns 0 or -ENOMEM. */
int nftables_pieces_make_room(void **items, size_t count, size_t *allocated, size_t item_size);

/* Adds a piece, or one for each range of ports of GRANT. 0 or -ENOMEM. */
int nftables_pieces_add(NftablesPieces *pieces, const NftablesPiece *piece);
int nftables_pieces_add_grant(NftablesPieces *pieces, const Grant *grant);

/*
 * Makes PIECES sorted and disjoint: what covers the same ports becomes one, which lasts as long as
 * the longest and is for all of them. Returns 0 or -ENOMEM.
 */
int nftables_pieces_merge(NftablesPieces *pieces);

/* "spale: alice, bob and others" */
void nftables_pieces_comment(const NftablesNames *names, char comment[static NFTABLES_COMMENT_MAX]);
