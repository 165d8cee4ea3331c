/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "keys/key-file.h"
#include "keys/pem.h"
#include "util/cleanup.h"
#include "util/file.h"

#include "key-samples.h"

/* The one file that the tests write, read and remove, in a directory of its own. */
static char directory[] = "/tmp/test-key-file-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/key", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static void put(const char *text)
{
	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE), 0);
}

/* The error's text is EXPECTED, in which %s stands for the path. */
static void assert_error(const char *error, const char *expected)
{
	char text[512];

	assert_non_null(error);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), expected, path);
#pragma GCC diagnostic pop
	assert_string_equal(error, text);
}

static void assert_private_fails(const char *content, int result, const char *expected)
{
	_cleanup_free_ char *error = NULL;
	KeyPair pair;

	put(content);
	assert_int_equal(key_file_read_private(path, &pair, &error), result);
	assert_error(error, expected);
	/* Callers that want no text give no place for it. */
	assert_int_equal(key_file_read_private(path, &pair, NULL), result);
}

static void assert_public_fails(const char *content, int result, const char *expected)
{
	_cleanup_free_ char *error = NULL;
	PublicKey key;

	put(content);
	assert_int_equal(key_file_read_public(AT_FDCWD, path, &key, &error), result);
	assert_error(error, expected);
}

static void assert_bundle_fails(const char *content, int result, const char *expected)
{
	_cleanup_free_ char *error = NULL;
	PublicKey server;
	KeyPair client;

	put(content);
	assert_int_equal(key_file_read_bundle(path, &server, &client, &error), result);
	assert_error(error, expected);
}

static void assert_public_hex(const PublicKey *key, const char *expected)
{
	char hex[2 * SPALE_KEY_SIZE + 1];

	for (size_t i = 0; i < SPALE_KEY_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", key->bytes[i]);
	assert_string_equal(hex, expected);
}

static void test_private(void **state)
{
	_cleanup_free_ char *error = NULL;
	KeyPair pair;

	(void)state;
	put(OPENSSL_PRIVATE);
	assert_int_equal(key_file_read_private(path, &pair, &error), 0);
	assert_null(error);
	assert_public_hex(&pair.public_key, OPENSSL_PUBLIC_HEX);
	key_pair_done(&pair);
	assert_true(secret_is_zero(&pair, sizeof(pair)));
}

static void test_public(void **state)
{
	_cleanup_close_ int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *error = NULL;
	PublicKey key;

	(void)state;
	put(PYTHON_PUBLIC);
	assert_int_equal(key_file_read_public(fd, "key", &key, &error), 0);
	assert_null(error);
	assert_public_hex(&key, PYTHON_PUBLIC_HEX);
}

/* Somebody took the wrong file: the public key in a bundle is another's. */
static void test_public_with_private(void **state)
{
	static const char *const texts[] = {OPENSSL_PRIVATE, PYTHON_PUBLIC OPENSSL_PRIVATE,
					    ENCRYPTED_PRIVATE PYTHON_PUBLIC};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_public_fails(texts[i], -EKEYREJECTED,
				    "%s: holds a private key, which is its owner's alone: the file "
				    "with the public key is meant");
}

static void test_bundle(void **state)
{
	static const char *const texts[] = {PYTHON_PUBLIC OPENSSL_PRIVATE,
					    OPENSSL_PRIVATE "\n# office\n" PYTHON_PUBLIC};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *error = NULL;
		PublicKey server;
		KeyPair client;

		put(texts[i]);
		assert_int_equal(key_file_read_bundle(path, &server, &client, &error), 0);
		assert_null(error);
		assert_public_hex(&server, PYTHON_PUBLIC_HEX);
		assert_public_hex(&client.public_key, OPENSSL_PUBLIC_HEX);
	}
}

static void test_private_errors(void **state)
{
	(void)state;
	assert_private_fails("", -ENOENT,
			     "%s: the private key is missing: make a key with 'spale-keygen "
			     "server'");
	assert_private_fails(OPENSSL_PUBLIC, -ENOENT,
			     "%s: the private key is missing: make a key with 'spale-keygen "
			     "server'");
	assert_private_fails(ENCRYPTED_PRIVATE, -ENOTSUP,
			     "%s: the private key is encrypted or of another algorithm: only plain "
			     "X25519 keys work");
	assert_private_fails(TRUNCATED_PRIVATE, -EBADMSG, "%s: the private key is damaged");
}

static void test_public_errors(void **state)
{
	char zero[PEM_TEXT_MAX];

	(void)state;
	assert_public_fails("no key\n", -ENOENT,
			    "%s: the public key is missing: expected an X25519 key in PEM ('BEGIN "
			    "PUBLIC KEY')");
	assert_public_fails(ED25519_PUBLIC, -ENOTSUP,
			    "%s: the public key is encrypted or of another algorithm: only plain "
			    "X25519 keys work");
	assert_public_fails(SHORT_PUBLIC, -EBADMSG, "%s: the public key is damaged");
	assert_int_equal(pem_format_public(&(PublicKey){0}, zero), 0);
	assert_public_fails(zero, -EKEYREJECTED,
			    "%s: the public key is one that nobody may use: not canonical, or of "
			    "small order");
}

static void test_bundle_errors(void **state)
{
	(void)state;
	assert_bundle_fails(PYTHON_PUBLIC, -ENOENT,
			    "%s: the client's private key is missing: a client's key file holds "
			    "the server's public and the client's private key, as 'spale-keygen "
			    "client --bundle' writes it");
	assert_bundle_fails(OPENSSL_PRIVATE, -ENOENT,
			    "%s: the server's public key is missing: a client's key file holds the "
			    "server's public and the client's private key, as 'spale-keygen client "
			    "--bundle' writes it");
	assert_bundle_fails(OPENSSL_PRIVATE TRAILING_PUBLIC, -EBADMSG,
			    "%s: the server's public key is damaged");
	assert_bundle_fails(PYTHON_PUBLIC RSA_PRIVATE, -ENOTSUP,
			    "%s: the client's private key is encrypted or of another algorithm: "
			    "only plain X25519 keys work");
	assert_bundle_fails(OPENSSL_PRIVATE OPENSSL_PUBLIC, -EKEYREJECTED,
			    "%s: the public key in it is the client's own, not the server's: a "
			    "client's key file holds the server's public and the client's private "
			    "key, as 'spale-keygen client --bundle' writes it");
}

static void test_file_errors(void **state)
{
	_cleanup_free_ char *absent = NULL, *is_directory = NULL, *device = NULL, *large = NULL;
	_cleanup_free_ char *garbage = calloc(1, FILE_SIZE_MAX + 1);
	char expected[256];
	PublicKey key;
	KeyPair pair;

	(void)state;
	unlink(path);
	assert_int_equal(key_file_read_private(path, &pair, &absent), -ENOENT);
	assert_error(absent, "%s does not exist: make a key with 'spale-keygen server'");

	assert_int_equal(key_file_read_public(AT_FDCWD, directory, &key, &is_directory), -EISDIR);
	snprintf(expected, sizeof(expected), "%s is a directory, not a key file", directory);
	assert_string_equal(is_directory, expected);

	assert_int_equal(key_file_read_private("/dev/null", &pair, &device), -EINVAL);
	assert_string_equal(device, "/dev/null is not a regular file");

	assert_non_null(garbage);
	assert_int_equal(file_write(AT_FDCWD, path, garbage, FILE_SIZE_MAX + 1, 0600, 0), 0);
	assert_int_equal(key_file_read_private(path, &pair, &large), -EFBIG);
	assert_error(large, "%s is larger than 1048576 bytes: not a key file");
}

static void test_exposed(void **state)
{
	(void)state;
	put(OPENSSL_PRIVATE);
	assert_false(key_file_is_exposed(path));
	assert_int_equal(chmod(path, 0640), 0);
	assert_true(key_file_is_exposed(path));
	assert_int_equal(chmod(path, 0602), 0);
	assert_true(key_file_is_exposed(path));
	assert_int_equal(chmod(path, 0400), 0);
	assert_false(key_file_is_exposed(path));
	unlink(path);
	assert_false(key_file_is_exposed(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_public_with_private),
		cmocka_unit_test(test_bundle),
		cmocka_unit_test(test_private_errors),
		cmocka_unit_test(test_public_errors),
		cmocka_unit_test(test_bundle_errors),
		cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_exposed),
	};

	return cmocka_run_group_tests_name("key-file", tests, setup, teardown);
}
