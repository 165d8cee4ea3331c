/* SPDX-License-Identifier: MIT */
#include "enforce/nftables-pieces.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/ports.h"

/* An empty client: a grant that an administrator gave. */
#define NOBODY "by an administrator"

void nftables_pieces_done(NftablesPieces *pieces)
{
	free(pieces->items);
	*pieces = (NftablesPieces){0};
}
int nftables_pieces_make_room(void **items, size_t count, size_t *allocated, size_t item_size)
{
	size_t room = *allocated ? 2 * *allocated : 8;
	void *larger;

	if (count < *allocated)
		return 0;
	larger = reallocarray(*items, room, item_size);
	if (!larger)
		return -ENOMEM;
	*items = larger;
	*allocated = room;
	return 0;
}

/* ---- names ------------------------------------------------------------------------------- */

static void names_add(NftablesNames *names, const char *name)
{
	size_t at = 0;

	while (at < names->count && strcmp(names->names[at], name) < 0)
		at++;
	if (at < names->count && strcmp(names->names[at], name) == 0)
		return;
	if (names->count == NFTABLES_NAMES_MAX) {
		names->more = true;
		if (at == NFTABLES_NAMES_MAX)
			return;
		names->count--;
	}
	memmove(&names->names[at + 1], &names->names[at],
		(names->count - at) * sizeof(names->names[0]));
	names->names[at] = name;
	names->count++;
}

static void names_merge(NftablesNames *to, const NftablesNames *from)
{
	for (size_t i = 0; i < from->count; i++)
		names_add(to, from->names[i]);
	to->more = to->more || from->more;
}

static bool names_equal(const NftablesNames *a, const NftablesNames *b)
{
	if (a->count != b->count || a->more != b->more)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	return true;
}

void nftables_pieces_comment(const NftablesNames *names, char comment[static NFTABLES_COMMENT_MAX])
{
	static const char others[] = " and others";
	size_t length = (size_t)snprintf(comment, NFTABLES_COMMENT_MAX, NFTABLES_COMMENT_PREFIX);
	bool more = names->more;

	for (size_t i = 0; i < names->count; i++) {
		const char *separator = i > 0 ? ", " : "";

		if (length + strlen(separator) + strlen(names->names[i]) + sizeof(others) >
		    NFTABLES_COMMENT_MAX) {
			more = true;
			break;
		}
		length += (size_t)snprintf(comment + length, NFTABLES_COMMENT_MAX - length, "%s%s",
					   separator, names->names[i]);
	}
	if (more)
		snprintf(comment + length, NFTABLES_COMMENT_MAX - length, "%s", others);
}

/* ---- ports ------------------------------------------------------------------------------- */

int nftables_pieces_add(NftablesPieces *pieces, const NftablesPiece *piece)
{
	int r = nftables_pieces_make_room((void **)&pieces->items, pieces->count,
					  &pieces->allocated, sizeof(*piece));

	if (r == 0)
		pieces->items[pieces->count++] = *piece;
	return r;
}

int nftables_pieces_add_grant(NftablesPieces *pieces, const Grant *grant)
{
	NftablesPiece piece = {.end_mono_ns = grant_end_mono_ns(grant)};
	int r = 0;

	names_add(&piece.names, grant->client[0] ? grant->client : NOBODY);
	port_list_foreach (range, &grant->ports) {
		piece.protocol = range->protocol;
		piece.first = range->first;
		piece.last = range->last;
		r = nftables_pieces_add(pieces, &piece);
		if (r < 0)
			break;
	}
	return r;
}

static int compare_pieces(const void *a, const void *b)
{
	const NftablesPiece *first = a, *second = b;

	if (first->protocol != second->protocol)
		return (int)first->protocol - (int)second->protocol;
	return (int)first->first - (int)second->first;
}

static int compare_ports(const void *a, const void *b)
{
	const uint32_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

/* Whether PIECES, sorted, overlap nowhere. */
static bool are_disjoint(const NftablesPieces *pieces)
{
	for (size_t i = 1; i < pieces->count; i++) {
		const NftablesPiece *before = &pieces->items[i - 1], *piece = &pieces->items[i];

		if (piece->protocol == before->protocol && piece->first <= before->last)
			return false;
	}
	return true;
}

/* Adds PIECE, or lengthens the last one by it. */
static int pieces_append(NftablesPieces *pieces, const NftablesPiece *piece)
{
	NftablesPiece *last = pieces->count > 0 ? &pieces->items[pieces->count - 1] : NULL;

	if (!last || last->protocol != piece->protocol || last->last + 1 != piece->first ||
	    last->end_mono_ns != piece->end_mono_ns || !names_equal(&last->names, &piece->names))
		return nftables_pieces_add(pieces, piece);
	last->last = piece->last;
	return 0;
}

/*
 * Cuts COUNT sorted ITEMS of one protocol at BOUNDS, the ports where one begins or has just ended,
 * and merges what then covers the same ports.
 */
static int cut_protocol(const NftablesPiece *items, size_t count, const uint32_t *bounds,
			size_t bound_count, NftablesPieces *ret_pieces)
{
	for (size_t b = 0; b + 1 < bound_count; b++) {
		NftablesPiece piece = {.protocol = items[0].protocol,
				       .first = bounds[b],
				       .last = bounds[b + 1] - 1};
		int r;

		if (bounds[b] == bounds[b + 1])
			continue;
		for (size_t i = 0; i < count && items[i].first <= piece.first; i++) {
			if (items[i].last < piece.first)
				continue;
			names_merge(&piece.names, &items[i].names);
			if (items[i].end_mono_ns > piece.end_mono_ns)
				piece.end_mono_ns = items[i].end_mono_ns;
		}
		if (piece.names.count == 0)
			continue;
		r = pieces_append(ret_pieces, &piece);
		if (r < 0)
			return r;
	}
	return 0;
}

int nftables_pieces_merge(NftablesPieces *pieces)
{
	_cleanup_nftables_pieces_ NftablesPieces merged = {0};
	_cleanup_free_ uint32_t *bounds = NULL;

	if (pieces->count > 1)
		qsort(pieces->items, pieces->count, sizeof(*pieces->items), compare_pieces);
	if (are_disjoint(pieces))
		return 0;
	bounds = calloc(pieces->count, 2 * sizeof(*bounds));
	if (!bounds)
		return -ENOMEM;
	for (size_t from = 0, to; from < pieces->count; from = to) {
		size_t bound_count = 0;
		int r;

		for (to = from; to < pieces->count &&
				pieces->items[to].protocol == pieces->items[from].protocol;
		     to++) {
			bounds[bound_count++] = pieces->items[to].first;
			bounds[bound_count++] = pieces->items[to].last + 1;
		}
		qsort(bounds, bound_count, sizeof(*bounds), compare_ports);
		r = cut_protocol(&pieces->items[from], to - from, bounds, bound_count, &merged);
		if (r < 0)
			return r;
	}
	free(pieces->items);
	*pieces = merged;
	merged = (NftablesPieces){0};
	return 0;
}
