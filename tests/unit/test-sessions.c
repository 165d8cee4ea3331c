/* SPDX-License-Identifier: MIT */
/* Whose conversations end at a reload, and whose go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>

#include "daemon/sessions.h"
#include "manager-world.h"

/* A conversation of 192.0.2.LAST with a port of ours. */
static void talk(Fixture *fixture, uint8_t last, uint8_t protocol, uint16_t port)
{
	EnforcerSession session = {
		.source = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last}},
		.port = port,
		.protocol = protocol,
	};

	assert_true(fixture->fake->session_count < ARRAY_SIZE(fixture->fake->sessions));
	fixture->fake->sessions[fixture->fake->session_count++] = session;
}

static bool talks(const Fixture *fixture, uint8_t last, uint8_t protocol, uint16_t port)
{
	for (size_t i = 0; i < fixture->fake->session_count; i++) {
		const EnforcerSession *session = &fixture->fake->sessions[i];

		if (session->source.bytes[15] == last && session->protocol == protocol &&
		    session->port == port)
			return true;
	}
	return false;
}

/* ALICE and BOB talk, to each port that there is, and a stranger to one that was open to all. */
static void begin(Fixture *fixture)
{
	/* Who was removed meanwhile has to say something newer. */
	pass_seconds(fixture, 2 * SPALE_TIME_STEP);
	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 8);
	talk(fixture, 7, IPPROTO_TCP, 22);
	talk(fixture, 7, IPPROTO_TCP, 8001);
	talk(fixture, 7, IPPROTO_UDP, 51820);
	talk(fixture, 7, IPPROTO_TCP, 80);
	talk(fixture, 8, IPPROTO_TCP, 22);
	talk(fixture, 9, IPPROTO_TCP, 22);
}

static void let_grants_end(Fixture *fixture)
{
	uint64_t next;

	pass_seconds(fixture, 4000);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 0, 0);
}

static void test_ends_of_grants_end_nothing(void **data)
{
	Fixture *fixture = *data;

	begin(fixture);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_int_equal(fixture->fake->session_count, 6);
	let_grants_end(fixture);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_int_equal(fixture->fake->session_count, 6);
}

static void assert_alice_is_cut(Fixture *fixture)
{
	assert_int_equal(fixture->fake->session_count, 3);
	assert_true(talks(fixture, 7, IPPROTO_TCP, 80)); /* not protected */
	assert_true(talks(fixture, 8, IPPROTO_TCP, 22));
	assert_true(talks(fixture, 9, IPPROTO_TCP, 22)); /* never was a client's */
	fixture->fake->session_count = 0;
}

/* With a live grant, and long after its end. */
static void test_lost_clients_are_cut(void **data)
{
	static const char *const reasons[] = {
		"[Client]\nEnabled=no\n",
		"[Client]\nNotAfter=2001-01-01\n",
		"[Client]\nPorts=1/tcp\n",
		"[Client]\nAllowedSources=192.0.2.9\n",
		NULL,
	};
	Fixture *fixture = *data;

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		for (int ended = 0; ended < 2; ended++) {
			begin(fixture);
			if (ended)
				let_grants_end(fixture);
			reload(fixture, CONFIG, reasons[i], reasons[i], 0);
			assert_alice_is_cut(fixture);
			reload(fixture, CONFIG, NULL, true, 0);
		}
	}
}

static void test_narrowed_clients_keep_the_rest(void **data)
{
	Fixture *fixture = *data;

	for (int ended = 0; ended < 2; ended++) {
		begin(fixture);
		if (ended)
			let_grants_end(fixture);
		reload(fixture, CONFIG, "[Client]\nPorts=22/tcp\n", true, 0);
		assert_int_equal(fixture->fake->session_count, 4);
		assert_true(talks(fixture, 7, IPPROTO_TCP, 22));
		assert_false(talks(fixture, 7, IPPROTO_TCP, 8001));
		assert_false(talks(fixture, 7, IPPROTO_UDP, 51820));
		fixture->fake->session_count = 0;
		reload(fixture, CONFIG, NULL, true, 0);
	}
}

/* The network of a grant becomes smaller: who is not in it any more has lost the right. */
static void test_narrowed_prefix(void **data)
{
	Fixture *fixture = *data;

	reload(fixture, CONFIG "Prefix4=24\n", NULL, true, 0);
	knock_as(fixture, ALICE, 7);
	talk(fixture, 7, IPPROTO_TCP, 22);
	talk(fixture, 200, IPPROTO_TCP, 22);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_int_equal(fixture->fake->session_count, 1);
	assert_true(talks(fixture, 7, IPPROTO_TCP, 22));
}

/* What clients behind one address share goes with the last live grant for it. */
static void test_shared_address(void **data)
{
	Fixture *fixture = *data;

	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 7);
	talk(fixture, 7, IPPROTO_TCP, 22);
	reload(fixture, CONFIG, NULL, false, 0);
	assert_int_equal(fixture->fake->session_count, 1);

	reload(fixture, CONFIG, NULL, true, 0);
	pass_seconds(fixture, 2 * SPALE_TIME_STEP);
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 2, 4);
	let_grants_end(fixture);
	reload(fixture, CONFIG, NULL, false, 0);
	assert_int_equal(fixture->fake->session_count, 0);
}

static void test_allowed_prefixes(void **data)
{
	static const char allowed[] = CONFIG "[Protect]\nAlwaysAllow=192.0.2.0/28\n";
	Fixture *fixture = *data;

	reload(fixture, allowed, NULL, true, 0);
	begin(fixture);
	/* Whoever is allowed without a grant needs none. */
	reload(fixture, allowed, NULL, false, 0);
	assert_int_equal(fixture->fake->session_count, 6);
	reload(fixture, CONFIG "[Protect]\nAlwaysAllow=192.0.2.9\n", NULL, true, 0);
	assert_int_equal(fixture->fake->session_count, 3);
	assert_true(talks(fixture, 7, IPPROTO_TCP, 80));
	assert_true(talks(fixture, 8, IPPROTO_TCP, 22)); /* bob's grant */
	assert_true(talks(fixture, 9, IPPROTO_TCP, 22));
	reload(fixture, CONFIG, NULL, true, 0);
	assert_false(talks(fixture, 9, IPPROTO_TCP, 22));
}

/* A port that becomes free is nobody's business, whoever loses what. */
static void test_unprotected_port(void **data)
{
	Fixture *fixture = *data;

	begin(fixture);
	reload(fixture, CONFIG "[Protect]\nPorts=\nPorts=8000-8001/tcp\n", NULL, false, 0);
	assert_true(talks(fixture, 7, IPPROTO_TCP, 22));
	assert_false(talks(fixture, 7, IPPROTO_TCP, 8001));
}

/* So many sources are remembered of a client, and no conversation is forgotten unended. */
static void test_oldest_source_yields(void **data)
{
	Fixture *fixture = *data;

	knock_as(fixture, ALICE, 1);
	talk(fixture, 1, IPPROTO_TCP, 22);
	for (unsigned i = 2; i <= SESSIONS_PER_CLIENT_MAX; i++) {
		pass_seconds(fixture, 60);
		knock_as(fixture, ALICE, (uint8_t)i);
	}
	assert_int_equal(manager_accepted(fixture->manager), SESSIONS_PER_CLIENT_MAX);
	assert_int_equal(fixture->fake->session_count, 1);
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 2);
	assert_int_equal(fixture->fake->session_count, 1);
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 100);
	assert_int_equal(fixture->fake->session_count, 0);
}

/* ---- over a restart ------------------------------------------------------------------------ */

static size_t records(const Fixture *fixture)
{
	size_t count = 0;

	for (size_t i = 0; i < fixture->fake->kept_count; i++)
		count += fixture->fake->kept[i].records == ENFORCER_SESSIONS;
	return count;
}

/* Whoever loses his right after a restart, with or without a grant, loses what he has begun before.
 */
static void test_restart_remembers(void **data)
{
	Fixture *fixture = *data;

	for (int ended = 0; ended < 2; ended++) {
		begin(fixture);
		assert_int_equal(records(fixture), 2);
		if (ended)
			let_grants_end(fixture);
		start_anew(fixture);
		start_anew(fixture);
		assert_int_equal(fixture->fake->session_count, 6);
		reload(fixture, CONFIG, "[Client]\nEnabled=no\n", true, 0);
		assert_alice_is_cut(fixture);
		assert_int_equal(records(fixture), 1);
		reload(fixture, CONFIG, NULL, true, 0);
	}
}

/* Nobody was there to see it: the next one does. */
static void test_lost_while_there_was_no_daemon(void **data)
{
	Fixture *fixture = *data;

	begin(fixture);
	let_grants_end(fixture);
	fixture->alice = "[Client]\nPorts=22/tcp\n";
	start_anew(fixture);
	assert_int_equal(fixture->fake->session_count, 4);
	assert_true(talks(fixture, 7, IPPROTO_TCP, 22));
	assert_int_equal(records(fixture), 2);
	fixture->alice = "[Client]\nEnabled=no\n";
	start_anew(fixture);
	assert_alice_is_cut(fixture);
	assert_int_equal(records(fixture), 1);
}

/* What is kept is as bounded as what is remembered, and in the same order. */
static void test_oldest_source_yields_after_a_restart(void **data)
{
	Fixture *fixture = *data;

	for (unsigned i = 1; i <= SESSIONS_PER_CLIENT_MAX; i++) {
		knock_as(fixture, ALICE, (uint8_t)i);
		pass_seconds(fixture, 60);
	}
	knock_as(fixture, ALICE, 1);
	pass_seconds(fixture, 4000);
	talk(fixture, 1, IPPROTO_TCP, 22);
	talk(fixture, 2, IPPROTO_TCP, 22);
	talk(fixture, 3, IPPROTO_TCP, 22);
	start_anew(fixture);
	assert_int_equal(records(fixture), SESSIONS_PER_CLIENT_MAX);
	assert_int_equal(fixture->fake->session_count, 3);
	knock_as(fixture, ALICE, 100);
	assert_int_equal(records(fixture), SESSIONS_PER_CLIENT_MAX);
	assert_false(talks(fixture, 2, IPPROTO_TCP, 22));
	assert_int_equal(fixture->fake->session_count, 2);
	reload(fixture, CONFIG, NULL, false, 0);
	assert_int_equal(records(fixture), 0);
	assert_int_equal(fixture->fake->session_count, 0);
}

/* ---- what cannot be had -------------------------------------------------------------------- */

/* A kernel that cannot end anything keeps nobody from reloading. */
static const EnforcerOps *fake_ops;
static unsigned cuts;

static int cut_unable(Enforcer *enforcer, EnforcerCut test, void *userdata)
{
	(void)test;
	(void)userdata;
	cuts++;
	return enforcer_fail(enforcer, -EOPNOTSUPP, "the test wants this to fail");
}

static void test_unable_kernel(void **data)
{
	Fixture *fixture = *data;
	EnforcerOps ops = *fixture->fake->base.ops;

	begin(fixture);
	fake_ops = fixture->fake->base.ops;
	ops.cut = cut_unable;
	fixture->fake->base.ops = &ops;
	reload(fixture, CONFIG, NULL, false, 0);
	assert_int_equal(cuts, 1);
	assert_int_equal(fixture->fake->session_count, 6);
	assert_state(fixture, 1, 4);
	/* Nothing was lost: nobody is asked. */
	reload(fixture, CONFIG, NULL, true, 0);
	assert_int_equal(cuts, 1);
	fixture->fake->base.ops = fake_ops;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ends_of_grants_end_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost_clients_are_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_narrowed_clients_keep_the_rest, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_narrowed_prefix, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shared_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_allowed_prefixes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unprotected_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oldest_source_yields, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart_remembers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost_while_there_was_no_daemon, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_oldest_source_yields_after_a_restart, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_unable_kernel, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
