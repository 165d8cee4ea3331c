/* SPDX-License-Identifier: MIT */
/*
 * Hears what happens in the manager and tells those who have subscribed, and keeps account of which
 * objects were announced. Signals that strangers can cause are bounded; those that follow from one
 * another are put together.
 */
#pragma once

#include "bus/context.h"

typedef struct Signals Signals;

/* Observes CONTEXT's manager from now on, whether there is a bus or not. 0 or a negative errno. */
int signals_new(BusContext *context, Signals **ret_signals);
void signals_free(Signals *signals);
DEFINE_CLEANUP(Signals, signals_free)
