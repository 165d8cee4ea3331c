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
#define MANY 3000

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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
