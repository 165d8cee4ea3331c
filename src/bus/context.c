/* SPDX-License-Identifier: MIT */
#include "bus/context.h"

#include <stdlib.h>

#include <spale/bus-names.h>

#include "bus/errors.h"
#include "util/parse.h"

/*
 * The clocks are coarse, so that their difference trembles by a tick. A time that was told once is
 * told again to the microsecond, unless somebody has set the clock.
 */
#define TREMBLE_USEC 25000

uint64_t context_real_usec(BusContext *context, uint64_t mono_ns)
{
	int64_t offset_usec = (int64_t)clock_system.real_usec(NULL) -
			      (int64_t)(clock_system.mono_ns(NULL) / NSEC_PER_USEC);

	if (mono_ns == SPALE_NEVER_NS)
		return SPALE_BUS_INFINITY;
	if (llabs(offset_usec - context->offset_usec) > TREMBLE_USEC)
		context->offset_usec = offset_usec;
	return (uint64_t)((int64_t)(mono_ns / NSEC_PER_USEC) + context->offset_usec);
}

const char *context_caller(const BusContext *context, sd_bus_message *call)
{
	const char *sender = sd_bus_message_get_sender(call);
	const Caller *caller = sender ? callers_find(context->callers, sender) : NULL;

	return caller ? caller->text : NULL;
}

int context_done(const BusContext *context, int r, const char *error, sd_bus_error *ret_error)
{
	/* Also after a failure: time has passed. */
	context->hooks->changed(context->hooks->userdata);
	return r < 0 ? errors_set(ret_error, r, error) : 0;
}
