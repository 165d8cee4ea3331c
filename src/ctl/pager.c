/* SPDX-License-Identifier: MIT */
#include "ctl/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

/* What a shell returns for a command that cannot be run, or is not there. */
#define STATUS_CANNOT_RUN 126

/* Runs COMMAND with INPUT_FD as its standard input. 0 or a negative errno. */
static int start(const char *command, int input_fd, pid_t *ret_pid)
{
	const char *argv[] = {"sh", "-c", command, NULL};
	posix_spawn_file_actions_t actions;
	int error;

	/* Colours; and it ends at once where all fits. */
	setenv("LESS", "FRSXMK", 0);
	/* Whoever may do this as root may not do everything as root. */
	setenv("LESSSECURE", "1", 0);
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

/* All of TEXT, or as much as is wanted. */
static void feed(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		left -= (size_t)n;
	}
}

int pager_show(const char *text)
{
	const char *command = getenv("SPALE_PAGER");
	_cleanup_close_ int input = -1, output = -1;
	int fds[2], status, r;
	pid_t pid;

	if (!command)
		command = getenv("PAGER");
	if (command && (!*command || strcmp(command, "cat") == 0))
		return -ENOENT;
	if (!command)
		command = "command -v less >/dev/null || exit 127; exec less";
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	input = fds[0];
	output = fds[1];

	r = start(command, input, &pid);
	if (r < 0)
		return r;
	closep(&input);
	input = -1;
	/* The pager decides what an interrupt means, and when it has seen enough. */
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	feed(output, text);
	closep(&output);
	output = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	signal(SIGINT, SIG_DFL);
	return WIFEXITED(status) && WEXITSTATUS(status) >= STATUS_CANNOT_RUN ? -ENOENT : 0;
}
