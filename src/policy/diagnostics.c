/* SPDX-License-Identifier: MIT */
#include "policy/diagnostics.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

void diagnostics_done(Diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		free(diagnostics->items[i].origin);
		free(diagnostics->items[i].text);
	}
	free(diagnostics->items);
	*diagnostics = (Diagnostics){0};
}

/* Texts quote untrusted input; one diagnostic stays one line whatever that holds. */
static void flatten(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p < ' ' || *p == 0x7f)
			*p = '?';
	}
}

static bool append(Diagnostics *diagnostics, Diagnostic *item)
{
	Diagnostic *items;

	if (diagnostics->count == DIAGNOSTICS_MAX)
		return false;
	if (diagnostics->count == 0 || (diagnostics->count & (diagnostics->count - 1)) == 0) {
		size_t room = diagnostics->count == 0 ? 1 : diagnostics->count * 2;

		items = reallocarray(diagnostics->items, room, sizeof(*items));
		if (!items)
			return false;
		diagnostics->items = items;
	}
	diagnostics->items[diagnostics->count++] = *item;
	return true;
}

void diagnostics_add(Diagnostics *diagnostics, Severity severity, const char *origin,
		     const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *from = NULL;
	va_list arguments;
	int length;

	if (severity == SEVERITY_ERROR)
		diagnostics->errors++;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		text = NULL;
	if (origin)
		from = strdup(origin);
	if (!text || (origin && !from)) {
		diagnostics->dropped++;
		return;
	}
	flatten(text);
	if (from)
		flatten(from);
	if (!append(diagnostics,
		    &(Diagnostic){.severity = severity, .origin = from, .text = text})) {
		diagnostics->dropped++;
		return;
	}
	/* The list owns both now. */
	from = NULL;
	text = NULL;
}
