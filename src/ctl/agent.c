/* SPDX-License-Identifier: MIT */
#include "ctl/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

/* It tells at once that it is there, or ends. */
#define START_MS 5000

static pid_t agent_pid = -1;

static void __attribute__((noreturn)) run(pid_t subject, int notify_fd)
{
	char fd_text[16], pid_text[16];

	snprintf(fd_text, sizeof(fd_text), "%d", notify_fd);
	snprintf(pid_text, sizeof(pid_text), "%d", (int)subject);
	/*
	 * Without --fallback it would go before the dialogues of a desktop; with it polkit finds it
	 * only for who has a session.
	 */
	if (fcntl(notify_fd, F_SETFD, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0)
		execlp("pkttyagent", "pkttyagent", "--notify-fd", fd_text, "--process", pid_text,
		       getenv("DISPLAY") || getenv("WAYLAND_DISPLAY") ? "--fallback" : NULL,
		       (char *)NULL);
	_exit(1);
}

void agent_start(void)
{
	_cleanup_close_ int read_fd = -1, write_fd = -1;
	pid_t self = getpid();
	struct pollfd poll_fd;
	int fds[2];

	if (geteuid() == 0 || !isatty(STDIN_FILENO) || pipe2(fds, O_CLOEXEC) < 0)
		return;
	read_fd = fds[0];
	write_fd = fds[1];
	agent_pid = fork();
	if (agent_pid < 0)
		return;
	if (agent_pid == 0)
		run(self, write_fd);
	closep(&write_fd);
	write_fd = -1;
	poll_fd = (struct pollfd){.fd = read_fd, .events = POLLIN};
	while (poll(&poll_fd, 1, START_MS) < 0 && errno == EINTR)
		;
}

void agent_stop(void)
{
	if (agent_pid <= 0)
		return;
	kill(agent_pid, SIGTERM);
	kill(agent_pid, SIGCONT);
	while (waitpid(agent_pid, NULL, 0) < 0 && errno == EINTR)
		;
	agent_pid = -1;
}
