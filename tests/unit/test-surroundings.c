/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "ctl/surroundings.h"
#include "util/cleanup.h"

static void test_connections(void **state)
{
	Origin origin;

	(void)state;
	assert_int_equal(
		surroundings_parse_connection("192.0.2.7 50000 198.51.100.1 2222", &origin), 0);
	assert_string_equal(origin.client, "192.0.2.7");
	assert_string_equal(origin.server, "198.51.100.1");
	assert_string_equal(origin.zone, "");
	assert_int_equal(origin.server_port, 2222);
	assert_int_equal(
		surroundings_parse_connection("fe80::1%eth0 50000 fe80::2%eth0 22", &origin), 0);
	assert_string_equal(origin.client, "fe80::1");
	assert_string_equal(origin.zone, "eth0");
	/* sshd that listens on :: says so of IPv4. */
	assert_int_equal(
		surroundings_parse_connection("::ffff:192.0.2.7 1 ::ffff:192.0.2.1 22", &origin),
		0);
	assert_string_equal(origin.client, "192.0.2.7");
}

static void test_garbage(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"192.0.2.7",
		"192.0.2.7 1 192.0.2.1",
		"192.0.2.7 1 192.0.2.1 22 x",
		"192.0.2.7 0 192.0.2.1 22",
		"192.0.2.7 1 192.0.2.1 65536",
		"example 1 192.0.2.1 22",
		"192.0.2.7 1 host 22",
		"192.0.2.7  1 192.0.2.1 22",
		"fe80::1%an-interface-with-too-long-a-name 1 fe80::2 22",
		"\033[31m 1 192.0.2.1 22",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		Origin origin = {.server_port = 7};

		assert_int_equal(surroundings_parse_connection(texts[i], &origin), -EINVAL);
		assert_int_equal(origin.server_port, 7);
	}
}

static void test_ports_and_names(void **state)
{
	char name[NAME_LENGTH_MAX + 1];
	uint16_t port;

	(void)state;
	assert_int_equal(surroundings_find_port(&port), 0);
	assert_in_range(port, 20000, 32767);
	setenv("SUDO_USER", "carol", 1);
	surroundings_find_name(name);
	assert_string_equal(name, "carol");
	setenv("SUDO_USER", "../carol", 1);
	surroundings_find_name(name);
	assert_string_equal(name, "admin");
	setenv("SUDO_USER", "root", 1);
	surroundings_find_name(name);
	assert_string_equal(name, "admin");
}

static void test_own_environment(void **state)
{
	Origin origin;

	(void)state;
	setenv("SSH_CONNECTION", "192.0.2.9 1 192.0.2.1 22", 1);
	assert_int_equal(surroundings_find_origin(&origin), 0);
	assert_string_equal(origin.client, "192.0.2.9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_ports_and_names),
		cmocka_unit_test(test_own_environment),
	};

	return cmocka_run_group_tests_name("surroundings", tests, NULL, NULL);
}
