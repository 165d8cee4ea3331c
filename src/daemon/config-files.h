/* SPDX-License-Identifier: MIT */
/*
 * The configuration as files and options give it: the main file, its drop-ins, what else is read
 * after them, the command line.
 *
 * Finds and reads them, in their order; what they mean is policy/config.h's business. Texts that
 * were read can be built of again, so that a change is made to what is in force and not to what
 * the files say meanwhile. Logs nothing.
 */
#pragma once

#include "daemon/options.h"
#include "policy/config.h"
#include "policy/diagnostics.h"

/* A text, and the file's name in origins. */
typedef struct ConfigSource {
	char *path;
	char *text;
	size_t size;
} ConfigSource;

typedef struct ConfigSources {
	char *directory;     /* that relative paths are relative to */
	ConfigSource *items; /* in the order in which they count */
	size_t count;
} ConfigSources;

void config_sources_done(ConfigSources *sources);
#define _cleanup_config_sources_ _cleanup_(config_sources_done)

/*
 * Reads the main file, the drop-ins (*.conf) of spale.conf.d beside it and, for the default main
 * file, those of /run/spale and /usr/lib/spale, by their names (of one name the first of these
 * directories counts, and a link to /dev/null stands for an empty one).
 * Returns 0 (though a drop-in may be unreadable: an error in DIAGNOSTICS), -EINVAL (see there) or
 * -ENOMEM.
 */
int config_files_read(const Options *options, Diagnostics *diagnostics, ConfigSources *ret_sources);

/*
 * Adds the file PATH behind the others. Returns 0, -ENOENT (which is not said), -EINVAL (it cannot
 * be read, and that is said) or -ENOMEM.
 */
int config_sources_add_file(ConfigSources *sources, const char *path, Diagnostics *diagnostics);

/*
 * Makes the configuration of SOURCES, then of EXTRA (EXTRA_COUNT texts, borrowed), then of OPTIONS
 * (NULL: none). *RET_CONFIG is set on success only; *RET_BUILDER, where given, knows the origins.
 * Both are the caller's. Returns 0, -EINVAL (see DIAGNOSTICS; errors that are in there already
 * count) or -ENOMEM.
 */
int config_sources_build(const ConfigSources *sources, const ConfigSource *extra,
			 size_t extra_count, const Options *options, Diagnostics *diagnostics,
			 Config **ret_config, ConfigBuilder **ret_builder);
