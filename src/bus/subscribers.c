/* SPDX-License-Identifier: MIT */
#include "bus/subscribers.h"

#include <string.h>

#include <spale/bus-names.h>

#include "daemon/journal.h"

/* Messages that wait to be sent, of a kilobyte or so each. */
#define WAITING_MAX 16384

bool subscribers_exist(const BusContext *context)
{
	return context->callers && callers_next_subscriber(context->callers, NULL);
}

int subscribers_new_signal(const BusContext *context, const char *path, const char *interface,
			   const char *member, sd_bus_message **ret_signal)
{
	return sd_bus_message_new_signal(context->bus, ret_signal, path, interface, member);
}

/* Sends a copy of SIGNAL, which is sealed, to one. */
static int send_copy(const BusContext *context, sd_bus_message *signal, const char *receiver)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *copy = NULL;
	int r;

	r = subscribers_new_signal(context, sd_bus_message_get_path(signal),
				   sd_bus_message_get_interface(signal),
				   sd_bus_message_get_member(signal), &copy);
	if (r >= 0)
		r = sd_bus_message_rewind(signal, true);
	if (r >= 0)
		r = sd_bus_message_copy(copy, signal, true);
	return r < 0 ? r : sd_bus_send_to(context->bus, copy, receiver, NULL);
}

static void lose_all(const BusContext *context)
{
	Caller *caller = NULL;

	journal_line(LOG_LEVEL_WARNING,
		     "the bus does not take signals as fast as they come: subscriptions end");
	while ((caller = callers_next_subscriber(context->callers, caller))) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *lost = NULL;

		callers_unsubscribe(caller);
		if (subscribers_new_signal(context, SPALE_BUS_PATH, SPALE_BUS_MANAGER,
					   "SubscriptionLost", &lost) >= 0)
			(void)sd_bus_send_to(context->bus, lost, caller->name, NULL);
	}
}

void subscribers_send(BusContext *context, sd_bus_message *signal, int r)
{
	Caller *caller = NULL;
	uint64_t waiting;

	if (r >= 0)
		r = sd_bus_message_seal(signal, 1, 0);
	if (r >= 0)
		r = sd_bus_get_n_queued_write(context->bus, &waiting);
	if (r >= 0 && waiting > WAITING_MAX) {
		lose_all(context);
		return;
	}
	while (r >= 0 && (caller = callers_next_subscriber(context->callers, caller)))
		r = send_copy(context, signal, caller->name);
	if (r < 0)
		journal_line(LOG_LEVEL_DEBUG, "a signal is not sent: %s", strerror(-r));
}
