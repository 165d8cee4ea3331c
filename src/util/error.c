/* SPDX-License-Identifier: MIT */
#include "util/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(char **ret_error, int error, const char *format, ...)
{
	va_list arguments;

	if (!ret_error)
		return error;
	va_start(arguments, format);
	if (vasprintf(ret_error, format, arguments) < 0)
		*ret_error = NULL;
	va_end(arguments);
	return error;
}
