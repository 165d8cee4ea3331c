/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/secret.h"

static void test_erase(void **state)
{
	static const uint8_t middle[8] = {1, 2, 0, 0, 0, 6, 7, 8};
	uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	secret_erase(bytes + 2, 0);
	assert_int_equal(bytes[2], 3);
	secret_erase(bytes + 2, 3);
	assert_memory_equal(bytes, middle, sizeof(bytes));
	secret_erase(bytes, sizeof(bytes));
	assert_int_equal(bytes[0] | bytes[1] | bytes[5] | bytes[6] | bytes[7], 0);
}

static void test_done(void **state)
{
	Secret secret;

	(void)state;
	memset(&secret, 0xa5, sizeof(secret));
	secret_done(&secret);
	for (size_t i = 0; i < sizeof(secret.bytes); i++)
		assert_int_equal(secret.bytes[i], 0);
}

static void test_freeing(void **state)
{
	uint8_t *bytes = malloc(100);

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 1, 100);
	/* That nothing leaks or is freed twice, the sanitized run sees. */
	secret_free(bytes, 100);
	secret_free(NULL, 0);
	secret_free(NULL, 100);
}

/* A difference counts wherever it is, down to the single bit. */
static void test_equal(void **state)
{
	uint8_t a[33], b[33];

	(void)state;
	for (size_t i = 0; i < sizeof(a); i++)
		a[i] = b[i] = (uint8_t)(7 * i);
	assert_true(secret_equal(a, b, sizeof(a)));
	assert_true(secret_equal(a, a, sizeof(a)));
	assert_true(secret_equal(a, b, 0));
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(secret_equal(a, b, sizeof(a)));
		assert_true(secret_equal(a, b, bit / 8));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_is_zero(void **state)
{
	uint8_t bytes[33] = {0};

	(void)state;
	assert_true(secret_is_zero(bytes, sizeof(bytes)));
	assert_true(secret_is_zero(bytes, 0));
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] = (uint8_t)(1 << bit % 8);
		assert_false(secret_is_zero(bytes, sizeof(bytes)));
		assert_true(secret_is_zero(bytes, bit / 8));
		bytes[bit / 8] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_erase),	cmocka_unit_test(test_done),
		cmocka_unit_test(test_freeing), cmocka_unit_test(test_equal),
		cmocka_unit_test(test_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
