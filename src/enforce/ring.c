/* SPDX-License-Identifier: MIT */
#include "enforce/ring.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

/* What one call hands over at most, so that the event loop gets to its other work too. */
#define RECORDS_AT_ONCE 256

static int on_record(void *userdata, void *record, size_t size)
{
	Ring *ring = userdata;

	if (size != ring->record_size)
		return -EPROTO;
	ring->consumed++;
	ring->callback(record, ring->userdata);
	/* The record is consumed all the same; others stay and keep the descriptor readable. */
	return ring->consumed < RECORDS_AT_ONCE ? 0 : -EAGAIN;
}

int ring_init(Ring *ring, Enforcer *report, int map_fd, const char *what, size_t record_size)
{
	*ring = (Ring){.what = what, .record_size = record_size};
	ring->buffer = ring_buffer__new(map_fd, on_record, ring, NULL);
	return ring->buffer ? 0
			    : enforcer_fail(report, -errno, "cannot map the ring of %s: %s", what,
					    strerror(errno));
}

void ring_done(Ring *ring)
{
	ring_buffer__free(ring->buffer);
	*ring = (Ring){0};
}

int ring_fd(const Ring *ring)
{
	return ring_buffer__epoll_fd(ring->buffer);
}

int ring_consume(Ring *ring, Enforcer *report, EnforcerMessage callback, void *userdata)
{
	int r;

	ring->callback = callback;
	ring->userdata = userdata;
	ring->consumed = 0;
	r = ring_buffer__consume(ring->buffer);
	if (r < 0 && r != -EAGAIN)
		return enforcer_fail(report, r, "cannot read %s from the kernel: %s", ring->what,
				     strerror(-r));
	return ring->consumed;
}
