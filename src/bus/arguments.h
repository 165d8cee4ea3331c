/* SPDX-License-Identifier: MIT */
/*
 * Values as the D-Bus API has them (dbus/README.md), and the daemon's own types. What is read is
 * untrusted; each reader returns 0 or a negative errno with *RET_ERROR set, and leaves what it
 * returns untouched then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "util/address.h"
#include "util/ports.h"

/* Longest text that any argument may be, besides keys. */
#define ARGUMENTS_TEXT_MAX 256

/* "s" that is no longer than MAX; the message owns it. */
int arguments_read_text(sd_bus_message *call, size_t max, const char **ret_text,
			sd_bus_error *ret_error);

/* "s": an address or prefix, with or without brackets. */
int arguments_read_prefix(sd_bus_message *call, Prefix *ret_prefix, sd_bus_error *ret_error);

/* "a(sqq)": protocol ("": TCP and UDP), first and last port. */
int arguments_read_ports(sd_bus_message *call, PortList *ret_ports, sd_bus_error *ret_error);

/* "t": seconds, to nanoseconds; SPALE_BUS_INFINITY is DURATION_INFINITY. */
int arguments_read_seconds(sd_bus_message *call, uint64_t *ret_ns, sd_bus_error *ret_error);

/* One option of an a{sv}. */
typedef struct ArgumentOption {
	const char *name;
	const char *signature; /* of its value */
	int (*read)(sd_bus_message *call, void *object, const struct ArgumentOption *option,
		    sd_bus_error *ret_error);
	size_t offset;	/* of the value in the object */
	size_t present; /* of a bool that says whether it was given; 0: there is none */
} ArgumentOption;

/* Reads an "a{sv}" of these COUNT options into OBJECT. Others, and one named twice, are errors. */
int arguments_read_options(sd_bus_message *call, const ArgumentOption *options, size_t count,
			   void *object, sd_bus_error *ret_error);

/* Readers of options: bool, const char * (the message's), uint64_t in nanoseconds. */
int arguments_option_bool(sd_bus_message *call, void *object, const ArgumentOption *option,
			  sd_bus_error *ret_error);
int arguments_option_text(sd_bus_message *call, void *object, const ArgumentOption *option,
			  sd_bus_error *ret_error);
int arguments_option_seconds(sd_bus_message *call, void *object, const ArgumentOption *option,
			     sd_bus_error *ret_error);

/* Seconds of a duration in nanoseconds, rounded up: SPALE_BUS_INFINITY for no end. */
uint64_t arguments_seconds(uint64_t ns);

/* Appends "a(sqq)", and "aq" with every port of LIST. 0 or a negative errno. */
int arguments_append_ports(sd_bus_message *message, const PortList *list);
int arguments_append_numbers(sd_bus_message *message, const PortList *list);

/*
 * Appends an "s" that the kernel may have said, as the name of an interface: any bytes. A message
 * with what is no UTF-8 in it would cost the connection; \xNN stands for them.
 */
int arguments_append_text(sd_bus_message *message, const char *text);

/* Appends one entry of an "a{st}". */
int arguments_append_count(sd_bus_message *message, const char *name, uint64_t count);

/*
 * How many bytes the arguments of CALL have, about; MAX + 1 for more than MAX. CALL is rewound.
 * A negative errno for a message that is not well-formed.
 */
int arguments_measure(sd_bus_message *call, size_t max, size_t *ret_size);
