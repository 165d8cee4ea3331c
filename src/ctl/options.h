/* SPDX-License-Identifier: MIT */
/*
 * The command line: verbs, what each takes, and readers of values. The help and what is accepted
 * come from the same tables.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/exit-code.h"
#include "ctl/output.h"
#include "util/ports.h"

typedef enum OptionId {
	/* of every verb */
	OPTION_JSON,
	OPTION_NO_PAGER,
	OPTION_NO_LEGEND,
	OPTION_NO_ASK_PASSWORD,
	OPTION_HELP,
	OPTION_VERSION,
	/* of some */
	OPTION_IDLE,
	OPTION_GRACE,
	OPTION_LIFETIME,
	OPTION_PERMANENT,
	OPTION_INTERFACE,
	OPTION_ALL,
	OPTION_CLIENT,
	OPTION_ID,
	OPTION_SOURCE,
	OPTION_ORIGIN,
	OPTION_PUBLIC_KEY,
	OPTION_SERVER_PUB,
	OPTION_OUT,
	OPTION_PORTS,
	OPTION_NOT_BEFORE,
	OPTION_NOT_AFTER,
	OPTION_ALLOWED_SOURCES,
	OPTION_REQUIRE_SOURCE_MATCH,
	OPTION_DISABLED,
	OPTION_PORT,
	OPTION_KNOCK_PORT,
	OPTION_ADDRESS,
	OPTION_NO_GRANT,
	OPTION_TRIAL,
	OPTION_LOG_ONLY,
	OPTION_YES,
	OPTION_FORCE,
	OPTION_COUNT,
} OptionId;

/* A set of them. */
#define OPTION(id) (UINT64_C(1) << (OPTION_##id))

typedef struct Options Options;

typedef ExitCode (*VerbRun)(const Options *options);

typedef struct Verb {
	const char *name;      /* one word, or two: "client add" */
	const char *arguments; /* for the usage */
	const char *summary;
	const char *details; /* NULL, or lines for its help */
	uint64_t options;
	size_t min, max; /* number of arguments */
	VerbRun run;
} Verb;

struct Options {
	const Verb *verb;
	const char *values[OPTION_COUNT]; /* NULL: not given */
	char *const *arguments;
	size_t count;
	Output output;
	bool ask; /* for a password, if need be */
	bool help, version;
};

/*
 * Reads the command line by VERBS (which end with one without a name). Options may stand anywhere;
 * "--" ends them. What is wrong is reported. Returns 0, or -EINVAL.
 */
int options_parse(const Verb verbs[], int argc, char *argv[], Options *ret_options);

/* The help for all, or for those of VERBS that begin with the word of OPTIONS' verb. */
void options_help(const Verb verbs[], const Options *options);

/* Whether it was given. */
bool options_has(const Options *options, OptionId id);

/* Its name, without the dashes. */
const char *options_name(OptionId id);

/*
 * Readers of a value that was given, or an argument: 0, or -EINVAL, reported. WHAT names it
 * ("--idle"). Durations are in whole seconds; UINT64_MAX is infinity.
 */
int options_duration(const char *what, const char *text, uint64_t *ret_seconds);
/* The same, but 0 is one too. */
int options_duration_or_none(const char *what, const char *text, uint64_t *ret_seconds);
/* How long a trial lasts. */
int options_trial(const char *what, const char *text, uint64_t *ret_seconds);
int options_timestamp(const char *what, const char *text, uint64_t *ret_real_usec);
/* "22/tcp", "53,80 8000-8010/udp": adds to PORTS. */
int options_ports(const char *what, const char *text, PortList *ports);
/* The same, but there has to be one. */
int options_some_ports(const char *what, const char *text, PortList *ports);
/* An address or prefix, perhaps in brackets, in its usual form: the caller frees it. */
int options_prefix(const char *what, const char *text, char **ret_prefix);
