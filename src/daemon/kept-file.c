/* SPDX-License-Identifier: MIT */
#include "daemon/kept-file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/file.h"

/* Whatever keeps a file from being written is one thing to who asked for it. */
static int not_kept(int error, const char **ret_why)
{
	if (error >= 0 || error == -ENOMEM)
		return error;
	if (ret_why)
		*ret_why = strerrordesc_np(-error) ?: "unknown error";
	return -EROFS;
}

int kept_file_write(int dir_fd, const char *name, const char *text, size_t size,
		    const char **ret_why)
{
	if (dir_fd < 0)
		return not_kept(-EROFS, ret_why);
	return not_kept(file_write(dir_fd, name, text, size, 0600, FILE_SYNC | FILE_REPLACE),
			ret_why);
}

int kept_file_remove(int dir_fd, const char *name, const char **ret_why)
{
	if (dir_fd < 0)
		return not_kept(-EROFS, ret_why);
	if (unlinkat(dir_fd, name, 0) < 0)
		return errno == ENOENT ? 0 : not_kept(-errno, ret_why);
	return not_kept(fsync(dir_fd) < 0 ? -errno : 0, ret_why);
}
