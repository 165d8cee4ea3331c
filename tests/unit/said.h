/* SPDX-License-Identifier: MIT */
/* What a reader said, as one text that a test can compare whole. */
#pragma once

#include <assert.h>
#include <stdio.h>

#include "policy/diagnostics.h"

/* "error FILE:1: TEXT" for each, without an origin "error TEXT", a line each. The caller frees it.
 */
static inline char *said(const Diagnostics *diagnostics)
{
	static const char *const names[] = {[SEVERITY_NOTICE] = "notice",
					    [SEVERITY_WARNING] = "warning",
					    [SEVERITY_ERROR] = "error"};
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert(stream);
	for (size_t i = 0; i < diagnostics->count; i++) {
		const Diagnostic *item = &diagnostics->items[i];

		fprintf(stream, "%s %s%s%s\n", names[item->severity], item->origin ?: "",
			item->origin ? ": " : "", item->text);
	}
	fclose(stream);
	return text;
}

#define assert_said(diagnostics, expected)                                                         \
	do {                                                                                       \
		_cleanup_free_ char *said_ = said(diagnostics);                                    \
		assert_string_equal(said_, expected);                                              \
	} while (0)
