/* SPDX-License-Identifier: MIT */
#include "policy-world.h"
#include "unsure-disk.h"

#define MINUTE_NS (60 * NSEC_PER_SEC)

/* The configuration that the fake enforcer was given last: these two of it. */
static bool kernel_log_only;
static uint64_t kernel_trial_end_ns;

static const EnforcerOps *fake_ops;

static int set_policy_noting(Enforcer *enforcer, const Config *config)
{
	int r = fake_ops->set_policy(enforcer, config);

	if (r == 0) {
		kernel_log_only = config->log_only;
		kernel_trial_end_ns = config->trial_end_mono_ns;
	}
	return r;
}

static EnforcerOps noting_ops;

static void note_policies(World *world)
{
	fake_ops = world->fixture->fake->base.ops;
	noting_ops = *fake_ops;
	noting_ops.set_policy = set_policy_noting;
	world->fixture->fake->base.ops = &noting_ops;
}

static int set_up_noting(void **data)
{
	if (set_up_world(data) < 0)
		return -1;
	note_policies(*data);
	return 0;
}

static int start(World *world, uint64_t duration_ns)
{
	_cleanup_free_ char *error = NULL;
	uint64_t until = 0;
	int r = manager_trial(world->fixture->manager, duration_ns, "uid=0", &until, &error);

	assert_true(r < 0 ? error != NULL : error == NULL);
	if (r == 0) {
		assert_int_equal(until,
				 world->fixture->now.real_usec + duration_ns / NSEC_PER_USEC);
		assert_int_equal(manager_trial_until_real_usec(world->fixture->manager), until);
	}
	return r;
}

static int confirm(World *world)
{
	_cleanup_free_ char *error = NULL;
	int r = manager_confirm(world->fixture->manager, "uid=0", &error);

	assert_true(r < 0 ? error != NULL : error == NULL);
	return r;
}

static int set_log_only(World *world, bool log_only, bool permanent)
{
	return change_policy(world, &(PolicyChange){.has_log_only = true,
						    .log_only = log_only,
						    .permanent = permanent});
}

static uint64_t expire(World *world)
{
	uint64_t next;

	assert_int_equal(manager_expire(world->fixture->manager, &next), 0);
	return next;
}

/* What manager and kernel go by now. */
static void assert_policy(const World *world, bool log_only, uint64_t trial_end_ns)
{
	const Config *config = manager_config(world->fixture->manager);

	assert_int_equal(config->log_only, log_only);
	assert_int_equal(config->trial_end_mono_ns, trial_end_ns);
	assert_int_equal(kernel_log_only, log_only);
	assert_int_equal(kernel_trial_end_ns, trial_end_ns);
}

/* Another daemon, after so many seconds in which there was none. */
static void restart(World *world, uint64_t seconds)
{
	close_all(world->fixture);
	pass_seconds(world->fixture, seconds);
	open_state(world->fixture, true);
	make_manager(world->fixture);
	note_policies(world);
	set_layers(world, false);
	/* What was set before it was listened to. */
	assert_int_equal(enforcer_set_policy(&world->fixture->fake->base,
					     manager_config(world->fixture->manager)),
			 0);
}

static void test_ends(void **data)
{
	World *world = *data;
	uint64_t end_ns = UPTIME_NS + 10 * MINUTE_NS;

	assert_int_equal(set_log_only(world, true, false), 0);
	assert_policy(world, true, 0);
	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	assert_policy(world, false, end_ns);
	assert_int_equal(expire(world), end_ns);
	pass_seconds(world->fixture, 599);
	assert_int_equal(expire(world), end_ns);
	assert_policy(world, false, end_ns);
	pass_seconds(world->fixture, 1);
	assert_int_equal(expire(world), SPALE_NEVER_NS);
	assert_policy(world, true, 0);
	assert_int_equal(manager_trial_until_real_usec(world->fixture->manager), 0);
	assert_true(manager_trial_is_over(world->fixture->manager));
	assert_int_equal(confirm(world), -ENOTCONN);
}

/* Also on a host that was enforcing; and it stays so over a restart, until a reload. */
static void test_stays_over(void **data)
{
	World *world = *data;

	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	pass_seconds(world->fixture, 600);
	expire(world);
	assert_policy(world, true, 0);
	restart(world, 1);
	assert_policy(world, true, 0);
	/* Other changes leave it so. */
	assert_int_equal(change_policy(world, &(PolicyChange){.allow = &(Prefix){{{1}}, 8}}), 0);
	assert_policy(world, true, 0);

	reload(world->fixture, CONFIG, NULL, true, 0);
	assert_policy(world, false, 0);
	assert_false(manager_trial_is_over(world->fixture->manager));
	assert_false(has_file(world, "trial.conf"));
}

static void test_confirmed(void **data)
{
	World *world = *data;

	assert_int_equal(confirm(world), -ENOTCONN);
	assert_int_equal(set_log_only(world, true, true), 0);
	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	assert_int_equal(confirm(world), 0);
	assert_policy(world, false, 0);
	assert_false(has_file(world, "trial.conf"));
	pass_seconds(world->fixture, 600);
	assert_int_equal(expire(world), SPALE_NEVER_NS);
	assert_policy(world, false, 0);
	assert_int_equal(confirm(world), -ENOTCONN);
	restart(world, 1);
	assert_true(has_file(world, "policy.conf"));
	set_layers(world, false);
}

/* The kernel has ended it, though the daemon has not looked yet. */
static void test_confirmed_too_late(void **data)
{
	World *world = *data;

	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	pass_seconds(world->fixture, 600);
	assert_int_equal(confirm(world), -ENOTCONN);
}

/* A daemon that comes meanwhile goes on with it, one that comes later finds it over. */
static void test_restarts(void **data)
{
	World *world = *data;
	uint64_t end_ns = UPTIME_NS + 10 * MINUTE_NS;

	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	restart(world, 100);
	assert_policy(world, false, end_ns);
	assert_int_equal(expire(world), end_ns);
	restart(world, 500);
	assert_policy(world, true, 0);
	assert_true(manager_trial_is_over(world->fixture->manager));
}

/* After a boot the clock that does not jump begins anew. */
static void test_reboots(void **data)
{
	World *world = *data;

	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	world->fixture->now.mono_ns = 5 * NSEC_PER_SEC;
	world->fixture->now.real_usec += 100 * USEC_PER_SEC;
	restart(world, 0);
	assert_policy(world, false, 5 * NSEC_PER_SEC + 500 * NSEC_PER_SEC);

	/* And its clock may be wrong. */
	world->fixture->now.real_usec = USEC_PER_SEC;
	restart(world, 0);
	assert_policy(world, false, 5 * NSEC_PER_SEC + 600 * NSEC_PER_SEC);
}

static void test_reload_goes_on(void **data)
{
	World *world = *data;
	uint64_t end_ns = UPTIME_NS + 10 * MINUTE_NS;

	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	reload(world->fixture, CONFIG, NULL, true, 0);
	assert_policy(world, false, end_ns);
	assert_true(has_file(world, "trial.conf"));
	/* A second one takes its place. */
	assert_int_equal(start(world, MINUTE_NS), 0);
	assert_policy(world, false, UPTIME_NS + MINUTE_NS);
}

/* A suspend counts, though the clock that the kernel goes by stood still. */
static void test_suspended(void **data)
{
	World *world = *data;

	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	world->fixture->now.suspended_ns = 100 * NSEC_PER_SEC;
	world->fixture->now.real_usec += 100 * USEC_PER_SEC;
	assert_int_equal(expire(world), UPTIME_NS + 500 * NSEC_PER_SEC);
	assert_policy(world, false, UPTIME_NS + 500 * NSEC_PER_SEC);
	world->fixture->now.suspended_ns = 2000 * NSEC_PER_SEC;
	expire(world);
	assert_policy(world, true, 0);
}

/* Who says what is to be has done with trying. */
static void test_set_by_hand(void **data)
{
	World *world = *data;

	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	assert_int_equal(set_log_only(world, false, false), 0);
	assert_policy(world, false, 0);
	assert_false(has_file(world, "trial.conf"));
	assert_int_equal(start(world, 10 * MINUTE_NS), 0);
	assert_int_equal(set_log_only(world, true, false), 0);
	assert_policy(world, true, 0);
	assert_int_equal(confirm(world), -ENOTCONN);
}

static void test_refused(void **data)
{
	World *world = *data;

	assert_int_equal(start(world, 0), -EINVAL);
	assert_int_equal(start(world, DURATION_INFINITY), -EINVAL);
	assert_int_equal(start(world, NSEC_PER_SEC - 1), -EINVAL);
	world->fixture->fake->fail_with = -ENOSPC;
	assert_int_equal(start(world, MINUTE_NS), -ENOSPC);
	assert_false(has_file(world, "trial.conf"));
	assert_int_equal(manager_trial_until_real_usec(world->fixture->manager), 0);
	assert_false(manager_config(world->fixture->manager)->trial_end_mono_ns);

	for (size_t i = 0; i < OPTIONS_SETTINGS; i++)
		if (strcmp(world->options.settings[i].key, "LogOnly") == 0)
			world->options.settings[i].value = strdup("yes");
	assert_int_equal(start(world, MINUTE_NS), -EACCES);
}

/* What is damaged is no trial: the configuration decides. */
static void test_damaged(void **data)
{
	static const char *const texts[] = {
		"",
		"[Trial]\nUntilUSec=1\n",
		"[Trial]\nUntilUSec=x\nLengthNSec=60000000000\nOver=yes\n",
		"[Trial]\nUntilUSec=1\nLengthNSec=60\nOver=yes\n",
		"[Trial]\nUntilUSec=1\nLengthNSec=60000000000\nOver=maybe\n",
		"[Trial]\nUntilUSec=1\nLengthNSec=60000000000\nOver=yes\nMore=1\n",
		"[Trial]\nUntilUSec=1\nLengthNSec=60000000000\nOver=yes\nnonsense\n",
	};
	World *world = *data;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(file_write(state_directory_fd(world->fixture->state), "trial.conf",
					    texts[i], strlen(texts[i]), 0600, FILE_REPLACE),
				 0);
		restart(world, 1);
		assert_policy(world, false, 0);
	}
}

/* Neither the trial nor its end is half done where nothing can be written. */
static void test_disk_takes_nothing(void **data)
{
	World *world = *data;
	int dir_fd = state_directory_fd(world->fixture->state), saved = dup(dir_fd);
	_cleanup_close_ int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(dup3(proc, dir_fd, O_CLOEXEC), dir_fd);
	kernel_log_only = true;
	assert_int_equal(start(world, MINUTE_NS), -EROFS);
	assert_policy(world, false, 0);
	assert_int_equal(dup3(saved, dir_fd, O_CLOEXEC), dir_fd);
	assert_int_equal(start(world, MINUTE_NS), 0);
	assert_int_equal(dup3(proc, dir_fd, O_CLOEXEC), dir_fd);
	assert_int_equal(confirm(world), -EROFS);
	assert_policy(world, false, UPTIME_NS + MINUTE_NS);
	assert_true(manager_trial_until_real_usec(world->fixture->manager) > 0);
	assert_int_equal(dup3(saved, dir_fd, O_CLOEXEC), dir_fd);
	close(saved);
}

/* What failed at the very end is not there at the next start either. */
static void test_disk_is_unsure(void **data)
{
	World *world = *data;
	_cleanup_free_ char *before = NULL, *after = NULL;
	int dir_fd = state_directory_fd(world->fixture->state);
	size_t size;

	disk_is_unsure = true;
	assert_int_equal(start(world, MINUTE_NS), -EROFS);
	disk_is_unsure = false;
	assert_false(has_file(world, "trial.conf"));
	assert_int_equal(start(world, MINUTE_NS), 0);
	assert_int_equal(file_read(dir_fd, "trial.conf", FILE_SIZE_MAX, &before, &size), 0);
	disk_is_unsure = true;
	assert_int_equal(start(world, 2 * MINUTE_NS), -EROFS);
	assert_int_equal(confirm(world), -EROFS);
	disk_is_unsure = false;
	assert_int_equal(file_read(dir_fd, "trial.conf", FILE_SIZE_MAX, &after, &size), 0);
	assert_string_equal(before, after);
	assert_false(has_file(world, "policy.conf"));
	assert_policy(world, false, UPTIME_NS + MINUTE_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ends, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_stays_over, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_confirmed, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_confirmed_too_late, set_up_noting,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_restarts, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_reboots, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_reload_goes_on, set_up_noting,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_suspended, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_set_by_hand, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_refused, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_damaged, set_up_noting, tear_down_world),
		cmocka_unit_test_setup_teardown(test_disk_takes_nothing, set_up_noting,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_disk_is_unsure, set_up_noting,
						tear_down_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
