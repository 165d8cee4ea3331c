/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <dirent.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/file.h"

/* A directory of its own for each test. */
typedef struct Fixture {
	char path[64];
	int fd;
} Fixture;

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->path, "/tmp/test-file-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static void remove_all(int dir_fd)
{
	DIR *dir = fdopendir(dup(dir_fd));
	struct dirent *entry;

	assert_non_null(dir);
	rewinddir(dir);
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(dir_fd, entry->d_name, 0) < 0)
			assert_int_equal(unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR), 0);
	}
	closedir(dir);
}

static int teardown(void **state)
{
	Fixture *f = *state;

	remove_all(f->fd);
	assert_int_equal(rmdir(f->path), 0);
	close(f->fd);
	free(f);
	return 0;
}

static size_t count_entries(int dir_fd)
{
	DIR *dir = fdopendir(dup(dir_fd));
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(dir);
	rewinddir(dir);
	while ((entry = readdir(dir)))
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static void assert_content(int dir_fd, const char *name, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	assert_int_equal(file_read(dir_fd, name, FILE_SIZE_MAX, &text, &size), 0);
	assert_int_equal(size, strlen(expected));
	assert_string_equal(text, expected);
}

static void assert_mode(int dir_fd, const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, name, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void test_read_limits(void **state)
{
	const Fixture *f = *state;
	_cleanup_free_ char *text = NULL;
	size_t size = 77;

	assert_int_equal(file_write(f->fd, "ten", "0123456789", 10, 0644, 0), 0);
	assert_int_equal(file_read(f->fd, "ten", 9, &text, &size), -EFBIG);
	assert_int_equal(file_read(f->fd, "ten", SIZE_MAX, &text, &size), -EINVAL);
	assert_null(text);
	assert_int_equal(size, 77);
	assert_int_equal(file_read(f->fd, "ten", 10, &text, &size), 0);
	assert_int_equal(size, 10);
	assert_string_equal(text, "0123456789");
}

static void test_read_empty_and_nul(void **state)
{
	const Fixture *f = *state;
	_cleanup_free_ char *empty = NULL, *nul = NULL;
	size_t size = 77;

	assert_int_equal(file_write(f->fd, "empty", "", 0, 0644, 0), 0);
	assert_int_equal(file_read(f->fd, "empty", 0, &empty, &size), 0);
	assert_int_equal(size, 0);
	assert_string_equal(empty, "");
	assert_int_equal(file_write(f->fd, "nul", "a\0b", 3, 0644, 0), 0);
	assert_int_equal(file_read(f->fd, "nul", 100, &nul, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(nul, "a\0b", 4);
}

/* Files of procfs say that they are empty and are not. */
static void test_read_of_unknown_size(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	(void)state;
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", FILE_SIZE_MAX, &text, &size), 0);
	assert_true(size > 0);
	assert_int_equal(text[size], '\0');
}

static void test_read_refuses(void **state)
{
	const Fixture *f = *state;
	char *text = NULL;
	size_t size = 0;

	assert_int_equal(file_read(f->fd, "absent", 100, &text, &size), -ENOENT);
	assert_int_equal(file_read(f->fd, ".", 100, &text, &size), -EISDIR);
	assert_int_equal(file_read(AT_FDCWD, "/dev/zero", 100, &text, &size), -EINVAL);
	/* Nobody writes to it: an open that waits would never return. */
	assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
	assert_int_equal(file_read(f->fd, "fifo", 100, &text, &size), -EINVAL);
	assert_int_equal(mknodat(f->fd, "socket", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(file_read(f->fd, "socket", 100, &text, &size), -EINVAL);
	assert_null(text);
}

static void test_write_sets_mode(void **state)
{
	const Fixture *f = *state;
	mode_t before = umask(0077);

	assert_int_equal(file_write(f->fd, "open", "x", 1, 0644, 0), 0);
	umask(0);
	assert_int_equal(file_write(f->fd, "closed", "x", 1, 0600, FILE_SYNC), 0);
	umask(before);
	assert_mode(f->fd, "open", 0644);
	assert_mode(f->fd, "closed", 0600);
	assert_int_equal(count_entries(f->fd), 2);
}

static void test_write_keeps_what_is_there(void **state)
{
	const Fixture *f = *state;

	assert_int_equal(file_write(f->fd, "a", "old", 3, 0600, 0), 0);
	assert_int_equal(file_write(f->fd, "a", "new", 3, 0600, 0), -EEXIST);
	assert_int_equal(file_write(f->fd, "a", "new", 3, 0600, FILE_SYNC), -EEXIST);
	assert_content(f->fd, "a", "old");
	assert_int_equal(file_write(f->fd, "a", "new", 3, 0640, FILE_REPLACE), 0);
	assert_content(f->fd, "a", "new");
	assert_mode(f->fd, "a", 0640);
	assert_int_equal(file_write(f->fd, "a", "", 0, 0640, FILE_REPLACE | FILE_SYNC), 0);
	assert_content(f->fd, "a", "");
	assert_int_equal(count_entries(f->fd), 1);
}

/* A dangling link is something that exists: not written through. */
static void test_write_does_not_follow_links(void **state)
{
	const Fixture *f = *state;
	struct stat st;

	assert_int_equal(symlinkat("target", f->fd, "link"), 0);
	assert_int_equal(file_write(f->fd, "link", "x", 1, 0600, 0), -EEXIST);
	assert_int_equal(file_write(f->fd, "link", "x", 1, 0600, FILE_REPLACE), 0);
	assert_int_equal(fstatat(f->fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(faccessat(f->fd, "target", F_OK, 0), -1);
}

static void test_write_paths(void **state)
{
	const Fixture *f = *state;
	char path[128];

	assert_int_equal(mkdirat(f->fd, "sub", 0700), 0);
	assert_int_equal(file_write(f->fd, "sub/file", "x", 1, 0600, FILE_SYNC), 0);
	assert_content(f->fd, "sub/file", "x");
	assert_int_equal(unlinkat(f->fd, "sub/file", 0), 0);

	snprintf(path, sizeof(path), "%s/absolute", f->path);
	assert_int_equal(file_write(AT_FDCWD, path, "y", 1, 0600, 0), 0);
	assert_content(f->fd, "absolute", "y");

	assert_int_equal(file_write(f->fd, "absent/file", "x", 1, 0600, 0), -ENOENT);
	assert_int_equal(file_write(f->fd, "absolute/file", "x", 1, 0600, 0), -ENOTDIR);
	assert_int_equal(file_write(f->fd, "sub/", "x", 1, 0600, 0), -EISDIR);
	assert_int_equal(file_write(f->fd, "", "x", 1, 0600, 0), -EISDIR);
	assert_int_equal(file_write(f->fd, "sub", "x", 1, 0600, FILE_REPLACE), -EISDIR);
	assert_int_equal(count_entries(f->fd), 2);
}

/* A name as long as the file system allows leaves no room for suffixes. */
static void test_write_longest_name(void **state)
{
	const Fixture *f = *state;
	char name[256 + 1];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	assert_int_equal(file_write(f->fd, name, "x", 1, 0600, 0), 0);
	assert_content(f->fd, name, "x");
	name[255] = 'n';
	name[256] = '\0';
	assert_int_equal(file_write(f->fd, name, "x", 1, 0600, 0), -ENAMETOOLONG);
	assert_int_equal(count_entries(f->fd), 1);
}

/* As on a full disk: what was there stays, and no temporary file does. */
static void test_write_that_fails_halfway(void **state)
{
	const Fixture *f = *state;
	static char large[8192];
	struct rlimit before, small;

	assert_int_equal(file_write(f->fd, "a", "old", 3, 0600, 0), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(file_write(f->fd, "a", large, sizeof(large), 0600, FILE_REPLACE), -EFBIG);
	assert_int_equal(file_write(f->fd, "b", large, sizeof(large), 0600, 0), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_content(f->fd, "a", "old");
	assert_int_equal(count_entries(f->fd), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_empty_and_nul, setup, teardown),
		cmocka_unit_test(test_read_of_unknown_size),
		cmocka_unit_test_setup_teardown(test_read_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_sets_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_keeps_what_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_does_not_follow_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_longest_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_that_fails_halfway, setup, teardown),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
