/* SPDX-License-Identifier: MIT */
/*
 * The D-Bus service org.spale1: joins the system bus when there is one, and again when it was lost;
 * the daemon needs it for nothing. What callers may do is decided by polkit (bus/filter.h), what
 * they do is done by the manager.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager.h"
#include "daemon/service.h"

typedef struct Bus Bus;

/*
 * Tries to be on the bus from now on, in EVENT's loop. All that it gets is borrowed. Returns 0 or a
 * negative errno: no bus is none.
 */
int bus_new(sd_event *event, Manager *manager, const ServiceHooks *hooks, Bus **ret_bus);
void bus_free(Bus *bus);
DEFINE_CLEANUP(Bus, bus_free)

/* The bus as a part of the service. */
extern const ServicePart bus_service_part;
