/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "daemon/interfaces.h"
#include "enforce/fake.h"
#include "util/parse.h"

#define NOW (1000 * NSEC_PER_SEC)

typedef struct Fixture {
	FakeEnforcer *fake;
	Interfaces interfaces;
	char *names[4];
	Config config;
} Fixture;

static int set_up(void **data)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	fixture->fake = fake_enforcer_new();
	fixture->config.interfaces.items = fixture->names;
	interfaces_init(&fixture->interfaces, &fixture->fake->base);
	*data = fixture;
	return fixture->fake ? 0 : -1;
}

static int tear_down(void **data)
{
	Fixture *fixture = *data;

	interfaces_done(&fixture->interfaces);
	enforcer_free(&fixture->fake->base);
	free(fixture);
	return 0;
}

static void want(Fixture *fixture, const char *first, const char *second)
{
	fixture->names[0] = (char *)first;
	fixture->names[1] = (char *)second;
	fixture->config.interfaces.count = second ? 2 : 1;
}

static EnforcerInterface *appear(Fixture *fixture, const char *name, uint32_t ifindex)
{
	EnforcerInterface *interface = &fixture->fake->interfaces[fixture->fake->interface_count++];

	*interface = (EnforcerInterface){.ifindex = ifindex};
	strcpy(interface->name, name);
	return interface;
}

static void vanish(Fixture *fixture)
{
	fixture->fake->interface_count--;
}

static void follow(Fixture *fixture, uint64_t now_mono_ns)
{
	interfaces_follow(&fixture->interfaces, &fixture->config, ENFORCER_INTERFACES_CHANGED,
			  now_mono_ns);
}

static void assert_states(const Fixture *fixture, size_t attached, size_t missing, size_t failing)
{
	assert_int_equal(fixture->fake->attached.count, attached);
	assert_int_equal(interfaces_count(&fixture->interfaces, INTERFACE_ATTACHED), attached);
	assert_int_equal(interfaces_count(&fixture->interfaces, INTERFACE_MISSING), missing);
	assert_int_equal(interfaces_count(&fixture->interfaces, INTERFACE_FAILING), failing);
}

static void test_missing(void **data)
{
	const unsigned must = INTERFACES_MUST_EXIST | INTERFACES_MUST_ATTACH;
	Fixture *fixture = *data;

	want(fixture, "eth0", "eth1");
	appear(fixture, "eth0", 2);
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, must, NOW),
			 -ENODEV);
	assert_states(fixture, 0, 0, 0);
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	assert_states(fixture, 1, 1, 0);
	/* What was missing before is no reason to refuse. */
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, must, NOW), 0);
	appear(fixture, "eth1", 3);
	follow(fixture, NOW);
	assert_states(fixture, 2, 0, 0);
	vanish(fixture);
	follow(fixture, NOW);
	assert_states(fixture, 1, 1, 0);
	/* Under the same name, another interface. */
	appear(fixture, "eth1", 9);
	follow(fixture, NOW);
	assert_states(fixture, 2, 0, 0);
}

static void test_no_such_name(void **data)
{
	Fixture *fixture = *data;

	want(fixture, "a-name-of-16-byt", NULL);
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), -ENODEV);
	assert_states(fixture, 0, 0, 0);
}

static void test_patterns(void **data)
{
	Fixture *fixture = *data;

	want(fixture, "*", NULL);
	appear(fixture, "lo", 1)->is_loopback = true;
	appear(fixture, "eth0", 2);
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	assert_states(fixture, 1, 0, 0);
	appear(fixture, "wlan0", 3);
	follow(fixture, NOW);
	assert_states(fixture, 2, 0, 0);
	vanish(fixture);
	follow(fixture, NOW);
	assert_states(fixture, 1, 0, 0);
	want(fixture, "lo", NULL);
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	assert_states(fixture, 1, 0, 0);
	assert_string_equal(fixture->fake->attached.items[0], "lo");
}

/* Tried again after 1, 2, 4, … seconds, at most a minute, and when it goes up. */
static void test_failing(void **data)
{
	Fixture *fixture = *data;
	EnforcerInterface *eth0 = appear(fixture, "eth0", 2);
	uint64_t now_mono_ns = NOW;
	const uint64_t delays[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};

	want(fixture, "eth0", NULL);
	fixture->fake->fail_with = -EBUSY;
	assert_int_equal(
		interfaces_set(&fixture->interfaces, &fixture->config, INTERFACES_MUST_ATTACH, NOW),
		-EBUSY);
	assert_states(fixture, 0, 0, 0);
	fixture->fake->fail_with = -EBUSY;
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	assert_int_equal(fixture->fake->fail_with, 0);
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		assert_states(fixture, 0, 0, 1);
		now_mono_ns += delays[i] * NSEC_PER_SEC;
		follow(fixture, now_mono_ns - 1);
		assert_states(fixture, 0, 0, 1);
		fixture->fake->fail_with = -EBUSY;
		interfaces_run(&fixture->interfaces, &fixture->config, now_mono_ns);
		assert_int_equal(fixture->fake->fail_with, 0);
	}
	eth0->is_up = true;
	follow(fixture, now_mono_ns);
	assert_states(fixture, 1, 0, 0);
	assert_int_equal(
		interfaces_run(&fixture->interfaces, &fixture->config, now_mono_ns + NSEC_PER_SEC),
		SPALE_NEVER_NS);
}

/* A change that fails leaves what was attached. */
static void test_all_or_none(void **data)
{
	Fixture *fixture = *data;

	want(fixture, "eth0", NULL);
	appear(fixture, "eth0", 2);
	appear(fixture, "eth1", 3);
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	want(fixture, "eth1", "eth2");
	assert_int_equal(
		interfaces_set(&fixture->interfaces, &fixture->config, INTERFACES_MUST_EXIST, NOW),
		-ENODEV);
	assert_states(fixture, 1, 0, 0);
	assert_string_equal(fixture->fake->attached.items[0], "eth0");
	fixture->fake->fail_with = -EBUSY;
	assert_int_equal(
		interfaces_set(&fixture->interfaces, &fixture->config, INTERFACES_MUST_ATTACH, NOW),
		-EBUSY);
	assert_states(fixture, 1, 0, 0);
}

static void test_uncovered(void **data)
{
	Fixture *fixture = *data;
	const uint64_t settled_mono_ns = NOW + NSEC_PER_SEC;

	want(fixture, "eth0", NULL);
	appear(fixture, "lo", 1)->is_loopback = true;
	appear(fixture, "eth0", 2)->delivers = true;
	fixture->fake->interfaces[0].delivers = true;
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	assert_int_equal(interfaces_run(&fixture->interfaces, &fixture->config, NOW),
			 settled_mono_ns);
	assert_int_equal(interfaces_run(&fixture->interfaces, &fixture->config, settled_mono_ns),
			 SPALE_NEVER_NS);
	assert_null(fixture->interfaces.uncovered);

	appear(fixture, "plain", 3);
	appear(fixture, "child", 4)->parent_ifindex = 2;
	appear(fixture, "elsewhere", 5)->parent_ifindex = 3;
	appear(fixture, "eth1", 6)->delivers = true;
	interfaces_follow(&fixture->interfaces, &fixture->config, ENFORCER_ADDRESSES_CHANGED, NOW);
	interfaces_run(&fixture->interfaces, &fixture->config, settled_mono_ns);
	assert_string_equal(fixture->interfaces.uncovered, "child, eth1");
	vanish(fixture);
	follow(fixture, NOW);
	interfaces_run(&fixture->interfaces, &fixture->config, settled_mono_ns);
	assert_string_equal(fixture->interfaces.uncovered, "child");
}

/* Noticed by a look for something else: it is attached again at once. */
static void test_detached_by_somebody(void **data)
{
	const uint64_t settled_mono_ns = NOW + NSEC_PER_SEC;
	Fixture *fixture = *data;

	want(fixture, "eth0", NULL);
	appear(fixture, "eth0", 2);
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	assert_states(fixture, 1, 0, 0);
	assert_int_equal(enforcer_detach(&fixture->fake->base, "eth0"), 0);
	assert_true(interfaces_run(&fixture->interfaces, &fixture->config, settled_mono_ns) <=
		    settled_mono_ns);
	interfaces_run(&fixture->interfaces, &fixture->config, settled_mono_ns);
	assert_states(fixture, 1, 0, 0);
	assert_int_equal(fixture->fake->attached.count, 1);
}

/* Somebody's program is asked before ours: changed at once, and then now and then. */
static void test_somebody_comes_first(void **data)
{
	Fixture *fixture = *data;
	EnforcerInterface *interface;
	uint64_t now_mono_ns = NOW;

	want(fixture, "eth0", NULL);
	interface = appear(fixture, "eth0", 2);
	interface->is_up = true;
	assert_int_equal(interfaces_set(&fixture->interfaces, &fixture->config, 0, NOW), 0);
	interface->is_behind = true;
	follow(fixture, now_mono_ns);
	assert_states(fixture, 1, 0, 0);
	assert_false(interface->is_behind);
	assert_null(fixture->interfaces.items[0].problem);

	/* He does it again, and again. */
	for (uint64_t seconds = 1; seconds <= 4; seconds *= 2) {
		interface->is_behind = true;
		follow(fixture, now_mono_ns);
		follow(fixture, now_mono_ns + seconds * NSEC_PER_SEC - 1);
		assert_true(interface->is_behind);
		assert_int_equal(interfaces_count(&fixture->interfaces, INTERFACE_FAILING), 1);
		assert_non_null(fixture->interfaces.items[0].problem);
		now_mono_ns += seconds * NSEC_PER_SEC;
		interfaces_run(&fixture->interfaces, &fixture->config, now_mono_ns);
		assert_false(interface->is_behind);
		assert_states(fixture, 1, 0, 0);
	}
	now_mono_ns += 120 * NSEC_PER_SEC;

	/* He goes by himself. */
	interface->is_behind = true;
	follow(fixture, now_mono_ns);
	assert_states(fixture, 1, 0, 0);
	interface->is_behind = true;
	follow(fixture, now_mono_ns);
	assert_int_equal(interfaces_count(&fixture->interfaces, INTERFACE_FAILING), 1);
	interface->is_behind = false;
	follow(fixture, now_mono_ns);
	assert_states(fixture, 1, 0, 0);
	assert_null(fixture->interfaces.items[0].problem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_such_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_patterns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_or_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_uncovered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_detached_by_somebody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_somebody_comes_first, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
