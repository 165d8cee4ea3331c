/* SPDX-License-Identifier: MIT */
/*
 * The daemon as a process: brings everything up in the right order, runs the event loop (knocks,
 * expiry, signals, changes of the clock) and takes everything down.
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/manager.h"
#include "daemon/mirror.h"
#include "daemon/options.h"

/* What a part of the service may ask it for. */
typedef struct ServiceHooks {
	Mirror *mirror; /* of grants in nftables */
	/* Reads everything anew, as SIGHUP does. 0 or a negative errno, logged. */
	int (*reload)(void *userdata);
	/* To be called after anything was changed in the manager. */
	void (*changed)(void *userdata);
	void *userdata;
} ServiceHooks;

/*
 * A part that stands above this layer (the D-Bus service): is started in the event loop before it
 * runs, with what is borrowed until it is stopped, after the loop. A part that does not start is
 * done without.
 */
typedef struct ServicePart {
	int (*start)(sd_event *event, Manager *manager, const ServiceHooks *hooks, void **ret_part);
	void (*stop)(void *part);
} ServicePart;

/*
 * Runs until SIGTERM or SIGINT. What goes wrong is said in the journal. PART may be NULL. Returns
 * 0, -EINVAL (unusable configuration) or another negative errno (failed at run time).
 */
int service_run(const Options *options, const ServicePart *part);
