/* SPDX-License-Identifier: MIT */
#include "bus/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <spale/bus-names.h>

#include "util/cleanup.h"
#include "util/utf8.h"

const char *errors_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
#define ERRORS_ROW(symbol, text, number) {number, text},
		SPALE_BUS_ERRORS(ERRORS_ROW)
#undef ERRORS_ROW
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].error == -error)
			return names[i].name;
	return SPALE_BUS_ERROR_FAILED;
}

int errors_set(sd_bus_error *ret_error, int error, const char *text)
{
	/* Texts quote what callers, files and the kernel wrote, and cut it off where it is long. */
	_cleanup_free_ char *escaped = text ? utf8_escape(text) : NULL;

	(void)sd_bus_error_set(ret_error, errors_name(error), escaped ?: strerror(-error));
	return error;
}

int errors_setf(sd_bus_error *ret_error, int error, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	return errors_set(ret_error, error, text);
}
