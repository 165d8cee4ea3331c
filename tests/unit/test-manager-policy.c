/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "policy-world.h"
#include "unsure-disk.h"
#include "util/file.h"

static int allow(World *world, const char *text, bool permanent)
{
	Prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return change_policy(world, &(PolicyChange){.allow = &prefix, .permanent = permanent});
}

static int disallow(World *world, const char *text, bool permanent)
{
	Prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return change_policy(world, &(PolicyChange){.disallow = &prefix, .permanent = permanent});
}

static bool allows(const World *world, const char *text)
{
	const PrefixList *list = &manager_config(world->fixture->manager)->always_allow;
	Prefix prefix;
	bool found = false;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	for (size_t i = 0; i < list->count; i++)
		found = found || prefix_compare(&list->items[i], &prefix) == 0;
	return found;
}

static bool allows_for_good(const World *world, const char *text)
{
	Prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return manager_allows_for_good(world->fixture->manager, &prefix);
}

static void count_change(void *userdata)
{
	++*(unsigned *)userdata;
}

static void test_changes(void **data)
{
	World *world = *data;
	unsigned told = 0;
	const ManagerObserver observer = {.policy_changed = count_change, .userdata = &told};

	assert_int_equal(manager_observe(world->fixture->manager, &observer), 0);
	assert_int_equal(allow(world, "192.0.2.9", false), 0);
	assert_true(allows(world, "192.0.2.9"));
	assert_false(allows_for_good(world, "192.0.2.9"));
	assert_int_equal(told, 1);
	assert_false(has_file(world, "policy.conf"));

	assert_int_equal(allow(world, "2001:db8::/64", true), 0);
	assert_true(allows_for_good(world, "2001:db8::/64"));
	assert_true(has_file(world, "policy.conf"));
	assert_int_equal(disallow(world, "192.0.2.9", false), 0);
	assert_false(allows(world, "192.0.2.9"));
	assert_int_equal(disallow(world, "192.0.2.9", false), -EADDRNOTAVAIL);
	assert_int_equal(told, 3);

	assert_int_equal(disallow(world, "2001:db8::/64", true), 0);
	assert_false(has_file(world, "policy.conf"));
	manager_ignore(world->fixture->manager, &observer);
}

/* Grants are decided by the new ports, as at a reload. */
static void test_redecides(void **data)
{
	World *world = *data;
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;

	knock_as(world->fixture, ALICE, 7);
	assert_state(world->fixture, 1, 4);
	assert_int_equal(port_list_add_text(&ports, "22/tcp"), 0);
	assert_int_equal(change_policy(world, &(PolicyChange){.ports = &ports}), 0);
	assert_state(world->fixture, 1, 1);
}

static void test_kernel_refuses(void **data)
{
	World *world = *data;

	world->fixture->fake->fail_with = -ENOSPC;
	assert_int_equal(allow(world, "192.0.2.9", true), -ENOSPC);
	assert_false(allows(world, "192.0.2.9"));
	assert_false(allows_for_good(world, "192.0.2.9"));
	assert_false(has_file(world, "policy.conf"));
}

/* Nothing is half done on a disk that is full, or that nobody may write to. */
static void test_disk_takes_nothing(void **data)
{
	World *world = *data;
	int dir_fd = state_directory_fd(world->fixture->state), saved = dup(dir_fd);
	_cleanup_close_ int small = -1;
	char directory[64];
	static char filling[64 * 1024];

	snprintf(directory, sizeof(directory), "%s/replay", world->fixture->directory);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", directory, "tmpfs", 0, "size=64k,mode=0700") < 0)
		skip();
	small = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(small >= 0 && saved >= 0);
	assert_int_equal(dup3(small, dir_fd, O_CLOEXEC), dir_fd);
	assert_int_equal(allow(world, "192.0.2.8", true), 0);

	for (size_t size = sizeof(filling); size > 0; size /= 2) {
		char name[32];

		snprintf(name, sizeof(name), "filling-%zu", size);
		(void)file_write(small, name, filling, size, 0600, 0);
	}
	assert_int_equal(allow(world, "192.0.2.9", true), -EROFS);
	assert_int_equal(mount("none", directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(disallow(world, "192.0.2.8", true), -EROFS);
	assert_true(allows_for_good(world, "192.0.2.8"));
	assert_false(allows(world, "192.0.2.9"));
	/* What needs no disk goes on. */
	assert_int_equal(disallow(world, "192.0.2.8", false), 0);
	assert_false(allows(world, "192.0.2.8"));

	assert_int_equal(dup3(saved, dir_fd, O_CLOEXEC), dir_fd);
	close(saved);
	assert_int_equal(umount2(directory, MNT_DETACH), 0);
}

/* What failed at the very end is not there at the next start either. */
static void test_disk_is_unsure(void **data)
{
	World *world = *data;
	_cleanup_free_ char *before = NULL, *after = NULL;
	int dir_fd = state_directory_fd(world->fixture->state);
	size_t size;

	disk_is_unsure = true;
	assert_int_equal(allow(world, "192.0.2.8", true), -EROFS);
	disk_is_unsure = false;
	assert_false(has_file(world, "policy.conf"));
	assert_int_equal(allow(world, "192.0.2.8", true), 0);
	assert_int_equal(file_read(dir_fd, "policy.conf", FILE_SIZE_MAX, &before, &size), 0);
	disk_is_unsure = true;
	assert_int_equal(allow(world, "192.0.2.9", true), -EROFS);
	assert_int_equal(disallow(world, "192.0.2.8", true), -EROFS);
	disk_is_unsure = false;
	assert_int_equal(file_read(dir_fd, "policy.conf", FILE_SIZE_MAX, &after, &size), 0);
	assert_string_equal(before, after);
	assert_true(allows_for_good(world, "192.0.2.8"));
	assert_false(allows(world, "192.0.2.9"));
}

static void test_keeps_the_last_good(void **data)
{
	World *world = *data;
	_cleanup_free_ char *text = NULL;
	size_t size;

	assert_false(has_file(world, "last-good.conf"));
	set_layers(world, true);
	assert_true(has_file(world, "last-good.conf"));
	assert_int_equal(allow(world, "192.0.2.8", false), 0);
	assert_int_equal(allow(world, "192.0.2.9", true), 0);
	assert_int_equal(file_read(state_directory_fd(world->fixture->state), "last-good.conf",
				   FILE_SIZE_MAX, &text, &size),
			 0);
	assert_non_null(strstr(text, "192.0.2.9"));
	assert_null(strstr(text, "192.0.2.8"));
}

static void test_reload_forgets(void **data)
{
	World *world = *data;

	assert_int_equal(allow(world, "192.0.2.8", false), 0);
	reload(world->fixture, CONFIG, NULL, true, 0);
	set_layers(world, false);
	assert_false(allows(world, "192.0.2.8"));
	assert_int_equal(allow(world, "192.0.2.9", false), 0);
	assert_false(allows(world, "192.0.2.8"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, set_up_world, tear_down_world),
		cmocka_unit_test_setup_teardown(test_redecides, set_up_world, tear_down_world),
		cmocka_unit_test_setup_teardown(test_kernel_refuses, set_up_world, tear_down_world),
		cmocka_unit_test_setup_teardown(test_disk_takes_nothing, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_disk_is_unsure, set_up_world, tear_down_world),
		cmocka_unit_test_setup_teardown(test_keeps_the_last_good, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_reload_forgets, set_up_world, tear_down_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
