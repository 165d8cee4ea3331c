/* SPDX-License-Identifier: MIT */
#include "util/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/file.h"

/* The kernel cuts names at 15. */
#define NAME_MAX_SIZE 64

int process_forbid_dumps(void)
{
	const struct rlimit none = {0};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

bool process_is_twin(pid_t pid)
{
	_cleanup_free_ char *other = NULL, *own = NULL;
	char path[32];
	size_t size;

	if (pid <= 0 || pid == getpid())
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	return file_read(AT_FDCWD, path, NAME_MAX_SIZE, &other, &size) == 0 &&
	       file_read(AT_FDCWD, "/proc/self/comm", NAME_MAX_SIZE, &own, &size) == 0 &&
	       strcmp(other, own) == 0;
}
