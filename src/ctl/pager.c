/* SPDX-License-Identifier: MIT */
#include "ctl/pager.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

/* What a shell returns for a command that cannot be run, or is not there. */
#define STATUS_CANNOT_RUN 126

/* What less(1) is told: colours, whatever LESS says; without it, to end at once where all fits. */
static int set_less(void)
{
	const char *own = getenv("LESS");
	_cleanup_free_ char *options = NULL;

	/* First, for an option of theirs may take the rest of the line. */
	if (asprintf(&options, "-R %s", own ? own : "FSXMK") < 0) {
		options = NULL;
		return -ENOMEM;
	}
	/* Whoever may do this as root may not do everything as root. */
	return setenv("LESS", options, 1) < 0 || setenv("LESSSECURE", "1", 0) < 0 ? -errno : 0;
}

/* Runs COMMAND with INPUT_FD as its standard input. 0 or a negative errno. */
static int start(const char *command, int input_fd, pid_t *ret_pid)
{
	const char *argv[] = {"sh", "-c", command, NULL};
	posix_spawn_file_actions_t actions;
	int error;

	error = -set_less();
	if (error)
		return -error;
	error = posix_spawn_file_actions_init(&actions);
	if (error)
		return -error;
	error = posix_spawn_file_actions_adddup2(&actions, input_fd, STDIN_FILENO);
	if (!error)
		error = posix_spawn(ret_pid, "/bin/sh", &actions, NULL, (char *const *)argv,
				    environ);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

/*
 * TEXT as a file in memory: the pager takes of it what it wants, and nobody waits meanwhile. A
 * descriptor, or a negative errno.
 */
static int put(const char *text)
{
	_cleanup_close_ int fd = memfd_create("spalectl", MFD_CLOEXEC);
	size_t left = strlen(text);

	if (fd < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		left -= (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Waits until the pager ends, and is stopped whenever it is. Returns its wait status. */
static int follow(pid_t pid)
{
	int status;

	for (;;) {
		if (waitpid(pid, &status, WUNTRACED) < 0) {
			if (errno == EINTR)
				continue;
			return 0;
		}
		if (!WIFSTOPPED(status))
			return status;
		raise(SIGSTOP);
	}
}

int pager_show(const char *text)
{
	const char *command = getenv("SPALE_PAGER");
	_cleanup_close_ int input = -1;
	int status, r;
	pid_t pid;

	if (!command)
		command = getenv("PAGER");
	if (command && (!*command || strcmp(command, "cat") == 0))
		return -ENOENT;
	if (!command)
		command = "command -v less >/dev/null || exit 127; exec less";
	input = put(text);
	if (input < 0)
		return input;
	r = start(command, input, &pid);
	if (r < 0)
		return r;
	/* The pager decides what these mean: less(1) ignores the latter when LESSSECURE is set. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTSTP, SIG_IGN);
	status = follow(pid);
	signal(SIGINT, SIG_DFL);
	signal(SIGTSTP, SIG_DFL);
	return WIFEXITED(status) && WEXITSTATUS(status) >= STATUS_CANNOT_RUN ? -ENOENT : 0;
}
