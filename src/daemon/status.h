/* SPDX-License-Identifier: MIT */
/* What "systemctl status" shows of the daemon in a line: told when it has changed. */
#pragma once

#include "daemon/manager.h"

typedef struct Status {
	bool reload_failed;   /* what is in force is not what the files say */
	const char *fallback; /* and since the start: a sentence, as Setup has it; or NULL */

	/* As told last; grants = SIZE_MAX: nothing was. */
	size_t grants;
	uint64_t accepted;
	size_t missing, failing; /* interfaces */
	bool told_failed, told_log_only;
	const char *told_fallback, *deafness;
	uint64_t trial_until_usec; /* UINT64_MAX: it is over */
} Status;

/* Tells the service manager what is new about MANAGER, and of what stands at the top. */
void status_tell(Status *status, const Manager *manager);
