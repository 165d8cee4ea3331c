/* SPDX-License-Identifier: MIT */
/* What of a session is written into the kernel, and what is made of it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "daemon/session-records.h"
#include "enforce/fake.h"

static const PublicKey alice = {{0xa1}}, bob = {{0xb0}};

typedef struct Recalled {
	char names[4][CLIENT_NAME_MAX + 1];
	SessionOrigin origins[4];
	uint64_t numbers[4];
	size_t count;
} Recalled;

static void recall(const SessionOwner *owner, SessionOrigin *origin, uint64_t number,
		   void *userdata)
{
	Recalled *recalled = userdata;

	assert_in_range(recalled->count, 0, 3);
	strcpy(recalled->names[recalled->count], owner->name);
	recalled->numbers[recalled->count] = number;
	recalled->origins[recalled->count++] = *origin;
	*origin = (SessionOrigin){0};
}

static void recalled_done(Recalled *recalled)
{
	for (size_t i = 0; i < recalled->count; i++)
		session_origin_done(&recalled->origins[i]);
}

static int set_up(void **data)
{
	*data = fake_enforcer_new();
	return *data ? 0 : -1;
}

static int tear_down(void **data)
{
	enforcer_free(*data);
	return 0;
}

static SessionOrigin origin_of(uint8_t last)
{
	SessionOrigin origin = {
		.source = {{{[0] = 0x20, [15] = last & 0xf0}}, 124},
		.address = {{[0] = 0x20, [15] = last}},
		.ifindex = last,
	};

	assert_int_equal(port_list_add(&origin.ports, (PortRange){IPPROTO_TCP, 22, 22}), 0);
	return origin;
}

static void put(FakeEnforcer *fake, const PublicKey *key, const char *name, uint8_t last,
		uint64_t number)
{
	_cleanup_(session_origin_done) SessionOrigin origin = origin_of(last);

	assert_int_equal(
		session_records_put(&fake->base, &(SessionOwner){key, name}, &origin, number), 0);
}

static void test_in_order(void **data)
{
	FakeEnforcer *fake = *data;
	_cleanup_(recalled_done) Recalled recalled = {0};
	_cleanup_(session_origin_done) SessionOrigin origin = origin_of(0x21);

	put(fake, &alice, "alice", 0x11, 7);
	put(fake, &alice, "alice", 0x21, 8);
	put(fake, &bob, "bob", 0x11, 6);
	put(fake, &alice, "alice", 0x11, 9);
	assert_int_equal(session_records_recall(&fake->base, recall, &recalled), 0);
	assert_int_equal(recalled.count, 3);
	assert_string_equal(recalled.names[0], "bob");
	assert_int_equal(recalled.numbers[1], 8);
	assert_int_equal(recalled.numbers[2], 9);
	assert_int_equal(prefix_compare(&recalled.origins[1].source, &origin.source), 0);
	assert_memory_equal(&recalled.origins[1].address, &origin.address, sizeof(Address));
	assert_int_equal(recalled.origins[1].ifindex, 0x21);
	assert_true(port_list_equal(&recalled.origins[1].ports, &origin.ports));

	assert_int_equal(
		session_records_delete(&fake->base, &(SessionOwner){&alice, "alice"}, &origin), 0);
	recalled_done(&recalled);
	recalled.count = 0;
	assert_int_equal(session_records_recall(&fake->base, recall, &recalled), 0);
	assert_int_equal(recalled.count, 2);
}

/* More ranges than there is room for: what lies between close ones counts as well. */
static void test_many_ranges(void **data)
{
	FakeEnforcer *fake = *data;
	_cleanup_(recalled_done) Recalled recalled = {0};
	_cleanup_(session_origin_done) SessionOrigin origin = {.source.length = 128};
	const PortList *ports = &recalled.origins[0].ports;

	/* Gaps of 1, 2, 3, … ports, and the last port of one protocol before the first of another.
	 */
	for (unsigned i = 0, port = 100; i < SPALE_OWNER_RANGES; port += i++ + 2)
		assert_int_equal(
			port_list_add(&origin.ports,
				      (PortRange){IPPROTO_TCP, (uint16_t)port, (uint16_t)port}),
			0);
	assert_int_equal(port_list_add(&origin.ports, (PortRange){IPPROTO_TCP, 65535, 65535}), 0);
	assert_int_equal(port_list_add(&origin.ports, (PortRange){IPPROTO_UDP, 1, 1}), 0);
	assert_int_equal(
		session_records_put(&fake->base, &(SessionOwner){&alice, "alice"}, &origin, 1), 0);
	assert_int_equal(session_records_recall(&fake->base, recall, &recalled), 0);
	assert_int_equal(recalled.count, 1);
	assert_int_equal(ports->count, SPALE_OWNER_RANGES);
	port_list_foreach (range, &origin.ports)
		assert_true(port_list_contains(ports, range->protocol, range->first));
	assert_true(port_list_contains(ports, IPPROTO_TCP, 101));
	assert_true(port_list_contains(ports, IPPROTO_TCP, 103));
	assert_false(port_list_contains(ports, IPPROTO_TCP, 106));
	assert_false(port_list_contains(ports, IPPROTO_TCP, 65534));
	assert_int_equal(port_list_ports(ports), SPALE_OWNER_RANGES + 2 + 3);
}

/* What no spaled has written. */
static void test_nonsense_is_left_out(void **data)
{
	FakeEnforcer *fake = *data;
	_cleanup_(recalled_done) Recalled recalled = {0};
	const struct spale_session_key keys[] = {
		{.prefix_length = 129}, {.ifindex = 1}, {.ifindex = 2}, {.ifindex = 3}};
	struct spale_session sessions[ARRAY_SIZE(keys)] = {
		[1] = {.ranges_used = SPALE_OWNER_RANGES + 1},
		[3] = {.ranges_used = 1, .ranges = {{IPPROTO_TCP, 5, 4}}},
	};

	memset(sessions[2].client, 'x', sizeof(sessions[2].client));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(
			enforcer_record_put(&fake->base, ENFORCER_SESSIONS, &keys[i], &sessions[i]),
			0);
	put(fake, &alice, "alice", 0x11, 1);
	assert_int_equal(session_records_recall(&fake->base, recall, &recalled), 0);
	assert_int_equal(recalled.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_ranges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense_is_left_out, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
