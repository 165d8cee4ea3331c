/* SPDX-License-Identifier: MIT */
#include "ctl/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "ctl/text.h"
#include "util/cleanup.h"

static void __attribute__((format(printf, 2, 0)))
print(const char *kind, const char *format, va_list arguments)
{
	_cleanup_free_ char *line = NULL, *safe = NULL;

	if (vasprintf(&line, format, arguments) < 0) {
		line = NULL;
		fputs("spalectl: out of memory\n", stderr);
		return;
	}
	safe = text_escape(line);
	fprintf(stderr, "spalectl: %s%s\n", kind, safe ? safe : "out of memory");
}

void report_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print("", format, arguments);
	va_end(arguments);
}

void report_warning(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print("warning: ", format, arguments);
	va_end(arguments);
}
