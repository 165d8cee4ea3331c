/* SPDX-License-Identifier: MIT */
#include "enforce/nftables-change.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "enforce/nftables.h"
#include "util/parse.h"

bool nftables_change_can_update(void)
{
	struct utsname system;
	char *rest = system.release, *major_text, *minor_text;
	uint32_t major, minor;

	if (uname(&system) < 0)
		return false;
	major_text = strsep(&rest, ".");
	minor_text = strsep(&rest, ".-+");
	if (!minor_text || parse_u32(major_text, 0, UINT32_MAX, &major) < 0 ||
	    parse_u32(minor_text, 0, UINT32_MAX, &minor) < 0)
		return false;
	return major > 6 || (major == 6 && minor >= 12);
}

/* Whether HAVE becomes WANT without being removed. */
static bool is_update(const NftablesElement *have, const NftablesElement *want, bool updates)
{
	return updates && have->end_mono_ns != SPALE_NEVER_NS &&
	       want->end_mono_ns != SPALE_NEVER_NS && strcmp(have->comment, want->comment) == 0;
}

/* ---- messages ------------------------------------------------------------------------------ */

/* Pointers into lists of elements. */
typedef struct Selection {
	const NftablesElement **items;
	size_t count;
} Selection;

typedef struct Sorting {
	bool updates;
	Selection add, update, remove;
} Sorting;

static void sorting_done(Sorting *sorting)
{
	free(sorting->add.items);
	free(sorting->update.items);
	free(sorting->remove.items);
}
#define _cleanup_sorting_ _cleanup_(sorting_done)

static void select_element(Selection *selection, const NftablesElement *element)
{
	selection->items[selection->count++] = element;
}

static int sort_difference(const NftablesElement *have, const NftablesElement *want, void *userdata)
{
	Sorting *sorting = userdata;

	if (have && want && is_update(have, want, sorting->updates)) {
		select_element(&sorting->update, want);
		return 0;
	}
	if (have)
		select_element(&sorting->remove, have);
	if (want)
		select_element(&sorting->add, want);
	return 0;
}

/* Removals come first, for what is added may overlap them; nobody sees what is between. */
int nftables_change_put(const NftablesChange *change, NftablesBatch *batch)
{
	const NftablesElements *have = change->have, *want = change->want;
	_cleanup_sorting_ Sorting sorting = {
		.updates = change->updates,
		.add.items = calloc(want->count ?: 1, sizeof(const NftablesElement *)),
		.update.items = calloc(want->count ?: 1, sizeof(const NftablesElement *)),
		.remove.items = calloc(have->count ?: 1, sizeof(const NftablesElement *)),
	};
	const NftablesTiming timing = {change->now_mono_ns, NFTABLES_SLACK_NS};

	if (!sorting.add.items || !sorting.update.items || !sorting.remove.items)
		return -ENOMEM;
	(void)nftables_elements_compare_lists(have, want, NFTABLES_TOLERANCE_NS, sort_difference,
					      &sorting);
	nftables_batch_begin_elements(batch, change->name, change->intervals);
	nftables_batch_delete_elements(batch, sorting.remove.items, sorting.remove.count);
	nftables_batch_update_elements(batch, sorting.update.items, sorting.update.count, &timing);
	nftables_batch_add_elements(batch, sorting.add.items, sorting.add.count, &timing);
	return 0;
}

/* ---- how much ------------------------------------------------------------------------------ */

typedef struct Budget {
	bool updates;
	uint64_t soon_mono_ns;
	size_t removals, renewals; /* that are left */
	NftablesElements kept;	   /* that were to go */
	NftablesElements fresh;	   /* that are to come */
	bool postponed;
} Budget;

static void budget_done(Budget *budget)
{
	nftables_elements_done(&budget->kept);
	nftables_elements_done(&budget->fresh);
}
#define _cleanup_budget_ _cleanup_(budget_done)

static int spend(const NftablesElement *have, const NftablesElement *want, void *userdata)
{
	Budget *budget = userdata;

	if (!have)
		return nftables_elements_add(&budget->fresh, want);
	if (want && is_update(have, want, budget->updates))
		return 0;
	if (!want && budget->removals > 0) {
		budget->removals--;
		return 0;
	}
	if (!want)
		return nftables_elements_add(&budget->kept, have);
	if (budget->renewals > 0 || have->end_mono_ns <= budget->soon_mono_ns) {
		budget->renewals -= budget->renewals > 0;
		return 0;
	}
	/* It stays as it was; WANT is of the list that may be changed. */
	*(NftablesElement *)want = *have;
	budget->postponed = true;
	return 0;
}

int nftables_change_postpone(const NftablesElements *have, NftablesElements *want, bool updates,
			     uint64_t now_mono_ns)
{
	_cleanup_budget_ Budget budget = {
		.updates = updates,
		.soon_mono_ns = now_mono_ns + NFTABLES_SLACK_NS,
		.removals = NFTABLES_REMOVALS_MAX,
		.renewals = NFTABLES_REMOVALS_MAX,
	};
	const NftablesForm form = {.set = ""};
	NftablesLeftOut ignored = {0};
	uint64_t end_mono_ns;
	int r;

	if (have->count <= NFTABLES_REMOVALS_MAX)
		return 0;
	r = nftables_elements_compare_lists(have, want, NFTABLES_TOLERANCE_NS, spend, &budget);
	if (r == 0)
		r = nftables_elements_yield(&budget.kept, &budget.fresh, &ignored, &form,
					    &end_mono_ns);
	for (size_t i = 0; r >= 0 && i < budget.kept.count; i++)
		r = nftables_elements_add(want, &budget.kept.items[i]);
	if (r < 0)
		return r;
	nftables_elements_sort(want);
	return budget.postponed || budget.kept.count > 0;
}
