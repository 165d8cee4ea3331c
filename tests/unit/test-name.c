/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/name.h"

static void test_taken(void **state)
{
	static const char *const names[] = {"a",     "A9",	   "_",	   "-",
					    "alice", "bob.laptop", "x..y", "9-._"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(name_is_valid(names[i]));
}

static void test_refused(void **state)
{
	static const char *const names[] = {"",	    ".",   "..",	  ".a",	 "a/b",
					    "a b",  "a\n", "caf\xc3\xa9", "a:b", "a=b",
					    "a\\b", "a%b", "a@b"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(name_is_valid(names[i]));
}

static void test_length(void **state)
{
	char name[NAME_LENGTH_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[NAME_LENGTH_MAX] = '\0';
	assert_true(name_is_valid(name));
	name[NAME_LENGTH_MAX] = 'n';
	name[NAME_LENGTH_MAX + 1] = '\0';
	assert_false(name_is_valid(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
