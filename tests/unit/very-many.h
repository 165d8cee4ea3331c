/* SPDX-License-Identifier: MIT */
/* An order that takes longer than one turn of the event loop. */
#pragma once

#include "order-world.h"

#define VERY_MANY 3000

/* Grants very many, and revokes all; some of them go at once. */
static inline void very_many_revoke(Fixture *fixture)
{
	char source[32];
	size_t count;

	for (int i = 0; i < VERY_MANY; i++) {
		snprintf(source, sizeof(source), "198.51.%d.%d", i / 250, 1 + i % 250);
		assert_int_equal(add_source(fixture, source, "22/tcp"), 0);
	}
	assert_int_equal(revoke_source(fixture, "198.51.0.0/16", NULL, &count), 0);
	assert_int_equal(count, VERY_MANY);
	assert_false(manager_has_done(fixture->manager, manager_ordered(fixture->manager)));
}

/* A turn of the event loop. False: all is done. */
static inline bool very_many_go_on(Fixture *fixture)
{
	uint64_t next;

	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	return !manager_has_done(fixture->manager, manager_ordered(fixture->manager));
}
