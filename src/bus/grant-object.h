/* SPDX-License-Identifier: MIT */
/* The objects of org.spale1.Grant, and how a grant is told. */
#pragma once

#include <net/if.h>

#include "bus/context.h"

/* Times as the bus tells them, and what they make of the grant. */
typedef struct GrantTimes {
	uint64_t created, last_seen, idle_until, grace_until, deadline;
	const char *state;
} GrantTimes;

/* The grant of this number, up to date with what the kernel knows of its packets, or NULL. */
const Grant *grant_object_look(BusContext *context, uint64_t id);

/* When GRANT began, was used and ends, and whether it is in grace now. */
GrantTimes grant_object_times(BusContext *context, const Grant *grant);

/* "knock", "administrator" or "always". */
const char *grant_object_origin(const Grant *grant);

/* The interface that GRANT holds on, or its number if it has gone; "" where it holds on all. */
const char *grant_object_interface(const Grant *grant, char text[static IF_NAMESIZE]);
