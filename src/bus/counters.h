/* SPDX-License-Identifier: MIT */
/* The kernel's counters as the bus tells them: a{st}, by the name of the reason. */
#pragma once

#include "bus/context.h"

/* Adds what is counted at INTERFACE; nothing where it is not attached. */
void counters_add(const BusContext *context, const Interface *interface,
		  struct spale_counters *counters);

/*
 * Appends what PROPERTY ("Counters" or "WouldDrop") tells of them, by the reasons that there are.
 * Returns 0 or a negative errno.
 */
int counters_append(sd_bus_message *message, const char *property,
		    const struct spale_counters *counters);
