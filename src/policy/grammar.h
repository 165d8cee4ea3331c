/* SPDX-License-Identifier: MIT */
/*
 * What keys of the configuration mean: rows of a table, and the one way to read a value by them.
 *
 * A row names a key, where its value goes in an object (Config, Client, ClientOverride), how it is
 * read and what is allowed, so that reading, defaults, options, error texts and --show-config
 * cannot disagree. The tables themselves stand in config.c and client.c. Values are untrusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/diagnostics.h"

typedef struct GrammarKey GrammarKey;

/*
 * Reads one value, or one item of a list, of KEY into OBJECT. Returns 0, -EINVAL or -ERANGE (not
 * allowed; *RET_PROBLEM may be set to a static text that says more than the row), -E2BIG (the
 * list is full) or -ENOMEM.
 */
typedef int (*GrammarRead)(const GrammarKey *key, void *object, const char *text,
			   const char **ret_problem);

typedef struct GrammarType {
	GrammarRead read;
	bool list; /* items separated by white space and commas; a line adds to those before it */
	bool path; /* relative ones are taken relative to the directory of the configuration */
	void (*clear)(void *field);	     /* lists with a field: releases the items */
	char *(*format)(const void *object); /* NULL: --show-config shows what was written */
} GrammarType;

struct GrammarKey {
	const char *section;
	const char *name;
	const GrammarType *type;
	const char *allowed;  /* completes "it takes …" */
	size_t offset;	      /* of the value in the object */
	size_t present;	      /* of a bool that says whether it was given; 0: there is none */
	uint64_t min, max;    /* numbers and durations (which may always be infinite) */
	const char *fallback; /* its default; NULL: required, "" : an empty list */
	const char *legacy_fallback; /* its default in a configuration of spale 0.3, if different */
	const char *legacy[2];	     /* its names in spale 0.3 */
	const char *option;	     /* its option on the command line, for error texts */
};

/* A value to be read: KEY= as NAME in texts ("[Grant] Idle="), at ORIGIN. */
typedef struct GrammarValue {
	const GrammarKey *key;
	const char *name;
	const char *origin; /* NULL: none */
	const char *text;
} GrammarValue;

/*
 * Reads VALUE into OBJECT. An empty text empties a list; a row's field "present" is set. What is
 * wrong goes to DIAGNOSTICS. Returns 0, -EINVAL (said) or -ENOMEM; OBJECT may hold a part of a
 * list then.
 */
int grammar_read(const GrammarValue *value, void *object, Diagnostics *diagnostics);

/* The row of SECTION and NAME in a table of COUNT rows, or NULL. */
const GrammarKey *grammar_find(const GrammarKey *keys, size_t count, const char *section,
			       const char *name);

/*
 * VALUE of a path or list of paths with DIRECTORY in front of each relative one, in a string that
 * the caller frees. NULL: no memory.
 */
char *grammar_resolve(const GrammarType *type, const char *directory, const char *value);

/* What rows of several tables allow. */
#define GRAMMAR_ALLOWED_DURATION "a duration such as 90 (seconds), 5min, 1h 30min or infinity"
#define GRAMMAR_ALLOWED_SECOND	 GRAMMAR_ALLOWED_DURATION ", from 1 second"
#define GRAMMAR_ALLOWED_PORTS	 "ports such as 22, 22/tcp or 8000-8010/udp"
#define GRAMMAR_ALLOWED_PREFIXES                                                                   \
	"addresses and prefixes such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32"

extern const GrammarType grammar_bool;
extern const GrammarType grammar_u8;
extern const GrammarType grammar_u32;
extern const GrammarType grammar_duration;
extern const GrammarType grammar_timestamp;
extern const GrammarType grammar_rate;	  /* shortest interval: min, longest: max */
extern const GrammarType grammar_no_rate; /* the same, and "no" (0): no limit */
extern const GrammarType grammar_mode;
extern const GrammarType grammar_log_level;
extern const GrammarType grammar_interfaces;
extern const GrammarType grammar_ports;
extern const GrammarType grammar_udp_ports;
extern const GrammarType grammar_prefixes;
extern const GrammarType grammar_addresses; /* the object is a Config */
extern const GrammarType grammar_mirror;
extern const GrammarType grammar_path;
extern const GrammarType grammar_paths;

/* Keys of which this version knows one value only: they are checked, and go nowhere. */
extern const GrammarType grammar_scope;
extern const GrammarType grammar_formats;
extern const GrammarType grammar_source_match;
extern const GrammarType grammar_destination_match;

/* Releases what a list holds. */
void string_list_done(StringList *list);
void prefix_list_done(PrefixList *list);

/* Whether two lists that are sorted, as a Config's are, have the same prefixes. */
bool prefix_list_equal(const PrefixList *a, const PrefixList *b);
