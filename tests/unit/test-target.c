/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/target.h"
#include "util/cleanup.h"

static void test_source_validity(void **state)
{
	static const char *const good[] = {"10.0.0.1",	     "::1",	   "[::1]", "fe80::1%eth0",
					   "[fe80::1%eth0]", "2001:db8::1"};
	static const char *const bad[] = {
		"",	    "eth0",  "1",	 "127.1",	"010.0.0.1",  "10.0.0.1%lo",
		"fe80::1%", "[::1",  "::1]",	 "10.0.0.1:22", "10.0.0.0/8", " ::1",
		"[]",	    "%eth0", "[::1]%lo", "[[::1]]",	"localhost",  "::ffff:10.0.0.1"};
	char zone[200] = "fe80::1%";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(target_source_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(target_source_is_valid(bad[i]));
	memset(zone + 8, 'z', sizeof(zone) - 9);
	assert_false(target_source_is_valid(zone));
}

static void test_parse_source(void **state)
{
	char text[TARGET_TEXT_MAX];
	Target target = {0};

	(void)state;
	assert_int_equal(target_parse_source("192.0.2.7", &target), 0);
	assert_int_equal(target.any.sa_family, AF_INET);
	assert_int_equal(target_size(&target), sizeof(struct sockaddr_in));
	assert_string_equal(target_format(&target, text), "192.0.2.7");
	target_set_port(&target, 22);
	assert_string_equal(target_format(&target, text), "192.0.2.7:22");

	assert_int_equal(target_parse_source("[fe80::1%lo]", &target), 0);
	assert_int_equal(target.ipv6.sin6_scope_id, 1);
	assert_int_equal(target_size(&target), sizeof(struct sockaddr_in6));
	target_set_port(&target, 65535);
	assert_string_equal(target_format(&target, text), "[fe80::1%lo]:65535");

	assert_int_equal(target_parse_source("fe80::1%no-such-if", &target), -EINVAL);
	assert_int_equal(target_parse_source("localhost", &target), -EINVAL);
}

static void test_resolve_addresses(void **state)
{
	char text[TARGET_TEXT_MAX];
	TargetList targets = {0};
	Target ipv4, ipv6;

	(void)state;
	assert_int_equal(target_resolve("192.0.2.1", 62201, NULL, &targets), 0);
	assert_int_equal(targets.count, 1);
	assert_string_equal(target_format(&targets.items[0], text), "192.0.2.1:62201");
	assert_int_equal(target_resolve("[2001:db8::1]", 1, NULL, &targets), 0);
	assert_int_equal(targets.count, 1);
	assert_string_equal(target_format(&targets.items[0], text), "[2001:db8::1]:1");

	assert_int_equal(target_parse_source("192.0.2.7", &ipv4), 0);
	assert_int_equal(target_parse_source("2001:db8::7", &ipv6), 0);
	assert_int_equal(target_resolve("192.0.2.1", 1, &ipv4, &targets), 0);
	assert_int_equal(target_resolve("2001:db8::1", 1, &ipv6, &targets), 0);
	targets.count = 7;
	assert_int_equal(target_resolve("192.0.2.1", 1, &ipv6, &targets), -EAFNOSUPPORT);
	assert_int_equal(target_resolve("2001:db8::1", 1, &ipv4, &targets), -EAFNOSUPPORT);
	assert_int_equal(target_resolve("", 1, NULL, &targets), -ENXIO);
	assert_int_equal(target_resolve("[", 1, NULL, &targets), -ENXIO);
	assert_int_equal(targets.count, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source_validity),
		cmocka_unit_test(test_parse_source),
		cmocka_unit_test(test_resolve_addresses),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
