/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "knock/replay.h"
#include "util/cleanup.h"

#define _cleanup_replay_ _cleanup_(replay_done)

static ReplayEntry entry(uint64_t time, uint32_t nonce)
{
	ReplayEntry result = {.time = time};

	memcpy(result.nonce, &nonce, sizeof(nonce));
	return result;
}

/* What the daemon does with a knock that says TIME and NONCE, where the window begins at OLDEST. */
static Refusal offer(Replay *replay, uint64_t oldest, uint64_t time, uint32_t nonce)
{
	ReplayEntry offered = entry(time, nonce);
	Refusal refusal = replay_check(replay, oldest, &offered);

	if (refusal == REFUSAL_NONE)
		assert_int_equal(replay_add(replay, &offered), 0);
	return refusal;
}

static void test_once(void **state)
{
	_cleanup_replay_ Replay replay = {0};

	(void)state;
	assert_int_equal(offer(&replay, 99, 100, 1), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 100, 1), REFUSAL_REPLAYED);
	assert_int_equal(offer(&replay, 99, 100, 2), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 101, 1), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 99, 1), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 101, 1), REFUSAL_REPLAYED);
	assert_int_equal(offer(&replay, 99, 99, 1), REFUSAL_REPLAYED);
	assert_int_equal(offer(&replay, 99, 100, 2), REFUSAL_REPLAYED);
	assert_int_equal(replay.count, 4);
	assert_true(replay.highest_set);
	assert_int_equal(replay.highest, 101);
	assert_false(replay.floor_set);
}

/* Checking alone remembers nothing: a knock that is refused later on may come again. */
static void test_check_does_not_add(void **state)
{
	_cleanup_replay_ Replay replay = {0};
	const ReplayEntry offered = entry(100, 1);

	(void)state;
	assert_int_equal(replay_check(&replay, 99, &offered), REFUSAL_NONE);
	assert_int_equal(replay_check(&replay, 99, &offered), REFUSAL_NONE);
	assert_int_equal(replay.count, 0);
	assert_false(replay.highest_set);
	assert_false(replay.floor_set);
}

/* Each byte of the nonce counts, and all of the time. */
static void test_each_bit_counts(void **state)
{
	_cleanup_replay_ Replay replay = {0};
	const ReplayEntry first = {.time = 1ULL << 40};

	(void)state;
	assert_int_equal(replay_add(&replay, &first), 0);
	assert_int_equal(replay_check(&replay, 0, &first), REFUSAL_REPLAYED);
	for (size_t bit = 0; bit < 8 * sizeof(first.nonce); bit++) {
		ReplayEntry other = first;

		other.nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(replay_check(&replay, 0, &other), REFUSAL_NONE);
	}
	for (size_t bit = 0; bit < 64; bit++) {
		ReplayEntry other = first;

		other.time ^= 1ULL << bit;
		assert_int_equal(replay_check(&replay, 0, &other), REFUSAL_NONE);
	}
}

static void test_floor(void **state)
{
	_cleanup_replay_ Replay replay = {0};

	(void)state;
	replay_raise_floor(&replay, 100);
	assert_true(replay.floor_set);
	assert_int_equal(offer(&replay, 99, 99, 1), REFUSAL_FLOOR);
	assert_int_equal(offer(&replay, 99, 100, 1), REFUSAL_FLOOR);
	assert_int_equal(offer(&replay, 99, 101, 1), REFUSAL_NONE);

	/* It only ever rises. */
	replay_raise_floor(&replay, 50);
	assert_int_equal(replay.floor, 100);
	replay_raise_floor(&replay, 0);
	assert_int_equal(replay.floor, 100);
	replay_raise_floor(&replay, 101);
	assert_int_equal(offer(&replay, 100, 101, 2), REFUSAL_FLOOR);
	assert_int_equal(offer(&replay, 100, 102, 2), REFUSAL_NONE);
}

/* Time 0 is a time like any other, not "no floor". */
static void test_zero_and_last(void **state)
{
	_cleanup_replay_ Replay replay = {0};

	(void)state;
	assert_int_equal(offer(&replay, 0, 0, 1), REFUSAL_NONE);
	assert_true(replay.highest_set);
	assert_int_equal(replay.highest, 0);
	assert_int_equal(offer(&replay, 0, 0, 1), REFUSAL_REPLAYED);
	replay_raise_floor(&replay, 0);
	assert_true(replay.floor_set);
	assert_int_equal(offer(&replay, 0, 0, 2), REFUSAL_FLOOR);
	assert_int_equal(offer(&replay, 0, 1, 2), REFUSAL_NONE);

	assert_int_equal(offer(&replay, UINT64_MAX, UINT64_MAX, 1), REFUSAL_NONE);
	assert_int_equal(offer(&replay, UINT64_MAX, UINT64_MAX, 1), REFUSAL_REPLAYED);
	replay_raise_floor(&replay, UINT64_MAX);
	assert_int_equal(offer(&replay, UINT64_MAX, UINT64_MAX, 2), REFUSAL_FLOOR);
}

/* What falls out of the window is forgotten, and the floor takes its place. */
static void test_forgetting(void **state)
{
	_cleanup_replay_ Replay replay = {0};

	(void)state;
	assert_int_equal(offer(&replay, 99, 99, 1), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 101, 2), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 100, 3), REFUSAL_NONE);
	assert_int_equal(replay.count, 3);

	/* An entry at the window's very beginning stays. */
	assert_int_equal(offer(&replay, 100, 100, 3), REFUSAL_REPLAYED);
	assert_int_equal(replay.count, 2);
	assert_int_equal(replay.floor, 99);
	assert_int_equal(offer(&replay, 100, 101, 2), REFUSAL_REPLAYED);

	/* Forgetting several at a time raises the floor to the latest of them, in any order. */
	assert_int_equal(offer(&replay, 200, 201, 4), REFUSAL_NONE);
	assert_int_equal(replay.count, 1);
	assert_int_equal(replay.floor, 101);
	assert_int_equal(replay.highest, 201);
}

/* A knock that is refused makes the memory forget all the same. */
static void test_forgetting_on_refusal(void **state)
{
	_cleanup_replay_ Replay replay = {0};

	(void)state;
	assert_int_equal(offer(&replay, 99, 100, 1), REFUSAL_NONE);
	replay_raise_floor(&replay, 500);
	assert_int_equal(offer(&replay, 400, 450, 1), REFUSAL_FLOOR);
	assert_int_equal(replay.count, 0);
	assert_int_equal(replay.floor, 500);
}

/* A caller that did not look at the clock gets no further. */
static void test_below_the_window(void **state)
{
	_cleanup_replay_ Replay replay = {0};

	(void)state;
	assert_int_equal(offer(&replay, 100, 99, 1), REFUSAL_CLOCK);
	assert_int_equal(offer(&replay, UINT64_MAX, 0, 1), REFUSAL_CLOCK);
	assert_int_equal(replay.count, 0);
}

/* Everything that was ever accepted stays refused, wherever the clock goes. */
static void test_clock_set_back(void **state)
{
	_cleanup_replay_ Replay replay = {0};

	(void)state;
	assert_int_equal(offer(&replay, 99, 99, 1), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 100, 2), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 1000, 1001, 3), REFUSAL_NONE);

	/* Set back to 100: those two are forgotten, but below the floor. */
	assert_int_equal(offer(&replay, 99, 99, 1), REFUSAL_FLOOR);
	assert_int_equal(offer(&replay, 99, 100, 2), REFUSAL_FLOOR);
	/* New knocks of the time after what was forgotten are taken. */
	assert_int_equal(offer(&replay, 99, 101, 4), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 101, 4), REFUSAL_REPLAYED);
	assert_int_equal(replay.highest, 1001);

	/* Forward again: the one from before the jump is still known. */
	assert_int_equal(offer(&replay, 1000, 1001, 3), REFUSAL_REPLAYED);
	assert_int_equal(offer(&replay, 1002, 1003, 5), REFUSAL_NONE);
	assert_int_equal(offer(&replay, 99, 101, 4), REFUSAL_FLOOR);
	assert_int_equal(offer(&replay, 1000, 1001, 3), REFUSAL_FLOOR);
}

static void test_full(void **state)
{
	_cleanup_replay_ Replay replay = {0};
	ReplayEntry late;

	(void)state;
	for (uint32_t i = 0; i < REPLAY_ENTRIES_MAX; i++)
		assert_int_equal(offer(&replay, 99, 100 + i % 2, i), REFUSAL_NONE);
	assert_int_equal(replay.count, REPLAY_ENTRIES_MAX);
	assert_int_equal(replay.allocated, REPLAY_ENTRIES_MAX);

	/* Nothing new, and nothing old is lost for it. */
	assert_int_equal(offer(&replay, 99, 100, REPLAY_ENTRIES_MAX), REFUSAL_REPLAY_FULL);
	assert_int_equal(offer(&replay, 99, 102, 0), REFUSAL_REPLAY_FULL);
	for (uint32_t i = 0; i < REPLAY_ENTRIES_MAX; i++)
		assert_int_equal(offer(&replay, 99, 100 + i % 2, i), REFUSAL_REPLAYED);

	/* Nor can a caller that does not ask first make it grow. */
	late = entry(102, 0);
	assert_int_equal(replay_add(&replay, &late), -ENOBUFS);
	assert_int_equal(replay.count, REPLAY_ENTRIES_MAX);
	assert_int_equal(replay.highest, 101);

	/* The window moves on: half of it is forgotten, and there is room again. */
	assert_int_equal(offer(&replay, 101, 102, 0), REFUSAL_NONE);
	assert_int_equal(replay.count, REPLAY_ENTRIES_MAX / 2 + 1);
	assert_int_equal(replay.floor, 100);
	for (uint32_t i = 1; i < REPLAY_ENTRIES_MAX; i += 2)
		assert_int_equal(offer(&replay, 101, 101, i), REFUSAL_REPLAYED);
}

static void test_done(void **state)
{
	Replay replay = {0};

	(void)state;
	replay_done(&replay);
	assert_int_equal(offer(&replay, 99, 100, 1), REFUSAL_NONE);
	replay_raise_floor(&replay, 5);
	replay_done(&replay);
	assert_null(replay.entries);
	assert_int_equal(replay.count + replay.allocated, 0);
	assert_false(replay.floor_set);
	assert_false(replay.highest_set);
}

/*
 * Random knocks while the clock jumps to and fro, against a list of everything that was ever
 * accepted: none of it twice, and what is above the floor, in the window and new is never refused.
 */
static void test_against_a_ledger(void **state)
{
	static bool accepted[64][8];
	_cleanup_replay_ Replay replay = {0};
	uint32_t random = 1;
	size_t count = 0;

	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint64_t now, time;
		uint32_t nonce;
		Refusal refusal;

		random = random * 1664525 + 1013904223;
		now = 1 + (uint64_t)round * 55 / 100000 + (random >> 8) % 8;
		time = now - 1 + (random >> 16) % 3;
		nonce = random >> 29;
		refusal = offer(&replay, now - 1, time, nonce);
		if (refusal == REFUSAL_NONE) {
			assert_false(accepted[time][nonce]);
			assert_false(replay.floor_set && time <= replay.floor);
			accepted[time][nonce] = true;
			count++;
		} else if (refusal == REFUSAL_REPLAYED) {
			assert_true(accepted[time][nonce]);
		} else {
			assert_int_equal(refusal, REFUSAL_FLOOR);
			assert_true(replay.floor_set && time <= replay.floor);
		}
	}
	/* It is a test only if most of them could be accepted. */
	assert_in_range(count, 200, 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_check_does_not_add),
		cmocka_unit_test(test_each_bit_counts),
		cmocka_unit_test(test_floor),
		cmocka_unit_test(test_zero_and_last),
		cmocka_unit_test(test_forgetting),
		cmocka_unit_test(test_forgetting_on_refusal),
		cmocka_unit_test(test_below_the_window),
		cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_against_a_ledger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
