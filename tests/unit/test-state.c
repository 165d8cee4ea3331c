/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/state.h"
#include "util/file.h"

static const PublicKey key = {{0x01, 0xab}};
static const PublicKey other_key = {{0x02}};

/* The file of KEY in the state directory. */
#define KEY_FILE                                                                                   \
	"01ab"                                                                                     \
	"000000000000000000000000000000000000000000000000000000000000"

typedef struct Fixture {
	char base[32];
	char directory[64]; /* in base, not there yet */
} Fixture;

static int set_up(void **data)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	strcpy(fixture->base, "/tmp/test-state-XXXXXX");
	if (!mkdtemp(fixture->base))
		return -1;
	snprintf(fixture->directory, sizeof(fixture->directory), "%s/spale", fixture->base);
	*data = fixture;
	return 0;
}

static int tear_down(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", fixture->base);
	free(fixture);
	return system(command);
}

static State *open_state(const Fixture *fixture, bool expect_fresh)
{
	_cleanup_free_ char *error = NULL;
	State *state = NULL;
	bool fresh = !expect_fresh;

	assert_int_equal(state_open(fixture->directory, &state, &fresh, &error), 0);
	assert_int_equal(fresh, expect_fresh);
	return state;
}

static void assert_open_fails(const Fixture *fixture, int expected, const char *expected_text)
{
	_cleanup_free_ char *error = NULL;
	State *state = NULL;
	bool fresh;

	assert_int_equal(state_open(fixture->directory, &state, &fresh, &error), expected);
	assert_null(state);
	assert_non_null(error);
	assert_non_null(strstr(error, expected_text));
	assert_non_null(strstr(error, fixture->directory));
}

/* Has the file NAME of replay/ say TEXT. */
static void write_floor(const Fixture *fixture, const char *name, const char *text, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/replay/%s", fixture->directory, name);
	assert_int_equal(file_write(AT_FDCWD, path, text, size, 0600, FILE_REPLACE), 0);
}

static void test_floors(void **data)
{
	_cleanup_state_ State *state = open_state(*data, true);
	uint64_t floor = 7;

	assert_int_equal(state_floor(state, &key, 1, &floor), -ENOENT);
	assert_int_equal(state_floor(state, NULL, 1, &floor), -ENOENT);
	assert_int_equal(floor, 7);
	assert_int_equal(state_set_floor(state, &key, 1, 58792320), 0);
	assert_int_equal(state_set_floor(state, NULL, 1, 58792321), 0);
	assert_int_equal(state_set_floor(state, &key, 2, UINT64_MAX), 0);
	assert_int_equal(state_set_floor(state, &key, 1, 58792322), 0);
	assert_int_equal(state_floor(state, &key, 1, &floor), 0);
	assert_int_equal(floor, 58792322);
	assert_int_equal(state_floor(state, &key, 2, &floor), 0);
	assert_true(floor == UINT64_MAX);
	assert_int_equal(state_floor(state, NULL, 1, &floor), 0);
	assert_int_equal(floor, 58792321);
	assert_int_equal(state_floor(state, &other_key, 1, &floor), -ENOENT);
}

static void test_stays(void **data)
{
	const Fixture *fixture = *data;
	uint64_t floor;
	State *state = open_state(fixture, true);

	/* Fresh until somebody says what the floor of all is. */
	assert_int_equal(state_set_floor(state, &key, 1, 5), 0);
	state_free(state);
	state = open_state(fixture, true);
	assert_int_equal(state_set_floor(state, NULL, 1, 0), 0);
	state_free(state);
	state = open_state(fixture, false);
	assert_int_equal(state_floor(state, &key, 1, &floor), 0);
	assert_int_equal(floor, 5);
	state_free(state);
}

static void test_file(void **data)
{
	_cleanup_state_ State *state = open_state(*data, true);
	const Fixture *fixture = *data;
	_cleanup_free_ char *text = NULL;
	char path[256];
	struct stat st;
	size_t size;

	assert_int_equal(state_set_floor(state, &key, 1, 58792320), 0);
	snprintf(path, sizeof(path), "%s/replay/" KEY_FILE, fixture->directory);
	assert_int_equal(file_read(AT_FDCWD, path, 100, &text, &size), 0);
	assert_string_equal(text, "1 58792320\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(stat(fixture->directory, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
}

static void test_damage(void **data)
{
	static const struct {
		const char *text;
		size_t size;
	} rows[] = {
		{"", 0},	{"\n", 1},
		{"1 5", 3},	{"1 5\n\n", 5},
		{"1 5\n1", 5},	{"1\n", 2},
		{" 5\n", 3},	{"1 \n", 3},
		{"x 5\n", 4},	{"1 x\n", 4},
		{"1  5\n", 5},	{"0 5\n", 4},
		{"1 -5\n", 5},	{"1 18446744073709551616\n", 23},
		{"1 5\0\n", 5}, {"1 1\n2 2\n3 3\n4 4\n5 5\n6 6\n7 7\n8 8\n9 9\n", 36},
	};
	_cleanup_state_ State *state = open_state(*data, true);
	const Fixture *fixture = *data;
	uint64_t floor = 7;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_floor(fixture, KEY_FILE, rows[i].text, rows[i].size);
		assert_int_equal(state_floor(state, &key, 1, &floor), -EBADMSG);
		assert_int_equal(floor, 7);
	}
	/* A damaged file does not keep a new floor out. */
	assert_int_equal(state_set_floor(state, &key, 1, 9), 0);
	assert_int_equal(state_floor(state, &key, 1, &floor), 0);
	assert_int_equal(floor, 9);
}

static void test_huge_file(void **data)
{
	_cleanup_state_ State *state = open_state(*data, true);
	const Fixture *fixture = *data;
	char text[4096];
	uint64_t floor;

	memset(text, '\n', sizeof(text));
	write_floor(fixture, KEY_FILE, text, sizeof(text));
	assert_int_equal(state_floor(state, &key, 1, &floor), -EBADMSG);
}

static void test_locked(void **data)
{
	_cleanup_state_ State *state = open_state(*data, true);

	assert_non_null(state);
	assert_open_fails(*data, -EBUSY, "another spaled");
}

static void write_in(const Fixture *fixture, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	assert_int_equal(file_write(AT_FDCWD, path, "", 0, 0600, 0), 0);
}

static bool has_file(const Fixture *fixture, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	return access(path, F_OK) == 0;
}

/* What a spaled left that was killed while it wrote; nothing else, and not of one that is there. */
static void test_leftovers(void **data)
{
	const Fixture *fixture = *data;
	static const char *const leftovers[] = {".spale-0123456789abcdef",
						"replay/.spale-00000000000000ff",
						"clients/.spale-fedcba9876543210"};
	static const char *const others[] = {".spale-0123456789abcde", "policy.conf",
					     "clients/alice.pem", "replay/all"};
	State *state = open_state(fixture, true);

	close(state_open_clients(state));
	for (size_t i = 0; i < ARRAY_SIZE(leftovers); i++)
		write_in(fixture, leftovers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		write_in(fixture, others[i]);
	assert_open_fails(fixture, -EBUSY, "another spaled");
	assert_true(has_file(fixture, leftovers[0]));
	state_free(state);
	state = open_state(fixture, true);
	for (size_t i = 0; i < ARRAY_SIZE(leftovers); i++)
		assert_false(has_file(fixture, leftovers[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_true(has_file(fixture, others[i]));
	state_free(state);
}

static void test_bad_directories(void **data)
{
	Fixture *fixture = *data;
	_cleanup_close_ int fd = -1;

	fd = open(fixture->directory, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_open_fails(fixture, -ENOTDIR, "Not a directory");
	assert_int_equal(unlink(fixture->directory), 0);
	assert_int_equal(mkdir(fixture->directory, 0700), 0);
	assert_int_equal(chmod(fixture->directory, 0777), 0);
	assert_open_fails(fixture, -EPERM, "chmod 0700");
	assert_int_equal(rmdir(fixture->directory), 0);
	strcat(fixture->directory, "/deeper");
	assert_open_fails(fixture, -ENOENT, "--state-directory");
}

static void test_give(void **data)
{
	_cleanup_state_ State *state = open_state(*data, true);
	const Fixture *fixture = *data;
	char path[256];
	struct stat st;

	assert_int_equal(state_set_floor(state, &key, 1, 5), 0);
	if (geteuid() != 0) {
		assert_int_equal(state_give(state, 0, 0), -EPERM);
		return;
	}
	assert_int_equal(state_give(state, 65534, 65533), 0);
	snprintf(path, sizeof(path), "%s/replay/" KEY_FILE, fixture->directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_gid, 65533);
	assert_int_equal(stat(fixture->directory, &st), 0);
	assert_int_equal(st.st_uid, 65534);
}

static void test_unusable(void **data)
{
	_cleanup_state_ State *state = NULL, *no_memory = NULL;
	uint64_t floor = 7;

	(void)data;
	assert_int_equal(state_new_unusable(NULL, &no_memory), -ENOMEM);
	assert_int_equal(state_new_unusable(strdup("the disk is full"), &state), 0);
	assert_string_equal(state_problem(state), "the disk is full");
	assert_int_equal(state_floor(state, &key, 1, &floor), -EROFS);
	assert_int_equal(floor, 7);
	assert_int_equal(state_set_floor(state, &key, 1, 5), -EROFS);
	assert_int_equal(state_open_clients(state), -EROFS);
	assert_int_equal(state_directory_fd(state), -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_floors),    TEST(test_stays),		  TEST(test_file),
		TEST(test_damage),    TEST(test_huge_file),	  TEST(test_locked),
		TEST(test_leftovers), TEST(test_bad_directories), TEST(test_give),
		TEST(test_unusable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
