/* SPDX-License-Identifier: MIT */
#include "client/report.h"

#include <stdarg.h>
#include <stdio.h>

static bool is_verbose;

static void __attribute__((format(printf, 2, 0)))
print(const char *kind, const char *format, va_list arguments)
{
	fprintf(stderr, "spale-send: %s", kind);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
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
