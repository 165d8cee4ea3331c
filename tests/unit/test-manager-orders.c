/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/projection.h"
#include "order-world.h"
#include "util/file.h"

static void test_grants(void **data)
{
	Fixture *fixture = *data;
	Heard heard = {0};
	ManagerObserver observer = listener(&heard);
	_cleanup_port_list_ PortList list = ports("22/tcp");
	GrantRequest request = {.source = prefix("192.0.2.7"), .ports = &list};
	uint64_t id, again;
	const Grant *grant;

	assert_int_equal(manager_observe(fixture->manager, &observer), 0);
	assert_int_equal(add(fixture, &request, &id), 0);
	assert_state(fixture, 1, 1);
	grant = first_grant(fixture);
	assert_int_equal(grant->origin, GRANT_ORIGIN_ADMINISTRATOR);
	assert_string_equal(grant->client, "");
	assert_true(secret_is_zero(&grant->key, sizeof(grant->key)));
	assert_int_equal(grant->idle_ns, 60 * NSEC_PER_SEC);
	assert_int_equal(grant->deadline_mono_ns, UPTIME_NS + 3600 * NSEC_PER_SEC);

	/* The same source: the same grant, as it is asked for this time. */
	request.ports = NULL;
	request.has_lifetime = request.has_idle = true;
	request.lifetime_ns = DURATION_INFINITY;
	request.idle_ns = 5 * NSEC_PER_SEC;
	assert_int_equal(add(fixture, &request, &again), 0);
	assert_int_equal(again, id);
	assert_state(fixture, 1, 4);
	assert_int_equal(grant->deadline_mono_ns, SPALE_NEVER_NS);
	assert_int_equal(grant->idle_ns, 5 * NSEC_PER_SEC);
	assert_int_equal(heard.added, 1);
	assert_int_equal(heard.changed, 1);

	/* A client's for that source is another one, with shared entries. */
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 2, 4);
	assert_int_equal(heard.added, 2);
	manager_ignore(fixture->manager, &observer);
	assert_int_equal(add_source(fixture, "192.0.2.8", NULL), 0);
	assert_int_equal(heard.added, 2);
}

static void test_many_of_an_administrator(void **data)
{
	Fixture *fixture = *data;
	char source[32];

	for (int i = 1; i <= 3 * GRANTS_PER_CLIENT_MAX; i++) {
		snprintf(source, sizeof(source), "198.51.100.%d", i);
		assert_int_equal(add_source(fixture, source, "22/tcp"), 0);
	}
	assert_state(fixture, 3 * GRANTS_PER_CLIENT_MAX, 3 * GRANTS_PER_CLIENT_MAX);
}

static void test_refuses(void **data)
{
	static const struct {
		const char *source, *ports;
		int error;
	} rows[] = {
		{"192.0.2.0/15", NULL, -EADDRNOTAVAIL},
		{"2001:db8::/31", NULL, -EADDRNOTAVAIL},
		{"224.0.0.1", NULL, -EADDRNOTAVAIL},
		{"ff02::1", NULL, -EADDRNOTAVAIL},
		{"0.0.0.0", NULL, -EADDRNOTAVAIL},
		{"::", NULL, -EADDRNOTAVAIL},
		{"fe80::1", NULL, -EINVAL},
		{"192.0.2.1", "23/tcp", -EDOM},
		{"192.0.2.1", "22/tcp 8000-8002/tcp", -EDOM},
	};
	Fixture *fixture = *data;
	GrantRequest request = {.source = prefix("192.0.2.1"), .has_lifetime = true};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(add_source(fixture, rows[i].source, rows[i].ports), rows[i].error);
	assert_int_equal(add(fixture, &request, NULL), -EINVAL);
	request.has_lifetime = false;
	request.interface = "lo";
	assert_int_equal(add(fixture, &request, NULL), -EINVAL);
	request.source = prefix("fe80::1");
	request.interface = "nowhere0";
	assert_int_equal(add(fixture, &request, NULL), -ENODEV);
	request.interface = "lo";
	assert_int_equal(add(fixture, &request, NULL), 0);
	assert_int_equal(first_grant(fixture)->ifindex, 1);
	assert_state(fixture, 1, 4);

	/* What the kernel does not take has changed nothing. */
	fixture->fake->fail_with = -E2BIG;
	assert_int_equal(add_source(fixture, "192.0.2.0/24", NULL), -E2BIG);
	assert_state(fixture, 1, 4);
	assert_int_equal(add_source(fixture, "192.0.0.0/16", NULL), 0);
	assert_int_equal(add_source(fixture, "2001:db8::/32", NULL), 0);
}

static void test_port_limits(void **data)
{
	Fixture *fixture = *data;
	_cleanup_port_list_ PortList list = PORT_LIST_NULL;
	GrantRequest request = {.source = prefix("192.0.2.1"), .ports = &list};
	uint16_t port;

	reload(fixture, "[Protect]\nInterfaces=test0\nPorts=1-2000/tcp\n[Knock]\nPorts=62201\n",
	       NULL, true, 0);
	for (port = 1; port <= 2 * SPALE_OWNER_RANGES; port += 2)
		assert_int_equal(port_list_add(&list, (PortRange){6, port, port}), 0);
	assert_int_equal(add(fixture, &request, NULL), 0);
	assert_int_equal(port_list_add(&list, (PortRange){6, port, port}), 0);
	assert_int_equal(add(fixture, &request, NULL), -E2BIG);
	port_list_done(&list);
	list = PORT_LIST_NULL;
	assert_int_equal(add(fixture, &request, NULL), -E2BIG);
	assert_int_equal(port_list_add(&list, (PortRange){6, 1, GRANT_PORTS_MAX + 1}), 0);
	assert_int_equal(add(fixture, &request, NULL), -E2BIG);
	assert_state(fixture, 1, SPALE_OWNER_RANGES);
}

/* What shared an entry with a grant that was not renewed does not keep that one's times. */
static void test_refused_renewal_of_shared(void **data)
{
	Fixture *fixture = *data;
	_cleanup_port_list_ PortList first = ports("8000/tcp"), second = ports("22/tcp");
	GrantRequest request = {.source = prefix("192.0.2.7"),
				.ports = &first,
				.has_lifetime = true,
				.lifetime_ns = DURATION_INFINITY};
	const Grant *left;

	assert_int_equal(add(fixture, &request, NULL), 0);
	knock_as(fixture, BOB, 7);
	assert_state(fixture, 2, 4);
	request.ports = &second;
	fixture->fake->fail_with = -ENOMEM;
	assert_int_equal(add(fixture, &request, NULL), -ENOMEM);
	assert_state(fixture, 1, 4);

	left = first_grant(fixture);
	assert_string_equal(left->client, "bob");
	for (size_t i = 0; i < fixture->fake->entry_count; i++)
		assert_int_equal(fixture->fake->entries[i].value.deadline_mono_ns,
				 left->deadline_mono_ns);
}

static void test_wide(void **data)
{
	Fixture *fixture = *data;
	GrantRequest request = {.source = prefix("192.0.2.1")};
	Manager *manager = fixture->manager;

	assert_false(manager_request_is_wide(manager, &request));
	request.has_lifetime = true;
	request.lifetime_ns = 3600 * NSEC_PER_SEC;
	assert_false(manager_request_is_wide(manager, &request));
	request.lifetime_ns++;
	assert_true(manager_request_is_wide(manager, &request));
	request.has_lifetime = false;
	request.permanent = true;
	assert_true(manager_request_is_wide(manager, &request));
	request.permanent = false;
	request.source = prefix("192.0.2.0/31");
	assert_true(manager_request_is_wide(manager, &request));
	request.source = prefix("2001:db8::/127");
	assert_true(manager_request_is_wide(manager, &request));
}

static void test_extend(void **data)
{
	Fixture *fixture = *data;
	_cleanup_free_ char *error = NULL;
	const Grant *grant;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	grant = first_grant(fixture);
	pass_seconds(fixture, 100);
	assert_int_equal(manager_extend_grant(fixture->manager, grant->id, 7200 * NSEC_PER_SEC,
					      CALLER, &error),
			 0);
	assert_int_equal(grant->deadline_mono_ns, UPTIME_NS + 7300 * NSEC_PER_SEC);
	assert_int_equal(grant->last_mono_ns, UPTIME_NS + 100 * NSEC_PER_SEC);
	assert_int_equal(fixture->fake->entries[0].value.deadline_mono_ns, grant->deadline_mono_ns);
	/* A shorter one too. */
	assert_int_equal(manager_extend_grant(fixture->manager, grant->id, 10 * NSEC_PER_SEC,
					      CALLER, &error),
			 0);
	pass_seconds(fixture, 11);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 0, 0);
	assert_int_equal(manager_extend_grant(fixture->manager, 1, 1, CALLER, &error), -ENOENT);
}

/* Temporary ones end at a reload, with their conversations going on. */
static void test_reload_ends_temporary(void **data)
{
	Fixture *fixture = *data;
	Heard heard = {0};
	ManagerObserver observer = listener(&heard);

	assert_int_equal(manager_observe(fixture->manager, &observer), 0);
	assert_int_equal(add_source(fixture, "192.0.2.8", NULL), 0);
	knock_as(fixture, ALICE, 7);
	hold(fixture, "192.0.2.8", 22);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_state(fixture, 1, 4);
	assert_int_equal(first_grant(fixture)->origin, GRANT_ORIGIN_KNOCK);
	assert_int_equal(fixture->fake->session_count, 1);
	assert_int_equal(heard.removed, 1);
	assert_int_equal(heard.reloaded, 1);
	assert_int_equal(heard.policies, 1);
}

static void test_restarts(void **data)
{
	Fixture *fixture = *data;
	_cleanup_port_list_ PortList list = ports("22/tcp 51820/udp");
	GrantRequest request = {
		.source = prefix("2001:db8::/48"),
		.ports = &list,
		.has_idle = true,
		.idle_ns = DURATION_INFINITY,
	};
	const Grant *grant;
	uint64_t id;

	assert_int_equal(add(fixture, &request, &id), 0);
	knock_as(fixture, ALICE, 7);
	pass_seconds(fixture, 100);

	/* A crash: all is as it was. */
	start_anew(fixture);
	assert_state(fixture, 2, 6);
	grant = grant_table_by_id(manager_grants(fixture->manager), id);
	assert_non_null(grant);
	assert_int_equal(grant->origin, GRANT_ORIGIN_ADMINISTRATOR);
	assert_int_equal(prefix_compare(&grant->source, &request.source), 0);
	assert_true(port_list_equal(&grant->ports, &list));
	assert_int_equal(grant->idle_ns, SPALE_NEVER_NS);
	assert_int_equal(grant->deadline_mono_ns, UPTIME_NS + 3600 * NSEC_PER_SEC);

	/* An orderly restart: the administrators' is over. */
	manager_stop(fixture->manager);
	start_anew(fixture);
	assert_state(fixture, 1, 4);
	assert_int_equal(first_grant(fixture)->origin, GRANT_ORIGIN_KNOCK);
}

static void test_permanent(void **data)
{
	Fixture *fixture = *data;
	_cleanup_port_list_ PortList list = ports("22/tcp 8000/tcp");
	GrantRequest request = {.source = prefix("192.0.2.9"), .ports = &list, .permanent = true};
	size_t count;
	uint64_t id, next;

	assert_int_equal(add(fixture, &request, &id), 0);
	/* A temporary one of the same source is another one. */
	assert_int_equal(add_source(fixture, "192.0.2.9", "51820/udp"), 0);
	assert_state(fixture, 2, 3);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_state(fixture, 1, 2);
	manager_stop(fixture->manager);
	start_anew(fixture);
	assert_state(fixture, 1, 2);
	assert_int_equal(first_grant(fixture)->id, id);

	/* A machine that was off: its time goes on. */
	pass_seconds(fixture, 1800);
	fixture->now.mono_ns = UPTIME_NS;
	close_all(fixture);
	open_state(fixture, false);
	make_manager(fixture);
	assert_state(fixture, 1, 2);
	assert_int_equal(first_grant(fixture)->origin, GRANT_ORIGIN_ALWAYS);
	assert_int_equal(first_grant(fixture)->deadline_mono_ns, UPTIME_NS + 1800 * NSEC_PER_SEC);
	assert_int_equal(manager_extend_grant(fixture->manager, first_grant(fixture)->id,
					      3600 * NSEC_PER_SEC, CALLER, NULL),
			 0);

	/* What it loses it has lost for good, and what ends does not come back. */
	assert_int_equal(revoke_source(fixture, "192.0.2.9", "8000/tcp", &count), 0);
	assert_state(fixture, 1, 1);
	close_all(fixture);
	open_state(fixture, false);
	make_manager(fixture);
	assert_state(fixture, 1, 1);
	assert_int_equal(first_grant(fixture)->deadline_mono_ns, UPTIME_NS + 3600 * NSEC_PER_SEC);
	pass_seconds(fixture, 301);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 0, 0);
	close_all(fixture);
	open_state(fixture, false);
	make_manager(fixture);
	assert_state(fixture, 0, 0);
}

/* What nobody could have asked for is not granted because a file says so. */
static void test_kept_is_judged(void **data)
{
	static const char text[] =
		"[Grant]\n"
		"Source=10.0.0.0/8\nPorts=all\nDeadlineUSec=infinity\n"
		"Source=::/0\nPorts=all\nDeadlineUSec=infinity\n"
		"Source=fe80::1\nPorts=all\nDeadlineUSec=infinity\n"
		"Source=192.0.2.8\nInterface=lo\nPorts=all\nDeadlineUSec=infinity\n"
		"Source=192.0.2.9\nPorts=22/tcp\nDeadlineUSec=infinity\n"
		"Source=fe80::2\nInterface=lo\nPorts=22/tcp\nDeadlineUSec=infinity\n";
	Fixture *fixture = *data;
	char path[64];

	snprintf(path, sizeof(path), "%s/grants.conf", fixture->directory);
	close_all(fixture);
	assert_int_equal(file_write(AT_FDCWD, path, text, strlen(text), 0600, 0), 0);
	open_state(fixture, false);
	make_manager(fixture);
	assert_state(fixture, 2, 2);
}

/* Where the state directory takes nothing, nothing is for good, and all can be revoked. */
static void test_nothing_is_kept(void **data)
{
	Fixture *fixture = *data;
	GrantRequest request = {.source = prefix("192.0.2.9"), .permanent = true};
	char path[64];
	size_t count;
	uint64_t next;

	/* A directory in the place of the file that is about to be written. */
	assert_int_equal(add(fixture, &request, NULL), 0);
	snprintf(path, sizeof(path), "%s/grants.conf", fixture->directory);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	request.source = prefix("192.0.2.10");
	assert_int_equal(add(fixture, &request, NULL), -EROFS);
	assert_state(fixture, 1, 4);
	/* It is over all the same, and who asked for that is told. */
	assert_int_equal(revoke_source(fixture, "192.0.2.9", NULL, &count), -EROFS);
	assert_state(fixture, 0, 0);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_true(next <= fixture->now.mono_ns + 10 * NSEC_PER_SEC);
	assert_int_equal(rmdir(path), 0);
	pass_seconds(fixture, 11);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(access(path, F_OK), 0);
	close_all(fixture);
	open_state(fixture, false);
	make_manager(fixture);
	assert_state(fixture, 0, 0);
}

static void test_activity(void **data)
{
	Fixture *fixture = *data;
	const Client *alice = client_set_by_name(manager_clients(fixture->manager), "alice");
	const Client *bob = client_set_by_name(manager_clients(fixture->manager), "bob");
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	ClientActivity activity;
	char text[ADDRESS_TEXT_MAX];

	manager_knock(&knock, fixture->manager);
	knock.source[15] = 8;
	manager_knock(&knock, fixture->manager);
	activity = manager_client_activity(fixture->manager, alice);
	assert_int_equal(activity.accepted, 1);
	assert_int_equal(activity.refused, 1);
	assert_int_equal(activity.last_knock_real_usec, REAL_USEC);
	assert_string_equal(address_format(&activity.last_source, text), "192.0.2.7");
	activity = manager_client_activity(fixture->manager, bob);
	assert_int_equal(activity.accepted + activity.refused + activity.last_knock_real_usec, 0);
}

static void test_refresh(void **data)
{
	Fixture *fixture = *data;

	assert_int_equal(add_source(fixture, "192.0.2.9", "22/tcp"), 0);
	fixture->fake->entries[0].value.last_mono_ns += 5;
	assert_int_equal(first_grant(fixture)->last_mono_ns, UPTIME_NS);
	manager_refresh_grant(fixture->manager, first_grant(fixture));
	assert_int_equal(first_grant(fixture)->last_mono_ns, UPTIME_NS + 5);
}

static void test_packets(void **data)
{
	Fixture *fixture = *data;
	const Grant *grant;

	assert_int_equal(add_source(fixture, "192.0.2.9", "22/tcp"), 0);
	grant = first_grant(fixture);
	assert_int_equal(manager_grant_packets(fixture->manager, grant), 0);
	fixture->fake->packets = 7;
	assert_int_equal(manager_grant_packets(fixture->manager, grant),
			 7 * fixture->fake->entry_count);
	/* One that the kernel does not answer for is not called 0, and one without a counter
	 * neither. */
	fixture->fake->fail_with = -EIO;
	assert_int_equal(manager_grant_packets(fixture->manager, grant), PROJECTION_UNCOUNTED);
	fixture->fake->packets = UINT64_MAX;
	assert_int_equal(manager_grant_packets(fixture->manager, grant), PROJECTION_UNCOUNTED);
	/* What the kernel does not have let nothing through. */
	fixture->fake->entry_count = 0;
	assert_int_equal(manager_grant_packets(fixture->manager, grant), 0);
}

static void test_packets_of_many_entries(void **data)
{
	Fixture *fixture = *data;

	assert_int_equal(add_source(fixture, "192.0.2.9", "22/tcp 8000/tcp"), 0);
	fixture->fake->packets = 7;
	assert_int_equal(fixture->fake->entry_count, 2);
	assert_int_equal(manager_grant_packets(fixture->manager, first_grant(fixture)), 14);
}

static void on_limited(const Prefix *source, uint64_t free_real_usec, void *userdata)
{
	uint64_t *free_usec = userdata;
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(prefix_format(source, text), "2001:db8::/64");
	*free_usec = free_real_usec;
}

static void test_limited(void **data)
{
	Fixture *fixture = *data;
	uint64_t free_usec = 0;

	assert_int_equal(manager_list_limited(fixture->manager, on_limited, &free_usec), 0);
	assert_int_equal(free_usec, 0);
	fixture->fake->limited = prefix("2001:db8::/64");
	fixture->fake->limited_mono_ns = UPTIME_NS + 3 * NSEC_PER_SEC;
	assert_int_equal(manager_list_limited(fixture->manager, on_limited, &free_usec), 0);
	assert_int_equal(free_usec, REAL_USEC + 3 * USEC_PER_SEC);
	fixture->fake->fail_with = -EIO;
	assert_int_equal(manager_list_limited(fixture->manager, on_limited, &free_usec), -EIO);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_grants),
		TEST(test_many_of_an_administrator),
		TEST(test_refuses),
		TEST(test_port_limits),
		TEST(test_refused_renewal_of_shared),
		TEST(test_wide),
		TEST(test_extend),
		TEST(test_reload_ends_temporary),
		TEST(test_restarts),
		TEST(test_permanent),
		TEST(test_kept_is_judged),
		TEST(test_nothing_is_kept),
		TEST(test_activity),
		TEST(test_refresh),
		TEST(test_packets),
		TEST(test_packets_of_many_entries),
		TEST(test_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
