/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/knock-judge.h"
#include "daemon/manager.h"
#include "enforce/fake.h"
#include "knock/format1.h"
#include "knock/hpke.h"
#include "util/parse.h"

/* The time step that the tests begin in, at its middle. */
#define STEP	  58792320ULL
#define REAL_USEC ((STEP * SPALE_TIME_STEP + SPALE_TIME_STEP / 2) * USEC_PER_SEC)

/* The machine has been up for this long. */
#define UPTIME_NS (1000 * NSEC_PER_SEC)

#define CONFIG                                                                                     \
	"[Protect]\nInterfaces=test0\nPorts=22/tcp 8000-8001/tcp 51820/udp\n"                      \
	"[Knock]\nPorts=62201\n[Grant]\nIdle=60s\nGrace=300s\nLifetime=1h\n"

typedef struct Now {
	uint64_t mono_ns;
	uint64_t suspended_ns;
	uint64_t real_usec;
} Now;

static uint64_t now_mono(void *userdata)
{
	return ((Now *)userdata)->mono_ns;
}

static uint64_t now_boot(void *userdata)
{
	return ((Now *)userdata)->mono_ns + ((Now *)userdata)->suspended_ns;
}

static uint64_t now_real(void *userdata)
{
	return ((Now *)userdata)->real_usec;
}

/* A manager with everything that it needs, and clients whose private keys are known. */
typedef struct Fixture {
	char directory[32];
	Now now;
	FakeEnforcer *fake; /* the manager's */
	State *state;
	Manager *manager;
	uint8_t nonce; /* of the last knock */
} Fixture;

static Secret private_key(uint8_t seed)
{
	Secret key;

	memset(key.bytes, seed, sizeof(key.bytes));
	return key;
}

static PublicKey public_key(uint8_t seed)
{
	Secret key = private_key(seed);

	return hpke_public_key(&key);
}

#define SERVER	     0x51
#define OTHER_SERVER 0x52
#define ALICE	     0xa1
#define BOB	     0xb0
#define STRANGER     0x77

static void pass_seconds(Fixture *fixture, uint64_t seconds)
{
	fixture->now.mono_ns += seconds * NSEC_PER_SEC;
	fixture->now.real_usec += seconds * USEC_PER_SEC;
}

static Config *make_config(const char *text)
{
	_cleanup_config_builder_ ConfigBuilder *builder = config_builder_new("/nowhere");
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	Config *config = NULL;

	assert_non_null(builder);
	assert_int_equal(
		config_builder_add_file(builder, "test.conf", text, strlen(text), &diagnostics), 0);
	assert_int_equal(config_builder_finish(builder, &diagnostics, &config), 0);
	return config;
}

/* ALICE with this NAME.conf (NULL: none) and BOB, if they are wanted. */
static ClientSet *make_clients(const Config *config, const char *alice, bool with_alice)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	PublicKey alice_key = public_key(ALICE), bob_key = public_key(BOB);
	ClientSet *set = client_set_new();

	assert_non_null(set);
	if (with_alice)
		assert_int_equal(client_set_add(set, config, "alice", &alice_key, "alice.conf",
						alice, alice ? strlen(alice) : 0, &diagnostics),
				 0);
	assert_int_equal(
		client_set_add(set, config, "bob", &bob_key, "bob.conf", NULL, 0, &diagnostics), 0);
	return set;
}

static KeyRing make_keys(uint8_t first, uint8_t second)
{
	KeyRing ring = {.count = second ? 2 : 1};

	ring.pairs[0] = (KeyPair){private_key(first), public_key(first)};
	if (second)
		ring.pairs[1] = (KeyPair){private_key(second), public_key(second)};
	return ring;
}

static void make_manager(Fixture *fixture)
{
	const Clock clock = {now_mono, now_boot, now_real, &fixture->now};
	KeyRing keys = make_keys(OTHER_SERVER, SERVER);
	Config *config = make_config(CONFIG);

	fixture->fake = fake_enforcer_new();
	assert_non_null(fixture->fake);
	assert_int_equal(manager_new(&fixture->fake->base, config, &keys,
				     make_clients(config, NULL, true), fixture->state, &clock,
				     &fixture->manager),
			 0);
	assert_true(secret_is_zero(&keys, sizeof(keys)));
}

static void open_state(Fixture *fixture, bool first_start)
{
	_cleanup_free_ char *error = NULL;
	bool fresh;

	assert_int_equal(state_open(fixture->directory, &fixture->state, &fresh, &error), 0);
	if (fresh)
		assert_int_equal(
			knock_judge_begin(fixture->state, first_start, fixture->now.real_usec), 0);
}

static void close_all(Fixture *fixture)
{
	manager_free(fixture->manager);
	state_free(fixture->state);
	fixture->manager = NULL;
	fixture->state = NULL;
}

static int set_up(void **data)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	strcpy(fixture->directory, "/tmp/test-manager-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->now = (Now){UPTIME_NS, 0, REAL_USEC};
	open_state(fixture, true);
	make_manager(fixture);
	*data = fixture;
	return 0;
}

static int tear_down(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	close_all(fixture);
	snprintf(command, sizeof(command), "rm -r %s", fixture->directory);
	free(*data);
	return system(command);
}

/* The knock of client SEED for SERVER in a time step, from 192.0.2.LAST. */
static struct spale_knock make_knock(Fixture *fixture, uint8_t seed, uint8_t server, uint64_t step,
				     uint8_t last)
{
	Secret client = private_key(seed), ephemeral = private_key((uint8_t)(fixture->nonce + 1));
	PublicKey server_key = public_key(server);
	Format1 message = {.time_step = (uint32_t)step};
	struct spale_knock knock = {
		.received_mono_ns = fixture->now.mono_ns,
		.source = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last},
		.ifindex = 1,
		.destination_port = 62201,
		.length = SPALE_FORMAT1_SIZE,
		.format = 1,
	};

	message.nonce[0] = ++fixture->nonce;
	assert_int_equal(format1_seal(&message, &server_key, &client, &ephemeral, knock.data), 0);
	return knock;
}

static void knock_as(Fixture *fixture, uint8_t seed, uint8_t last)
{
	struct spale_knock knock =
		make_knock(fixture, seed, SERVER,
			   fixture->now.real_usec / USEC_PER_SEC / SPALE_TIME_STEP, last);

	manager_knock(&knock, fixture->manager);
}

static void assert_state(const Fixture *fixture, size_t grants, size_t entries)
{
	assert_int_equal(grant_table_count(manager_grants(fixture->manager)), grants);
	assert_int_equal(grant_table_entries(manager_grants(fixture->manager)), entries);
	assert_int_equal(fixture->fake->entry_count, entries);
}

static void test_accepts(void **data)
{
	Fixture *fixture = *data;
	const Grant *grant;

	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	assert_state(fixture, 1, 4);
	grant = grant_table_get(manager_grants(fixture->manager), 0);
	assert_string_equal(grant->client, "alice");
	assert_int_equal(grant->deadline_mono_ns, UPTIME_NS + 3600 * NSEC_PER_SEC);
	assert_int_equal(fixture->fake->entries[0].value.idle_ns, 60 * NSEC_PER_SEC);

	/* Again: the same grant, renewed. */
	pass_seconds(fixture, 100);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	assert_state(fixture, 1, 4);
	assert_int_equal(grant_table_get(manager_grants(fixture->manager), 0)->deadline_mono_ns,
			 UPTIME_NS + 3700 * NSEC_PER_SEC);
}

static void test_refuses_what_is_no_knock(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	knock.length--;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_NOT_A_KNOCK), 1);
	knock.length++;
	knock.format = 2;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_NOT_A_KNOCK), 2);

	knock_as(fixture, STRANGER, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_UNKNOWN_CLIENT), 1);

	/* Alice's key in front of what somebody else sealed. */
	knock = make_knock(fixture, STRANGER, SERVER, STEP, 7);
	memcpy(knock.data, public_key(ALICE).bytes, SPALE_KEY_SIZE);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_SEAL), 1);

	/* Of small order: yields the all-zero secret. */
	knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	memset(knock.data + SPALE_FORMAT1_ENC_OFFSET, 0, SPALE_KEY_SIZE);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_KEY), 1);
	assert_state(fixture, 0, 0);
}

static void test_refuses_replay(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	knock.source[15] = 66;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_REPLAYED), 1);
	assert_state(fixture, 1, 4);
}

static void test_window(void **data)
{
	static const struct {
		int offset;
		bool taken;
	} rows[] = {{-2, false}, {-1, true}, {0, true}, {1, true}, {2, false}};
	Fixture *fixture = *data;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t accepted = manager_accepted(fixture->manager);
		uint64_t refused = manager_refused(fixture->manager, REFUSAL_CLOCK);
		struct spale_knock knock =
			make_knock(fixture, ALICE, SERVER, STEP + (uint64_t)rows[i].offset, 7);

		manager_knock(&knock, fixture->manager);
		assert_int_equal(manager_accepted(fixture->manager), accepted + rows[i].taken);
		assert_int_equal(manager_refused(fixture->manager, REFUSAL_CLOCK),
				 refused + !rows[i].taken);
	}
}

/* What counts is when a knock came, not when its turn came. */
static void test_waiting_knock(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock late = make_knock(fixture, ALICE, SERVER, STEP, 7);

	pass_seconds(fixture, 60);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 1);
	late.received_mono_ns = fixture->now.mono_ns;
	manager_knock(&late, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_CLOCK), 1);
}

static void test_clock_set_back(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	pass_seconds(fixture, 90);
	/* The memory forgets the first one here. */
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	fixture->now.real_usec = REAL_USEC;
	knock.received_mono_ns = fixture->now.mono_ns;
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
}

static void test_floor_after_restart(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock same_step = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock next_step = make_knock(fixture, ALICE, SERVER, STEP + 1, 7);
	struct spale_knock bobs = make_knock(fixture, BOB, SERVER, STEP, 8);

	manager_knock(&knock, fixture->manager);
	close_all(fixture);
	/* Whatever the option says: what was accepted is on record. */
	open_state(fixture, true);
	make_manager(fixture);
	manager_knock(&knock, fixture->manager);
	manager_knock(&same_step, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 2);
	manager_knock(&next_step, fixture->manager);
	manager_knock(&bobs, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 2);
}

static void test_fresh_start_is_deaf(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	close_all(fixture);
	snprintf(command, sizeof(command), "rm -r %s/replay", fixture->directory);
	assert_int_equal(system(command), 0);
	open_state(fixture, false);
	make_manager(fixture);
	for (uint64_t step = STEP - 1; step <= STEP + 1; step++) {
		struct spale_knock knock = make_knock(fixture, ALICE, SERVER, step, 7);

		manager_knock(&knock, fixture->manager);
	}
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 3);

	/* Another start in that time knows no more than this one. */
	close_all(fixture);
	open_state(fixture, false);
	make_manager(fixture);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
	pass_seconds(fixture, 60);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 1);
}

static char *floor_path(const Fixture *fixture, uint8_t seed, char path[static 160])
{
	PublicKey key = public_key(seed);
	int size = snprintf(path, 160, "%s/replay/", fixture->directory);

	for (size_t i = 0; i < sizeof(key.bytes); i++)
		size += snprintf(path + size, (size_t)(160 - size), "%02x", key.bytes[i]);
	return path;
}

static void test_damaged_floor_is_deaf(void **data)
{
	Fixture *fixture = *data;
	_cleanup_fclose_ FILE *f = NULL;
	char path[160];

	f = fopen(floor_path(fixture, ALICE, path), "w");
	assert_non_null(f);
	assert_true(fputs("1 587", f) >= 0);
	assert_int_equal(fflush(f), 0);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
	knock_as(fixture, BOB, 8);
	assert_int_equal(manager_accepted(fixture->manager), 1);
}

static void test_state_failure_refuses(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);
	char command[64];

	/* Nothing can be written to a directory that is gone. */
	snprintf(command, sizeof(command), "rm -r %s/replay", fixture->directory);
	assert_int_equal(system(command), 0);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_STATE), 1);
	assert_int_equal(manager_accepted(fixture->manager), 0);
	assert_state(fixture, 0, 0);
}

static void test_enforcer_failure_refuses(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	fixture->fake->fail_with = -ENOSPC;
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_ENFORCER), 1);
	assert_state(fixture, 0, 0);

	/* A grant that was there goes too: nobody knows what the kernel holds of it. */
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 1, 4);
	fixture->fake->fail_with = -ENOSPC;
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_ENFORCER), 2);
	assert_state(fixture, 0, 0);

	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	assert_state(fixture, 1, 4);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
}

/* The fake's calls, of which apply fails a number of times. */
static const EnforcerOps *fake_ops;
static unsigned apply_failures;

static int apply_failing(Enforcer *enforcer, const EntryChanges *changes)
{
	if (apply_failures == 0)
		return fake_ops->apply(enforcer, changes);
	apply_failures--;
	return enforcer_fail(enforcer, -EPERM, "the test wants this to fail");
}

/* What the kernel does not let go of is tried again, and before that nothing new is granted. */
static void test_removal_is_tried_again(void **data)
{
	Fixture *fixture = *data;
	EnforcerOps ops = *fixture->fake->base.ops;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	fake_ops = fixture->fake->base.ops;
	ops.apply = apply_failing;
	fixture->fake->base.ops = &ops;

	pass_seconds(fixture, 300);
	apply_failures = 2;
	manager_expire(fixture->manager, &next);
	assert_int_equal(next, fixture->now.mono_ns + NSEC_PER_SEC);
	assert_int_equal(grant_table_count(manager_grants(fixture->manager)), 0);
	assert_int_equal(fixture->fake->entry_count, 4);
	knock_as(fixture, BOB, 8);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_ENFORCER), 1);
	assert_int_equal(fixture->fake->entry_count, 4);

	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, SPALE_NEVER_NS);
	assert_state(fixture, 0, 0);
	fixture->fake->base.ops = fake_ops;
}

static void test_expiry(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, SPALE_NEVER_NS);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, UPTIME_NS + 300 * NSEC_PER_SEC);

	/* The kernel saw a packet of one entry. */
	pass_seconds(fixture, 300);
	fixture->fake->entries[2].value.last_mono_ns = UPTIME_NS + 250 * NSEC_PER_SEC;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, UPTIME_NS + 550 * NSEC_PER_SEC);
	assert_state(fixture, 1, 4);

	pass_seconds(fixture, 250);
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, SPALE_NEVER_NS);
	assert_state(fixture, 0, 0);
}

static void test_deadline(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	pass_seconds(fixture, 3599);
	fixture->fake->entries[0].value.last_mono_ns = fixture->now.mono_ns;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, UPTIME_NS + 3600 * NSEC_PER_SEC);
	pass_seconds(fixture, 1);
	fixture->fake->entries[0].value.last_mono_ns = fixture->now.mono_ns;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 0, 0);
}

static void test_two_server_keys(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock first = make_knock(fixture, ALICE, OTHER_SERVER, STEP, 7);
	struct spale_knock second = make_knock(fixture, ALICE, SERVER, STEP, 7);
	struct spale_knock third = make_knock(fixture, ALICE, STRANGER, STEP, 7);
	Config *config = make_config(CONFIG);
	KeyRing keys = make_keys(OTHER_SERVER, 0);

	manager_knock(&first, fixture->manager);
	manager_knock(&second, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 2);
	manager_knock(&third, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_SEAL), 1);

	/* A key that is gone opens nothing, nor does what was cached for it. */
	assert_int_equal(
		manager_reload(fixture->manager, config, &keys, make_clients(config, NULL, true)),
		0);
	first = make_knock(fixture, ALICE, OTHER_SERVER, STEP, 7);
	second = make_knock(fixture, ALICE, SERVER, STEP, 7);
	manager_knock(&first, fixture->manager);
	assert_int_equal(manager_accepted(fixture->manager), 3);
	manager_knock(&second, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_BAD_SEAL), 2);
}

static void reload(Fixture *fixture, const char *text, const char *alice, bool with_alice,
		   int expected)
{
	Config *config = make_config(text);

	assert_int_equal(manager_reload(fixture->manager, config, NULL,
					make_clients(config, alice, with_alice)),
			 expected);
}

static void test_reload_narrows(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	knock_as(fixture, BOB, 8);
	assert_state(fixture, 2, 8);

	/* Kept as it is, and what was accepted stays remembered. */
	reload(fixture, CONFIG, NULL, true, 0);
	assert_state(fixture, 2, 8);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_REPLAYED), 1);

	reload(fixture, CONFIG, "[Client]\nPorts=22/tcp\nIdle=5s\nGrace=10s\n", true, 0);
	assert_state(fixture, 2, 5);
	assert_int_equal(grant_table_get(manager_grants(fixture->manager), 0)->idle_ns,
			 5 * NSEC_PER_SEC);
	reload(fixture, CONFIG, "[Client]\nAllowedSources=192.0.2.0/29\n", true, 0);
	assert_state(fixture, 2, 8);
	reload(fixture, CONFIG, "[Client]\nAllowedSources=192.0.2.9\n", true, 0);
	assert_state(fixture, 1, 4);

	knock_as(fixture, BOB, 9);
	assert_state(fixture, 2, 8);
	reload(fixture, CONFIG "[Protect]\nPorts=\nPorts=443/tcp\n", NULL, true, 0);
	assert_state(fixture, 2, 2);
}

static void test_reload_removes(void **data)
{
	static const char *const reasons[] = {
		"[Client]\nEnabled=no\n",
		"[Client]\nNotAfter=2001-01-01\n",
		"[Client]\nPorts=1/tcp\n",
	};
	Fixture *fixture = *data;

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		knock_as(fixture, ALICE, 7);
		assert_state(fixture, 1, 4);
		reload(fixture, CONFIG, reasons[i], true, 0);
		assert_state(fixture, 0, 0);
		reload(fixture, CONFIG, NULL, true, 0);
	}
	knock_as(fixture, ALICE, 7);
	assert_state(fixture, 1, 4);
	reload(fixture, CONFIG, NULL, false, 0);
	assert_state(fixture, 0, 0);
	knock_as(fixture, ALICE, 7);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_UNKNOWN_CLIENT), 1);
}

/* A client that was gone for a while has not forgotten what it said before. */
static void test_reload_keeps_floor(void **data)
{
	Fixture *fixture = *data;
	struct spale_knock knock = make_knock(fixture, ALICE, SERVER, STEP, 7);

	manager_knock(&knock, fixture->manager);
	reload(fixture, CONFIG, NULL, false, 0);
	reload(fixture, CONFIG, NULL, true, 0);
	manager_knock(&knock, fixture->manager);
	assert_int_equal(manager_refused(fixture->manager, REFUSAL_FLOOR), 1);
}

/* A grant follows Prefix4=, by the address that the knock came from. */
static void test_reload_prefix(void **data)
{
	Fixture *fixture = *data;
	const Grant *grant;

	knock_as(fixture, ALICE, 7);
	reload(fixture, CONFIG "Prefix4=24\n", NULL, true, 0);
	assert_state(fixture, 1, 4);
	grant = grant_table_get(manager_grants(fixture->manager), 0);
	assert_int_equal(grant->source.length, 120);
	reload(fixture, CONFIG, NULL, true, 0);
	assert_state(fixture, 1, 4);
	grant = grant_table_get(manager_grants(fixture->manager), 0);
	assert_int_equal(grant->source.length, 128);
	assert_int_equal(grant->source.address.bytes[15], 7);
}

static void test_interfaces(void **data)
{
	Fixture *fixture = *data;
	const StringList *attached = &fixture->fake->attached;

	assert_int_equal(manager_attach(fixture->manager), 0);
	assert_int_equal(attached->count, 1);
	reload(fixture, CONFIG "[Protect]\nInterfaces=test1 nothing*\n", NULL, true, 0);
	assert_int_equal(attached->count, 2);
	reload(fixture, CONFIG "[Protect]\nInterfaces=\nInterfaces=test1\n", NULL, true, 0);
	assert_int_equal(attached->count, 1);
	assert_string_equal(attached->items[0], "test1");
}

static void test_interface_that_fails(void **data)
{
	Fixture *fixture = *data;

	fixture->fake->fail_with = -ENODEV;
	assert_int_equal(manager_attach(fixture->manager), -ENODEV);
	assert_int_equal(fixture->fake->attached.count, 0);
	assert_int_equal(manager_attach(fixture->manager), 0);
	assert_int_equal(fixture->fake->attached.count, 1);
}

static void test_reload_failures_change_nothing(void **data)
{
	Fixture *fixture = *data;
	const Config *before = manager_config(fixture->manager);

	assert_int_equal(manager_attach(fixture->manager), 0);
	knock_as(fixture, ALICE, 7);
	reload(fixture, CONFIG "[Protect]\nMode=xdp\n", NULL, true, -EOPNOTSUPP);
	fixture->fake->fail_with = -EPERM;
	reload(fixture, CONFIG "[Protect]\nPorts=\nPorts=443/tcp\n", NULL, false, -EPERM);
	assert_ptr_equal(manager_config(fixture->manager), before);
	assert_state(fixture, 1, 4);
	assert_int_equal(fixture->fake->attached.count, 1);
	/* The old policy was put back over what may have been half of the new one. */
	assert_int_equal(fixture->fake->policies_set, 2);
}

static void test_suspend(void **data)
{
	Fixture *fixture = *data;
	uint64_t next;

	knock_as(fixture, ALICE, 7);
	knock_as(fixture, BOB, 8);
	pass_seconds(fixture, 10);
	fixture->fake->entries[0].value.last_mono_ns = fixture->now.mono_ns;

	/* Asleep for 295 s: 305 s after Bob's knock, 295 s after Alice's last packet. */
	fixture->now.suspended_ns = 295 * NSEC_PER_SEC;
	fixture->now.real_usec += 295 * USEC_PER_SEC;
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_state(fixture, 1, 4);
	assert_string_equal(grant_table_get(manager_grants(fixture->manager), 0)->client, "alice");
	assert_int_equal(next, fixture->now.mono_ns + 5 * NSEC_PER_SEC);
	for (size_t i = 0; i < fixture->fake->entry_count; i++) {
		const struct spale_grant *entry = &fixture->fake->entries[i].value;

		assert_true(entry->last_mono_ns <= fixture->now.mono_ns - 295 * NSEC_PER_SEC);
		assert_int_equal(entry->deadline_mono_ns, UPTIME_NS + (3600 - 295) * NSEC_PER_SEC);
	}
	/* Made up for once. */
	assert_int_equal(manager_expire(fixture->manager, &next), 0);
	assert_int_equal(next, fixture->now.mono_ns + 5 * NSEC_PER_SEC);
}

static void test_oldest_yields(void **data)
{
	Fixture *fixture = *data;
	const GrantTable *grants = manager_grants(fixture->manager);

	for (uint8_t i = 1; i <= GRANTS_PER_CLIENT_MAX; i++) {
		knock_as(fixture, ALICE, i);
		pass_seconds(fixture, 1);
	}
	assert_state(fixture, 16, 64);
	knock_as(fixture, ALICE, 100);
	assert_state(fixture, 16, 64);
	for (size_t i = 0; i < grant_table_count(grants); i++)
		assert_int_not_equal(grant_table_get(grants, i)->source.address.bytes[15], 1);

	/* What had to yield is gone as well when the kernel does not take what it yielded to. */
	fixture->fake->fail_with = -ENOSPC;
	knock_as(fixture, ALICE, 101);
	assert_state(fixture, 15, 60);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_accepts),
		TEST(test_refuses_what_is_no_knock),
		TEST(test_refuses_replay),
		TEST(test_window),
		TEST(test_waiting_knock),
		TEST(test_clock_set_back),
		TEST(test_floor_after_restart),
		TEST(test_fresh_start_is_deaf),
		TEST(test_damaged_floor_is_deaf),
		TEST(test_state_failure_refuses),
		TEST(test_enforcer_failure_refuses),
		TEST(test_removal_is_tried_again),
		TEST(test_expiry),
		TEST(test_deadline),
		TEST(test_two_server_keys),
		TEST(test_reload_narrows),
		TEST(test_reload_removes),
		TEST(test_reload_keeps_floor),
		TEST(test_reload_prefix),
		TEST(test_interfaces),
		TEST(test_interface_that_fails),
		TEST(test_reload_failures_change_nothing),
		TEST(test_suspend),
		TEST(test_oldest_yields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
