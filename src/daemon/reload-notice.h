/* SPDX-License-Identifier: MIT */
/*
 * Tells the service manager, and whoever asked (daemon/reload-request.h), that a reload begins and
 * that it is over: all that it had to decide anew is decided.
 */
#pragma once

#include <sys/signalfd.h>

#include "daemon/manager.h"

/* Who waits for an answer at most; others get it before that. */
#define RELOAD_NOTICE_ASKERS_MAX 8

/* All zero: none is on. */
typedef struct ReloadNotice {
	bool is_on;
	uint64_t order; /* manager_ordered() of the last one */
	struct signalfd_siginfo askers[RELOAD_NOTICE_ASKERS_MAX];
	size_t count;
} ReloadNotice;

/* A reload begins now. */
void reload_notice_begin(void);

/* It came to RESULT, as far as that can be known now. ASKER: the signal that asked, or NULL. */
void reload_notice_end(ReloadNotice *notice, const Manager *manager,
		       const struct signalfd_siginfo *asker, int result);

/* To be called after manager_expire(): says that it is over, if it is. */
void reload_notice_settle(ReloadNotice *notice, const Manager *manager);
