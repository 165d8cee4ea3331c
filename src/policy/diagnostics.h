/* SPDX-License-Identifier: MIT */
/*
 * What a reader has to say about its input, collected instead of printed: readers are pure, and
 * the caller decides where it goes. Bounded: past DIAGNOSTICS_MAX only the count goes on.
 */
#pragma once

#include <stddef.h>

#include "util/cleanup.h"

#define DIAGNOSTICS_MAX 256

typedef enum Severity {
	SEVERITY_NOTICE,
	SEVERITY_WARNING,
	SEVERITY_ERROR,
} Severity;

typedef struct Diagnostic {
	Severity severity;
	char *origin; /* "FILE:LINE", "option -i", or NULL */
	char *text;   /* one sentence without a full stop */
} Diagnostic;

typedef struct Diagnostics {
	Diagnostic *items;
	size_t count;
	size_t dropped; /* items that came after DIAGNOSTICS_MAX (or found no memory) */
	size_t errors;	/* items of SEVERITY_ERROR, dropped ones included */
} Diagnostics;

void diagnostics_done(Diagnostics *diagnostics);
#define _cleanup_diagnostics_ _cleanup_(diagnostics_done)

/* Adds one; ORIGIN may be NULL. */
void diagnostics_add(Diagnostics *diagnostics, Severity severity, const char *origin,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));
