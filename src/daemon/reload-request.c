/* SPDX-License-Identifier: MIT */
#include "daemon/reload-request.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <time.h>

#include "util/cleanup.h"

/* The value of a SIGHUP that asks for an answer: nothing else queues a signal with it. */
#define ASKS 0x5370616c /* "Spal" */

/* A reload reads files and fills maps; nobody waits longer than this. */
#define PATIENCE_SEC 60

/*
 * The kernel keeps one SIGHUP at a time, and forgets ours if another is waiting. So it is sent
 * again after this time; at worst the daemon reloads once more.
 */
#define AGAIN_SEC 3

/* Whether INFO is the answer of process PID; root could fake it, and need not. */
static bool is_answer(const siginfo_t *info, pid_t pid)
{
	return info->si_signo == SIGUSR1 && info->si_code == SI_QUEUE && info->si_pid == pid;
}

int reload_request_send(pid_t pid)
{
	const struct timespec second = {.tv_sec = 1}, now = {0};
	struct pollfd daemon = {.events = POLLIN}; /* readable when it ended */
	_cleanup_close_ int fd = -1;
	siginfo_t info = {.si_signo = 0};
	sigset_t mask;

	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return -errno;
	daemon.fd = fd;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	for (int i = 0; i < PATIENCE_SEC; i++) {
		/* One that has ended may have answered before. */
		bool ended = poll(&daemon, 1, 0) != 0;

		if (i % AGAIN_SEC == 0 && !ended &&
		    sigqueue(pid, SIGHUP, (union sigval){.sival_int = ASKS}) < 0)
			return -errno;
		if (sigtimedwait(&mask, &info, ended ? &now : &second) >= 0) {
			if (is_answer(&info, pid))
				return -info.si_value.sival_int;
		} else if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		} else if (ended && errno == EAGAIN) {
			return -ESRCH;
		}
	}
	return -ETIMEDOUT;
}

void reload_request_answer(const struct signalfd_siginfo *info, int result)
{
	if (info->ssi_code != SI_QUEUE || info->ssi_int != ASKS || info->ssi_pid == 0)
		return;
	/* An asker that has gone, or belongs to somebody else, learns nothing: so be it. */
	(void)sigqueue((pid_t)info->ssi_pid, SIGUSR1, (union sigval){.sival_int = -result});
}
