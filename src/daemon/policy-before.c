/* SPDX-License-Identifier: MIT */
#include "daemon/policy-before.h"

#include <errno.h>

#include "daemon/journal.h"
#include "daemon/policy-layers.h"

/* Both lists are sorted. */
static void keep_common(PrefixList *list, const PrefixList *other)
{
	size_t left = 0, place = 0;

	for (size_t i = 0; i < list->count; i++) {
		while (place < other->count &&
		       prefix_compare(&other->items[place], &list->items[i]) < 0)
			place++;
		if (place < other->count &&
		    prefix_compare(&other->items[place], &list->items[i]) == 0)
			list->items[left++] = list->items[i];
	}
	list->count = left;
}

Config *policy_before(Enforcer *enforcer, const Options *options)
{
	_cleanup_policy_layers_ PolicyLayers *layers = NULL;
	_cleanup_config_ Config *config = NULL, *good = NULL;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	int r = enforcer_policy(enforcer, &config);

	if (r == 0 && options)
		r = policy_layers_load_good(options, &diagnostics, &layers, &good);
	if (r == -ENOMEM || !config) {
		journal_line(LOG_LEVEL_ERROR,
			     "connections from what is not always allowed any more may go on: %s",
			     r == -ENOMEM ? "no memory" : enforcer_error(enforcer));
		return NULL;
	}
	/* Without a good one what the kernel had is all that is known. */
	if (good)
		keep_common(&config->always_allow, &good->always_allow);
	return TAKE_PTR(config);
}
