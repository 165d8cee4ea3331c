/* SPDX-License-Identifier: MIT */
/*
 * The gate of the D-Bus API: sees each method call before sd-bus does, holds it while polkit is
 * asked, and lets it through once its caller is authorised. What the table (bus/actions.h) has no
 * row for, and whoever polkit does not say yes to, is answered with an error that tells nothing of
 * what there is.
 *
 * Calls are untrusted in every respect; how many wait, and how large they are, is bounded.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "bus/callers.h"
#include "daemon/manager.h"

typedef struct Filter Filter;

/* Stands before everything on BUS from now on; all three are borrowed. 0 or a negative errno. */
int filter_new(sd_bus *bus, const Manager *manager, Callers *callers, Filter **ret_filter);

/*
 * What is offered each call that is let through, before sd-bus is: 1: it takes care of it; 0: it
 * does not; or a negative errno with *RET_ERROR set.
 */
typedef int (*FilterPassed)(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
void filter_set_passed(Filter *filter, FilterPassed passed, void *userdata);

void filter_free(Filter *filter);
DEFINE_CLEANUP(Filter, filter_free)

/* A CallerKnown and a CallerGone for CALLERS. */
void filter_caller_known(Filter *filter, Caller *caller);
void filter_caller_gone(Filter *filter, Caller *caller);
