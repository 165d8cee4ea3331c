/* SPDX-License-Identifier: MIT */
/*
 * Memory that runs out at a chosen moment. A program that includes this is linked with --wrap for
 * each function here (tests/unit/meson.build).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Allocations that still succeed; negative: all. */
static long scarcity_left = -1;

static inline bool scarcity_take(void)
{
	if (scarcity_left < 0)
		return true;
	if (scarcity_left == 0)
		return false;
	scarcity_left--;
	return true;
}

#define SCARCITY_WRAP(type, name, parameters, arguments)                                           \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return scarcity_take() ? __real_##name arguments : NULL;                           \
	}

SCARCITY_WRAP(void *, malloc, (size_t size), (size))
SCARCITY_WRAP(void *, calloc, (size_t count, size_t size), (count, size))
SCARCITY_WRAP(void *, reallocarray, (void *p, size_t count, size_t size), (p, count, size))
SCARCITY_WRAP(char *, strdup, (const char *text), (text))
SCARCITY_WRAP(char *, strndup, (const char *text, size_t size), (text, size))

/*
 * Evaluates ATTEMPT, which returns 0 or a negative errno, with room for 0, 1, 2, … allocations
 * until it succeeds: every failure before that has to be -ENOMEM. CHECK runs after each failure.
 */
#define SCARCITY_UNTIL_IT_WORKS(attempt, check)                                                    \
	do {                                                                                       \
		bool done_ = false;                                                                \
                                                                                                   \
		for (long room_ = 0; !done_; room_++) {                                            \
			int result_;                                                               \
                                                                                                   \
			scarcity_left = room_;                                                     \
			result_ = (attempt);                                                       \
			scarcity_left = -1;                                                        \
			if (result_ != 0) {                                                        \
				assert_int_equal(result_, -ENOMEM);                                \
				check;                                                             \
			}                                                                          \
			assert_true(room_ < 10000);                                                \
			done_ = result_ == 0;                                                      \
		}                                                                                  \
	} while (0)
