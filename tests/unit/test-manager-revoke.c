/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "order-world.h"

static void test_revokes(void **data)
{
	Fixture *fixture = *data;
	_cleanup_free_ char *error = NULL;
	Heard heard = {0};
	ManagerObserver observer = listener(&heard);
	size_t count = 0;

	assert_int_equal(manager_observe(fixture->manager, &observer), 0);
	knock_as(fixture, ALICE, 7);
	knock_as(fixture, ALICE, 8);
	assert_int_equal(add_source(fixture, "192.0.2.7", NULL), 0);
	assert_int_equal(add_source(fixture, "198.51.100.0/24", "22/tcp"), 0);
	assert_state(fixture, 4, 9);

	/* A prefix that is wider than the one named is not within it. */
	assert_int_equal(revoke_source(fixture, "198.51.100.7", NULL, &count), -ENOENT);
	assert_int_equal(revoke_source(fixture, "192.0.2.7", NULL, &count), 0);
	assert_int_equal(count, 2);
	assert_state(fixture, 2, 5);
	assert_int_equal(heard.removed, 2);
	assert_int_equal(heard.end, GRANT_REVOKED);
	assert_int_equal(heard.ports, 4);

	/* What the client has sent until now opens nothing. */
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 3, 9);

	assert_int_equal(manager_revoke_client(fixture->manager, "alice", CALLER, &count, &error),
			 0);
	assert_int_equal(count, 2);
	assert_int_equal(manager_revoke_client(fixture->manager, "carol", CALLER, &count, &error),
			 -ENOKEY);
	assert_state(fixture, 1, 1);
	assert_int_equal(
		manager_revoke_grant(fixture->manager, first_grant(fixture)->id, CALLER, NULL), 0);
	assert_state(fixture, 0, 0);
	assert_int_equal(manager_revoke_grant(fixture->manager, 1, CALLER, NULL), -ENOENT);
	assert_int_equal(fixture->fake->kept_count > 0, true);
	assert_int_equal(manager_revoke_all(fixture->manager, CALLER, &count, NULL), 0);
	assert_int_equal(count, 0);
}

/* A port that was taken away does not come back by a reload or a restart. */
static void test_narrows(void **data)
{
	Fixture *fixture = *data;
	size_t count;

	knock_as(fixture, ALICE, 7);
	assert_int_equal(add_source(fixture, "192.0.2.8", "22/tcp 8000-8001/tcp"), 0);
	assert_state(fixture, 2, 7);
	assert_int_equal(revoke_source(fixture, "192.0.2.0/24", "22/tcp", &count), 0);
	assert_int_equal(count, 2);
	assert_state(fixture, 2, 5);
	start_anew(fixture);
	assert_state(fixture, 2, 5);
	assert_int_equal(revoke_source(fixture, "192.0.2.8", "8000/tcp", &count), 0);
	assert_state(fixture, 2, 4);
	assert_int_equal(revoke_source(fixture, "192.0.2.8", "8001/tcp", &count), 0);
	assert_state(fixture, 1, 3);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_state(fixture, 1, 3);
	/* A new knock is asked by nobody what it had before. */
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 1, 4);
}

static void test_cuts(void **data)
{
	Fixture *fixture = *data;
	size_t count;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 8);
	assert_int_equal(add_source(fixture, "192.0.2.8", "22/tcp"), 0);
	hold(fixture, "192.0.2.7", 22);
	hold(fixture, "192.0.2.7", 80); /* not protected */
	hold(fixture, "192.0.2.8", 22);
	hold(fixture, "192.0.2.8", 8000);
	hold(fixture, "203.0.113.1", 22); /* of a grant that ended long ago */
	assert_int_equal(revoke_source(fixture, "192.0.2.7", NULL, &count), 0);
	assert_int_equal(fixture->fake->session_count, 4);
	/* Bob's right to 22 is left to the administrators' grant. */
	assert_int_equal(manager_revoke_client(fixture->manager, "bob", CALLER, &count, NULL), 0);
	assert_int_equal(fixture->fake->session_count, 3);
	assert_int_equal(manager_revoke_all(fixture->manager, CALLER, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(fixture->fake->session_count, 1);
	assert_int_equal(fixture->fake->sessions[0].port, 80);

	/* Whose grant is over keeps the conversation, until it is revoked. */
	fixture->fake->session_count = 0;
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 9);
	hold(fixture, "192.0.2.9", 22);
	pass_seconds(fixture, 400);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 0, 0);
	assert_int_equal(fixture->fake->session_count, 1);
	assert_int_equal(manager_revoke_client(fixture->manager, "alice", CALLER, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(fixture->fake->session_count, 0);
}

/* More than goes at once: the rest follows, and what is granted anew meanwhile stays. */
static void test_very_many(void **data)
{
	Fixture *fixture = *data;
	char source[32];
	size_t count, rounds = 0;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	for (int i = 0; i < 3000; i++) {
		snprintf(source, sizeof(source), "198.51.%d.%d", i / 250, 1 + i % 250);
		assert_int_equal(add_source(fixture, source, "22/tcp"), 0);
	}
	assert_int_equal(revoke_source(fixture, "198.51.0.0/16", NULL, &count), 0);
	assert_int_equal(count, 3000);
	assert_int_equal(grant_table_count(manager_grants(fixture->manager)), 2489);
	/* Those are over already for whoever asks. */
	assert_int_equal(revoke_source(fixture, "198.51.0.0/16", NULL, &count), -ENOENT);
	assert_int_equal(add_source(fixture, "198.51.11.250", "22/tcp"), 0);
	hold(fixture, "198.51.11.249", 22);
	hold(fixture, "198.51.11.250", 22);
	do {
		assert_int_equal(manager_expire(fixture->manager, &next), 0);
		rounds++;
	} while (next <= fixture->now.mono_ns);
	assert_true(rounds > 4);
	assert_state(fixture, 2, 5);
	assert_int_equal(fixture->fake->session_count, 1);
}

/* Who loses some ports in a while can lose the rest before that. */
static void test_overtakes_a_narrowing(void **data)
{
	Fixture *fixture = *data;
	char source[32];
	size_t count;
	uint64_t next;

	for (int i = 0; i < 3000; i++) {
		snprintf(source, sizeof(source), "192.0.%d.%d", 3 + i / 250, 1 + i % 250);
		assert_int_equal(add_source(fixture, source, "22/tcp 8000/tcp"), 0);
	}
	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 8);
	assert_int_equal(revoke_source(fixture, "192.0.0.0/16", "8000/tcp", &count), 0);
	assert_int_equal(count, 3002);
	assert_int_equal(manager_revoke_client(fixture->manager, "alice", CALLER, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(revoke_source(fixture, "192.0.14.0/24", "22/tcp", &count), 0);
	assert_int_equal(count, 250);
	/* Made anew behind all that. */
	assert_int_equal(add_source(fixture, "192.0.14.1", "22/tcp 8000/tcp"), 0);
	do
		assert_int_equal(manager_expire(fixture->manager, &next), 0);
	while (next <= fixture->now.mono_ns);
	/* 2,750 have 22, bob has what is left to him, and one has both. */
	assert_int_equal(grant_table_count(manager_grants(fixture->manager)), 2750 + 1 + 1);

	assert_int_equal(revoke_source(fixture, "192.0.0.0/16", "8001/tcp", &count), 0);
	assert_int_equal(manager_revoke_all(fixture->manager, CALLER, &count, NULL), 0);
	do
		assert_int_equal(manager_expire(fixture->manager, &next), 0);
	while (next <= fixture->now.mono_ns);
	assert_state(fixture, 0, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_revokes),
		TEST(test_narrows),
		TEST(test_cuts),
		TEST(test_very_many),
		TEST(test_overtakes_a_narrowing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
