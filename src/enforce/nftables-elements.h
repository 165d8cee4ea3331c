/* SPDX-License-Identifier: MIT */
/*
 * The grants as elements of an nftables set: address . protocol . port, each with an end and a
 * comment that names the clients.
 *
 * Where grants overlap, a set with intervals gets pieces that do not, for the kernel refuses an
 * element inside another: each piece lasts as long as the most generous grant that covers it. Pure:
 * the caller brings the grants and talks to the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/grant-table.h"
#include "util/address.h"

/* A comment with its NUL, as long as nft(8) takes one, and how ours begin. */
#define NFTABLES_COMMENT_MAX	128
#define NFTABLES_COMMENT_PREFIX "spale: "

typedef struct NftablesElement {
	Address first, last; /* of one family; a set without intervals: the same */
	uint8_t protocol;
	uint16_t first_port, last_port;
	uint64_t end_mono_ns; /* SPALE_NEVER_NS: none */
	char comment[NFTABLES_COMMENT_MAX];
} NftablesElement;

/* Sorted by nftables_elements_compare(), and no two overlap. */
typedef struct NftablesElements {
	NftablesElement *items;
	size_t count;
	size_t allocated;
} NftablesElements;

/* What cannot be shown, and why the first of it cannot. */
typedef struct NftablesLeftOut {
	size_t grants;
	char why[256]; /* a sentence; empty: nothing */
} NftablesLeftOut;

void nftables_elements_done(NftablesElements *elements);
#define _cleanup_nftables_elements_ _cleanup_(nftables_elements_done)

/* Appends a copy of ELEMENT. Returns 0 or -ENOMEM. */
int nftables_elements_add(NftablesElements *elements, const NftablesElement *element);

/* By addresses, protocol and ports. */
int nftables_elements_compare(const NftablesElement *a, const NftablesElement *b);
void nftables_elements_sort(NftablesElements *elements);

/* What set the grants of one family are for. */
typedef struct NftablesForm {
	bool ipv4;
	bool intervals;
	const char *set; /* its name, for sentences */
} NftablesForm;

/*
 * The elements that a set of FORM is to have of GRANTS that have not ended at NOW. Grants that it
 * cannot hold are counted in LEFT_OUT: those for a prefix where there are no intervals, and those
 * that hold on one interface only (link-local sources), for the set knows of none. Returns 0 or
 * -ENOMEM.
 */
int nftables_elements_of_grants(const GrantTable *grants, const NftablesForm *form,
				uint64_t now_mono_ns, NftablesElements *ret_elements,
				NftablesLeftOut *left_out);

/*
 * Takes from ELEMENTS those that overlap one of TAKEN, which may overlap each other. Returns how
 * many, and when the first of those that stood in the way ends; or -ENOMEM.
 */
int nftables_elements_yield(NftablesElements *elements, const NftablesElements *taken,
			    NftablesLeftOut *left_out, const NftablesForm *form,
			    uint64_t *ret_end_mono_ns);

/* Called for each difference; either may be NULL. Returns 0 or a negative errno, which ends it. */
typedef int (*NftablesDifference)(const NftablesElement *have, const NftablesElement *want,
				  void *userdata);

/*
 * Calls CALLBACK for what HAVE has too much, lacks, or has with another comment or end; ends that
 * differ by TOLERANCE at most are the same.
 */
int nftables_elements_compare_lists(const NftablesElements *have, const NftablesElements *want,
				    uint64_t tolerance_ns, NftablesDifference callback,
				    void *userdata);
