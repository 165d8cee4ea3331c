/* SPDX-License-Identifier: MIT */
/*
 * The errors of the D-Bus API: negative errno, as the daemon's functions return it, to a name of
 * SPALE_BUS_ERRORS (spale/bus-names.h).
 */
#pragma once

#include <systemd/sd-bus.h>

/* The name on the bus of ERROR, a negative errno. */
const char *errors_name(int error);

/*
 * Sets *RET_ERROR to the name that belongs to ERROR, a negative errno, with TEXT (NULL: what
 * strerror(3) says), and returns ERROR: what a handler of sd-bus returns. TEXT may be any bytes;
 * sd-bus would send no answer at all with what is no UTF-8, \xNN stands for it.
 */
int errors_set(sd_bus_error *ret_error, int error, const char *text);

/* The same with a format. */
int errors_setf(sd_bus_error *ret_error, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
