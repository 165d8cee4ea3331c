/* SPDX-License-Identifier: MIT */
/*
 * What a program that holds keys does to its own process before it reads them, and what it can know
 * of others.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * No core dumps, and no reading of this process's memory by others of the same user: keys stay in
 * it. Returns 0 or a negative errno.
 */
int process_forbid_dumps(void);

/*
 * Whether PID is another process that runs and goes by the name that this one has. One that we may
 * not look at does not count.
 */
bool process_is_twin(pid_t pid);
