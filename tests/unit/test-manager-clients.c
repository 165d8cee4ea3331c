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
#include <sys/stat.h>

#include "daemon/client-files.h"
#include "daemon/manager-requests.h"
#include "keys/pem.h"
#include "manager-world.h"
#include "unsure-disk.h"
#include "util/file.h"

#define CAROL 0xc0

/* A Fixture whose clients are files: etc/ is the administrator's directory. */
typedef struct World {
	Fixture *fixture;
	unsigned refused;
	size_t warnings;
} World;

static void path_in(const World *world, const char *name, char path[static 96])
{
	snprintf(path, 96, "%s/%s", world->fixture->directory, name);
}

static void write_text(const World *world, const char *name, const char *text)
{
	char path[96];

	path_in(world, name, path);
	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE), 0);
}

static void write_key(const World *world, const char *name, uint8_t seed)
{
	PublicKey key = public_key(seed);
	char pem[PEM_TEXT_MAX];

	assert_int_equal(pem_format_public(&key, pem), 0);
	write_text(world, name, pem);
}

static bool has_file(const World *world, const char *name)
{
	char path[96];

	path_in(world, name, path);
	return access(path, F_OK) == 0;
}

static void count_refused(const char *name, const Diagnostic *why, void *userdata)
{
	(void)name;
	(void)why;
	((World *)userdata)->refused++;
}

/* Reads all clients as a start does, or with FOLLOW as a change of their files does. */
static void load(World *world, bool follow)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_client_roster_ ClientRoster empty = {0};
	ClientRoster *roster = follow ? manager_roster(world->fixture->manager) : &empty;
	const ClientFilesReport to = {&diagnostics, count_refused, world};
	ClientSet *clients;

	world->refused = 0;
	world->warnings = 0;
	assert_int_equal(client_files_load(manager_config(world->fixture->manager),
					   world->fixture->directory, roster, &to, &clients),
			 0);
	for (size_t i = 0; i < diagnostics.count; i++)
		world->warnings += diagnostics.items[i].severity == SEVERITY_WARNING;
	assert_int_equal(manager_set_clients(world->fixture->manager, clients), 0);
	if (!follow)
		manager_set_roster(world->fixture->manager, &empty);
}

static int set_up_world(void **data)
{
	World *world = calloc(1, sizeof(*world));
	char text[512], path[96];

	if (!world || set_up((void **)&world->fixture) < 0)
		return -1;
	path_in(world, "etc", path);
	if (mkdir(path, 0700) < 0)
		return -1;
	snprintf(text, sizeof(text), "%s[Knock]\nClientsDirectory=%s\n", CONFIG, path);
	reload(world->fixture, text, NULL, true, 0);
	write_key(world, "etc/alice.pem", ALICE);
	write_text(world, "etc/alice.conf", "[Client]\nPorts=22/tcp 8000/tcp\n");
	load(world, false);
	*data = world;
	return 0;
}

static int tear_down_world(void **data)
{
	World *world = *data;
	int r = tear_down((void **)&world->fixture);

	free(world);
	return r;
}

static const Client *client(const World *world, const char *name)
{
	return client_set_by_name(manager_clients(world->fixture->manager), name);
}

static int enroll(World *world, const char *name, uint8_t seed, const char *key, const char *value)
{
	_cleanup_free_ char *error = NULL;
	const ClientSetting setting = {key, value};
	PublicKey public = public_key(seed);
	int r = manager_enroll_client(world->fixture->manager, name, &public, &setting, !!key,
				      "uid=0", &error);

	assert_true(r < 0 ? error != NULL : error == NULL);
	return r;
}

static int set(World *world, const char *name, const char *key, const char *value)
{
	_cleanup_free_ char *error = NULL;
	const ClientSetting setting = {key, value};
	int r = manager_set_client(world->fixture->manager, name, &setting, 1, "uid=0", &error);

	assert_true(r < 0 ? error != NULL : error == NULL);
	return r;
}

static int remove_client(World *world, const char *name)
{
	_cleanup_free_ char *error = NULL;
	int r = manager_remove_client(world->fixture->manager, name, "uid=0", &error);

	assert_true(r < 0 ? error != NULL : error == NULL);
	return r;
}

static void assert_ports(const World *world, const char *name, const char *expected)
{
	_cleanup_free_ char *text = port_list_format(&client(world, name)->ports);

	assert_true(client(world, name)->has_ports);
	assert_string_equal(text, expected);
}

static void test_enrolls(void **data)
{
	World *world = *data;

	assert_null(client(world, "carol"));
	assert_int_equal(enroll(world, "carol", CAROL, "Ports", "22/tcp"), 0);
	assert_ports(world, "carol", "22/tcp");
	knock_as(world->fixture, CAROL, 9);
	assert_state(world->fixture, 1, 1);
	assert_true(has_file(world, "clients/carol.pem"));

	/* It is there after a restart, too. */
	load(world, false);
	assert_int_equal(world->refused + world->warnings, 0);
	assert_ports(world, "carol", "22/tcp");
	assert_non_null(client(world, "alice"));
	assert_state(world->fixture, 1, 1);
}

static void test_enrolling_is_refused(void **data)
{
	World *world = *data;

	assert_int_equal(enroll(world, "alice", CAROL, NULL, NULL), -EEXIST);
	assert_int_equal(enroll(world, "carol", ALICE, NULL, NULL), -ENOTUNIQ);
	assert_int_equal(enroll(world, "../carol", CAROL, NULL, NULL), -EINVAL);
	assert_int_equal(enroll(world, "carol", CAROL, "Ports", "22/tpc"), -EINVAL);
	assert_int_equal(enroll(world, "carol", CAROL, "Port", "22/tcp"), -EINVAL);
	assert_int_equal(enroll(world, "carol", CAROL, "Ports", "22/tcp\n[Client]"), -EINVAL);
	assert_int_equal(enroll(world, "carol", CAROL, "Ports]\nIdle", "1"), -EINVAL);
	assert_null(client(world, "carol"));
	assert_false(has_file(world, "clients/carol.pem"));
	assert_false(has_file(world, "clients/carol.conf"));
}

static void test_key_that_is_none(void **data)
{
	World *world = *data;
	_cleanup_free_ char *error = NULL;
	const PublicKey zero = {{1}};

	assert_int_equal(manager_enroll_client(world->fixture->manager, "carol", &zero, NULL, 0,
					       NULL, &error),
			 -EKEYREJECTED);
	assert_non_null(error);
}

/* One that was enrolled goes as a whole; its name can be used again. */
static void test_removes_enrolled(void **data)
{
	World *world = *data;

	assert_int_equal(remove_client(world, "carol"), -ENOKEY);
	assert_int_equal(enroll(world, "carol", CAROL, "Idle", "5min"), 0);
	knock_as(world->fixture, CAROL, 9);
	assert_state(world->fixture, 1, 4);
	assert_int_equal(remove_client(world, "carol"), 0);
	assert_state(world->fixture, 0, 0);
	assert_null(client(world, "carol"));
	assert_false(has_file(world, "clients/carol.pem"));
	assert_false(has_file(world, "clients/carol.conf"));
	assert_false(has_file(world, "clients/carol.removed"));
	assert_int_equal(enroll(world, "carol", CAROL, NULL, NULL), 0);
	assert_false(client(world, "carol")->has_idle);
}

/* The administrator's own stays away, whatever happens to its files, and can be replaced. */
static void test_removes_the_administrators(void **data)
{
	World *world = *data;

	knock_as(world->fixture, ALICE, 9);
	assert_state(world->fixture, 1, 2);
	assert_int_equal(remove_client(world, "alice"), 0);
	assert_state(world->fixture, 0, 0);
	assert_true(has_file(world, "etc/alice.pem"));
	load(world, true);
	assert_null(client(world, "alice"));
	load(world, false);
	assert_null(client(world, "alice"));
	assert_int_equal(world->refused, 0);

	assert_int_equal(enroll(world, "alice", ALICE, NULL, NULL), 0);
	assert_false(client(world, "alice")->has_ports);
	load(world, false);
	assert_false(client(world, "alice")->has_ports);
	assert_int_equal(world->warnings, 1);

	/* Removed again, what it stood in place of does not come back. */
	assert_int_equal(remove_client(world, "alice"), 0);
	load(world, false);
	assert_null(client(world, "alice"));
}

static void test_sets_enrolled(void **data)
{
	World *world = *data;

	assert_int_equal(enroll(world, "carol", CAROL, "Ports", "22/tcp"), 0);
	assert_int_equal(set(world, "carol", "Idle", "5min"), 0);
	assert_ports(world, "carol", "22/tcp");
	assert_int_equal(client(world, "carol")->idle_ns, 300 * NSEC_PER_SEC);
	assert_int_equal(set(world, "carol", "Ports", "8000/tcp"), 0);
	assert_ports(world, "carol", "8000/tcp");
	load(world, false);
	assert_ports(world, "carol", "8000/tcp");
	assert_int_equal(set(world, "carol", "Ports", NULL), 0);
	assert_false(client(world, "carol")->has_ports);
	assert_int_equal(set(world, "carol", "Ports", ""), 0);
	assert_ports(world, "carol", "");
	assert_int_equal(set(world, "carol", "Idle", "never"), -EINVAL);
	assert_int_equal(client(world, "carol")->idle_ns, 300 * NSEC_PER_SEC);
	assert_int_equal(set(world, "dave", "Idle", "1h"), -ENOKEY);
}

/* Narrowing and disabling cut at once. */
static void test_sets_the_administrators(void **data)
{
	World *world = *data;

	knock_as(world->fixture, ALICE, 9);
	assert_state(world->fixture, 1, 2);
	assert_int_equal(set(world, "alice", "Ports", "22/tcp"), 0);
	assert_state(world->fixture, 1, 1);
	load(world, false);
	assert_ports(world, "alice", "22/tcp");

	/* What its file says counts where nothing was said, and again where it was taken back. */
	assert_int_equal(set(world, "alice", "Idle", "5min"), 0);
	assert_int_equal(set(world, "alice", "Ports", NULL), 0);
	assert_ports(world, "alice", "22/tcp 8000/tcp");
	assert_int_equal(client(world, "alice")->idle_ns, 300 * NSEC_PER_SEC);

	assert_int_equal(set(world, "alice", "Enabled", "no"), 0);
	assert_state(world->fixture, 0, 0);
	load(world, true);
	assert_false(client(world, "alice")->enabled);
	assert_int_equal(set(world, "alice", "Enabled", "yes"), 0);
	assert_true(client(world, "alice")->enabled);
}

/* A client that was changed and whose file becomes unusable is refused, and nobody else. */
static void test_refused_file_by_file(void **data)
{
	World *world = *data;

	assert_int_equal(enroll(world, "carol", CAROL, NULL, NULL), 0);
	write_text(world, "clients/carol.conf", "[Client]\nPorts=x\n");
	load(world, true);
	assert_int_equal(world->refused, 1);
	assert_null(client(world, "carol"));
	assert_non_null(client(world, "alice"));
	/* The name is taken all the same. */
	assert_int_equal(enroll(world, "carol", BOB, NULL, NULL), -EEXIST);
	assert_int_equal(remove_client(world, "carol"), 0);

	/* One key in both directories counts for neither. */
	write_key(world, "clients/dave.pem", ALICE);
	load(world, true);
	assert_int_equal(world->refused, 2);
	assert_int_equal(client_set_count(manager_clients(world->fixture->manager)), 0);
}

static void test_kernel_refuses(void **data)
{
	World *world = *data;

	world->fixture->fake->fail_with = -ENOSPC;
	assert_int_equal(enroll(world, "carol", CAROL, NULL, NULL), -ENOSPC);
	assert_null(client(world, "carol"));
	assert_false(has_file(world, "clients/carol.pem"));
	world->fixture->fake->fail_with = -ENOSPC;
	assert_int_equal(remove_client(world, "alice"), -ENOSPC);
	assert_false(has_file(world, "clients/alice.removed"));
	assert_non_null(client(world, "alice"));
}

/* Nothing is half done on a disk that is full, or that nobody may write to. */
static void test_disk_takes_nothing(void **data)
{
	World *world = *data;
	static char filling[64 * 1024];
	_cleanup_close_ int base = -1;
	char directory[96], name[128];

	assert_int_equal(enroll(world, "carol", CAROL, NULL, NULL), 0);
	path_in(world, "clients", directory);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", directory, "tmpfs", 0, "size=64k,mode=0700") < 0)
		skip();
	/* In the namespace where it was mounted. */
	base = open(world->fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dup3(base, state_directory_fd(world->fixture->state), O_CLOEXEC) >= 0);
	write_key(world, "clients/carol.pem", CAROL);
	for (size_t size = sizeof(filling); size > 0; size /= 2) {
		snprintf(name, sizeof(name), "%s/filling-%zu", directory, size);
		(void)file_write(AT_FDCWD, name, filling, size, 0600, 0);
	}
	assert_int_equal(enroll(world, "bob", BOB, NULL, NULL), -EROFS);
	assert_int_equal(set(world, "alice", "Ports", "22/tcp"), -EROFS);
	assert_int_equal(set(world, "carol", "Ports", "22/tcp"), -EROFS);
	assert_int_equal(mount("none", directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(remove_client(world, "alice"), -EROFS);
	assert_int_equal(remove_client(world, "carol"), -EROFS);
	assert_null(client(world, "bob"));
	assert_ports(world, "alice", "22/tcp 8000/tcp");
	assert_false(client(world, "carol")->has_ports);
	load(world, true);
	assert_int_equal(client_set_count(manager_clients(world->fixture->manager)), 2);
	assert_int_equal(umount2(directory, MNT_DETACH), 0);
}

/* What failed at the very end is not there at the next start either. */
static void test_disk_is_unsure(void **data)
{
	World *world = *data;

	assert_int_equal(enroll(world, "carol", CAROL, "Ports", "22/tcp"), 0);
	disk_is_unsure = true;
	assert_int_equal(enroll(world, "bob", BOB, "Ports", "22/tcp"), -EROFS);
	assert_int_equal(set(world, "alice", "Ports", "8000/tcp"), -EROFS);
	assert_int_equal(set(world, "carol", "Ports", "8000/tcp"), -EROFS);
	disk_is_unsure = false;
	assert_false(has_file(world, "clients/bob.pem"));
	assert_false(has_file(world, "clients/bob.conf"));
	assert_false(has_file(world, "clients/alice.conf"));
	load(world, false);
	assert_null(client(world, "bob"));
	assert_ports(world, "alice", "22/tcp 8000/tcp");
	assert_ports(world, "carol", "22/tcp");

	/* Changes of an administrator's client, too. */
	assert_int_equal(set(world, "alice", "Ports", "22/tcp"), 0);
	disk_is_unsure = true;
	assert_int_equal(set(world, "alice", "Ports", "8000/tcp"), -EROFS);
	disk_is_unsure = false;
	load(world, false);
	assert_ports(world, "alice", "22/tcp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_enrolls, set_up_world, tear_down_world),
		cmocka_unit_test_setup_teardown(test_enrolling_is_refused, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_key_that_is_none, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_removes_enrolled, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_removes_the_administrators, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_sets_enrolled, set_up_world, tear_down_world),
		cmocka_unit_test_setup_teardown(test_sets_the_administrators, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_refused_file_by_file, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_kernel_refuses, set_up_world, tear_down_world),
		cmocka_unit_test_setup_teardown(test_disk_takes_nothing, set_up_world,
						tear_down_world),
		cmocka_unit_test_setup_teardown(test_disk_is_unsure, set_up_world, tear_down_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
