/* SPDX-License-Identifier: MIT */
/* What goes in portions, and what else happens meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "order-world.h"

/* More grants than one portion of anything has. */
#define MANY 2200

#define PORTS "22/tcp 8000/tcp"

/* Administrators' grants, and behind them alice's, where what goes from the last one begins. */
static void grant_many(Fixture *fixture)
{
	char source[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(source, sizeof(source), "198.51.%d.%d", i / 250, 1 + i % 250);
		assert_int_equal(add_source(fixture, source, PORTS), 0);
	}
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, MANY + 1, 2 * MANY + 4);
}

static void go_on(Fixture *fixture)
{
	uint64_t next;

	do
		assert_int_equal(manager_expire(fixture->manager, &next), 0);
	while (!manager_has_done(fixture->manager, manager_ordered(fixture->manager)));
}

static void set_clients(Fixture *fixture, bool with_alice)
{
	const Config *config = manager_config(fixture->manager);

	assert_int_equal(
		manager_set_clients(fixture->manager, make_clients(config, NULL, with_alice)), 0);
	assert_false(manager_has_done(fixture->manager, manager_ordered(fixture->manager)));
}

static void begin_narrowing(Fixture *fixture, const char *port)
{
	size_t count;

	assert_int_equal(revoke_source(fixture, "192.0.0.0/5", port, &count), 0);
	assert_int_equal(count, MANY + 1);
	assert_false(manager_has_done(fixture->manager, manager_ordered(fixture->manager)));
}

/* Grants that were decided anew already are so once more when there is another reason. */
static void test_again(void **data)
{
	Fixture *fixture = *data;

	grant_many(fixture);
	set_clients(fixture, true);
	assert_state(fixture, MANY + 1, 2 * MANY + 4);
	set_clients(fixture, false);
	go_on(fixture);
	assert_state(fixture, MANY, 2 * MANY);
}

/* A grant that is about to lose ports is judged like any other. */
static void test_narrowed_and_removed(void **data)
{
	Fixture *fixture = *data;

	grant_many(fixture);
	begin_narrowing(fixture, "22/tcp");
	set_clients(fixture, false);
	go_on(fixture);
	assert_state(fixture, MANY, MANY);
}

static void test_narrowed_and_reloaded(void **data)
{
	Fixture *fixture = *data;

	grant_many(fixture);
	begin_narrowing(fixture, "22/tcp");
	reload(fixture, CONFIG, NULL, true, 0);
	go_on(fixture);
	assert_state(fixture, 1, 3);
}

static void test_narrowed_and_revoked(void **data)
{
	Fixture *fixture = *data;
	size_t count;

	grant_many(fixture);
	begin_narrowing(fixture, "22/tcp");
	assert_int_equal(manager_revoke_client(fixture->manager, "alice", CALLER, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(manager_revoke_all(fixture->manager, CALLER, &count, NULL), 0);
	assert_int_equal(count, MANY);
	go_on(fixture);
	assert_state(fixture, 0, 0);
}

/* What is left of a grant is all that nobody took. */
static void test_narrowed_twice(void **data)
{
	Fixture *fixture = *data;

	grant_many(fixture);
	begin_narrowing(fixture, "22/tcp");
	begin_narrowing(fixture, "8000/tcp");
	go_on(fixture);
	assert_state(fixture, 1, 2);
}

/* Who knocks after the order has what he asks for. */
static void test_narrowed_and_renewed(void **data)
{
	Fixture *fixture = *data;

	grant_many(fixture);
	begin_narrowing(fixture, "22/tcp");
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 7);
	go_on(fixture);
	assert_state(fixture, MANY + 1, MANY + 4);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_again),
		TEST(test_narrowed_and_removed),
		TEST(test_narrowed_and_reloaded),
		TEST(test_narrowed_and_revoked),
		TEST(test_narrowed_twice),
		TEST(test_narrowed_and_renewed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
