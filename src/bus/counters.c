/* SPDX-License-Identifier: MIT */
#include "bus/counters.h"

#include <string.h>

#include "bus/arguments.h"

void counters_add(const BusContext *context, const Interface *interface,
		  struct spale_counters *counters)
{
	struct spale_counters here;

	if (interface->state != INTERFACE_ATTACHED ||
	    enforcer_counters(manager_enforcer(context->manager), interface->name, &here) < 0)
		return;
	for (size_t i = 0; i < SPALE_REASONS_MAX; i++) {
		counters->packets[i] += here.packets[i];
		counters->would_drop[i] += here.would_drop[i];
	}
}

int counters_append(sd_bus_message *message, const char *property,
		    const struct spale_counters *counters)
{
	const __u64 *packets =
		strcmp(property, "Counters") == 0 ? counters->packets : counters->would_drop;
	static const char *const names[] = {
#define COUNTERS_NAME(symbol, text, verdict) text,
		SPALE_REASONS(COUNTERS_NAME)
#undef COUNTERS_NAME
	};
	int r = sd_bus_message_open_container(message, 'a', "{st}");

	/* Unprotected traffic is not counted. */
	for (size_t i = SPALE_REASON_UNPROTECTED + 1; r >= 0 && i < SPALE_REASON_COUNT; i++)
		r = arguments_append_count(message, names[i], packets[i]);
	return r < 0 ? r : sd_bus_message_close_container(message);
}
