/* SPDX-License-Identifier: MIT */
#include "client/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/utf8.h"

static bool is_verbose;

static void __attribute__((format(printf, 2, 0)))
print(const char *kind, const char *format, va_list arguments)
{
	_cleanup_free_ char *line = NULL, *safe = NULL;

	if (vasprintf(&line, format, arguments) < 0)
		line = NULL;
	safe = line ? utf8_escape_controls(line) : NULL;
	fprintf(stderr, "spale-send: %s%s\n", kind, safe ? safe : strerror(ENOMEM));
}

int report_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	report_error("standard output cannot be written: %s", strerror(errno));
	return -EIO;
}

void report_set_verbose(bool verbose)
{
	is_verbose = verbose;
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

void report_detail(const char *format, ...)
{
	va_list arguments;

	if (!is_verbose)
		return;
	va_start(arguments, format);
	print("", format, arguments);
	va_end(arguments);
}
