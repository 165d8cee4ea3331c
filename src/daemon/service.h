/* SPDX-License-Identifier: MIT */
/*
 * The daemon as a process: brings everything up in the right order, runs the event loop (knocks,
 * expiry, signals, changes of the clock) and takes everything down.
 */
#pragma once

#include "daemon/options.h"

/*
 * Runs until SIGTERM or SIGINT. What goes wrong is said in the journal. Returns 0, -EINVAL
 * (unusable configuration) or another negative errno (failed at run time).
 */
int service_run(const Options *options);
