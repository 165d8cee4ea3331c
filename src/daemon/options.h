/* SPDX-License-Identifier: MIT */
/*
 * The command line of spaled (spaled(8)): what is to be done, and settings that beat the file.
 *
 * Reads and keeps; judges only what is an option and what is not. Values of settings are judged by
 * the configuration's grammar, like those of a file. Logs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "util/cleanup.h"

typedef enum OptionsAction {
	OPTIONS_RUN,
	OPTIONS_CHECK_CONFIG,
	OPTIONS_SHOW_CONFIG,
	OPTIONS_RELOAD,
	OPTIONS_UNPIN,
	OPTIONS_HELP,
	OPTIONS_VERSION,
} OptionsAction;

/* One key of the configuration that the command line sets. */
typedef struct OptionsSetting {
	const char *option; /* as it is named in messages: "-i" */
	const char *section;
	const char *key;
	char *value; /* NULL: not given */
} OptionsSetting;

#define OPTIONS_SETTINGS 11

typedef struct Options {
	OptionsAction action;
	char *config_path;    /* absolute */
	bool config_explicit; /* -c was given: the file has to be there */
	OptionsSetting settings[OPTIONS_SETTINGS];
	char *drop_privs;      /* NULL: stay */
	char *state_directory; /* NULL: none was given */
	bool first_start;
	pid_t reload_pid; /* OPTIONS_RELOAD: whom to ask */
} Options;

void options_done(Options *options);
#define _cleanup_options_ _cleanup_(options_done)

/*
 * Reads the command line. Relative paths in it are taken relative to the working directory. Returns
 * 0, or -EINVAL or -ENOMEM with *RET_ERROR set to a sentence for people, freed by the caller.
 */
int options_parse(int argc, char *argv[], Options *ret_options, char **ret_error);

/*
 * The state directory: of the options, else the service manager's ($STATE_DIRECTORY), else the
 * usual one. *BUFFER is freed by the caller. NULL: no memory.
 */
const char *options_state_directory(const Options *options, char **buffer);

/* What --help prints. */
extern const char options_help[];
