/* SPDX-License-Identifier: MIT */
/* Method calls as they come from the bus, without a bus. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include <spale/bus-names.h>

#include "util/cleanup.h"

/* A connection that nobody listens at. */
static inline sd_bus *bus_call_connection(void)
{
	static sd_bus *bus;
	static int fds[2];

	if (bus)
		return bus;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(sd_bus_new(&bus), 0);
	assert_true(sd_bus_set_fd(bus, fds[0], fds[0]) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	return bus;
}

/* An empty call of a member. */
static inline sd_bus_message *bus_call_new(const char *path, const char *interface,
					   const char *member)
{
	sd_bus_message *call = NULL;

	assert_true(sd_bus_message_new_method_call(bus_call_connection(), &call, SPALE_BUS_NAME,
						   path, interface, member) >= 0);
	return call;
}

/* CALL is complete, and can be read. */
static inline sd_bus_message *bus_call_end(sd_bus_message *call)
{
	assert_true(sd_bus_message_seal(call, 1, 0) >= 0);
	return call;
}

#define _cleanup_call_	_cleanup_(sd_bus_message_unrefp)
#define _cleanup_error_ _cleanup_(sd_bus_error_free)
