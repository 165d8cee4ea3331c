/* SPDX-License-Identifier: MIT */
/* What the verbs about clients, and setup, have in common. */
#pragma once

#include "ctl/bus.h"
#include "ctl/options.h"

/* Whether a client can have this name: 0 or -EINVAL, reported. */
int client_check_name(const char *name);

/* Whether OPTIONS hold a setting of org.spale1.Client. */
bool client_has_settings(const Options *options);

/* Appends those that they hold, as a{sv}. */
ExitCode client_append_settings(sd_bus_message *message, const Options *options);
