/* SPDX-License-Identifier: MIT */
/*
 * The configuration as files and options give it: the main file, its drop-ins, the command line.
 *
 * Finds and reads them, in their order; what they mean is policy/config.h's business. Logs nothing.
 */
#pragma once

#include "daemon/options.h"
#include "policy/config.h"
#include "policy/diagnostics.h"

/*
 * Reads the main file, the drop-ins (*.conf) of spale.conf.d beside it and, for the default main
 * file, those of /run/spale and /usr/lib/spale, by their names (of one name the first of these
 * directories counts, and a link to /dev/null stands for an empty one), then OPTIONS.
 *
 * *RET_CONFIG is set on success only; *RET_BUILDER, where given, knows the origins. Both are the
 * caller's. Returns 0, -EINVAL (see DIAGNOSTICS) or -ENOMEM.
 */
int config_files_load(const Options *options, Diagnostics *diagnostics, Config **ret_config,
		      ConfigBuilder **ret_builder);
