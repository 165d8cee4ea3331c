/* SPDX-License-Identifier: MIT */
/* What is left open when memory runs out in the midst of a change: nothing that should not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "order-world.h"
#include "scarcity.h"

#define NARROW                                                                                     \
	"[Protect]\nInterfaces=test0\nPorts=22/tcp\n"                                              \
	"[Knock]\nPorts=62201\n[Grant]\nIdle=60s\nGrace=300s\nLifetime=1h\n"

/* Alice and bob share a source, with each other and with an administrator. */
static void grant_all(Fixture *fixture)
{
	pass_seconds(fixture, 2 * SPALE_TIME_STEP);
	knock_as(fixture, ALICE, 7);
	knock_as(fixture, ALICE, 8);
	knock_as(fixture, BOB, 7);
	assert_int_equal(add_source(fixture, "192.0.2.7", "22/tcp"), 0);
	assert_int_equal(add_source(fixture, "192.0.2.9", "22/tcp 8000-8001/tcp"), 0);
	hold(fixture, "192.0.2.8", 22);
	hold(fixture, "192.0.2.8", 8000);
	assert_state(fixture, 5, 11);
}

/* With memory everything is done that was left. */
static void go_on(Fixture *fixture)
{
	uint64_t next;

	do {
		pass_seconds(fixture, 1);
		assert_int_equal(manager_expire(fixture->manager, &next), 0);
	} while (!manager_has_done(fixture->manager, manager_ordered(fixture->manager)));
}

/* What the table has, and nothing else. */
static void assert_projected(const Fixture *fixture)
{
	const GrantTable *grants = manager_grants(fixture->manager);

	assert_int_equal(grant_table_entries(grants), fixture->fake->entry_count);
	for (size_t i = 0; i < fixture->fake->entry_count; i++) {
		const struct spale_grant_key *key = &fixture->fake->entries[i].key;
		Address source;

		memcpy(source.bytes, key->source, sizeof(source.bytes));
		assert_true(grant_table_covers(grants, &source, 0, key->protocol, key->port));
	}
}

static bool has_client(const Fixture *fixture, const char *name)
{
	const GrantTable *grants = manager_grants(fixture->manager);

	for (size_t i = 0; i < grant_table_count(grants); i++)
		if (strcmp(grant_table_get(grants, i)->client, name) == 0)
			return true;
	return false;
}

/* Makes a change with room for ROOM allocations; 0 or a negative errno. */
typedef int (*Change)(Fixture *fixture, long room);

static int remove_alice(Fixture *fixture, long room)
{
	ClientSet *clients = make_clients(manager_config(fixture->manager), NULL, false);
	int r;

	scarcity_left = room;
	r = manager_set_clients(fixture->manager, clients);
	return r;
}

static int narrow(Fixture *fixture, long room)
{
	Config *config = make_config(NARROW);
	ClientSet *clients = make_clients(config, NULL, true);

	scarcity_left = room;
	return manager_reload(fixture->manager, config, NULL, clients);
}

static int revoke_all(Fixture *fixture, long room)
{
	size_t count;

	scarcity_left = room;
	return manager_revoke_all(fixture->manager, NULL, &count, NULL);
}

static int revoke_port(Fixture *fixture, long room)
{
	_cleanup_port_list_ PortList list = ports("22/tcp");
	const Prefix source = prefix("192.0.2.0/24");
	size_t count;

	scarcity_left = room;
	return manager_revoke_grants(fixture->manager, &source, &list, NULL, &count, NULL);
}

static int expire(Fixture *fixture, long room)
{
	uint64_t next;

	pass_seconds(fixture, 4000);
	scarcity_left = room;
	(void)manager_expire(fixture->manager, &next);
	return 0;
}

static int knock(Fixture *fixture, long room)
{
	pass_seconds(fixture, 2 * SPALE_TIME_STEP);
	scarcity_left = room;
	knock_as(fixture, ALICE, 7);
	return 0;
}

/* Each time a new manager, with room for one allocation more, until there is enough. */
static void try(Change change, void (*check)(Fixture *fixture))
{
	bool enough = false;

	for (long room = 0; !enough; room++) {
		Fixture *fixture = NULL;
		int r;

		assert_int_equal(set_up((void **)&fixture), 0);
		grant_all(fixture);
		r = change(fixture, room);
		enough = scarcity_left > 0;
		scarcity_left = -1;
		go_on(fixture);
		assert_projected(fixture);
		if (r == 0)
			check(fixture);
		else
			assert_int_equal(r, -ENOMEM);
		assert_int_equal(tear_down((void **)&fixture), 0);
		assert_true(room < 2000);
	}
}

static void check_alice_is_gone(Fixture *fixture)
{
	assert_false(has_client(fixture, "alice"));
}

static void check_narrow(Fixture *fixture)
{
	for (size_t i = 0; i < fixture->fake->entry_count; i++)
		assert_int_equal(fixture->fake->entries[i].key.port, 22);
	/* What an administrator made ends with a reload. */
	for (size_t i = 0; i < grant_table_count(manager_grants(fixture->manager)); i++)
		assert_true(grant_table_get(manager_grants(fixture->manager), i)->client[0]);
}

static void check_nothing(Fixture *fixture)
{
	assert_state(fixture, 0, 0);
}

static void check_no_port(Fixture *fixture)
{
	for (size_t i = 0; i < fixture->fake->entry_count; i++)
		assert_int_not_equal(fixture->fake->entries[i].key.port, 22);
}

static void check_any(Fixture *fixture)
{
	(void)fixture;
}

static void test_removed_client(void **data)
{
	(void)data;
	try(remove_alice, check_alice_is_gone);
}

static void test_reload(void **data)
{
	(void)data;
	try(narrow, check_narrow);
}

static void test_revoke(void **data)
{
	(void)data;
	try(revoke_all, check_nothing);
	try(revoke_port, check_no_port);
}

static void test_expiry(void **data)
{
	(void)data;
	try(expire, check_nothing);
}

static void test_knock(void **data)
{
	(void)data;
	try(knock, check_any);
}

/* ---- for good ------------------------------------------------------------------------------ */

static int keep(Fixture *fixture, const char *source, long room)
{
	_cleanup_port_list_ PortList list = ports("8000/tcp");
	const GrantRequest request = {.source = prefix(source), .ports = &list, .permanent = true};
	uint64_t id;

	scarcity_left = room;
	return manager_add_grant(fixture->manager, &request, NULL, &id, NULL);
}

static bool has_kept(const Fixture *fixture)
{
	const GrantTable *grants = manager_grants(fixture->manager);

	for (size_t i = 0; i < grant_table_count(grants); i++)
		if (grant_table_get(grants, i)->origin == GRANT_ORIGIN_ALWAYS)
			return true;
	return false;
}

/* What was refused does not come with the next daemon. */
static void test_kept(void **data)
{
	bool enough = false;

	(void)data;
	for (long room = 0; !enough; room++) {
		Fixture *fixture = NULL;
		int r;

		assert_int_equal(set_up((void **)&fixture), 0);
		r = keep(fixture, "192.0.2.1", room);
		enough = scarcity_left > 0;
		scarcity_left = -1;
		assert_int_equal(r, has_kept(fixture) ? 0 : -ENOMEM);
		/* What is in the file already is taken out at another try. */
		pass_seconds(fixture, 20);
		go_on(fixture);
		start_anew(fixture);
		assert_int_equal(r == 0, has_kept(fixture));
		assert_projected(fixture);
		assert_int_equal(tear_down((void **)&fixture), 0);
	}
}

/* ---- a start ------------------------------------------------------------------------------- */

/* Another daemon for what this one has granted, with room for ROOM allocations. */
static int start(Fixture *fixture, const FakeEnforcer *before, long room)
{
	const Clock clock = {now_mono, now_boot, now_real, &fixture->now};
	KeyRing keys = make_keys(OTHER_SERVER, SERVER);
	Config *config = make_config(CONFIG);
	ClientSet *clients = make_clients(config, NULL, false);
	int r;

	fixture->fake = fake_enforcer_new();
	assert_non_null(fixture->fake);
	fixture->fake->entries = calloc(before->entry_count, sizeof(*before->entries));
	fixture->fake->kept = calloc(before->kept_count, sizeof(*before->kept));
	assert_true(fixture->fake->entries && fixture->fake->kept);
	memcpy(fixture->fake->entries, before->entries,
	       before->entry_count * sizeof(*before->entries));
	memcpy(fixture->fake->kept, before->kept, before->kept_count * sizeof(*before->kept));
	fixture->fake->entry_count = before->entry_count;
	fixture->fake->kept_count = before->kept_count;
	scarcity_left = room;
	r = manager_new(&fixture->fake->base, config, &keys, clients, fixture->state, &clock,
			&fixture->manager);
	assert_true(secret_is_zero(&keys, sizeof(keys)));
	return r;
}

/* It succeeds, or does not: whoever is no client any more has nothing then. */
static void test_restart(void **data)
{
	Fixture *fixture = NULL;
	FakeEnforcer before;
	bool enough = false;

	(void)data;
	assert_int_equal(set_up((void **)&fixture), 0);
	grant_all(fixture);
	assert_int_equal(keep(fixture, "192.0.2.1", -1), 0);
	before = *fixture->fake;
	fixture->fake->entries = NULL;
	fixture->fake->kept = NULL;
	manager_free(fixture->manager);
	for (long room = 0; !enough; room++) {
		int r = start(fixture, &before, room);

		enough = scarcity_left > 0;
		scarcity_left = -1;
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			continue;
		}
		go_on(fixture);
		assert_projected(fixture);
		assert_false(has_client(fixture, "alice"));
		if (!enough)
			manager_free(fixture->manager);
	}
	assert_true(has_client(fixture, "bob") && has_kept(fixture));
	free(before.entries);
	free(before.kept);
	assert_int_equal(tear_down((void **)&fixture), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removed_client), cmocka_unit_test(test_reload),
		cmocka_unit_test(test_revoke),	       cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_knock),	       cmocka_unit_test(test_kept),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
