/* SPDX-License-Identifier: MIT */
#include "util/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/cleanup.h"

static void test_sentence(void **state)
{
	_cleanup_free_ char *error = NULL;

	(void)state;
	assert_int_equal(error_set(&error, -EACCES, "%s: line %d", "file", 7), -EACCES);
	assert_string_equal(error, "file: line 7");
}

static void test_nobody_wants_to_know(void **state)
{
	(void)state;
	assert_int_equal(error_set(NULL, -ENOENT, "%s", "nothing"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentence),
		cmocka_unit_test(test_nobody_wants_to_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
