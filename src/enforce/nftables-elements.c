/* SPDX-License-Identifier: MIT */
#include "enforce/nftables-elements.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "enforce/nftables-pieces.h"
#include "util/ports.h"

void nftables_elements_done(NftablesElements *elements)
{
	free(elements->items);
	*elements = (NftablesElements){0};
}

int nftables_elements_add(NftablesElements *elements, const NftablesElement *element)
{
	int r = nftables_pieces_make_room((void **)&elements->items, elements->count,
					  &elements->allocated, sizeof(*element));

	if (r == 0)
		elements->items[elements->count++] = *element;
	return r;
}

int nftables_elements_compare(const NftablesElement *a, const NftablesElement *b)
{
	int r = address_compare(&a->first, &b->first);

	if (r == 0)
		r = address_compare(&a->last, &b->last);
	if (r == 0)
		r = (int)a->protocol - (int)b->protocol;
	if (r == 0)
		r = (int)a->first_port - (int)b->first_port;
	return r ? r : (int)a->last_port - (int)b->last_port;
}

static int compare_elements(const void *a, const void *b)
{
	return nftables_elements_compare(a, b);
}

void nftables_elements_sort(NftablesElements *elements)
{
	if (elements->count > 1)
		qsort(elements->items, elements->count, sizeof(*elements->items), compare_elements);
}

/* ---- addresses --------------------------------------------------------------------------- */

static Address last_of(const Prefix *prefix)
{
	Address last = prefix->address;

	for (unsigned bit = prefix->length; bit < 128; bit++)
		last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return last;
}

/* The address behind ADDRESS, or before it; there is one wherever this is asked. */
static Address next_to(Address address, bool behind)
{
	for (int i = 15; i >= 0; i--) {
		address.bytes[i] = (uint8_t)(address.bytes[i] + (behind ? 1 : -1));
		if (address.bytes[i] != (behind ? 0 : 0xff))
			break;
	}
	return address;
}

/* A source and what is granted to it. */
typedef struct Source {
	Prefix prefix;
	Address last;
	const Grant **grants;
	size_t count;
	NftablesPieces pieces;
} Source;

/* What the walk along the addresses is at: sources inside each other, the widest first. */
typedef struct Walk {
	Source open[129];
	size_t depth;
	Address at;  /* up to here, not including it, everything is there */
	bool at_end; /* there is no address behind the last one */
	NftablesElements *elements;
} Walk;

static void walk_done(Walk *walk)
{
	for (size_t i = 0; i < walk->depth; i++)
		nftables_pieces_done(&walk->open[i].pieces);
}
#define _cleanup_walk_ _cleanup_(walk_done)

/* Adds what is open between where WALK is and LAST. */
static int walk_emit(Walk *walk, const Address *last)
{
	_cleanup_nftables_pieces_ NftablesPieces all = {0};
	const NftablesPieces *pieces = &all;
	int r = 0;

	if (walk->depth == 0 || walk->at_end || address_compare(&walk->at, last) > 0)
		return 0;
	if (walk->depth == 1) {
		pieces = &walk->open[0].pieces;
	} else {
		for (size_t i = 0; i < walk->depth; i++)
			for (size_t j = 0; r == 0 && j < walk->open[i].pieces.count; j++)
				r = nftables_pieces_add(&all, &walk->open[i].pieces.items[j]);
		if (r == 0)
			r = nftables_pieces_merge(&all);
	}
	for (size_t i = 0; r == 0 && i < pieces->count; i++) {
		const NftablesPiece *piece = &pieces->items[i];
		NftablesElement element = {
			.first = walk->at,
			.last = *last,
			.protocol = piece->protocol,
			.first_port = (uint16_t)piece->first,
			.last_port = (uint16_t)piece->last,
			.end_mono_ns = piece->end_mono_ns,
		};

		nftables_pieces_comment(&piece->names, element.comment);
		r = nftables_elements_add(walk->elements, &element);
	}
	return r;
}

/* Leaves the innermost source. */
static int walk_leave(Walk *walk)
{
	Source *source = &walk->open[walk->depth - 1];
	int r = walk_emit(walk, &source->last);

	if (address_compare(&walk->at, &source->last) <= 0) {
		walk->at = next_to(source->last, true);
		walk->at_end = address_compare(&walk->at, &source->last) < 0;
	}
	nftables_pieces_done(&source->pieces);
	walk->depth--;
	return r;
}

/* Goes on to a source, COUNT grants of which are the first ones of GRANTS. */
static int walk_enter(Walk *walk, const Grant *const *grants, size_t count)
{
	Source source = {.prefix = grants[0]->source, .last = last_of(&grants[0]->source)};
	int r = 0;

	while (r == 0 && walk->depth > 0 &&
	       !prefix_contains(&walk->open[walk->depth - 1].prefix, &source.prefix.address))
		r = walk_leave(walk);
	if (r == 0 && walk->depth > 0 && address_compare(&walk->at, &source.prefix.address) < 0) {
		const Address before = next_to(source.prefix.address, false);

		r = walk_emit(walk, &before);
	}
	walk->at = source.prefix.address;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = nftables_pieces_add_grant(&source.pieces, grants[i]);
	if (r == 0)
		r = nftables_pieces_merge(&source.pieces);
	if (r < 0) {
		nftables_pieces_done(&source.pieces);
		return r;
	}
	walk->open[walk->depth++] = source;
	return 0;
}

/* ---- grants ------------------------------------------------------------------------------ */

/* Wide sources come before those inside them. */
static int compare_sources(const void *a, const void *b)
{
	const Prefix *first = &(*(const Grant *const *)a)->source;
	const Prefix *second = &(*(const Grant *const *)b)->source;
	int r = address_compare(&first->address, &second->address);

	return r ? r : (int)first->length - (int)second->length;
}

static void leave_out(NftablesLeftOut *left_out, const char *who, const Prefix *source,
		      const char *format, const char *set)
{
	char text[ADDRESS_TEXT_MAX];
	int length;

	if (left_out->grants++ > 0)
		return;
	length = snprintf(left_out->why, sizeof(left_out->why), "%s has a grant for %s, ", who,
			  prefix_format(source, text));
	if (length > 0 && (size_t)length < sizeof(left_out->why))
		snprintf(left_out->why + length, sizeof(left_out->why) - (size_t)length, format,
			 set);
}

/* The grants that FORM can hold, sorted by source. */
static int collect(const GrantTable *grants, const NftablesForm *form, uint64_t now_mono_ns,
		   const Grant ***ret_grants, size_t *ret_count, NftablesLeftOut *left_out)
{
	size_t total = grant_table_count(grants), count = 0;
	const Grant **found = calloc(total ?: 1, sizeof(const Grant *));

	if (!found)
		return -ENOMEM;
	for (size_t i = 0; i < total; i++) {
		const Grant *grant = grant_table_get(grants, i);
		const char *who = grant->client[0] ? grant->client : "an address";

		if (address_is_ipv4(&grant->source.address) != form->ipv4 ||
		    grant_end_mono_ns(grant) <= now_mono_ns)
			continue;
		if (grant->ifindex != 0)
			leave_out(left_out, who, &grant->source,
				  "which holds on one interface: set %s knows of none", form->set);
		else if (grant->source.length < 128 && !form->intervals)
			leave_out(left_out, who, &grant->source,
				  "which set %s cannot hold: it lacks \"flags interval\"",
				  form->set);
		else
			found[count++] = grant;
	}
	if (count > 1)
		qsort(found, count, sizeof(const Grant *), compare_sources);
	*ret_grants = found;
	*ret_count = count;
	return 0;
}

/* Whether B goes on where A ends, and is the same otherwise. */
static bool continues(const NftablesElement *a, const NftablesElement *b)
{
	const Address behind = next_to(a->last, true);

	return a->protocol == b->protocol && a->first_port == b->first_port &&
	       a->last_port == b->last_port && address_equal(&behind, &b->first) &&
	       a->end_mono_ns == b->end_mono_ns && strcmp(a->comment, b->comment) == 0;
}

static int compare_by_ports(const void *a, const void *b)
{
	const NftablesElement *first = a, *second = b;
	int r = (int)first->protocol - (int)second->protocol;

	if (r == 0)
		r = (int)first->first_port - (int)second->first_port;
	if (r == 0)
		r = (int)first->last_port - (int)second->last_port;
	return r ? r : address_compare(&first->first, &second->first);
}

/* Puts together what was cut for other ports' sake. */
static void join(NftablesElements *elements)
{
	size_t count = 0;

	if (elements->count < 2)
		return;
	qsort(elements->items, elements->count, sizeof(*elements->items), compare_by_ports);
	for (size_t i = 1; i < elements->count; i++) {
		if (continues(&elements->items[count], &elements->items[i]))
			elements->items[count].last = elements->items[i].last;
		else
			elements->items[++count] = elements->items[i];
	}
	elements->count = count + 1;
}

/* One element for each port. */
static int split_ports(NftablesElements *elements)
{
	_cleanup_nftables_elements_ NftablesElements split = {0};

	for (size_t i = 0; i < elements->count; i++) {
		NftablesElement element = elements->items[i];
		uint32_t last = element.last_port;

		for (uint32_t port = element.first_port; port <= last; port++) {
			element.first_port = element.last_port = (uint16_t)port;
			if (nftables_elements_add(&split, &element) < 0)
				return -ENOMEM;
		}
	}
	nftables_elements_done(elements);
	*elements = split;
	split = (NftablesElements){0};
	return 0;
}

int nftables_elements_of_grants(const GrantTable *grants, const NftablesForm *form,
				uint64_t now_mono_ns, NftablesElements *ret_elements,
				NftablesLeftOut *left_out)
{
	_cleanup_nftables_elements_ NftablesElements elements = {0};
	_cleanup_walk_ Walk walk = {.elements = &elements};
	_cleanup_free_ const Grant **sorted = NULL;
	size_t count, to;
	int r;

	r = collect(grants, form, now_mono_ns, &sorted, &count, left_out);
	for (size_t from = 0; r == 0 && from < count; from = to) {
		for (to = from + 1; to < count && compare_sources(&sorted[from], &sorted[to]) == 0;)
			to++;
		r = walk_enter(&walk, sorted + from, to - from);
	}
	while (r == 0 && walk.depth > 0)
		r = walk_leave(&walk);
	if (r == 0 && form->intervals)
		join(&elements);
	else if (r == 0)
		r = split_ports(&elements);
	if (r < 0)
		return r;
	nftables_elements_sort(&elements);
	*ret_elements = elements;
	elements = (NftablesElements){0};
	return 0;
}

/* ---- lists ------------------------------------------------------------------------------- */

static bool overlap(const NftablesElement *a, const NftablesElement *b)
{
	return a->protocol == b->protocol && a->first_port <= b->last_port &&
	       b->first_port <= a->last_port && address_compare(&a->first, &b->last) <= 0 &&
	       address_compare(&b->first, &a->last) <= 0;
}

/* How many of ELEMENTS begin at or before ADDRESS. */
static size_t count_up_to(const NftablesElements *elements, const Address *address)
{
	size_t low = 0, high = elements->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (address_compare(&elements->items[middle].first, address) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Marks those of ELEMENTS that ONE overlaps. REACH: the last address of each and all before it. */
static bool mark_overlaps(const NftablesElements *elements, const Address *reach,
			  const NftablesElement *one, bool *marks)
{
	bool any = false;

	for (size_t i = count_up_to(elements, &one->last); i > 0; i--) {
		if (address_compare(&reach[i - 1], &one->first) < 0)
			break;
		if (overlap(&elements->items[i - 1], one))
			any = marks[i - 1] = true;
	}
	return any;
}

int nftables_elements_yield(NftablesElements *elements, const NftablesElements *taken,
			    NftablesLeftOut *left_out, const NftablesForm *form,
			    uint64_t *ret_end_mono_ns)
{
	_cleanup_free_ Address *reach = calloc(elements->count ?: 1, sizeof(*reach));
	_cleanup_free_ bool *marks = calloc(elements->count ?: 1, sizeof(*marks));
	size_t count = 0, marked = 0;

	*ret_end_mono_ns = SPALE_NEVER_NS;
	if (!reach || !marks)
		return -ENOMEM;
	for (size_t i = 0; i < elements->count; i++) {
		reach[i] = elements->items[i].last;
		if (i > 0 && address_compare(&reach[i - 1], &reach[i]) > 0)
			reach[i] = reach[i - 1];
	}
	for (size_t i = 0; i < taken->count; i++)
		if (mark_overlaps(elements, reach, &taken->items[i], marks) &&
		    taken->items[i].end_mono_ns < *ret_end_mono_ns)
			*ret_end_mono_ns = taken->items[i].end_mono_ns;
	for (size_t i = 0; i < elements->count; i++) {
		if (!marks[i]) {
			elements->items[count++] = elements->items[i];
			continue;
		}
		marked++;
		if (left_out->grants++ == 0)
			snprintf(
				left_out->why, sizeof(left_out->why),
				"set %s has an element of somebody else where this one belongs: %s",
				form->set,
				elements->items[i].comment + strlen(NFTABLES_COMMENT_PREFIX));
	}
	elements->count = count;
	return (int)marked;
}

static bool is_same(const NftablesElement *a, const NftablesElement *b, uint64_t tolerance_ns)
{
	uint64_t apart_ns = a->end_mono_ns > b->end_mono_ns ? a->end_mono_ns - b->end_mono_ns
							    : b->end_mono_ns - a->end_mono_ns;

	return apart_ns <= tolerance_ns && strcmp(a->comment, b->comment) == 0;
}

int nftables_elements_compare_lists(const NftablesElements *have, const NftablesElements *want,
				    uint64_t tolerance_ns, NftablesDifference callback,
				    void *userdata)
{
	size_t h = 0, w = 0;
	int r = 0;

	while (r == 0 && (h < have->count || w < want->count)) {
		const NftablesElement *a = h < have->count ? &have->items[h] : NULL;
		const NftablesElement *b = w < want->count ? &want->items[w] : NULL;
		int order = !a ? 1 : !b ? -1 : nftables_elements_compare(a, b);

		if (order < 0)
			r = callback(a, NULL, userdata);
		else if (order > 0)
			r = callback(NULL, b, userdata);
		else if (!is_same(a, b, tolerance_ns))
			r = callback(a, b, userdata);
		h += order <= 0;
		w += order >= 0;
	}
	return r;
}
