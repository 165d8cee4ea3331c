/* SPDX-License-Identifier: MIT */
/* A reload is over, for the service manager and for askers, when all of it is decided. */
#include "order-world.h"
#include "very-many.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "daemon/reload-notice.h"

typedef struct World {
	Fixture *fixture;
	int fd; /* the service manager's socket */
	ReloadNotice notice;
} World;

/* This process asks. */
static struct signalfd_siginfo asker(void)
{
	return (struct signalfd_siginfo){
		.ssi_signo = SIGHUP,
		.ssi_code = SI_QUEUE,
		.ssi_int = 0x5370616c,
		.ssi_pid = (uint32_t)getpid(),
	};
}

static void begin(World *world, Fixture *fixture)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	sigset_t mask;

	*world = (World){.fixture = fixture};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", fixture->directory);
	world->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(world->fd >= 0);
	assert_int_equal(bind(world->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
}

static void end(World *world)
{
	unsetenv("NOTIFY_SOCKET");
	close(world->fd);
}

/* What the service manager was told next; "": nothing. */
static const char *told(const World *world)
{
	static char text[256];
	ssize_t size = recv(world->fd, text, sizeof(text) - 1, 0);

	text[size > 0 ? size : 0] = '\0';
	return text;
}

/* Whether the askers were answered: the kernel keeps one of several answers to one process. */
static bool is_answered(int result)
{
	const struct timespec none = {0};
	siginfo_t info;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	if (sigtimedwait(&mask, &info, &none) != SIGUSR1)
		return false;
	assert_int_equal(info.si_value.sival_int, -result);
	return true;
}

static void reload_ends(World *world, const struct signalfd_siginfo *who, int result)
{
	reload_notice_end(&world->notice, world->fixture->manager, who, result);
}

static void go_on(World *world)
{
	while (very_many_go_on(world->fixture)) {
		reload_notice_settle(&world->notice, world->fixture->manager);
		assert_string_equal(told(world), "");
		assert_false(is_answered(0));
	}
	reload_notice_settle(&world->notice, world->fixture->manager);
}

static void test_at_once(void **data)
{
	const struct signalfd_siginfo who = asker();
	World world;

	begin(&world, *data);
	reload_notice_begin();
	assert_int_equal(strncmp(told(&world), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	reload_ends(&world, &who, 0);
	assert_string_equal(told(&world), "READY=1");
	assert_true(is_answered(0));
	/* Nothing is on: nobody hears anything. */
	reload_notice_settle(&world.notice, world.fixture->manager);
	assert_string_equal(told(&world), "");
	/* Nobody asked. */
	reload_ends(&world, NULL, 0);
	assert_string_equal(told(&world), "READY=1");
	assert_false(is_answered(0));
	end(&world);
}

static void test_waits(void **data)
{
	const struct signalfd_siginfo who = asker();
	World world;

	begin(&world, *data);
	very_many_revoke(world.fixture);
	reload_ends(&world, &who, 0);
	reload_ends(&world, &who, 0);
	assert_string_equal(told(&world), "");
	assert_false(is_answered(0));
	go_on(&world);
	/* Two reloads are over at once. */
	assert_string_equal(told(&world), "READY=1");
	assert_string_equal(told(&world), "");
	assert_true(is_answered(0));
	end(&world);
}

/* A failure is told at once; the one that waits stays. */
static void test_fails(void **data)
{
	const struct signalfd_siginfo who = asker();
	World world;

	begin(&world, *data);
	reload_ends(&world, &who, -EINVAL);
	assert_string_equal(told(&world), "READY=1");
	assert_true(is_answered(-EINVAL));
	very_many_revoke(world.fixture);
	reload_ends(&world, &who, 0);
	reload_ends(&world, &who, -EINVAL);
	assert_true(is_answered(-EINVAL));
	go_on(&world);
	assert_string_equal(told(&world), "READY=1");
	assert_true(is_answered(0));
	end(&world);
}

/* More than wait are answered before it is over. */
static void test_too_many(void **data)
{
	const struct signalfd_siginfo who = asker();
	World world;

	begin(&world, *data);
	very_many_revoke(world.fixture);
	for (size_t i = 0; i < RELOAD_NOTICE_ASKERS_MAX; i++)
		reload_ends(&world, &who, 0);
	assert_false(is_answered(0));
	reload_ends(&world, &who, 0);
	assert_true(is_answered(0));
	assert_string_equal(told(&world), "");
	go_on(&world);
	assert_string_equal(told(&world), "READY=1");
	assert_true(is_answered(0));
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
