/* SPDX-License-Identifier: MIT */
/*
 * A disk that takes what is written, and then cannot say that it stays: fsync() of a directory
 * fails. A program that includes this is linked with --wrap=fsync (tests/unit/meson.build).
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

static bool disk_is_unsure;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	struct stat st;

	if (disk_is_unsure && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}
