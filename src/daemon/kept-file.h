/* SPDX-License-Identifier: MIT */
/*
 * Texts in the state directory: what the daemon keeps besides replay floors, one file for each
 * matter. A reader sees the old one or the new one, and so does a power cut. Logs nothing.
 */
#pragma once

#include <stddef.h>

/*
 * Writes SIZE bytes of TEXT as NAME of DIR_FD, on disk when this returns 0; or removes it, if it is
 * there. Nothing has changed otherwise. -EROFS: no more fits there, or nobody may write, or the
 * disk is broken; *RET_WHY, where given, is what the system calls it (static). -ENOMEM.
 */
int kept_file_write(int dir_fd, const char *name, const char *text, size_t size,
		    const char **ret_why);
int kept_file_remove(int dir_fd, const char *name, const char **ret_why);
