/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grant-world.h"

/* ---- one grant --------------------------------------------------------------------------- */

static void test_add(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant;

	(void)state;
	assert_int_equal(grant_table_count(world.table), 0);
	assert_true(grant_table_next_end_mono_ns(world.table) == SPALE_NEVER_NS);
	grant = knock(&world, 1, "192.0.2.7", "22/tcp 443", 5000);
	assert_int_equal(world.changes.count, 3);
	assert_int_equal(grant_table_count(world.table), 1);
	assert_ptr_equal(grant_table_get(world.table, 0), grant);
	assert_ptr_equal(grant_table_by_id(world.table, grant->id), grant);
	assert_string_equal(grant->client, "c1");
	assert_int_equal(grant->created_mono_ns, 5000);
	assert_int_equal(grant->last_mono_ns, 5000);
	assert_int_equal(grant->deadline_mono_ns, 6000);
	assert_int_equal(port_list_ports(&grant->ports), 3);
	assert_entry(&world, "192.0.2.7", 22, 5000, 60, 300, 6000);
	assert_entry(&world, "192.0.2.7", 443, 5000, 60, 300, 6000);
	assert_no_entry(&world, "192.0.2.7", 444);
	assert_int_equal(grant_table_next_end_mono_ns(world.table), 5300);
}

static void test_keys(void **state)
{
	_cleanup_world_ World world = world_new();
	_cleanup_entry_changes_ EntryChanges entries = {0};
	Decision decision = TIMES;
	const Grant *grant;

	(void)state;
	decision.ifindex = 9;
	grant = knock_with(&world, 1, "fe80::/64", "5/udp", 1, decision);
	assert_int_equal(grant_entries(grant, &entries), 0);
	assert_int_equal(entries.count, 1);
	assert_memory_equal(&entries.items[0].key, &world.changes.items[0].key,
			    sizeof(entries.items[0].key));
	assert_int_equal(entries.items[0].key.ifindex, 9);
	assert_int_equal(entries.items[0].key.port, 5);
	assert_int_equal(entries.items[0].key.protocol, IPPROTO_UDP);
	assert_int_equal(entries.items[0].key.prefix_length, 64);
	assert_int_equal(entries.items[0].key.source[0], 0xfe);

	/* Without an interface it is another entry, and another grant. */
	knock(&world, 1, "fe80::/64", "5/udp", 1);
	assert_int_equal(grant_table_count(world.table), 2);
	assert_int_equal(grant_table_entries(world.table), 2);
}

static void test_renew(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock(&world, 1, "192.0.2.7", "22/tcp 443/tcp 80/tcp", 5000);
	uint64_t id = grant->id;

	(void)state;
	grant = knock(&world, 1, "192.0.2.7", "22/tcp 443/tcp 8080/tcp", 5500);
	assert_int_equal(grant->id, id);
	assert_int_equal(grant_table_count(world.table), 1);
	assert_int_equal(grant->created_mono_ns, 5000);
	assert_int_equal(grant->last_mono_ns, 5500);
	assert_int_equal(grant->deadline_mono_ns, 6500);
	/* A put for each port, and the removal of the one that is not covered any more. */
	assert_int_equal(world.changes.count, 4);
	assert_int_equal(world.changes.items[3].key.port, 80);
	assert_false(world.changes.items[3].put);
	assert_entry(&world, "192.0.2.7", 22, 5500, 60, 300, 6500);
	assert_entry(&world, "192.0.2.7", 8080, 5500, 60, 300, 6500);
	assert_no_entry(&world, "192.0.2.7", 80);
	assert_int_equal(grant_table_next_end_mono_ns(world.table), 5800);
}

/* A renewal by smaller times makes the entry smaller too. */
static void test_renew_with_less(void **state)
{
	_cleanup_world_ World world = world_new();

	(void)state;
	knock(&world, 1, "192.0.2.7", "22/tcp", 5000);
	knock_with(&world, 1, "192.0.2.7", "22/tcp", 5001,
		   (Decision){.idle_ns = 10, .grace_ns = 20, .lifetime_ns = 30});
	assert_entry(&world, "192.0.2.7", 22, 5001, 10, 20, 5031);
}

static void test_remove(void **state)
{
	_cleanup_world_ World world = world_new();
	uint64_t first = knock(&world, 1, "192.0.2.7", "22/tcp 443/tcp", 5000)->id;
	uint64_t second = knock(&world, 1, "192.0.2.8", "22/tcp", 5000)->id;

	(void)state;
	assert_true(first != second);
	end(&world, first);
	assert_int_equal(world.changes.count, 2);
	assert_null(grant_table_by_id(world.table, first));
	assert_int_equal(grant_table_count(world.table), 1);
	assert_int_equal(grant_table_get(world.table, 0)->id, second);
	assert_int_equal(grant_table_remove(world.table, first, &world.changes), -ENOENT);
	end(&world, second);
	assert_int_equal(world.kernel.count, 0);
	/* An id is never used again. */
	assert_true(knock(&world, 1, "192.0.2.7", "22/tcp", 6000)->id > second);
}

static void test_ends(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant;

	(void)state;
	grant = knock_with(&world, 1, "192.0.2.1", "1/tcp", 100,
			   (Decision){.idle_ns = SPALE_NEVER_NS,
				      .grace_ns = 5,
				      .lifetime_ns = DURATION_INFINITY});
	assert_true(grant->deadline_mono_ns == SPALE_NEVER_NS);
	assert_true(grant_end_mono_ns(grant) == SPALE_NEVER_NS);
	grant = knock_with(&world, 1, "192.0.2.2", "1/tcp", 100,
			   (Decision){.idle_ns = 5, .grace_ns = SPALE_NEVER_NS, .lifetime_ns = 7});
	assert_int_equal(grant_end_mono_ns(grant), 107);
	grant = knock_with(&world, 1, "192.0.2.3", "1/tcp", 100,
			   (Decision){.idle_ns = 9, .grace_ns = 5, .lifetime_ns = 1000});
	assert_int_equal(grant_end_mono_ns(grant), 109);
	/* Nothing wraps around. */
	grant = knock_with(&world, 1, "192.0.2.4", "1/tcp", UINT64_MAX / 2,
			   (Decision){.idle_ns = UINT64_MAX - 5,
				      .grace_ns = 0,
				      .lifetime_ns = UINT64_MAX - 1});
	assert_true(grant_end_mono_ns(grant) == SPALE_NEVER_NS);
	assert_int_equal(grant_table_next_end_mono_ns(world.table), 107);
}

static void test_note_last(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock(&world, 1, "192.0.2.7", "22/tcp 443/tcp", 5000);

	(void)state;
	note(&world, "192.0.2.7", 443, 5050);
	assert_int_equal(grant->last_mono_ns, 5050);
	assert_int_equal(grant_end_mono_ns(grant), 5350);
	note(&world, "192.0.2.7", 22, 5020);
	assert_int_equal(grant->last_mono_ns, 5050);
	note(&world, "192.0.2.7", 80, 9000);
	note(&world, "192.0.2.8", 443, 9000);
	assert_int_equal(grant->last_mono_ns, 5050);
	/* The deadline holds however busy it is. */
	note(&world, "192.0.2.7", 22, 5900);
	assert_int_equal(grant_end_mono_ns(grant), 6000);
	assert_projected(&world.kernel, world.table);
}

/* ---- entries that grants share ----------------------------------------------------------- */

static void test_most_generous(void **state)
{
	_cleanup_world_ World world = world_new();
	uint64_t first, second, third;

	(void)state;
	first = knock_with(&world, 1, "192.0.2.7", "22/tcp 80/tcp", 1000,
			   (Decision){.idle_ns = 60, .grace_ns = 10, .lifetime_ns = 5000})
			->id;
	second = knock_with(&world, 2, "192.0.2.7", "22/tcp 443/tcp", 2000,
			    (Decision){.idle_ns = 30, .grace_ns = 90, .lifetime_ns = 100})
			 ->id;
	assert_entry(&world, "192.0.2.7", 22, 2000, 60, 90, 6000);
	assert_entry(&world, "192.0.2.7", 80, 1000, 60, 10, 6000);
	assert_entry(&world, "192.0.2.7", 443, 2000, 30, 90, 2100);
	third = knock_with(&world, 3, "192.0.2.7", "22/tcp", 2001,
			   (Decision){.idle_ns = SPALE_NEVER_NS,
				      .grace_ns = 0,
				      .lifetime_ns = DURATION_INFINITY})
			->id;
	assert_entry(&world, "192.0.2.7", 22, 2001, SPALE_NEVER_NS, 90, SPALE_NEVER_NS);

	/* What is left is as generous as those that are left. */
	end(&world, third);
	assert_entry(&world, "192.0.2.7", 22, 2000, 60, 90, 6000);
	end(&world, first);
	assert_entry(&world, "192.0.2.7", 22, 2000, 30, 90, 2100);
	assert_no_entry(&world, "192.0.2.7", 80);
	end(&world, second);
	assert_int_equal(world.kernel.count, 0);
}

/* The kernel is left alone where nothing changes for it. */
static void test_nothing_to_change(void **state)
{
	_cleanup_world_ World world = world_new();
	uint64_t first = knock(&world, 1, "192.0.2.7", "22/tcp", 1000)->id;

	(void)state;
	knock(&world, 2, "192.0.2.7", "22/tcp", 1000);
	end(&world, first);
	assert_int_equal(world.changes.count, 0);
	assert_entry(&world, "192.0.2.7", 22, 1000, 60, 300, 2000);
}

/* A packet counts for every client behind the address, also for one that came in between. */
static void test_note_last_of_shared(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *first = knock(&world, 1, "192.0.2.7", "22/tcp", 1000);
	const Grant *second;

	(void)state;
	note(&world, "192.0.2.7", 22, 1010);
	second = knock(&world, 2, "192.0.2.7", "22/tcp", 1100);
	assert_int_equal(first->last_mono_ns, 1010);
	/* As late as the knock, later than the packet known of the first. */
	note(&world, "192.0.2.7", 22, 1050);
	assert_int_equal(first->last_mono_ns, 1050);
	assert_int_equal(second->last_mono_ns, 1100);
	note(&world, "192.0.2.7", 22, 1100);
	assert_int_equal(first->last_mono_ns, 1100);
	note(&world, "192.0.2.7", 22, 1200);
	assert_int_equal(first->last_mono_ns, 1200);
	assert_int_equal(second->last_mono_ns, 1200);
	assert_projected(&world.kernel, world.table);
}

/* ---- a reload ---------------------------------------------------------------------------- */

static int redecide(World *world, uint64_t id, const char *source, const char *port,
		    Decision decision)
{
	int r;

	if (port)
		assert_int_equal(port_list_add_text(&decision.ports, port), 0);
	decision.source = prefix_of(source);
	entry_changes_done(&world->changes);
	r = grant_table_redecide(world->table, id, &decision, &world->changes);
	decision_done(&decision);
	if (r == 0)
		kernel_apply(&world->kernel, &world->changes);
	assert_projected(&world->kernel, world->table);
	return r;
}

static void test_redecide(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock(&world, 1, "192.0.2.7", "22/tcp 443/tcp", 5000);
	Decision longer = {.idle_ns = 70, .grace_ns = 80, .lifetime_ns = 2000};

	(void)state;
	note(&world, "192.0.2.7", 22, 5030);
	assert_int_equal(redecide(&world, grant->id, "192.0.2.7", "443/tcp", longer), 0);
	assert_int_equal(grant->created_mono_ns, 5000);
	assert_int_equal(grant->last_mono_ns, 5030);
	assert_int_equal(grant->deadline_mono_ns, 7000);
	assert_no_entry(&world, "192.0.2.7", 22);
	assert_entry(&world, "192.0.2.7", 443, 5030, 70, 80, 7000);

	/* The deadline counts from the last knock, as before the reload. */
	knock(&world, 1, "192.0.2.7", "443/tcp", 5500);
	assert_int_equal(grant->deadline_mono_ns, 6500);
	assert_int_equal(redecide(&world, grant->id, "192.0.2.7", "443/tcp", TIMES), 0);
	assert_int_equal(grant->deadline_mono_ns, 6500);
	assert_int_equal(grant->last_mono_ns, 5500);
}

static void test_redecide_source(void **state)
{
	_cleanup_world_ World world = world_new();
	uint64_t id = knock(&world, 1, "192.0.2.7", "22/tcp", 5000)->id;
	uint64_t other = knock(&world, 1, "192.0.2.8", "22/tcp", 5001)->id;

	(void)state;
	assert_int_equal(redecide(&world, id, "192.0.2.0/24", "22/tcp", TIMES), 0);
	assert_int_equal(redecide(&world, other, "192.0.2.0/24", "22/tcp", TIMES), 0);
	assert_int_equal(grant_table_count(world.table), 2);
	assert_int_equal(world.kernel.count, 1);
	assert_entry(&world, "192.0.2.0/24", 22, 5001, 60, 300, 6001);
	end(&world, other);
	assert_entry(&world, "192.0.2.0/24", 22, 5000, 60, 300, 6000);
}

/* Of a grant from before a suspend the kernel hears no other end than the table has. */
static void test_restore_below_zero(void **state)
{
	_cleanup_world_ World world = world_new();
	_cleanup_entry_changes_ EntryChanges all = {0};
	const GrantPast past = {.id = 7, .renewed_mono_ns = -400};
	Client client = client_of(1);
	Decision decision = TIMES;
	const Grant *grant;

	(void)state;
	decision.source = prefix_of("192.0.2.7");
	assert_int_equal(port_list_add_text(&decision.ports, "22/tcp"), 0);
	assert_int_equal(grant_table_restore(world.table, &client, &decision, &past), 0);
	decision_done(&decision);
	grant = grant_table_by_id(world.table, 7);
	assert_int_equal(grant->deadline_mono_ns, 600);
	assert_int_equal(grant->lifetime_ns, 1000);
	assert_int_equal(grant->renewed_mono_ns, -400);
	assert_int_equal(grant_table_project(world.table, &all), 0);
	assert_int_equal(all.count, 1);
	assert_int_equal(all.items[0].value.deadline_mono_ns, 600);
}

static void test_redecide_fails(void **state)
{
	_cleanup_world_ World world = world_new();
	uint64_t id = knock(&world, 1, "192.0.2.7", "22/tcp", 5000)->id;

	(void)state;
	assert_int_equal(redecide(&world, id + 1, "192.0.2.7", "22/tcp", TIMES), -ENOENT);
	assert_int_equal(redecide(&world, id, "192.0.2.7", NULL, TIMES), -EINVAL);
	assert_int_equal(redecide(&world, id, "192.0.2.7", "1-1025/tcp", TIMES), -EINVAL);
	assert_entry(&world, "192.0.2.7", 22, 5000, 60, 300, 6000);
}

/* ---- a suspend --------------------------------------------------------------------------- */

static void test_shift(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock(&world, 1, "192.0.2.7", "22/tcp", 5000);

	(void)state;
	grant_table_shift(world.table, 4000);
	assert_int_equal(grant->created_mono_ns, 1000);
	assert_int_equal(grant->last_mono_ns, 1000);
	assert_int_equal(grant->deadline_mono_ns, 2000);
	assert_int_equal(grant_end_mono_ns(grant), 1300);
	assert_int_equal(redecide(&world, grant->id, "192.0.2.7", "22/tcp", TIMES), 0);
	assert_entry(&world, "192.0.2.7", 22, 1000, 60, 300, 2000);
}

/* Before the clock's zero there are no times: the end still is where it belongs. */
static void test_shift_below_zero(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock(&world, 1, "192.0.2.7", "22/tcp", 100);
	_cleanup_entry_changes_ EntryChanges all = {0};

	(void)state;
	grant_table_shift(world.table, 150);
	assert_int_equal(grant->last_mono_ns, 0);
	assert_int_equal(grant->idle_ns, 10);
	assert_int_equal(grant->grace_ns, 250);
	assert_int_equal(grant->deadline_mono_ns, 950);
	assert_int_equal(grant_end_mono_ns(grant), 250);
	assert_int_equal(grant_table_project(world.table, &all), 0);
	assert_int_equal(all.items[0].value.idle_ns, 10);
	assert_int_equal(all.items[0].value.deadline_mono_ns, 950);

	/* A lifetime that began before zero ends when it would have. */
	assert_int_equal(redecide(&world, grant->id, "192.0.2.7", "22/tcp", TIMES), 0);
	assert_int_equal(grant->deadline_mono_ns, 950);
	grant_table_shift(world.table, 10000);
	assert_int_equal(grant_end_mono_ns(grant), 0);
	assert_int_equal(redecide(&world, grant->id, "192.0.2.7", "22/tcp", TIMES), 0);
	assert_int_equal(grant->deadline_mono_ns, 0);
	grant_table_shift(world.table, UINT64_MAX);
	assert_int_equal(redecide(&world, grant->id, "192.0.2.7", "22/tcp", TIMES), 0);
	assert_int_equal(grant->deadline_mono_ns, 0);
}

static void test_shift_never(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock_with(&world, 1, "192.0.2.7", "22/tcp", 100,
					(Decision){.idle_ns = SPALE_NEVER_NS,
						   .grace_ns = SPALE_NEVER_NS,
						   .lifetime_ns = DURATION_INFINITY});

	(void)state;
	grant_table_shift(world.table, 1000);
	assert_true(grant->idle_ns == SPALE_NEVER_NS);
	assert_true(grant->grace_ns == SPALE_NEVER_NS);
	assert_true(grant->deadline_mono_ns == SPALE_NEVER_NS);
}

/* Like a request of an administrator. */
static const Grant *order(World *world, const char *source, GrantOrigin origin, uint64_t now)
{
	_cleanup_decision_ Decision decision = TIMES;
	const Grant *grant = NULL;

	assert_int_equal(port_list_add_text(&decision.ports, "22/tcp"), 0);
	assert_int_equal(port_list_add_text(&decision.ports, "80/tcp"), 0);
	decision.source = prefix_of(source);
	decision.origin = origin;
	entry_changes_done(&world->changes);
	assert_int_equal(
		grant_table_add(world->table, NULL, &decision, now, &world->changes, &grant), 0);
	kernel_apply(&world->kernel, &world->changes);
	assert_projected(&world->kernel, world->table);
	return grant;
}

/* Theirs are as many as they want, one for each source and origin. */
static void test_administrators(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *first = order(&world, "192.0.2.1", GRANT_ORIGIN_ADMINISTRATOR, 100);
	char source[32];

	(void)state;
	for (int i = 1; i <= 2 * GRANTS_PER_CLIENT_MAX; i++) {
		snprintf(source, sizeof(source), "192.0.2.%d", i);
		order(&world, source, GRANT_ORIGIN_ADMINISTRATOR, 200);
		order(&world, source, GRANT_ORIGIN_ALWAYS, 200);
	}
	assert_int_equal(grant_table_count(world.table), 4 * GRANTS_PER_CLIENT_MAX);
	assert_int_equal(grant_table_entries(world.table), 4 * GRANTS_PER_CLIENT_MAX);
	assert_ptr_equal(order(&world, "192.0.2.1", GRANT_ORIGIN_ADMINISTRATOR, 300), first);
	assert_int_equal(first->created_mono_ns, 100);
	assert_int_equal(first->last_mono_ns, 300);
	assert_string_equal(first->client, "");
	assert_ptr_not_equal(order(&world, "192.0.2.0/31", GRANT_ORIGIN_ADMINISTRATOR, 300), first);
}

static int extend(World *world, uint64_t id, uint64_t now, uint64_t lifetime_ns)
{
	int r;

	entry_changes_done(&world->changes);
	r = grant_table_extend(world->table, id, now, lifetime_ns, &world->changes);
	kernel_apply(&world->kernel, &world->changes);
	assert_projected(&world->kernel, world->table);
	return r;
}

static void test_extend(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock(&world, 1, "192.0.2.7", "22/tcp 80/tcp", 100);

	(void)state;
	assert_int_equal(extend(&world, grant->id, 200, 5000), 0);
	assert_entry(&world, "192.0.2.7", 80, 200, 60, 300, 5200);
	assert_int_equal(extend(&world, grant->id, 300, 50), 0);
	assert_entry(&world, "192.0.2.7", 22, 300, 60, 300, 350);
	assert_int_equal(extend(&world, grant->id, 300, DURATION_INFINITY), 0);
	assert_true(grant->deadline_mono_ns == SPALE_NEVER_NS);
	assert_int_equal(extend(&world, grant->id + 1, 300, 1), -ENOENT);
}

static void test_narrow(void **state)
{
	_cleanup_world_ World world = world_new();
	const Grant *grant = knock(&world, 1, "192.0.2.7", "22/tcp 80/tcp", 100);
	_cleanup_port_list_ PortList first = PORT_LIST_NULL, both = PORT_LIST_NULL;

	(void)state;
	assert_int_equal(port_list_add_text(&first, "22/tcp"), 0);
	assert_int_equal(port_list_add_text(&both, "20-90/tcp"), 0);
	assert_int_equal(grant_table_narrow(world.table, grant->id, &both, &world.changes),
			 -EINVAL);
	assert_int_equal(port_list_ports(&grant->ports), 2);
	entry_changes_done(&world.changes);
	assert_int_equal(grant_table_narrow(world.table, grant->id, &first, &world.changes), 0);
	kernel_apply(&world.kernel, &world.changes);
	assert_projected(&world.kernel, world.table);
	assert_no_entry(&world, "192.0.2.7", 22);
	assert_entry(&world, "192.0.2.7", 80, 100, 60, 300, 1100);
	assert_true(grant->has_asked);
	assert_true(port_list_equal(&grant->asked, &grant->ports));
	assert_int_equal(grant_table_narrow(world.table, 99, &first, &world.changes), -ENOENT);
	/* A knock that asks for everything has everything. */
	knock(&world, 1, "192.0.2.7", "22/tcp 80/tcp", 200);
	assert_false(grant->has_asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_renew_with_less),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_note_last),
		cmocka_unit_test(test_most_generous),
		cmocka_unit_test(test_nothing_to_change),
		cmocka_unit_test(test_note_last_of_shared),
		cmocka_unit_test(test_redecide),
		cmocka_unit_test(test_redecide_source),
		cmocka_unit_test(test_restore_below_zero),
		cmocka_unit_test(test_redecide_fails),
		cmocka_unit_test(test_shift),
		cmocka_unit_test(test_shift_below_zero),
		cmocka_unit_test(test_shift_never),
		cmocka_unit_test(test_administrators),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_narrow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
