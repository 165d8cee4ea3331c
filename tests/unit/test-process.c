/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/process.h"

static void test_no_dumps(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(process_forbid_dumps(), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	assert_int_equal(limit.rlim_cur, 0);
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}

/* A process like this one, under NAME, until it is killed. */
static pid_t spawn(const char *name)
{
	int ready[2];
	char byte = 0;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (name)
			prctl(PR_SET_NAME, name);
		(void)!write(ready[1], &byte, 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_twins(void **state)
{
	pid_t twin = spawn(NULL), other = spawn("test-process-x");

	(void)state;
	assert_true(process_is_twin(twin));
	assert_false(process_is_twin(other));
	assert_false(process_is_twin(getpid()));
	assert_false(process_is_twin(0));
	assert_false(process_is_twin(-1));
	end(twin);
	end(other);
	assert_false(process_is_twin(twin));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_dumps),
		cmocka_unit_test(test_twins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
