/* SPDX-License-Identifier: MIT */
/*
 * Keeps nftables showing the grants of a manager (Mirror=), as the daemon's event loop goes round:
 * hears of changes by observing the manager, and of what others do to the sets from the kernel.
 * Changes are collected for a moment, and go in one transaction. What goes wrong is told in the
 * journal, and tried again; nothing else waits for it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/manager.h"
#include "enforce/enforcer.h"
#include "policy/config.h"
#include "util/cleanup.h"

typedef struct Mirror Mirror;

/* Borrows all three; STORE, which keeps a socket over a restart, may be NULL. 0 or a negative
 * errno.
 */
int mirror_new(sd_event *event, Manager *manager, const EnforcerStore *store, Mirror **ret_mirror);

/* Removes what it has shown, or leaves it for the next daemon that has the same store. NULL is
 * fine. Before the manager is gone. */
void mirror_free(Mirror *mirror);
DEFINE_CLEANUP(Mirror, mirror_free)
#define _cleanup_mirror_ _cleanup_(mirror_freep)

/*
 * Shows the grants where the manager's configuration wants them from now on, and no more where it
 * did before. To be called at the start; when the policy changes it happens by itself.
 */
void mirror_configure(Mirror *mirror);

/*
 * How it is, for people and programs: "off", "ok", "partial: …" (not all can be shown, and why) or
 * "lost: …" (nothing can, and why). Valid until the event loop goes on.
 */
const char *mirror_state(const Mirror *mirror);

/* Calls CHANGED whenever mirror_state() says something new. NULL: no more. */
void mirror_set_observer(Mirror *mirror, void (*changed)(void *userdata), void *userdata);
