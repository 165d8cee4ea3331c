/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "manager-world.h"

static void test_accepts(void **data)
{
	Fixture *fixture = *data;
	const Grant *grant;

	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	assert_state(fixture, 1, 4);
	grant = grant_table_get(manager_grants(fixture->manager), 0);
	assert_string_equal(grant->client, "alice");
	assert_int_equal(grant->deadline_mono_ns, UPTIME_NS + 3600 * NSEC_PER_SEC);
	assert_int_equal(fixture->fake->entries[0].value.idle_ns, 60 * NSEC_PER_SEC);

	/* Again: the same grant, renewed. */
	pass_seconds(fixture, 100);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	assert_state(fixture, 1, 4);
	assert_int_equal(grant_table_get(manager_grants(fixture->manager), 0)->deadline_mono_ns,
			 UPTIME_NS + 3700 * NSEC_PER_SEC);
}

/* What counts is when a knock came, not when its turn came. */
static void test_enforcer_failure_refuses(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	fixture->fake->fail_with = -ENOSPC;
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_ENFORCER), 1);
	assert_state(fixture, 0, 0);

	/* A grant that was there goes too: nobody knows what the kernel holds of it. */
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 1, 4);
	fixture->fake->fail_with = -ENOSPC;
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_ENFORCER), 2);
	assert_state(fixture, 0, 0);

	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	assert_state(fixture, 1, 4);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
}

/* The fake's calls, of which apply fails a number of times. */
static const EnforcerOps *fake_ops;
static unsigned apply_failures;

static int apply_failing(Enforcer *enforcer, const EntryChanges *changes)
{
	if (apply_failures == 0)
		return fake_ops->apply(enforcer, changes);
	apply_failures--;
	return enforcer_fail(enforcer, -EPERM, "the test wants this to fail");
}

/* What the kernel does not let go of is tried again, and before that nothing new is granted. */
static void test_removal_is_tried_again(void **data)
{
	Fixture *fixture = *data;
	EnforcerOps ops = *fixture->fake->base.ops;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	fake_ops = fixture->fake->base.ops;
	ops.apply = apply_failing;
	fixture->fake->base.ops = &ops;

	pass_seconds(fixture, 300);
	apply_failures = 2;
	manager_expire(fixture->manager, &next);
	assert_int_equal(next, fixture->now.mono_ns + NSEC_PER_SEC);
	assert_int_equal(grant_table_count(manager_grants(fixture->manager)), 0);
	assert_int_equal(fixture->fake->entry_count, 4);
	knock_as(fixture, BOB, 8);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_ENFORCER), 1);
	assert_int_equal(fixture->fake->entry_count, 4);

	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, SPALE_NEVER_NS);
	assert_state(fixture, 0, 0);
	fixture->fake->base.ops = fake_ops;
}

static void test_expiry(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, SPALE_NEVER_NS);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, UPTIME_NS + 300 * NSEC_PER_SEC);

	/* The kernel saw a packet of one entry. */
	pass_seconds(fixture, 300);
	fixture->fake->entries[2].value.last_mono_ns = UPTIME_NS + 250 * NSEC_PER_SEC;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, UPTIME_NS + 550 * NSEC_PER_SEC);
	assert_state(fixture, 1, 4);

	pass_seconds(fixture, 250);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, SPALE_NEVER_NS);
	assert_state(fixture, 0, 0);
}

static void test_deadline(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	pass_seconds(fixture, 3599);
	fixture->fake->entries[0].value.last_mono_ns = fixture->now.mono_ns;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, UPTIME_NS + 3600 * NSEC_PER_SEC);
	pass_seconds(fixture, 1);
	fixture->fake->entries[0].value.last_mono_ns = fixture->now.mono_ns;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 0, 0);
}

static void test_reload_narrows(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	knock_as(fixture, BOB, 8);
	assert_state(fixture, 2, 8);

	/* Kept as it is, and what was accepted stays remembered. */
	reload(fixture, CONFIG, NULL, true, 0);
	assert_state(fixture, 2, 8);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_REPLAYED), 1);

	reload(fixture, CONFIG, "[Client]\nPorts=22/tcp\nIdle=5s\nGrace=10s\n", true, 0);
	assert_state(fixture, 2, 5);
	assert_int_equal(grant_table_get(manager_grants(fixture->manager), 0)->idle_ns,
			 5 * NSEC_PER_SEC);
	reload(fixture, CONFIG, "[Client]\nAllowedSources=192.0.2.0/29\n", true, 0);
	assert_state(fixture, 2, 8);
	reload(fixture, CONFIG, "[Client]\nAllowedSources=192.0.2.9\n", true, 0);
	assert_state(fixture, 1, 4);

	knock_as(fixture, BOB, 9);
	assert_state(fixture, 2, 8);
	reload(fixture, CONFIG "[Protect]\nPorts=\nPorts=443/tcp\n", NULL, true, 0);
	assert_state(fixture, 2, 2);
}

static void test_reload_removes(void **data)
{
	static const char *const reasons[] = {
		"[Client]\nEnabled=no\n",
		"[Client]\nNotAfter=2001-01-01\n",
		"[Client]\nPorts=1/tcp\n",
	};
	Fixture *fixture = *data;

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		knock_as(fixture, ALICE, 7);
		assert_state(fixture, 1, 4);
		reload(fixture, CONFIG, reasons[i], true, 0);
		assert_state(fixture, 0, 0);
		reload(fixture, CONFIG, NULL, true, 0);
		pass_seconds(fixture, SPALE_TIME_STEP);
	}
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 1, 4);
	reload(fixture, CONFIG, NULL, false, 0);
	assert_state(fixture, 0, 0);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_UNKNOWN_CLIENT), 1);
}

/* A client that was gone for a while has not forgotten what it said before. */
/* A grant follows Prefix4=, by the address that the knock came from. */
static void test_reload_prefix(void **data)
{
	Fixture *fixture = *data;
	const Grant *grant;

	knock_as(fixture, ALICE, 7);
	reload(fixture, CONFIG "Prefix4=24\n", NULL, true, 0);
	assert_state(fixture, 1, 4);
	grant = grant_table_get(manager_grants(fixture->manager), 0);
	assert_int_equal(grant->source.length, 120);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_state(fixture, 1, 4);
	grant = grant_table_get(manager_grants(fixture->manager), 0);
	assert_int_equal(grant->source.length, 128);
	assert_int_equal(grant->source.address.bytes[15], 7);
}

static void test_interfaces(void **data)
{
	Fixture *fixture = *data;
	const StringList *attached = &fixture->fake->attached;

	assert_int_equal(manager_attach(fixture->manager, false), 0);
	assert_int_equal(attached->count, 1);
	reload(fixture, CONFIG "[Protect]\nInterfaces=test1 nothing*\n", NULL, true, 0);
	assert_int_equal(attached->count, 2);
	reload(fixture, CONFIG "[Protect]\nInterfaces=\nInterfaces=test1\n", NULL, true, 0);
	assert_int_equal(attached->count, 1);
	assert_string_equal(attached->items[0], "test1");
}

static void test_interface_that_fails(void **data)
{
	Fixture *fixture = *data;

	fixture->fake->fail_with = -ENODEV;
	assert_int_equal(manager_attach(fixture->manager, false), -ENODEV);
	assert_int_equal(fixture->fake->attached.count, 0);
	assert_int_equal(manager_attach(fixture->manager, false), 0);
	assert_int_equal(fixture->fake->attached.count, 1);
}

/* What cannot be heard of an interface that appears keeps it from nothing. */
static void test_interface_that_is_not_heard_of(void **data)
{
	Fixture *fixture = *data;

	fixture->fake->interface_count = 1;
	reload(fixture, CONFIG "[Protect]\nInterfaces=test*\n", NULL, true, 0);
	assert_int_equal(fixture->fake->attached.count, 1);
	fixture->fake->interface_count = 2;
	fixture->fake->fail_with = -EIO;
	manager_interfaces_changed(fixture->manager);
	assert_int_equal(fixture->fake->attached.count, 2);
}

static void test_reload_failures_change_nothing(void **data)
{
	Fixture *fixture = *data;
	const Config *before = manager_config(fixture->manager);

	assert_int_equal(manager_attach(fixture->manager, false), 0);
	knock_as(fixture, ALICE, 7);
	reload(fixture, CONFIG "[Protect]\nMode=xdp\n", NULL, true, -EOPNOTSUPP);
	fixture->fake->fail_with = -EPERM;
	reload(fixture, CONFIG "[Protect]\nPorts=\nPorts=443/tcp\n", NULL, false, -EPERM);
	assert_ptr_equal(manager_config(fixture->manager), before);
	assert_state(fixture, 1, 4);
	assert_int_equal(fixture->fake->attached.count, 1);
	/* The old policy was put back over what may have been half of the new one. */
	assert_int_equal(fixture->fake->policies_set, 2);
}

static void test_suspend(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 8);
	pass_seconds(fixture, 10);
	fixture->fake->entries[0].value.last_mono_ns = fixture->now.mono_ns;

	/* Asleep for 295 s: 305 s after Bob's knock, 295 s after Alice's last packet. */
	fixture->now.suspended_ns = 295 * NSEC_PER_SEC;
	fixture->now.real_usec += 295 * USEC_PER_SEC;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 1, 4);
	assert_string_equal(grant_table_get(manager_grants(fixture->manager), 0)->client, "alice");
	assert_int_equal(next, fixture->now.mono_ns + 5 * NSEC_PER_SEC);
	for (size_t i = 0; i < fixture->fake->entry_count; i++) {
		const struct spale_grant *entry = &fixture->fake->entries[i].value;

		assert_true(entry->last_mono_ns <= fixture->now.mono_ns - 295 * NSEC_PER_SEC);
		assert_int_equal(entry->deadline_mono_ns, UPTIME_NS + (3600 - 295) * NSEC_PER_SEC);
	}
	/* Made up for once. */
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, fixture->now.mono_ns + 5 * NSEC_PER_SEC);
}

static void test_oldest_yields(void **data)
{
	Fixture *fixture = *data;
	const GrantTable *grants = manager_grants(fixture->manager);

	for (uint8_t i = 1; i <= GRANTS_PER_CLIENT_MAX; i++) {
		knock_as(fixture, ALICE, i);
		pass_seconds(fixture, 1);
	}
	assert_state(fixture, 16, 64);
	knock_as(fixture, ALICE, 100);
	assert_state(fixture, 16, 64);
	for (size_t i = 0; i < grant_table_count(grants); i++)
		assert_int_not_equal(grant_table_get(grants, i)->source.address.bytes[15], 1);

	/* What had to yield is gone as well when the kernel does not take what it yielded to. */
	fixture->fake->fail_with = -ENOSPC;
	knock_as(fixture, ALICE, 101);
	assert_state(fixture, 15, 60);
}

/* Clients alone: their grants are decided again, and the policy is left alone. */
static void test_other_clients(void **data)
{
	Fixture *fixture = *data;
	const Config *config = manager_config(fixture->manager);
	size_t policies = fixture->fake->policies_set;

	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 8);
	assert_state(fixture, 2, 8);
	fixture->fake->fail_with = -ENOSPC;
	assert_int_equal(manager_set_clients(fixture->manager, make_clients(config, NULL, false)),
			 -ENOSPC);
	assert_state(fixture, 2, 8);

	assert_int_equal(
		manager_set_clients(fixture->manager,
				    make_clients(config, "[Client]\nPorts=22/tcp\n", true)),
		0);
	assert_state(fixture, 2, 5);
	assert_int_equal(manager_set_clients(fixture->manager, make_clients(config, NULL, false)),
			 0);
	assert_state(fixture, 1, 4);
	assert_ptr_equal(manager_config(fixture->manager), config);
	assert_int_equal(fixture->fake->policies_set, policies);
	knock_as(fixture, ALICE, 9);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_UNKNOWN_CLIENT), 1);
}

static void test_restart_keeps_grants(void **data)
{
	Fixture *fixture = *data;
	const Grant *grant;

	knock_as(fixture, ALICE, 7);
	pass_seconds(fixture, 10);
	knock_as(fixture, ALICE, 8);
	knock_as(fixture, BOB, 9);
	assert_state(fixture, 3, 12);
	pass_seconds(fixture, 100);
	knock_as(fixture, ALICE, 8);
	/* Its last packet is known to the kernel only; an entry is nobody's. */
	fixture->fake->entries[0].value.last_mono_ns = fixture->now.mono_ns - NSEC_PER_SEC;
	fixture->fake->entries[1].key.port += 777;
	start_anew(fixture);
	assert_state(fixture, 3, 12);
	grant = grant_table_by_id(manager_grants(fixture->manager), 1);
	assert_string_equal(grant->client, "alice");
	assert_int_equal(grant->created_mono_ns, UPTIME_NS);
	assert_int_equal(grant->renewed_mono_ns, UPTIME_NS);
	assert_int_equal(grant->last_mono_ns, fixture->now.mono_ns - NSEC_PER_SEC);
	assert_int_equal(grant->deadline_mono_ns, UPTIME_NS + 3600 * NSEC_PER_SEC);
	grant = grant_table_by_id(manager_grants(fixture->manager), 2);
	assert_int_equal(grant->created_mono_ns, UPTIME_NS + 10 * NSEC_PER_SEC);
	assert_int_equal(grant->deadline_mono_ns, UPTIME_NS + 3710 * NSEC_PER_SEC);

	/* Numbers go on, behind those that the earlier daemon may have used. */
	knock_as(fixture, BOB, 10);
	assert_state(fixture, 4, 16);
	assert_true(grant_table_last_number(manager_grants(fixture->manager)) > 3);
	/* What has ended does not come back. */
	reload(fixture, CONFIG, NULL, false, 0);
	start_anew(fixture);
	assert_state(fixture, 2, 8);
}

static void test_restart_decides_anew(void **data)
{
	Fixture *fixture = *data;

	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 8);
	assert_state(fixture, 2, 8);
	fixture->alice = "[Client]\nPorts=22/tcp\n";
	start_anew(fixture);
	assert_state(fixture, 2, 5);
	fixture->alice = "[Client]\nEnabled=no\n";
	start_anew(fixture);
	assert_state(fixture, 1, 4);
	fixture->alice = NULL;
	start_anew(fixture);
	assert_state(fixture, 1, 4);
}

static void test_restart_remembers_knocks(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock later = make_knock(fixture, ALICE, SERVER, STEP + 1, 7);

	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	for (int i = 0; i < 3; i++) {
		start_anew(fixture);
		manager_knock(&knock, fixture->manager);
		assert_int_equal(manager_refused(fixture->manager, REFUSAL_REPLAYED), 1);
		/* A new one of the same step is neither a replay nor below a floor. */
		knock_as(fixture, ALICE, 7);
		assert_int_equal(manager_accepted(fixture->manager), 1);
	}
	/* What is forgotten has become the floor, which a clock that is set back does not help. */
	pass_seconds(fixture, 3 * SPALE_TIME_STEP);
	knock_as(fixture, ALICE, 7);
	start_anew(fixture);
	fixture->now.real_usec -= 3 * SPALE_TIME_STEP * USEC_PER_SEC;
	knock.received_mono_ns = later.received_mono_ns = fixture->now.mono_ns;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
	manager_knock(&later, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	/* A client who is removed takes along what the kernel keeps of him. */
	reload(fixture, CONFIG, NULL, false, 0);
	assert_int_equal(fixture->fake->kept_count, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_accepts),
		TEST(test_enforcer_failure_refuses),
		TEST(test_removal_is_tried_again),
		TEST(test_expiry),
		TEST(test_deadline),
		TEST(test_reload_narrows),
		TEST(test_reload_removes),
		TEST(test_reload_prefix),
		TEST(test_interfaces),
		TEST(test_interface_that_fails),
		TEST(test_interface_that_is_not_heard_of),
		TEST(test_reload_failures_change_nothing),
		TEST(test_suspend),
		TEST(test_oldest_yields),
		TEST(test_other_clients),
		cmocka_unit_test_setup_teardown(test_restart_keeps_grants, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart_decides_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart_remembers_knocks, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
