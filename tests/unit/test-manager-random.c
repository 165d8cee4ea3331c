/* SPDX-License-Identifier: MIT */
/*
 * Everything that can happen to grants, in any order and in the midst of each other: what goes in
 * portions has tiny ones here, the kernel refuses some changes, and a daemon follows another. Once
 * all is done, kernel and records have what the table has, and the table has nothing that what is
 * in force would not grant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "order-world.h"

#define RUNS  40
#define STEPS 120

/* Each look at the clock takes so long: two or three grants are a portion. */
#define TICK_NS (3 * NSEC_PER_MSEC)

static const char *const configs[] = {
	CONFIG,
	"[Protect]\nInterfaces=test0\nPorts=22/tcp\n"
	"[Knock]\nPorts=62201\n[Grant]\nIdle=60s\nGrace=300s\nLifetime=1h\n",
	"[Protect]\nInterfaces=test0\nPorts=8000-8001/tcp 51820/udp\n"
	"[Knock]\nPorts=62201\n[Grant]\nIdle=60s\nGrace=300s\nLifetime=1h\nPrefix4=30\n",
};

static const char *const alices[] = {NULL, "[Client]\nPorts=22/tcp\n", "[Client]\nEnabled=no\n",
				     "[Client]\nAllowedSources=192.0.2.0/29\n"};

typedef struct Play {
	Fixture *fixture;
	uint64_t random;
	const char *config, *alice;
	bool has_alice;
	uint64_t reloaded; /* number of the last grant before the last reload */
} Play;

static uint64_t ticking_mono(void *userdata)
{
	Now *now = userdata;

	now->mono_ns += TICK_NS;
	now->real_usec += TICK_NS / NSEC_PER_USEC;
	return now->mono_ns;
}

/* xorshift64* */
static unsigned pick(Play *play, unsigned count)
{
	play->random ^= play->random >> 12;
	play->random ^= play->random << 25;
	play->random ^= play->random >> 27;
	return (unsigned)((play->random * 0x2545f4914f6cdd1dULL) >> 33) % count;
}

static const char *pick_source(Play *play, char text[static 32])
{
	snprintf(text, 32, "192.0.2.%u%s", 4 * pick(play, 4), pick(play, 4) ? "" : "/30");
	return text;
}

static const char *pick_ports(Play *play)
{
	static const char *const texts[] = {NULL, "22/tcp", "8000/tcp", "22/tcp 51820/udp"};

	return texts[pick(play, ARRAY_SIZE(texts))];
}

/* ---- what happens -------------------------------------------------------------------------- */

static void start_ticking(Play *play)
{
	Fixture *fixture = play->fixture;
	const Clock clock = {ticking_mono, now_boot, now_real, &fixture->now};
	FakeEnforcer before = *fixture->fake;
	KeyRing keys = make_keys(OTHER_SERVER, SERVER);
	Config *config = make_config(play->config);

	/* What a reload had still to end is forgotten, as by a crash. */
	play->reloaded = 0;
	fixture->fake->entries = NULL;
	fixture->fake->kept = NULL;
	close_all(fixture);
	open_state(fixture, false);
	fixture->fake = fake_enforcer_new();
	assert_non_null(fixture->fake);
	fixture->fake->entries = before.entries;
	fixture->fake->entry_count = before.entry_count;
	fixture->fake->kept = before.kept;
	fixture->fake->kept_count = before.kept_count;
	memcpy(fixture->fake->interfaces, before.interfaces, sizeof(before.interfaces));
	fixture->fake->interface_count = before.interface_count;
	assert_int_equal(manager_new(&fixture->fake->base, config, &keys,
				     make_clients(config, play->alice, play->has_alice),
				     fixture->state, &clock, &fixture->manager),
			 0);
}

static void play_reload(Play *play)
{
	const char *config = configs[pick(play, ARRAY_SIZE(configs))];
	const char *alice = alices[pick(play, ARRAY_SIZE(alices))];
	bool has_alice = pick(play, 4);
	Config *new_config = make_config(config);

	if (manager_reload(play->fixture->manager, new_config, NULL,
			   make_clients(new_config, alice, has_alice)) < 0)
		return;
	play->config = config;
	play->alice = alice;
	play->has_alice = has_alice;
	play->reloaded = grant_table_last_number(manager_grants(play->fixture->manager));
}

static void play_clients(Play *play)
{
	const Config *config = manager_config(play->fixture->manager);
	const char *alice = alices[pick(play, ARRAY_SIZE(alices))];
	bool has_alice = pick(play, 4);

	if (manager_set_clients(play->fixture->manager, make_clients(config, alice, has_alice)) < 0)
		return;
	play->alice = alice;
	play->has_alice = has_alice;
}

static void play_add(Play *play)
{
	const char *text = pick_ports(play);
	_cleanup_port_list_ PortList list = text ? ports(text) : PORT_LIST_NULL;
	char source[32];
	const GrantRequest request = {
		.source = prefix(pick_source(play, source)),
		.ports = &list,
		.permanent = pick(play, 3) == 0,
	};
	uint64_t id;

	(void)manager_add_grant(play->fixture->manager, &request, CALLER, &id, NULL);
}

static void play_revoke(Play *play)
{
	Manager *manager = play->fixture->manager;
	const GrantTable *grants = manager_grants(manager);
	const char *text = pick_ports(play);
	_cleanup_port_list_ PortList list = text ? ports(text) : PORT_LIST_NULL;
	const Prefix source = prefix(pick(play, 2) ? "192.0.2.0/24" : "192.0.2.4/30");
	size_t count;

	switch (pick(play, 6)) {
	case 0:
		(void)manager_revoke_all(manager, CALLER, &count, NULL);
		break;
	case 1:
		(void)manager_revoke_client(manager, pick(play, 2) ? "alice" : "bob", CALLER,
					    &count, NULL);
		break;
	case 2:
		if (grant_table_count(grants) > 0)
			(void)manager_revoke_grant(
				manager,
				grant_table_get(grants,
						pick(play, (unsigned)grant_table_count(grants)))
					->id,
				CALLER, NULL);
		break;
	default:
		(void)manager_revoke_grants(manager, &source, &list, CALLER, &count, NULL);
	}
}

static void play_extend(Play *play)
{
	const GrantTable *grants = manager_grants(play->fixture->manager);

	if (grant_table_count(grants) > 0)
		(void)manager_extend_grant(
			play->fixture->manager,
			grant_table_get(grants, pick(play, (unsigned)grant_table_count(grants)))
				->id,
			(1 + pick(play, 5000)) * NSEC_PER_SEC, CALLER, NULL);
}

static void play_step(Play *play)
{
	Fixture *fixture = play->fixture;
	uint64_t next;

	if (pick(play, 8) == 0)
		fixture->fake->fail_with = -ENOMEM;
	switch (pick(play, 16)) {
	case 0:
		play_reload(play);
		break;
	case 1:
		play_clients(play);
		break;
	case 2:
	case 3:
		play_revoke(play);
		break;
	case 4:
		play_extend(play);
		break;
	case 5:
		pass_seconds(fixture, 1 + pick(play, 400));
		break;
	case 6:
		fixture->now.suspended_ns += pick(play, 100) * NSEC_PER_SEC;
		break;
	case 7:
	case 8:
		(void)manager_expire(fixture->manager, &next);
		break;
	case 9:
		if (pick(play, 6) == 0) {
			fixture->fake->fail_with = 0;
			start_ticking(play);
		}
		break;
	case 10:
	case 11:
	case 12:
		play_add(play);
		break;
	default:
		knock_as(fixture, pick(play, 2) ? ALICE : BOB, (uint8_t)(4 * pick(play, 6)));
	}
}

/* ---- what has to be so --------------------------------------------------------------------- */

static void check_kernel(const Fixture *fixture)
{
	_cleanup_entry_changes_ EntryChanges wanted = {0};

	assert_int_equal(grant_table_project(manager_grants(fixture->manager), &wanted), 0);
	assert_int_equal(wanted.count, fixture->fake->entry_count);
	for (size_t i = 0; i < wanted.count; i++) {
		const EntryChange *want = &wanted.items[i], *have = fixture->fake->entries;
		size_t j = 0;

		while (memcmp(&have[j].key, &want->key, sizeof(want->key)) != 0)
			assert_true(++j < fixture->fake->entry_count);
		assert_int_equal(have[j].value.deadline_mono_ns, want->value.deadline_mono_ns);
		assert_int_equal(have[j].value.idle_ns, want->value.idle_ns);
		assert_int_equal(have[j].value.grace_ns, want->value.grace_ns);
	}
}

/* No record but those of grants that there are: the next daemon takes no other for granted. */
static void check_records(const Fixture *fixture)
{
	for (size_t i = 0; i < fixture->fake->kept_count; i++) {
		const struct FakeRecord *record = &fixture->fake->kept[i];
		uint64_t id;

		memcpy(&id, record->key, sizeof(id));
		if (record->records == ENFORCER_OWNERS)
			assert_non_null(grant_table_by_id(manager_grants(fixture->manager), id));
	}
}

static void check_grant(const Play *play, const Grant *grant)
{
	const Manager *manager = play->fixture->manager;
	const Config *config = manager_config(manager);
	const Client *client = client_set_by_name(manager_clients(manager), grant->client);
	_cleanup_port_list_ PortList more = PORT_LIST_NULL;

	assert_false(grant->is_condemned);
	assert_int_equal(port_list_subtract(&grant->ports, &config->protected_ports, &more), 0);
	assert_int_equal(more.count, 0);
	if (grant->origin == GRANT_ORIGIN_ADMINISTRATOR)
		/* One that was about to end may have been asked for again. */
		assert_true(grant->id > play->reloaded || grant->renewals > 1);
	if (grant->origin != GRANT_ORIGIN_KNOCK)
		return;
	assert_true(client && client->enabled);
	assert_int_equal(grant->source.length, ADDRESS_IPV4_BITS + config->prefix4);
	if (client->has_ports) {
		assert_int_equal(port_list_subtract(&grant->ports, &client->ports, &more), 0);
		assert_int_equal(more.count, 0);
	}
	if (client->has_allowed_sources)
		assert_true(prefix_contains(&client->allowed_sources.items[0], &grant->address));
}

static void settle(Play *play)
{
	Fixture *fixture = play->fixture;
	const GrantTable *grants = manager_grants(fixture->manager);
	uint64_t next;

	fixture->fake->fail_with = 0;
	pass_seconds(fixture, 11);
	do
		assert_int_equal(manager_expire(fixture->manager, &next), 0);
	while (!manager_has_done(fixture->manager, manager_ordered(fixture->manager)));
	for (size_t i = 0; i < grant_table_count(grants); i++)
		check_grant(play, grant_table_get(grants, i));
	check_kernel(fixture);
	check_records(fixture);
}

static void test_random(void **data)
{
	(void)data;
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		Play play = {.random = seed * 0x9e3779b97f4a7c15ULL,
			     .config = CONFIG,
			     .has_alice = true};

		print_message("# run %ju\n", (uintmax_t)seed);
		assert_int_equal(set_up((void **)&play.fixture), 0);
		start_ticking(&play);
		for (int i = 0; i < STEPS; i++) {
			play_step(&play);
			if (pick(&play, 20) == 0)
				settle(&play);
		}
		settle(&play);
		assert_int_equal(tear_down((void **)&play.fixture), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
