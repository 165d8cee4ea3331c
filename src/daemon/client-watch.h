/* SPDX-License-Identifier: MIT */
/*
 * Tells when something in ClientsDirectory= has changed, a second after the last change, so that
 * who writes two files, or one in pieces, is done. What has changed is not said: whoever is told
 * reads everything anew, which makes an overflow of the kernel's queue a change like any other.
 *
 * A directory that is removed, or put in another's place, is looked for each second. Logs that.
 */
#pragma once

#include <systemd/sd-event.h>

#include "util/cleanup.h"

typedef struct ClientWatch ClientWatch;

typedef void (*ClientWatchChanged)(void *userdata);

/* Calls CHANGED from EVENT. Returns 0 or a negative errno. */
int client_watch_new(sd_event *event, ClientWatchChanged changed, void *userdata,
		     ClientWatch **ret_watch);
void client_watch_free(ClientWatch *watch);
DEFINE_CLEANUP(ClientWatch, client_watch_free)
#define _cleanup_client_watch_ _cleanup_(client_watch_freep)

/*
 * Watches DIRECTORY from now on, instead of another one. Returns 0, also if it is not there, or
 * -ENOMEM.
 */
int client_watch_directory(ClientWatch *watch, const char *directory);
