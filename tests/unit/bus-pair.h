/* SPDX-License-Identifier: MIT */
/* Two connections at each other, without a bus: the daemon's, and one that calls it. */
#pragma once

#include <stdbool.h>

#include "bus-call.h"

typedef struct BusPair {
	sd_bus *server, *caller;
} BusPair;

static inline sd_bus *bus_pair_end(int fd, bool is_server)
{
	const sd_id128_t id =
		SD_ID128_MAKE(73, 70, 61, 6c, 65, 31, 00, 00, 00, 00, 00, 00, 00, 00, 00, 01);
	sd_bus *bus = NULL;

	assert_int_equal(sd_bus_new(&bus), 0);
	assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
	if (is_server)
		assert_true(sd_bus_set_server(bus, true, id) >= 0);
	assert_true(sd_bus_set_anonymous(bus, true) >= 0);
	assert_true(sd_bus_set_trusted(bus, true) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	return bus;
}

/* Has both do all that there is to do. */
static inline void bus_pair_run(const BusPair *pair)
{
	for (int idle = 0; idle < 3;) {
		int done = sd_bus_process(pair->server, NULL);

		assert_true(done >= 0);
		done += sd_bus_process(pair->caller, NULL);
		idle = done > 0 ? 0 : idle + 1;
	}
}

static inline BusPair bus_pair_new(void)
{
	BusPair pair;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	pair.server = bus_pair_end(fds[0], true);
	pair.caller = bus_pair_end(fds[1], false);
	bus_pair_run(&pair);
	return pair;
}

static inline void bus_pair_done(BusPair *pair)
{
	sd_bus_close_unref(pair->server);
	sd_bus_close_unref(pair->caller);
}
