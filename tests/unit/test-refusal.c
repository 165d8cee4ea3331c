/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/refusal.h"

/* Journal entries and filters go by these names. */
static void test_known(void **state)
{
	(void)state;
	assert_int_equal(REFUSAL_NONE, 0);
	assert_string_equal(refusal_name(REFUSAL_NONE), "accepted");
	assert_string_equal(refusal_name(REFUSAL_REPLAYED), "replayed");
	assert_string_equal(refusal_name(REFUSAL_REPLAY_FULL), "replay-full");
	assert_string_equal(refusal_name(REFUSAL_ENFORCER), "enforcer");
	assert_string_equal(refusal_meaning(REFUSAL_NONE), "the knock was accepted");
	assert_string_equal(refusal_meaning(REFUSAL_REPLAYED), "it was accepted before");
	assert_string_equal(refusal_meaning(REFUSAL_ENFORCER), "the kernel did not take the grant");
}

/* Each has a name and a meaning of its own, and the name is one word. */
static void test_all(void **state)
{
	(void)state;
	for (int i = 0; i < REFUSAL_COUNT; i++) {
		const char *name = refusal_name((Refusal)i), *meaning = refusal_meaning((Refusal)i);

		assert_non_null(name);
		assert_true(strlen(name) > 0);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
		assert_non_null(meaning);
		assert_true(strlen(meaning) > strlen(name) || i == REFUSAL_NONE);
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(name, refusal_name((Refusal)j));
			assert_string_not_equal(meaning, refusal_meaning((Refusal)j));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
