/* SPDX-License-Identifier: MIT */
/*
 * What all objects on the bus share: the manager that they show, who listens, and what is being
 * looked at. Part of bus/bus.h, which owns it.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "bus/callers.h"
#include "bus/published.h"
#include "daemon/manager.h"
#include "daemon/service.h"

/* What the getters of properties show: set by the object's find function, valid until the next. */
typedef struct View {
	const Grant *grant;
	const Client *client;
	const Interface *interface;
} View;

typedef struct BusContext {
	sd_event *event;
	Manager *manager;
	const ServiceHooks *hooks;
	struct Signals *signals;
	Published published;
	View view;
	int64_t offset_usec; /* CLOCK_REALTIME - CLOCK_MONOTONIC, as told lately */

	/* While the bus is there. */
	sd_bus *bus;
	Callers *callers;
	struct Answers *answers;
} BusContext;

/* MONO_NS as the bus tells times; SPALE_NEVER_NS: never. */
uint64_t context_real_usec(BusContext *context, uint64_t mono_ns);

/* Who sent CALL, for the journal. */
const char *context_caller(const BusContext *context, sd_bus_message *call);

/*
 * The end of a handler that changed something, or failed to: R is 0 or a negative errno, ERROR the
 * sentence for it or NULL. Returns 0 or R, with *RET_ERROR set.
 */
int context_done(const BusContext *context, int r, const char *error, sd_bus_error *ret_error);
