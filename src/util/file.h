/* SPDX-License-Identifier: MIT */
/*
 * Whole small files: read with a limit, written so that a reader sees the old or the new one and
 * a power cut leaves one of them. Not part of the pure core (libspale-core).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Largest file that is read as configuration or key. */
#define FILE_SIZE_MAX (1024 * 1024)

/*
 * Reads PATH (relative to DIR_FD, which may be AT_FDCWD) whole. *RET_TEXT is NUL-terminated
 * (the NUL is not counted in *RET_SIZE) and freed by the caller; whatever the file may hold
 * of secrets, the caller erases.
 * Returns 0, -EFBIG (over MAX_SIZE bytes), -EISDIR, -EINVAL (not a regular file) or what
 * open(2) and read(2) say.
 */
int file_read(int dir_fd, const char *path, size_t max_size, char **ret_text, size_t *ret_size);

enum FileWriteFlags {
	FILE_REPLACE = 1 << 0, /* an existing file is replaced; without: -EEXIST */
	FILE_SYNC = 1 << 1,    /* on disk, its directory entry too, before success is reported */
};

/*
 * Writes SIZE bytes to PATH (relative to DIR_FD) by way of a temporary file beside it, with
 * exactly MODE whatever the umask. Nothing is left behind on failure.
 * Returns 0, -EEXIST or what the system calls say.
 */
int file_write(int dir_fd, const char *path, const void *data, size_t size, mode_t mode,
	       enum FileWriteFlags flags);

/*
 * Removes the temporary files that writers left in the directory DIR_FD because they were killed.
 * Nobody else may be writing there. What cannot be removed stays: it is in nobody's way.
 */
void file_remove_leftovers(int dir_fd);
