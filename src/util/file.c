/* SPDX-License-Identifier: MIT */
#include "util/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/secret.h"

/* With 16 hexadecimal digits behind it and a NUL: short enough beside a name of any length. */
#define TEMPORARY_PREFIX    ".spale-"
#define TEMPORARY_NAME_SIZE 24

/* Names that are tried before giving up; with 64 random bits already a second one is odd. */
#define TEMPORARY_NAME_TRIES 8

/* Reads FD to its end into BUFFER; one byte more than MAX_SIZE says that it is too large. */
static int read_to_end(int fd, char *buffer, size_t max_size, size_t *ret_size)
{
	size_t size = 0;

	for (;;) {
		ssize_t n = read(fd, buffer + size, max_size + 1 - size);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > max_size)
			return -EFBIG;
	}
	*ret_size = size;
	return 0;
}

int file_read(int dir_fd, const char *path, size_t max_size, char **ret_text, size_t *ret_size)
{
	/* Not blocking: a FIFO in the file's place must not hang the reader. */
	_cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *buffer = NULL;
	struct stat st;
	size_t size = 0;
	char *text;
	int r;

	/* A socket cannot be opened, nor can a device that is not there. */
	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (max_size > SIZE_MAX - 1)
		return -EINVAL;

	/*
	 * The whole limit at once: the file may grow while it is read, pages that stay untouched
	 * cost nothing, and no reallocation leaves copies of a key behind. Zeroed, so that all of
	 * it may be erased whatever was read.
	 */
	buffer = calloc(1, max_size + 1);
	if (!buffer)
		return -ENOMEM;
	r = read_to_end(fd, buffer, max_size, &size);
	if (r < 0) {
		secret_erase(buffer, max_size + 1);
		return r;
	}
	text = malloc(size + 1);
	if (text) {
		memcpy(text, buffer, size);
		text[size] = '\0';
	}
	secret_erase(buffer, size);
	if (!text)
		return -ENOMEM;

	*ret_text = text;
	*ret_size = size;
	return 0;
}

/* Opens the directory of PATH; *RET_NAME is the part of PATH behind it. */
static int open_directory(int dir_fd, const char *path, int open_flags, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	_cleanup_free_ char *directory = NULL;
	int fd;

	if (!*name)
		return -EISDIR;
	/* The slash stays, so that the root directory has a name too. */
	directory = slash ? strndup(path, (size_t)(name - path)) : strdup(".");
	if (!directory)
		return -ENOMEM;
	fd = openat(dir_fd, directory, open_flags | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = name;
	return fd;
}

/* Creates an empty file under a name that nobody else has, and returns its descriptor. */
static int create_temporary(int dir_fd, char name[static TEMPORARY_NAME_SIZE])
{
	for (int tries = 0; tries < TEMPORARY_NAME_TRIES; tries++) {
		uint64_t random;
		int fd;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -EIO;
		snprintf(name, TEMPORARY_NAME_SIZE, TEMPORARY_PREFIX "%016llx",
			 (unsigned long long)random);
		fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int fill(int fd, const void *data, size_t size, mode_t mode, enum FileWriteFlags flags)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		size -= (size_t)n;
	}
	if (fchmod(fd, mode) < 0)
		return -errno;
	if ((flags & FILE_SYNC) && fsync(fd) < 0)
		return -errno;
	return 0;
}

/* Gives the finished file its name; TEMPORARY is gone when this succeeds. */
static int put_in_place(int dir_fd, const char *temporary, const char *name,
			enum FileWriteFlags flags)
{
	unsigned int how = (flags & FILE_REPLACE) ? 0 : RENAME_NOREPLACE;

	if (renameat2(dir_fd, temporary, dir_fd, name, how) == 0)
		return 0;
	if (errno != EINVAL || how == 0)
		return -errno;
	/* A file system that cannot rename without replacing (NFS) can still link. */
	if (linkat(dir_fd, temporary, dir_fd, name, 0) < 0)
		return -errno;
	unlinkat(dir_fd, temporary, 0);
	return 0;
}

int file_write(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
	       enum FileWriteFlags flags)
{
	char temporary[TEMPORARY_NAME_SIZE];
	_cleanup_close_ int directory = -1;
	_cleanup_close_ int fd = -1;
	const char *name = NULL;
	int r;

	/* Syncing needs a descriptor that is open for reading; otherwise O_PATH asks for less. */
	directory = open_directory(dir_fd, path, (flags & FILE_SYNC) ? O_RDONLY : O_PATH, &name);
	if (directory < 0)
		return directory;
	fd = create_temporary(directory, temporary);
	if (fd < 0)
		return fd;
	r = fill(fd, data, size, mode, flags);
	if (r >= 0)
		r = put_in_place(directory, temporary, name, flags);
	if (r < 0) {
		unlinkat(directory, temporary, 0);
		return r;
	}
	if ((flags & FILE_SYNC) && fsync(directory) < 0)
		return -errno;
	return 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

void file_remove_leftovers(int dir_fd)
{
	/* Of its own, for where it is read from is shared by copies. */
	_cleanup_close_ int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir)
		return;
	(void)TAKE_FD(fd);
	while ((entry = readdir(dir)))
		if (strlen(entry->d_name) == TEMPORARY_NAME_SIZE - 1 &&
		    strncmp(entry->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
}
