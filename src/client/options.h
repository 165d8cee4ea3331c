/* SPDX-License-Identifier: MIT */
/*
 * The command line of spale-send.
 *
 * What is wrong with it is reported (client/report.h). The texts are those of argv.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/profile.h"

typedef enum Command {
	COMMAND_SEND,
	COMMAND_CREATE,
	COMMAND_LIST,
	COMMAND_SHOW,
	COMMAND_SET,
	COMMAND_DELETE,
	COMMAND_HELP,
	COMMAND_VERSION,
} Command;

typedef struct Options {
	Command command;
	const char *name;   /* of a profile: --profile, or what a profile command is about */
	const char *target; /* HOST without --host: a profile's name or a host; or NULL */
	const char *key;    /* path of a key file */
	const char *topic;  /* of help, or NULL */
	ProfileSettings settings;
	bool verbose;
	bool overwrite;
	bool yes;
	uint16_t wait_port; /* 0: do not wait */
	uint64_t timeout_ns;
} Options;

/* Reads the command line. Returns 0, or -EINVAL when it cannot be used. */
int options_parse(int argc, char *argv[], Options *ret_options);

/* Prints the help for TOPIC ("send", "profile"), or with NULL all of it. -EINVAL: no such topic. */
int options_help(const char *topic);
