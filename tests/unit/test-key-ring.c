/* SPDX-License-Identifier: MIT */
/* Which keys the server has: from files, from credentials in their place, and what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/key-ring.h"
#include "hex.h"
#include "key-samples.h"
#include "said.h"
#include "util/file.h"

typedef struct World {
	char directory[32];
	char first[64], second[64];
	char credentials[64], credential[96]; /* the one in place of the first */
	char *names[2];
	Config config;
} World;

static int set_up(void **data)
{
	World *world = calloc(1, sizeof(*world));

	if (!world)
		return -1;
	strcpy(world->directory, "/tmp/test-key-ring-XXXXXX");
	if (!mkdtemp(world->directory))
		return -1;
	snprintf(world->first, sizeof(world->first), "%s/server.key", world->directory);
	snprintf(world->second, sizeof(world->second), "%s/old.key", world->directory);
	snprintf(world->credentials, sizeof(world->credentials), "%s/credentials",
		 world->directory);
	snprintf(world->credential, sizeof(world->credential), "%s/server.key", world->credentials);
	if (mkdir(world->credentials, 0700) < 0)
		return -1;
	world->names[0] = world->first;
	world->names[1] = world->second;
	world->config.server_keys.items = world->names;
	world->config.server_keys.count = 1;
	unsetenv("CREDENTIALS_DIRECTORY");
	*data = world;
	return 0;
}

static int tear_down(void **data)
{
	World *world = *data;
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", world->directory);
	free(world);
	return system(command);
}

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE), 0);
}

/* That RING's key at INDEX has this public one. */
static void assert_key(const KeyRing *ring, size_t index, const char *public_hex)
{
	PublicKey key;

	hex_read(public_hex, key.bytes, sizeof(key.bytes));
	assert_true(index < ring->count);
	assert_memory_equal(&ring->pairs[index].public_key, &key, sizeof(key));
}

/* That nothing is taken, for RESULT, with these words, in which %s is the first key's path. */
static void assert_refused(const World *world, int result, const char *words)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_key_ring_ KeyRing ring = {.count = 77};
	char expected[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(expected, sizeof(expected), words, world->first);
#pragma GCC diagnostic pop
	assert_int_equal(key_ring_load(&world->config, &diagnostics, &ring), result);
	assert_said(&diagnostics, expected);
	assert_int_equal(ring.count, 77);
}

static void test_in_order(void **data)
{
	World *world = *data;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_key_ring_ KeyRing ring = {0}, other = {0};

	put(world->first, OPENSSL_PRIVATE);
	put(world->second, PYTHON_PRIVATE);
	world->config.server_keys.count = 2;
	assert_int_equal(key_ring_load(&world->config, &diagnostics, &ring), 0);
	assert_said(&diagnostics, "");
	assert_int_equal(ring.count, 2);
	assert_key(&ring, 0, OPENSSL_PUBLIC_HEX);
	assert_key(&ring, 1, PYTHON_PUBLIC_HEX);

	key_ring_move(&other, &ring);
	assert_key(&other, 1, PYTHON_PUBLIC_HEX);
	assert_true(secret_is_zero(&ring, sizeof(ring)));
	key_ring_done(&other);
	assert_true(secret_is_zero(&other, sizeof(other)));
}

static void test_twice_the_same(void **data)
{
	World *world = *data;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_key_ring_ KeyRing ring = {0};

	put(world->first, OPENSSL_PRIVATE);
	put(world->second, OPENSSL_PRIVATE);
	world->config.server_keys.count = 2;
	assert_int_equal(key_ring_load(&world->config, &diagnostics, &ring), 0);
	assert_int_equal(ring.count, 1);
	assert_int_equal(diagnostics.count, 1);
	assert_string_equal(diagnostics.items[0].origin, world->second);
	assert_string_equal(diagnostics.items[0].text,
			    "holds the same server key as a file before it");
}

/* One that is unusable makes all of them so. */
static void test_unusable(void **data)
{
	World *world = *data;

	assert_refused(world, -EINVAL,
		       "error %s: does not exist: make a key with 'spale-keygen server'\n");
	put(world->second, PYTHON_PRIVATE);
	world->config.server_keys.count = 2;
	assert_refused(world, -EINVAL,
		       "error %s: does not exist: make a key with 'spale-keygen server'\n");
}

static void test_open_to_others(void **data)
{
	World *world = *data;
	static const mode_t bad[] = {0604, 0602, 0620, 0610, 04600},
			    good[] = {0600, 0640, 0400, 0740};

	put(world->first, OPENSSL_PRIVATE);
	for (size_t i = 0; i < ARRAY_SIZE(bad) + ARRAY_SIZE(good); i++) {
		mode_t mode = i < ARRAY_SIZE(bad) ? bad[i] : good[i - ARRAY_SIZE(bad)];
		_cleanup_diagnostics_ Diagnostics diagnostics = {0};
		_cleanup_key_ring_ KeyRing ring = {0};

		assert_int_equal(chmod(world->first, mode), 0);
		assert_int_equal(key_ring_load(&world->config, &diagnostics, &ring), 0);
		assert_int_equal(diagnostics.count, i < ARRAY_SIZE(bad));
		assert_int_equal(ring.count, 1);
	}
}

static void test_credential(void **data)
{
	World *world = *data;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_key_ring_ KeyRing ring = {0}, file = {0};
	const struct timespec later[2] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};

	/* It needs no file beside it. */
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", world->credentials, 1), 0);
	put(world->credential, PYTHON_PRIVATE);
	assert_int_equal(key_ring_load(&world->config, &diagnostics, &ring), 0);
	assert_key(&ring, 0, PYTHON_PUBLIC_HEX);
	assert_said(&diagnostics, "");

	/* It wins, and who changed the file since is told. */
	put(world->first, OPENSSL_PRIVATE);
	assert_int_equal(utimensat(AT_FDCWD, world->first, later, 0), 0);
	assert_int_equal(key_ring_load(&world->config, &diagnostics, &ring), 0);
	assert_key(&ring, 0, PYTHON_PUBLIC_HEX);
	assert_int_equal(diagnostics.count, 1);
	assert_string_equal(diagnostics.items[0].text, "was changed after the service had read it: "
						       "restart the service to use it");

	/* A blank stands for none. */
	put(world->credential, "\n");
	assert_int_equal(key_ring_load(&world->config, &diagnostics, &file), 0);
	assert_key(&file, 0, OPENSSL_PUBLIC_HEX);
}

static void test_credential_that_is_none(void **data)
{
	World *world = *data;

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", world->credentials, 1), 0);
	put(world->credential, "\n");
	assert_refused(world, -EINVAL,
		       "error %s: does not exist: make a key with 'spale-keygen server'\n");
	/* Only an absolute path is believed. */
	put(world->credential, PYTHON_PRIVATE);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "credentials", 1), 0);
	assert_int_equal(chdir(world->directory), 0);
	assert_refused(world, -EINVAL,
		       "error %s: does not exist: make a key with 'spale-keygen server'\n");
	assert_int_equal(chdir("/"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_twice_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unusable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_to_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_credential, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_credential_that_is_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
