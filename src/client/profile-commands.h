/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of "spale-send profile": each does what the command line says and prints to
 * standard output. Reports what goes wrong and returns a negative errno; -EINVAL is wrong usage.
 */
#pragma once

#include "client/options.h"

/* Runs the profile command that OPTIONS name; 0 for any other. */
int profile_commands_run(const Options *options);
