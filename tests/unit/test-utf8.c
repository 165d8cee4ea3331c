/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/utf8.h"

static const struct {
	const char *text, *escaped, *without_controls; /* NULL: as escaped */
} rows[] = {
	{"", "", NULL},
	{"eth0", "eth0", NULL},
	{"w\xc3\xa4n \xe2\x82\xac \xf0\x9f\x99\x82", "w\xc3\xa4n \xe2\x82\xac \xf0\x9f\x99\x82",
	 NULL},
	/* Latin 1; cut off; too long; surrogates; beyond the last. */
	{"w\xe4n", "w\\xe4n", NULL},
	{"\xe2\x82", "\\xe2\\x82", NULL},
	{"\xc0\xaf", "\\xc0\\xaf", NULL},
	{"\xed\xa0\x80", "\\xed\\xa0\\x80", NULL},
	{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", NULL},
	{"\x9b"
	 "31m",
	 "\\x9b31m", NULL},
	{"a\033[2Jb", "a\033[2Jb", "a\\x1b[2Jb"},
	{"a\r\nb\t\x7f", "a\r\nb\t\x7f", "a\\x0d\\x0ab\\x09\\x7f"},
	/* CSI and the last of its kind; what follows is a blank, and no control character. */
	{"\xc2\x9b"
	 "2J\xc2\x80\xc2\x9f",
	 "\xc2\x9b"
	 "2J\xc2\x80\xc2\x9f",
	 "\\xc2\\x9b2J\\xc2\\x80\\xc2\\x9f"},
	{"\xc2\xa0", "\xc2\xa0", NULL},
};

static void test_escape(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *escaped = utf8_escape(rows[i].text);
		_cleanup_free_ char *safe = utf8_escape_controls(rows[i].text);

		assert_string_equal(escaped, rows[i].escaped);
		assert_string_equal(safe, rows[i].without_controls ?: rows[i].escaped);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_escape)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
