/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keys/pem.h"
#include "knock/hpke.h"
#include "util/cleanup.h"

#include "key-samples.h"

static void assert_hex(const uint8_t bytes[static SPALE_KEY_SIZE], const char *expected)
{
	char hex[2 * SPALE_KEY_SIZE + 1];

	for (size_t i = 0; i < SPALE_KEY_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(hex, expected);
}

static void assert_private(const char *text, const char *hex)
{
	Secret key;

	assert_int_equal(pem_parse_private(text, strlen(text), &key), 0);
	assert_hex(key.bytes, hex);
}

static void assert_public(const char *text, const char *hex)
{
	PublicKey key;

	assert_int_equal(pem_parse_public(text, strlen(text), &key), 0);
	assert_hex(key.bytes, hex);
}

/* What is not a key is refused for the right reason, and leaves the result alone. */
static void assert_refused(const char *text, int private_error, int public_error)
{
	Secret key = {{1, 2, 3}};
	const Secret before = key;
	PublicKey public_key = {{4, 5, 6}};
	const PublicKey public_before = public_key;

	assert_int_equal(pem_parse_private(text, strlen(text), &key), private_error);
	assert_memory_equal(&key, &before, sizeof(key));
	assert_int_equal(pem_parse_public(text, strlen(text), &public_key), public_error);
	assert_memory_equal(&public_key, &public_before, sizeof(public_key));
}

static void test_keys_of_others(void **state)
{
	(void)state;
	assert_private(OPENSSL_PRIVATE, OPENSSL_PRIVATE_HEX);
	assert_public(OPENSSL_PUBLIC, OPENSSL_PUBLIC_HEX);
	assert_private(PYTHON_PRIVATE, PYTHON_PRIVATE_HEX);
	assert_public(PYTHON_PUBLIC, PYTHON_PUBLIC_HEX);
}

static void test_text_around_and_order(void **state)
{
	static const char bundle[] = "# server of the office\n" PYTHON_PUBLIC
				     "\n\nmine, made in May:\n" OPENSSL_PRIVATE "bye";
	static const char reversed[] = OPENSSL_PRIVATE PYTHON_PUBLIC;
	static const char first_of_two[] = OPENSSL_PUBLIC PYTHON_PUBLIC;

	(void)state;
	assert_private(bundle, OPENSSL_PRIVATE_HEX);
	assert_public(bundle, PYTHON_PUBLIC_HEX);
	assert_private(reversed, OPENSSL_PRIVATE_HEX);
	assert_public(reversed, PYTHON_PUBLIC_HEX);
	assert_public(first_of_two, OPENSSL_PUBLIC_HEX);
}

static void test_other_line_endings(void **state)
{
	static const char text[] = OPENSSL_PRIVATE PYTHON_PUBLIC;
	char crlf[2 * sizeof(text)], blanks[2 * sizeof(text)];
	size_t c = 0, b = 0;

	(void)state;
	for (const char *p = text; *p; p++) {
		if (*p == '\n') {
			crlf[c++] = '\r';
			blanks[b++] = ' ';
		}
		crlf[c++] = *p;
		blanks[b++] = *p;
	}
	crlf[c] = blanks[b] = '\0';
	assert_private(crlf, OPENSSL_PRIVATE_HEX);
	assert_public(crlf, PYTHON_PUBLIC_HEX);
	assert_private(blanks, OPENSSL_PRIVATE_HEX);
	assert_public(blanks, PYTHON_PUBLIC_HEX);
	/* No newline at the end. */
	assert_int_equal(crlf[c - 1], '\n');
	crlf[c - 2] = '\0';
	assert_public(crlf, PYTHON_PUBLIC_HEX);
}

static void test_no_key(void **state)
{
	(void)state;
	assert_refused("", -ENOENT, -ENOENT);
	assert_refused("\n\n\n", -ENOENT, -ENOENT);
	assert_refused("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmG me@home\n", -ENOENT, -ENOENT);
	assert_refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", -ENOENT,
		       -ENOENT);
	assert_refused("-----BEGIN -----\n-----BEGIN-----\n-----BEGIN ", -ENOENT, -ENOENT);
	/* A boundary stands at the beginning of its line. */
	assert_refused("> " OPENSSL_PRIVATE, -ENOENT, -ENOENT);
}

static void test_other_algorithms(void **state)
{
	(void)state;
	assert_refused(ENCRYPTED_PRIVATE, -ENOTSUP, -ENOENT);
	assert_refused(ED25519_PRIVATE, -ENOTSUP, -ENOENT);
	assert_refused(ED25519_PUBLIC, -ENOENT, -ENOTSUP);
	assert_refused(X448_PRIVATE, -ENOTSUP, -ENOENT);
	assert_refused(RSA_PRIVATE, -ENOTSUP, -ENOENT);
	assert_refused(RSA_PUBLIC, -ENOENT, -ENOTSUP);
	assert_refused(EC_PRIVATE, -ENOTSUP, -ENOENT);
	assert_refused(EC_SEC1_PRIVATE, -ENOTSUP, -ENOENT);
	/* They are passed over when an X25519 key follows. */
	assert_private(ED25519_PRIVATE EC_SEC1_PRIVATE OPENSSL_PRIVATE, OPENSSL_PRIVATE_HEX);
	assert_public(RSA_PUBLIC PYTHON_PUBLIC, PYTHON_PUBLIC_HEX);
}

/* The key of OPENSSL_PUBLIC with another END than "4=". */
#define PUBLIC_BLOCK(end)                                                                          \
	"-----BEGIN PUBLIC KEY-----\n"                                                             \
	"MCowBQYDK2VuAyEA3t8ODQEatXfU6nKKXNGBHKea9lodfWo0MTlUZwhY20" end "\n"                      \
	"-----END PUBLIC KEY-----\n"

static void test_damaged(void **state)
{
	(void)state;
	assert_refused(SHORT_PRIVATE, -EBADMSG, -ENOENT);
	assert_refused(LONG_PRIVATE, -EBADMSG, -ENOENT);
	assert_refused(TRUNCATED_PRIVATE, -EBADMSG, -ENOENT);
	assert_refused(TRAILING_PRIVATE, -EBADMSG, -ENOENT);
	assert_refused(EMPTY_PRIVATE, -EBADMSG, -ENOENT);
	assert_refused(SHORT_PUBLIC, -ENOENT, -EBADMSG);
	assert_refused(LONG_PUBLIC, -ENOENT, -EBADMSG);
	assert_refused(TRUNCATED_PUBLIC, -ENOENT, -EBADMSG);
	assert_refused(TRAILING_PUBLIC, -ENOENT, -EBADMSG);
	assert_refused("-----BEGIN PRIVATE KEY-----\n", -EBADMSG, -ENOENT);
	assert_refused("-----BEGIN PRIVATE KEY-----\n*!*\n-----END PRIVATE KEY-----\n", -EBADMSG,
		       -ENOENT);
	assert_refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", -EBADMSG,
		       -ENOENT);
	/* Padding that is missing, too much, or in the middle; digits with bits that do not count.
	 */
	assert_refused(PUBLIC_BLOCK("4"), -ENOENT, -EBADMSG);
	assert_refused(PUBLIC_BLOCK("4=="), -ENOENT, -EBADMSG);
	assert_refused(PUBLIC_BLOCK("==="), -ENOENT, -EBADMSG);
	assert_refused(PUBLIC_BLOCK("=4="), -ENOENT, -EBADMSG);
	assert_refused(PUBLIC_BLOCK("4=\n===="), -ENOENT, -EBADMSG);
	assert_refused(PUBLIC_BLOCK("4=AAAA"), -ENOENT, -EBADMSG);
	assert_refused(PUBLIC_BLOCK("5="), -ENOENT, -EBADMSG);
	assert_refused(PUBLIC_BLOCK("-="), -ENOENT, -EBADMSG);
	assert_public(PUBLIC_BLOCK("4="), OPENSSL_PUBLIC_HEX);
	assert_public(PUBLIC_BLOCK("\r\n4\t =\n\n"), OPENSSL_PUBLIC_HEX);
	/* A block that was cut off is an error even where a whole one follows it. */
	assert_refused("-----BEGIN PRIVATE KEY-----\nMC4C\n" OPENSSL_PRIVATE, -EBADMSG, -ENOENT);
	assert_public("-----BEGIN PRIVATE KEY-----\nMC4C\n" PYTHON_PUBLIC, PYTHON_PUBLIC_HEX);
}

/* Every proper beginning of a key is an error. */
static void test_every_truncation(void **state)
{
	static const char text[] = OPENSSL_PRIVATE;
	/* Its last newline and the last dash's are the same to a reader of lines. */
	size_t whole = strlen(text) - 1;

	(void)state;
	for (size_t size = 0; size < whole; size++) {
		Secret key;

		assert_true(pem_parse_private(text, size, &key) < 0);
	}
}

static bool is_documented(int result)
{
	return result == 0 || result == -ENOENT || result == -ENOTSUP || result == -EBADMSG;
}

/* Any single bit may be wrong: another key, or an error that a caller knows. */
static void test_every_mutation(void **state)
{
	static const char original[] = OPENSSL_PRIVATE PYTHON_PUBLIC;
	char text[sizeof(original)];

	(void)state;
	for (size_t i = 0; i < sizeof(original) - 1; i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			Secret key;
			PublicKey public_key;
			int r;

			memcpy(text, original, sizeof(text));
			text[i] = (char)(text[i] ^ (1u << bit));
			assert_true(is_documented(pem_parse_private(text, sizeof(text) - 1, &key)));
			r = pem_parse_public(text, sizeof(text) - 1, &public_key);
			assert_true(is_documented(r) || r == -EKEYREJECTED);
		}
	}
	assert_private(original, OPENSSL_PRIVATE_HEX);
}

static void fill_with(char *text, size_t size, const char *pattern)
{
	size_t length = strlen(pattern);

	for (size_t i = 0; i < size; i++)
		text[i] = pattern[i % length];
}

/* A mebibyte of nonsense takes linear time: quadratic behaviour would not end here. */
static void test_large_garbage(void **state)
{
	static const char *const patterns[] = {
		"\n",
		"-",
		"\xff",
		"-----BEGIN ",
		"-----BEGIN X-----\n",
		"-----END PRIVATE KEY-----\n",
		"-----BEGIN X PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----",
	};
	const size_t size = 1024 * 1024;
	_cleanup_free_ char *text = malloc(size);
	PublicKey public_key;
	Secret key;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		fill_with(text, size, patterns[i]);
		assert_true(pem_parse_private(text, size, &key) < 0);
		assert_int_equal(pem_parse_public(text, size, &public_key), -ENOENT);
	}
	fill_with(text, size, "-----BEGIN PRIVATE KEY-----\n");
	assert_int_equal(pem_parse_private(text, size, &key), -EBADMSG);
	fill_with(text, size, ED25519_PUBLIC);
	assert_int_equal(pem_parse_public(text, size / 16, &public_key), -EBADMSG);
	/* A base64 body of all the rest. */
	fill_with(text, size, "A");
	memcpy(text, "-----BEGIN PRIVATE KEY-----\n", 28);
	memcpy(text + size - 26, "\n-----END PRIVATE KEY-----", 26);
	assert_int_equal(pem_parse_private(text, size, &key), -EBADMSG);
}

/* A point of small order, and one that is not reduced modulo 2^255 - 19. */
static void test_unusable_public_keys(void **state)
{
	PublicKey zero = {0}, large;
	char text[PEM_TEXT_MAX];

	(void)state;
	assert_int_equal(pem_format_public(&zero, text), 0);
	assert_refused(text, -ENOENT, -EKEYREJECTED);
	memset(large.bytes, 0xff, sizeof(large.bytes));
	large.bytes[31] = 0x7f;
	assert_int_equal(pem_format_public(&large, text), 0);
	assert_refused(text, -ENOENT, -EKEYREJECTED);
}

static void test_format(void **state)
{
	char text[PEM_TEXT_MAX];
	PublicKey public_key;
	Secret key;

	(void)state;
	assert_int_equal(pem_parse_private(OPENSSL_PRIVATE, strlen(OPENSSL_PRIVATE), &key), 0);
	assert_int_equal(pem_format_private(&key, text), 0);
	assert_string_equal(text, OPENSSL_PRIVATE);
	public_key = hpke_public_key(&key);
	assert_int_equal(pem_format_public(&public_key, text), 0);
	assert_string_equal(text, OPENSSL_PUBLIC);
}

static void test_generate(void **state)
{
	char text[PEM_TEXT_MAX];
	Secret a, b, again;

	(void)state;
	assert_int_equal(pem_generate(&a), 0);
	assert_int_equal(pem_generate(&b), 0);
	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_int_equal(pem_format_private(&a, text), 0);
	assert_int_equal(pem_parse_private(text, strlen(text), &again), 0);
	assert_memory_equal(&a, &again, sizeof(a));
}

static void test_error_texts(void **state)
{
	(void)state;
	assert_string_equal(pem_error(-ENOENT), "is missing");
	assert_string_equal(pem_error(-ENOTSUP),
			    "is encrypted or of another algorithm: only plain X25519 keys work");
	assert_string_equal(pem_error(-EBADMSG), "is damaged");
	assert_string_equal(pem_error(-EKEYREJECTED),
			    "is one that nobody may use: not canonical, or of small order");
	assert_string_equal(pem_error(-ENOMEM), strerror(ENOMEM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_of_others),
		cmocka_unit_test(test_text_around_and_order),
		cmocka_unit_test(test_other_line_endings),
		cmocka_unit_test(test_no_key),
		cmocka_unit_test(test_other_algorithms),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_mutation),
		cmocka_unit_test(test_large_garbage),
		cmocka_unit_test(test_unusable_public_keys),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_generate),
		cmocka_unit_test(test_error_texts),
	};

	return cmocka_run_group_tests_name("pem", tests, NULL, NULL);
}
