/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "manager-world.h"

static void test_refuses_what_is_no_knock(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	knock.length--;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_NOT_A_KNOCK), 1);
	knock.length++;
	knock.format = 2;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_NOT_A_KNOCK), 2);

	knock_as(fixture, STRANGER, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_UNKNOWN_CLIENT), 1);

	/* Alice's key in front of what somebody else sealed. */
	knock = make_knock(fixture, STRANGER, SERVER, STEP, 7);
	memcpy(knock.data, public_key(ALICE).bytes, SPALE_KEY_SIZE);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_SEAL), 1);

	/* Of small order: yields the all-zero secret. */
	knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	memset(knock.data + SPALE_FORMAT1_ENC_OFFSET, 0, SPALE_KEY_SIZE);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_KEY), 1);
	assert_state(fixture, 0, 0);
}

static void test_refuses_replay(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	knock.source[15] = 66;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_REPLAYED), 1);
	assert_state(fixture, 1, 4);
}

static void test_window(void **data)
{
	static const struct {
		int offset;
		bool taken;
	} rows[] = {{-2, false}, {-1, true}, {0, true}, {1, true}, {2, false}};
	Fixture *fixture = *data;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t accepted = manager_accepted(fixture->manager);
		uint64_t refused = manager_refused(fixture->manager, REFUSAL_CLOCK);
		struct spale_knock knock =
			make_knock(fixture, ALICE, SERVER, STEP + (uint64_t)rows[i].offset, 7);

		manager_knock(&knock, fixture->manager);
		assert_int_equal(manager_accepted(fixture->manager), accepted + rows[i].taken);
		assert_int_equal(manager_refused(fixture->manager, REFUSAL_CLOCK),
				 refused + !rows[i].taken);
	}
}

static void test_waiting_knock(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock late = make_knock(fixture, ALICE, SERVER, STEP, 7);

	pass_seconds(fixture, 60);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	late.received_mono_ns = fixture->now.mono_ns;
	manager_knock(&late, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_CLOCK), 1);
}

static void test_clock_set_back(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	pass_seconds(fixture, 90);
	/* The memory forgets the first one here. */
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	fixture->now.real_usec = REAL_USEC;
	knock.received_mono_ns = fixture->now.mono_ns;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
}

static void test_floor_after_restart(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock same_step = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock next_step = make_knock(fixture, ALICE, SERVER, STEP + 1, 7);
	struct spale_knock bobs = make_knock(fixture, BOB, SERVER, STEP, 8);

	manager_knock(&knock, fixture->manager);
	close_all(fixture);
	/* Whatever the option says: what was accepted is on record. */
	open_state(fixture, true);
	make_manager(fixture);
	manager_knock(&knock, fixture->manager);
	manager_knock(&same_step, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 2);
	manager_knock(&next_step, fixture->manager);
	manager_knock(&bobs, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 2);
}

static void test_fresh_start_is_deaf(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	close_all(fixture);
	snprintf(command, sizeof(command), "rm -r %s/replay", fixture->directory);
	assert_int_equal(system(command), 0);
	open_state(fixture, false);
	make_manager(fixture);
	for (uint64_t step = STEP - 1; step <= STEP + 1; step++) {
		struct spale_knock knock = make_knock(fixture, ALICE, SERVER, step, 7);

		manager_knock(&knock, fixture->manager);
	}
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 3);

	/* Another start in that time knows no more than this one. */
	close_all(fixture);
	open_state(fixture, false);
	make_manager(fixture);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 1);
}

static char *floor_path(const Fixture *fixture, uint8_t seed, char path[static 160])
{
	PublicKey key = public_key(seed);
	int size = snprintf(path, 160, "%s/replay/", fixture->directory);

	for (size_t i = 0; i < sizeof(key.bytes); i++)
		size += snprintf(path + size, (size_t)(160 - size), "%02x", key.bytes[i]);
	return path;
}

static void test_damaged_floor_is_deaf(void **data)
{
	Fixture *fixture = *data;
	_cleanup_fclose_ FILE *f = NULL;
	char path[160];

	f = fopen(floor_path(fixture, ALICE, path), "w");
	assert_non_null(f);
	assert_true(fputs("1 587", f) >= 0);
	assert_int_equal(fflush(f), 0);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
	knock_as(fixture, BOB, 8);
	assert_int_equal(manager_accepted(fixture->manager), 1);
}

static void test_state_failure_refuses(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	char command[64];

	/* Nothing can be written to a directory that is gone. */
	snprintf(command, sizeof(command), "rm -r %s/replay", fixture->directory);
	assert_int_equal(system(command), 0);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_STATE), 1);
	assert_int_equal(manager_accepted(fixture->manager), 0);
	assert_state(fixture, 0, 0);
}

/* Not even a step that an earlier daemon had recorded. */
static void test_unusable_state_refuses(void **data)
{
	Fixture *fixture = *data;

	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	start_anew_with(fixture, "the disk is full");
	assert_string_equal(manager_deafness(fixture->manager), "the disk is full");
	assert_state(fixture, 1, 4);
	knock_as(fixture, ALICE, 8);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_STATE), 1);
	assert_int_equal(manager_accepted(fixture->manager), 0);
	assert_state(fixture, 1, 4);
}

static void test_two_server_keys(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock first = make_knock(fixture, ALICE, OTHER_SERVER, STEP, 7);
	struct spale_knock second = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock third = make_knock(fixture, ALICE, STRANGER, STEP, 7);
	Config *config = make_config(CONFIG);
	KeyRing keys = make_keys(OTHER_SERVER, 0);

	manager_knock(&first, fixture->manager);
	manager_knock(&second, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	manager_knock(&third, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_SEAL), 1);

	/* A key that is gone opens nothing, nor does what was cached for it. */
	assert_int_equal(
		manager_reload(fixture->manager, config, &keys, make_clients(config, NULL, true)),
		0);
	first = make_knock(fixture, ALICE, OTHER_SERVER, STEP, 7);
	second = make_knock(fixture, ALICE, SERVER, STEP, 7);
	manager_knock(&first, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 3);
	manager_knock(&second, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_SEAL), 2);
}

static void test_reload_keeps_floor(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	reload(fixture, CONFIG, NULL, false, 0);
	reload(fixture, CONFIG, NULL, true, 0);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
}

/* A knock that was held back does not undo a revocation, after a restart either. */
static void test_revocation_bars(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock held = make_knock(fixture, ALICE, SERVER, STEP, 9), later;

	knock_as(fixture, ALICE, 7);
	reload(fixture, CONFIG, "[Client]\nEnabled=no\n", true, 0);
	reload(fixture, CONFIG, NULL, true, 0);
	manager_knock(&held, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
	close_all(fixture);
	open_state(fixture, false);
	make_manager(fixture);
	manager_knock(&held, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);

	/* Nor does what the kernel has kept of it. */
	start_anew(fixture);
	manager_knock(&held, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);

	later = make_knock(fixture, ALICE, SERVER, STEP + 1, 7);
	manager_knock(&later, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_refuses_what_is_no_knock),
		TEST(test_refuses_replay),
		TEST(test_window),
		TEST(test_waiting_knock),
		TEST(test_clock_set_back),
		TEST(test_floor_after_restart),
		TEST(test_fresh_start_is_deaf),
		TEST(test_damaged_floor_is_deaf),
		TEST(test_state_failure_refuses),
		TEST(test_unusable_state_refuses),
		TEST(test_two_server_keys),
		TEST(test_reload_keeps_floor),
		TEST(test_revocation_bars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
