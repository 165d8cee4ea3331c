/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grant-world.h"
#include "scarcity.h"

static void test_oldest_yields(void **state)
{
	_cleanup_world_ World world = world_new();
	uint64_t ids[GRANTS_PER_CLIENT_MAX];
	char source[32];

	(void)state;
	for (unsigned int i = 0; i < GRANTS_PER_CLIENT_MAX; i++) {
		snprintf(source, sizeof(source), "192.0.2.%u", i);
		ids[i] = knock(&world, 1, source, "22/tcp", 1000 + i)->id;
	}
	/* Renewing takes no place, and does not make a grant younger. */
	knock(&world, 1, "192.0.2.0", "22/tcp", 2000);
	assert_int_equal(grant_table_count(world.table), GRANTS_PER_CLIENT_MAX);
	knock(&world, 2, "192.0.2.0", "22/tcp", 2001);
	assert_int_equal(grant_table_count(world.table), GRANTS_PER_CLIENT_MAX + 1);
	knock(&world, 1, "198.51.100.1", "22/tcp 23/tcp", 2002);
	assert_int_equal(grant_table_count(world.table), GRANTS_PER_CLIENT_MAX + 1);
	assert_null(grant_table_by_id(world.table, ids[0]));
	/* What the other client shares with it stays. */
	assert_entry(&world, "192.0.2.0", 22, 2001, 60, 300, 3001);
	knock(&world, 1, "198.51.100.2", "22/tcp", 2003);
	assert_null(grant_table_by_id(world.table, ids[1]));
	assert_no_entry(&world, "192.0.2.1", 22);
	assert_non_null(grant_table_by_id(world.table, ids[2]));
}

static void test_ports_out_of_bounds(void **state)
{
	_cleanup_world_ World world = world_new();
	Client client = client_of(1);
	Decision decision = TIMES;
	EntryChanges changes = {0};
	const Grant *grant = NULL;

	(void)state;
	decision.source = prefix_of("192.0.2.1");
	assert_int_equal(grant_table_add(world.table, &client, &decision, 1, &changes, &grant),
			 -EINVAL);
	assert_int_equal(port_list_add_text(&decision.ports, "1-1025/tcp"), 0);
	assert_int_equal(grant_table_add(world.table, &client, &decision, 1, &changes, &grant),
			 -EINVAL);
	decision_done(&decision);
	assert_null(grant);
	assert_null(changes.items);
	assert_int_equal(grant_table_count(world.table), 0);
	assert_int_equal(grant_table_entries(world.table), 0);
}

/* Adds a grant of PORTS ports without following it. */
static int add_raw(GrantTable *table, uint32_t number, uint32_t source, uint16_t ports,
		   uint64_t now, uint64_t *ret_id)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	Client client = client_of(number);
	PortRange range = {.protocol = IPPROTO_TCP, .first = 1, .last = ports};
	Decision decision = TIMES;
	const Grant *grant;
	int r;

	decision.ports = (PortList){&range, 1};
	decision.source =
		(Prefix){.address = address_from_ipv4((struct in_addr){.s_addr = htonl(source)}),
			 .length = 128};
	r = grant_table_add(table, &client, &decision, now, &changes, &grant);
	if (r == 0) {
		*ret_id = grant->id;
		assert_true(changes.count >= ports);
	}
	return r;
}

static void test_no_room_for_entries(void **state)
{
	_cleanup_grant_table_ GrantTable *table = grant_table_new();
	uint64_t id = 0, next;

	(void)state;
	assert_non_null(table);
	for (uint32_t i = 0; i < SPALE_GRANTS_MAX / GRANT_PORTS_MAX; i++)
		assert_int_equal(add_raw(table, i, i, GRANT_PORTS_MAX, 1, &id), 0);
	assert_int_equal(grant_table_entries(table), SPALE_GRANTS_MAX);
	next = grant_table_next_end_mono_ns(table);
	assert_int_equal(add_raw(table, 9999, 9999, 1, 2, &id), -ENOSPC);
	assert_int_equal(grant_table_count(table), SPALE_GRANTS_MAX / GRANT_PORTS_MAX);
	assert_int_equal(grant_table_entries(table), SPALE_GRANTS_MAX);
	assert_int_equal(grant_table_next_end_mono_ns(table), next);
	/* Renewing needs none. */
	assert_int_equal(add_raw(table, 5, 5, GRANT_PORTS_MAX, 2, &id), 0);
}

static void test_no_room_for_grants(void **state)
{
	_cleanup_grant_table_ GrantTable *table = grant_table_new();
	uint64_t id = 0;

	(void)state;
	assert_non_null(table);
	for (uint32_t i = 0; i < GRANTS_MAX; i++)
		assert_int_equal(add_raw(table, i / GRANTS_PER_CLIENT_MAX, i, 1, i, &id), 0);
	assert_int_equal(grant_table_count(table), GRANTS_MAX);
	assert_int_equal(add_raw(table, GRANTS_MAX, GRANTS_MAX, 1, 1, &id), -ENOSPC);
	/* A client that is full gives up one of its own. */
	assert_int_equal(add_raw(table, 0, GRANTS_MAX, 1, 1, &id), 0);
	assert_int_equal(grant_table_count(table), GRANTS_MAX);
}

/* 100,000 grants: each step costs the same, or this takes minutes. */
static void test_many(void **state)
{
	enum { MANY = 100000 };
	_cleanup_grant_table_ GrantTable *table = grant_table_new();
	_cleanup_free_ uint64_t *ids = calloc(MANY, sizeof(*ids));

	(void)state;
	assert_non_null(table);
	assert_non_null(ids);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(add_raw(table, i, i, 2, i, &ids[i]), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		uint64_t id;

		assert_int_equal(add_raw(table, i, i, 2, MANY + i, &id), 0);
		assert_int_equal(id, ids[i]);
	}
	assert_int_equal(grant_table_count(table), MANY);
	assert_int_equal(grant_table_entries(table), 2 * MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		_cleanup_entry_changes_ EntryChanges changes = {0};

		assert_int_equal(grant_table_remove(table, ids[(i * 7919u) % MANY], &changes), 0);
		assert_int_equal(changes.count, 2);
	}
	assert_int_equal(grant_table_count(table), 0);
	assert_int_equal(grant_table_entries(table), 0);
}

/* The same for 100,000 clients behind one address. */
static void test_many_behind_one(void **state)
{
	enum { MANY = 100000 };
	_cleanup_grant_table_ GrantTable *table = grant_table_new();
	_cleanup_free_ uint64_t *ids = calloc(MANY, sizeof(*ids));
	const struct spale_grant_key key = key_of("0.0.0.1", IPPROTO_TCP, 1);

	(void)state;
	assert_non_null(table);
	assert_non_null(ids);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(add_raw(table, i, 1, 1, i, &ids[i]), 0);
	assert_int_equal(grant_table_entries(table), 1);
	for (uint32_t i = 0; i < MANY; i++) {
		_cleanup_entry_changes_ EntryChanges changes = {0};

		grant_table_note_last(table, &key, MANY);
		assert_int_equal(grant_table_remove(table, ids[i], &changes), 0);
		assert_int_equal(changes.count, i == MANY - 1);
	}
	assert_int_equal(grant_table_count(table), 0);
	assert_int_equal(grant_table_entries(table), 0);
}

/* ---- memory ------------------------------------------------------------------------------ */

static int add_scarcely(World *world, uint32_t number, const char *source, const Decision *decision,
			uint64_t now)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	Client client = client_of(number);
	Decision copy = *decision;
	const Grant *grant = NULL;
	int r;

	copy.source = prefix_of(source);
	r = grant_table_add(world->table, &client, &copy, now, &changes, &grant);
	if (r == 0)
		kernel_apply(&world->kernel, &changes);
	else
		assert_null(changes.items);
	return r;
}

static void test_no_memory(void **state)
{
	_cleanup_world_ World world = world_new();
	_cleanup_decision_ Decision decision = TIMES;
	char source[32];
	uint64_t id;

	(void)state;
	/* The kernel is no part of the scarcity. */
	world.kernel.room = 1024;
	world.kernel.entries = calloc(world.kernel.room, sizeof(*world.kernel.entries));
	assert_non_null(world.kernel.entries);
	assert_int_equal(port_list_add_text(&decision.ports, "1-40/tcp"), 0);
	/* New, renewed, and with one that yields. */
	SCARCITY_UNTIL_IT_WORKS(add_scarcely(&world, 1, "192.0.2.1", &decision, 1),
				assert_projected(&world.kernel, world.table));
	SCARCITY_UNTIL_IT_WORKS(add_scarcely(&world, 1, "192.0.2.1", &decision, 2),
				assert_projected(&world.kernel, world.table));
	for (unsigned int i = 2; i <= GRANTS_PER_CLIENT_MAX; i++) {
		snprintf(source, sizeof(source), "192.0.2.%u", i);
		assert_int_equal(add_scarcely(&world, 1, source, &decision, i), 0);
	}
	SCARCITY_UNTIL_IT_WORKS(add_scarcely(&world, 1, "192.0.2.99", &decision, 99),
				assert_projected(&world.kernel, world.table));
	assert_int_equal(grant_table_count(world.table), GRANTS_PER_CLIENT_MAX);
	assert_projected(&world.kernel, world.table);
	assert_int_equal(world.kernel.count, 40 * GRANTS_PER_CLIENT_MAX);

	id = grant_table_get(world.table, 3)->id;
	SCARCITY_UNTIL_IT_WORKS(grant_table_remove(world.table, id, &world.changes),
				assert_non_null(grant_table_by_id(world.table, id)));
	kernel_apply(&world.kernel, &world.changes);
	assert_projected(&world.kernel, world.table);
}

static int new_scarcely(void)
{
	_cleanup_grant_table_ GrantTable *table = grant_table_new();

	return table ? 0 : -ENOMEM;
}

static void test_no_memory_for_table(void **state)
{
	(void)state;
	SCARCITY_UNTIL_IT_WORKS(new_scarcely(), (void)0);
}

/* As many as there can be, in a moment: nothing looks at all of them for one. */
static void test_as_many_as_there_can_be(void **state)
{
	_cleanup_grant_table_ GrantTable *table = grant_table_new();
	_cleanup_decision_ Decision decision = TIMES;
	const Grant *grant;
	int r = 0;

	(void)state;
	decision.origin = GRANT_ORIGIN_ADMINISTRATOR;
	assert_int_equal(port_list_add_text(&decision.ports, "22/tcp"), 0);
	for (uint32_t i = 0; i <= GRANTS_MAX && r == 0; i++) {
		_cleanup_entry_changes_ EntryChanges changes = {0};

		decision.source = (Prefix){address_from_ipv4((struct in_addr){htonl(i + 1)}), 128};
		r = grant_table_add(table, NULL, &decision, 1, &changes, &grant);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(grant_table_count(table), GRANTS_MAX);
	for (uint64_t id = 1; id <= GRANTS_MAX; id++) {
		_cleanup_entry_changes_ EntryChanges changes = {0};

		assert_int_equal(grant_table_remove(table, id, &changes), 0);
	}
	assert_int_equal(grant_table_entries(table), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_yields),
		cmocka_unit_test(test_ports_out_of_bounds),
		cmocka_unit_test(test_no_room_for_entries),
		cmocka_unit_test(test_no_room_for_grants),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_many_behind_one),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_no_memory_for_table),
		cmocka_unit_test(test_as_many_as_there_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
