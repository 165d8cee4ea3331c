/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "daemon/kept-grants.h"
#include "unsure-disk.h"
#include "util/file.h"
#include "util/parse.h"

typedef struct Fixture {
	char directory[32];
	int dir_fd;
} Fixture;

static int set_up(void **data)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	strcpy(fixture->directory, "/tmp/test-kept-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->dir_fd = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*data = fixture;
	return fixture->dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	close(fixture->dir_fd);
	snprintf(command, sizeof(command), "rm -r %s", fixture->directory);
	free(fixture);
	return system(command);
}

static KeptGrants *load(const Fixture *fixture, size_t errors)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	KeptGrants *kept = NULL;

	assert_int_equal(kept_grants_load(fixture->dir_fd, &diagnostics, &kept), 0);
	assert_int_equal(diagnostics.errors, errors);
	return kept;
}

static Prefix prefix(const char *text)
{
	Prefix source;

	assert_int_equal(prefix_parse(text, &source), 0);
	return source;
}

static void put(KeptGrants *kept, const char *source, const char *port, uint64_t deadline)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	KeptGrant grant = {.source = prefix(source), .deadline_real_usec = deadline};

	if (port)
		assert_int_equal(port_list_add_text(&ports, port), 0);
	grant.ports = ports;
	assert_int_equal(kept_grants_put(kept, &grant), 0);
}

/* Has the file say TEXT. */
static void write_text(const Fixture *fixture, const char *text, size_t size)
{
	assert_int_equal(file_write(fixture->dir_fd, "grants.conf", text, size, 0600, FILE_REPLACE),
			 0);
}

static void test_empty(void **data)
{
	_cleanup_kept_grants_ KeptGrants *kept = load(*data, 0);
	Prefix source = prefix("192.0.2.7");

	assert_int_equal(kept_grants_count(kept), 0);
	assert_null(kept_grants_get(kept, 0));
	assert_null(kept_grants_find(kept, &source, NULL));
	assert_int_equal(kept_grants_remove(kept, &source, NULL), -ENOENT);
	assert_int_equal(kept_grants_clear(kept), 0);
}

static void test_comes_back(void **data)
{
	const Fixture *fixture = *data;
	_cleanup_kept_grants_ KeptGrants *kept = load(fixture, 0), *again = NULL;
	Prefix network = prefix("2001:db8::/48"), local = prefix("fe80::1");
	KeptGrant grant = {
		.source = local,
		.interface = "eth0",
		.has_idle = true,
		.idle_ns = DURATION_INFINITY,
		.has_grace = true,
		.grace_ns = 90 * NSEC_PER_SEC,
		.deadline_real_usec = 1700000000123456,
	};
	const KeptGrant *found;

	put(kept, "2001:db8::/48", "8000-8010/udp", UINT64_MAX);
	assert_int_equal(kept_grants_put(kept, &grant), 0);
	again = load(fixture, 0);
	assert_int_equal(kept_grants_count(again), 2);

	found = kept_grants_find(again, &network, "");
	assert_non_null(found);
	assert_int_equal(found->deadline_real_usec, UINT64_MAX);
	assert_false(found->has_idle || found->has_grace);
	assert_int_equal(port_list_ports(&found->ports), 11);
	assert_true(port_list_contains(&found->ports, IPPROTO_UDP, 8010));

	assert_null(kept_grants_find(again, &local, NULL));
	assert_null(kept_grants_find(again, &local, "eth1"));
	found = kept_grants_find(again, &local, "eth0");
	assert_non_null(found);
	assert_string_equal(found->interface, "eth0");
	assert_true(found->has_idle && found->has_grace);
	assert_int_equal(found->idle_ns, DURATION_INFINITY);
	assert_int_equal(found->grace_ns, 90 * NSEC_PER_SEC);
	assert_int_equal(found->deadline_real_usec, 1700000000123456);
	assert_int_equal(found->ports.count, 0);
}

static void test_replaces_and_removes(void **data)
{
	const Fixture *fixture = *data;
	_cleanup_kept_grants_ KeptGrants *kept = load(fixture, 0), *again = NULL;
	Prefix first = prefix("192.0.2.1"), second = prefix("192.0.2.2");

	put(kept, "192.0.2.1", "22/tcp", UINT64_MAX);
	put(kept, "192.0.2.2", NULL, 100);
	put(kept, "192.0.2.1", "80/tcp", 200);
	assert_int_equal(kept_grants_count(kept), 2);
	assert_true(
		port_list_contains(&kept_grants_find(kept, &first, NULL)->ports, IPPROTO_TCP, 80));

	assert_int_equal(kept_grants_expire(kept, 99), 0);
	assert_int_equal(kept_grants_count(kept), 2);
	assert_int_equal(kept_grants_expire(kept, 100), 0);
	assert_null(kept_grants_find(kept, &second, NULL));
	again = load(fixture, 0);
	assert_int_equal(kept_grants_count(again), 1);

	assert_int_equal(kept_grants_remove(kept, &first, NULL), 0);
	put(kept, "192.0.2.2", NULL, UINT64_MAX);
	assert_int_equal(kept_grants_clear(kept), 0);
	assert_int_equal(kept_grants_count(kept), 0);
	kept_grants_free(TAKE_PTR(again));
	again = load(fixture, 0);
	assert_int_equal(kept_grants_count(again), 0);
}

/* One that says less than it said would be more than was granted. */
static void test_leaves_out_what_is_damaged(void **data)
{
	static const char text[] = "[Grant]\n"
				   "Source=192.0.2.1\nPorts=22/tcp\nDeadlineUSec=infinity\n"
				   "Source=192.0.2.2\nDeadlineUSec=infinity\n"
				   "Source=192.0.2.3\nPorts=22/tcp\n"
				   "Source=192.0.2.4\nPorts=22/tpc\nDeadlineUSec=infinity\n"
				   "Source=192.0.2.5\nPorts=all\nDeadlineUSec=1\nIdle=soon\n"
				   "Source=192.0.2\nPorts=all\nDeadlineUSec=1\n"
				   "Source=192.0.2.6\nPo\0ts=all\nDeadlineUSec=1\n"
				   "Source=192.0.2.7\nPorts=all\nDeadlineUSec=infinity\nMore=1\n"
				   "Source=192.0.2.8\nPorts=all\nDeadlineUSec=5\n";
	const Fixture *fixture = *data;
	_cleanup_kept_grants_ KeptGrants *kept = NULL;
	Prefix first = prefix("192.0.2.1"), last = prefix("192.0.2.8");

	write_text(fixture, text, sizeof(text) - 1);
	kept = load(fixture, 8);
	assert_int_equal(kept_grants_count(kept), 2);
	assert_non_null(kept_grants_find(kept, &first, NULL));
	assert_int_equal(kept_grants_find(kept, &last, NULL)->deadline_real_usec, 5);
}

static void test_limit(void **data)
{
	const Fixture *fixture = *data;
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *stream = NULL;
	_cleanup_kept_grants_ KeptGrants *kept = NULL;
	Prefix one = prefix("10.0.0.0");
	KeptGrant grant = {.source = prefix("192.0.2.1"), .deadline_real_usec = UINT64_MAX};
	size_t size;

	stream = open_memstream(&text, &size);
	assert_non_null(stream);
	fprintf(stream, "[Grant]\n");
	for (unsigned i = 0; i < KEPT_GRANTS_MAX; i++)
		fprintf(stream, "Source=10.0.%u.%u\nPorts=all\nDeadlineUSec=infinity\n", i / 256,
			i % 256);
	assert_int_equal(fflush(stream), 0);
	write_text(fixture, text, size);
	kept = load(fixture, 0);
	assert_int_equal(kept_grants_count(kept), KEPT_GRANTS_MAX);
	assert_int_equal(kept_grants_put(kept, &grant), -E2BIG);
	assert_int_equal(kept_grants_count(kept), KEPT_GRANTS_MAX);
	assert_int_equal(kept_grants_remove(kept, &one, NULL), 0);
	assert_int_equal(kept_grants_put(kept, &grant), 0);
}

/* A full disk, then one that nobody may write to. */
static void test_disk_takes_nothing(void **data)
{
	const Fixture *fixture = *data;
	_cleanup_close_ int dir_fd = -1;
	_cleanup_kept_grants_ KeptGrants *kept = NULL, *again = NULL;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	static char filling[64 * 1024];
	Prefix first = prefix("192.0.2.1");
	KeptGrant grant = {.source = prefix("192.0.2.2"), .deadline_real_usec = UINT64_MAX};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", fixture->directory, "tmpfs", 0, "size=64k,mode=0700") < 0)
		skip();
	dir_fd = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(kept_grants_load(dir_fd, &diagnostics, &kept), 0);
	put(kept, "192.0.2.1", NULL, UINT64_MAX);

	for (size_t size = sizeof(filling); size > 0; size /= 2) {
		char name[32];

		snprintf(name, sizeof(name), "filling-%zu", size);
		(void)file_write(dir_fd, name, filling, size, 0600, 0);
	}
	assert_int_equal(kept_grants_put(kept, &grant), -EROFS);
	assert_int_equal(kept_grants_count(kept), 1);
	assert_int_equal(mount("none", fixture->directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(kept_grants_remove(kept, &first, NULL), -EROFS);
	assert_int_equal(kept_grants_clear(kept), -EROFS);
	assert_non_null(kept_grants_find(kept, &first, NULL));

	assert_int_equal(kept_grants_load(dir_fd, &diagnostics, &again), 0);
	assert_int_equal(kept_grants_count(again), 1);
	assert_int_equal(umount2(fixture->directory, MNT_DETACH), 0);
}

/* What failed at the very end is not there at the next start either. */
static void test_disk_is_unsure(void **data)
{
	const Fixture *fixture = *data;
	_cleanup_kept_grants_ KeptGrants *kept = load(fixture, 0), *again = NULL;
	const KeptGrant grant = {.source = prefix("192.0.2.2"), .deadline_real_usec = UINT64_MAX};
	Prefix first = prefix("192.0.2.1");

	put(kept, "192.0.2.1", NULL, UINT64_MAX);
	disk_is_unsure = true;
	assert_int_equal(kept_grants_put(kept, &grant), -EROFS);
	assert_int_equal(kept_grants_remove(kept, &first, NULL), -EROFS);
	disk_is_unsure = false;
	assert_int_equal(kept_grants_count(kept), 1);
	again = load(fixture, 0);
	assert_int_equal(kept_grants_count(again), 1);
	assert_non_null(kept_grants_find(again, &first, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replaces_and_removes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leaves_out_what_is_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disk_takes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disk_is_unsure, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
