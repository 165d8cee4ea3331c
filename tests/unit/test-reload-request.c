/* SPDX-License-Identifier: MIT */
/* Whoever asks a daemon to reload learns how that ended; whoever is no daemon keeps nobody waiting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/reload-request.h"

/* What the daemon's process answers to a request. */
typedef struct Manner {
	int result;
	bool ends; /* instead of answering */
} Manner;

static void block(sigset_t *mask)
{
	sigemptyset(mask);
	sigaddset(mask, SIGHUP);
	assert_int_equal(sigprocmask(SIG_BLOCK, mask, NULL), 0);
}

/* Answers one SIGHUP after the other; its exit status tells how many there were. */
static void serve(const Manner *manner, size_t count)
{
	sigset_t mask;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	fd = signalfd(-1, &mask, SFD_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < count; i++) {
		struct signalfd_siginfo info;

		if (read(fd, &info, sizeof(info)) != sizeof(info) || manner[i].ends)
			_exit((int)i);
		reload_request_answer(&info, manner[i].result);
	}
	_exit((int)count);
}

/* SIGHUP is blocked before it is born, so that none is too early. */
static pid_t spawn(const Manner *manner, size_t count)
{
	sigset_t mask;
	pid_t pid;

	block(&mask);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		serve(manner, count);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &mask, NULL), 0);
	return pid;
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_answers(void **state)
{
	const Manner manners[] = {{0}, {-EINVAL}, {-EOPNOTSUPP}, {0}};
	pid_t pid = spawn(manners, 4);

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(reload_request_send(pid), manners[i].result);
	assert_int_equal(status_of(pid), 4);
}

static void test_daemon_ends(void **state)
{
	pid_t pid = spawn(&(Manner){.ends = true}, 1);

	(void)state;
	assert_int_equal(reload_request_send(pid), -ESRCH);
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(reload_request_send(pid), -ESRCH);
	assert_int_equal(reload_request_send(-1), -EINVAL);
}

/* Waits until PID has taken what was sent: the kernel keeps one SIGHUP at a time. */
static void wait_taken(pid_t pid)
{
	char path[32], line[128];
	bool pending = true;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	while (pending) {
		FILE *file = fopen(path, "re");
		unsigned long long mask = 0;

		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, "ShdPnd: %llx", &mask) == 1)
				break;
		fclose(file);
		pending = mask & 1ULL << (SIGHUP - 1);
	}
}

static void test_asker_goes(void **state)
{
	const Manner manners[] = {{0}, {-EIO}};
	pid_t pid = spawn(manners, 2), asker;

	(void)state;
	/* It is killed while it waits or before: that is no concern of the daemon's. */
	asker = fork();
	if (asker == 0)
		_exit(sigqueue(pid, SIGHUP, (union sigval){.sival_int = 0x5370616c}) < 0);
	assert_int_equal(status_of(asker), 0);
	wait_taken(pid);
	assert_int_equal(reload_request_send(pid), -EIO);
	assert_int_equal(status_of(pid), 2);
}

/* SIGHUPs that ask for no answer get none. */
static void test_others(void **state)
{
	const Manner manners[] = {{0}, {0}, {-EPERM}};
	pid_t pid = spawn(manners, 3);
	sigset_t mask;
	siginfo_t info;
	const struct timespec none = {0};

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
	assert_int_equal(kill(pid, SIGHUP), 0);
	wait_taken(pid);
	assert_int_equal(sigqueue(pid, SIGHUP, (union sigval){.sival_int = 1}), 0);
	wait_taken(pid);
	assert_int_equal(reload_request_send(pid), -EPERM);
	assert_int_equal(sigtimedwait(&mask, &info, &none), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(status_of(pid), 3);
}

/* Somebody else's SIGHUP was first, and the daemon busy. */
static void test_asks_again(void **state)
{
	const Manner manners[] = {{0}, {-EROFS}};
	pid_t pid = spawn(manners, 2), asker;
	int status;

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_int_equal(kill(pid, SIGHUP), 0);
	asker = fork();
	if (asker == 0)
		_exit(reload_request_send(pid) == -EROFS ? 0 : 1);
	/* However late it asks. */
	usleep(100000);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(status_of(asker), 0);
	assert_int_equal(status_of(pid), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),	   cmocka_unit_test(test_daemon_ends),
		cmocka_unit_test(test_asker_goes), cmocka_unit_test(test_others),
		cmocka_unit_test(test_asks_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
