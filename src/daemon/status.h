/* SPDX-License-Identifier: MIT */
/* What "systemctl status" shows of the daemon in a line: told when it has changed. */
#pragma once

#include "daemon/manager.h"

typedef struct Status {
	bool reload_failed; /* what is in force is not what the files say */
	bool last_good;	    /* but what they said when they were usable */
	bool no_keys;	    /* and no server key could be read */

	/* As told last; grants = SIZE_MAX: nothing was. */
	size_t grants;
	uint64_t accepted;
	size_t missing, failing; /* interfaces */
	bool told_failed, told_good, told_log_only, told_no_knocks;
	uint64_t trial_until_usec; /* UINT64_MAX: it is over */
} Status;

/* Tells the service manager what is new about MANAGER, and of what stands at the top. */
void status_tell(Status *status, const Manager *manager);
