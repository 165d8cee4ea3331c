/* SPDX-License-Identifier: MIT */
/*
 * Signals, one by one to those who have subscribed: nobody else learns what they name. Nothing is
 * broadcast.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "bus/context.h"

/* Whether anybody listens. */
bool subscribers_exist(const BusContext *context);

/* A signal to be filled. 0 or a negative errno. */
int subscribers_new_signal(const BusContext *context, const char *path, const char *interface,
			   const char *member, sd_bus_message **ret_signal);

/*
 * Sends SIGNAL to all who listen; R is what filling it came to, and a signal that is not whole is
 * not sent. Where more waits to be sent than a bus that is well leaves waiting, all subscriptions
 * end, which is said to those who had one (SubscriptionLost).
 */
void subscribers_send(BusContext *context, sd_bus_message *signal, int r);
