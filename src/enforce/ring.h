/* SPDX-License-Identifier: MIT */
/*
 * Reads one of the rings in which programs hand things up. All records of a ring have one size.
 * Failures are told through REPORT (enforcer_fail()).
 */
#pragma once

#include <stddef.h>

#include "enforce/enforcer.h"

typedef struct Ring {
	const char *what;   /* is in it, for people */
	size_t record_size; /* of every record */
	struct ring_buffer *buffer;
	EnforcerMessage callback; /* these three: during ring_consume() */
	void *userdata;
	int consumed;
} Ring;

/* Maps the ring of MAP_FD. *RING has to stay where it is. Returns 0 or a negative errno. */
int ring_init(Ring *ring, Enforcer *report, int map_fd, const char *what, size_t record_size);
void ring_done(Ring *ring);

/* Polls readable when something is in it; owned by RING. */
int ring_fd(const Ring *ring);

/*
 * Calls CALLBACK for each record, up to a few hundred; then the descriptor stays readable. Returns
 * how many, or a negative errno.
 */
int ring_consume(Ring *ring, Enforcer *report, EnforcerMessage callback, void *userdata);
