/* SPDX-License-Identifier: MIT */
/*
 * The lines of a configuration file: sections, KEY=VALUE, comments. What keys mean is the
 * grammar's business (policy/grammar.h).
 *
 * - "# …" and "; …" at the start of a line are comments; in a section nothing behind a value is
 *   one. Before the first section (spale 0.3's flat form) "#" anywhere in a value begins a comment.
 * - White space around keys and values is dropped, a carriage return at the end of a line too. A
 *   line may be as long as the file. A byte order mark is left out, with a warning.
 * - NUL bytes, lines that are neither, and headers that are not "[NAME]" are errors. What stands
 *   between such a header and the next one is not handed on.
 *
 * Pure; the text is untrusted.
 */
#pragma once

#include <stddef.h>

#include "policy/diagnostics.h"

typedef struct IniLine {
	const char *section; /* NULL before the first section */
	const char *key;
	const char *value;  /* may be empty */
	const char *origin; /* "FILE:LINE" */
} IniLine;

/* Called for each KEY=VALUE line, in order. A negative return ends the reading and is returned. */
typedef int (*IniCallback)(const IniLine *line, void *userdata);

/*
 * Reads SIZE bytes of TEXT, which FILE names in origins. What is wrong goes to DIAGNOSTICS; the
 * reading goes on behind it. Returns 0, -ENOMEM or what the callback returned.
 */
int ini_parse(const char *file, const char *text, size_t size, Diagnostics *diagnostics,
	      IniCallback callback, void *userdata);
