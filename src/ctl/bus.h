/* SPDX-License-Identifier: MIT */
/*
 * Calls to spaled over the system bus: interactive where somebody can be asked, and what goes wrong
 * in sentences that say what to do.
 *
 * Every function that returns an ExitCode has reported what is not EXIT_CODE_DONE. Answers are
 * spaled's, whose name on the bus only it may own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include <spale/bus-names.h>

#include "ctl/exit-code.h"
#include "ctl/record.h"
#include "util/cleanup.h"
#include "util/ports.h"

#define _cleanup_message_   _cleanup_(sd_bus_message_unrefp)
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)

/* The system bus. ASK: whoever sits at the terminal may be asked for a password. */
ExitCode bus_open(bool ask, sd_bus **ret_bus);

/* Closes it, and ends what asked for passwords. BUS may be NULL. */
void bus_close(sd_bus *bus);
DEFINE_CLEANUP(sd_bus, bus_close)
#define _cleanup_bus_ _cleanup_(bus_closep)

/* A call of MEMBER, to be filled and sent. */
ExitCode bus_prepare(sd_bus *bus, const char *path, const char *interface, const char *member,
		     sd_bus_message **ret_message);

/* Sends it and waits. RET_REPLY may be NULL. */
ExitCode bus_send(sd_bus *bus, sd_bus_message *message, sd_bus_message **ret_reply);

/* Both at once, with arguments as sd_bus_message_append(3) takes them; TYPES is NULL for none. */
ExitCode bus_call(sd_bus *bus, const char *path, const char *interface, const char *member,
		  sd_bus_message **ret_reply, const char *types, ...);

/* Says what ERROR, or the negative errno R where it is not set, is about. */
ExitCode bus_report(const sd_bus_error *error, int r);

/* What a function that filled or read a message returned: 0 or more is EXIT_CODE_DONE. */
ExitCode bus_filled(int r);

/* Appends ports as a(sqq), or settings to an open a{sv}. 0 or a negative errno. */
int bus_append_ports(sd_bus_message *message, const PortList *ports);
int bus_append_option_u64(sd_bus_message *message, const char *name, uint64_t value);
int bus_append_option_bool(sd_bus_message *message, const char *name, bool value);
int bus_append_option_text(sd_bus_message *message, const char *name, const char *value);
int bus_append_option_ports(sd_bus_message *message, const char *name, const PortList *ports);

/* A property of the bus, the name of its field, and what it is. */
typedef struct BusProperty {
	const char *name;
	const char *field;
	ValueKind kind;
} BusProperty;

/*
 * Reads the value at MESSAGE's cursor, of whichever type it has there, as a KIND. 0 or a negative
 * errno (-EBADMSG: not such a type).
 */
int bus_read_value(sd_bus_message *message, ValueKind kind, Value *ret_value);

/* The same into a field of RECORD. */
int bus_read_field(sd_bus_message *message, const char *field, ValueKind kind, Record *record);

/* Reads an a{sv} into RECORD, in the order of PROPERTIES; what is not among them is left out. */
int bus_read_properties(sd_bus_message *message, const BusProperty properties[], size_t count,
			Record *record);

/* All properties of an object. */
ExitCode bus_get_all(sd_bus *bus, const char *path, const char *interface,
		     const BusProperty properties[], size_t count, Record *record);
