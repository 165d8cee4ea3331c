/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <locale.h>

#include "ctl/text.h"
#include "util/cleanup.h"

#define MINUTE 60000000ULL
#define NOW    1763769600000000ULL /* 2025-11-22 00:00:00 UTC */

static void test_escape(void **state)
{
	static const struct {
		const char *text, *escaped;
	} rows[] = {
		{"", ""},
		{"alice", "alice"},
		{"a\nb", "a\\x0ab"},
		{"\033[31mred\a", "\\x1b[31mred\\x07"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"\xe6\xbc\xa2", "\xe6\xbc\xa2"},
		{"\xff\xc3", "\\xff\\xc3"},
		{"\xc2\x9b"
		 "31m",
		 "\\xc2\\x9b31m"}, /* a control character of eight bits */
		{"a\\x", "a\\x"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *escaped = text_escape(rows[i].text);

		assert_non_null(escaped);
		assert_string_equal(escaped, rows[i].escaped);
	}
}

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("caf\xc3\xa9"), 4);
	assert_int_equal(text_width("\xe6\xbc\xa2\xe5\xad\x97"), 4); /* two wide characters */
	assert_int_equal(text_fitting("\xe6\xbc\xa2\xe5\xad\x97", 3), 3);
	assert_int_equal(text_fitting("caf\xc3\xa9s", 4), 5);
	assert_int_equal(text_fitting("abc", 9), 3);
}

static void test_duration(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} rows[] = {
		{0, "0s"},
		{59, "59s"},
		{60, "1min"},
		{61, "1min 1s"},
		{3600, "1h"},
		{3661, "1h 1min"},
		{86400, "1d"},
		{90061, "1d 1h"},
		{3601, "1h"},
		{604800 * 3, "3w"},
		{TEXT_INFINITY, "infinity"},
		{TEXT_INFINITY - 1, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[TEXT_TIME_MAX];

		text_duration(rows[i].seconds, text);
		if (rows[i].text)
			assert_string_equal(text, rows[i].text);
	}
}

static void test_times(void **state)
{
	char text[TEXT_TIME_MAX];

	(void)state;
	assert_string_equal(text_relative(NOW + 5 * MINUTE, NOW, text), "in 5min");
	assert_string_equal(text_relative(NOW - 90 * MINUTE, NOW, text), "1h 30min ago");
	assert_string_equal(text_relative(NOW + 1, NOW, text), "now");
	assert_string_equal(text_relative(0, NOW, text), "-");
	assert_string_equal(text_relative(TEXT_INFINITY, NOW, text), "never");
	assert_string_equal(text_rfc3339(NOW + 7, text), "2025-11-22T00:00:00.000007Z");
	assert_string_equal(text_rfc3339(TEXT_INFINITY, text), "infinity");
	assert_string_equal(text_absolute(NOW, text), "2025-11-22 00:00:00 UTC");
	assert_string_equal(text_absolute(TEXT_INFINITY, text), "never");
	/* No year has that many digits: whatever it is, it ends. */
	text_rfc3339(TEXT_INFINITY - 1, text);
	text_absolute(TEXT_INFINITY - 1, text);
}

static void test_ports(void **state)
{
	static const struct {
		const char *items[4], *text;
	} rows[] = {
		{{NULL}, "-"},
		{{"22/tcp"}, "22/tcp"},
		{{"22"}, "22"},
		{{"53/udp", "22"}, "22 53/udp"},
		{{"8000-8010/udp", "8000-8010/tcp", "22/sctp"}, "22/sctp 8000-8010"},
		{{"22/tcp", "22/udplite", "22/udp"}, "22 22/udplite"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
		_cleanup_free_ char *text = NULL;

		for (size_t j = 0; j < 4 && rows[i].items[j]; j++)
			assert_int_equal(port_list_add_text(&ports, rows[i].items[j]), 0);
		text = text_ports(&ports);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_distance(void **state)
{
	char longest[100];

	(void)state;
	assert_int_equal(text_distance("alice", "alice", 3), 0);
	assert_int_equal(text_distance("alice", "alcie", 3), 2);
	assert_int_equal(text_distance("stat", "status", 3), 2);
	assert_int_equal(text_distance("", "abc", 3), 3);
	assert_int_equal(text_distance("abc", "xyz", 1), 2);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(text_distance(longest, longest, 2), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),	 cmocka_unit_test(test_width),
		cmocka_unit_test(test_duration), cmocka_unit_test(test_times),
		cmocka_unit_test(test_ports),	 cmocka_unit_test(test_distance),
	};

	setenv("TZ", "UTC", 1);
	if (!setlocale(LC_ALL, "C.UTF-8"))
		return 77;
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
