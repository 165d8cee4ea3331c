/* SPDX-License-Identifier: MIT */
/*
 * A manager with everything that it needs: the fake enforcer, a clock that the test sets, a state
 * directory of its own, and clients whose private keys are known, so that they can knock.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

static inline uint64_t now_mono(void *userdata)
{
	return ((Now *)userdata)->mono_ns;
}

static inline uint64_t now_boot(void *userdata)
{
	return ((Now *)userdata)->mono_ns + ((Now *)userdata)->suspended_ns;
}

static inline uint64_t now_real(void *userdata)
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
	uint8_t nonce;		      /* of the last knock */
	const char *alice;	      /* NAME.conf at the start */
	const FakeEnforcer *heritage; /* an earlier daemon's, whose records and entries are taken */
} Fixture;

static inline Secret private_key(uint8_t seed)
{
	Secret key;

	memset(key.bytes, seed, sizeof(key.bytes));
	return key;
}

static inline PublicKey public_key(uint8_t seed)
{
	Secret key = private_key(seed);

	return hpke_public_key(&key);
}

#define SERVER	     0x51
#define OTHER_SERVER 0x52
#define ALICE	     0xa1
#define BOB	     0xb0
#define STRANGER     0x77

static inline void pass_seconds(Fixture *fixture, uint64_t seconds)
{
	fixture->now.mono_ns += seconds * NSEC_PER_SEC;
	fixture->now.real_usec += seconds * USEC_PER_SEC;
}

static inline Config *make_config(const char *text)
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
static inline ClientSet *make_clients(const Config *config, const char *alice, bool with_alice)
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

static inline KeyRing make_keys(uint8_t first, uint8_t second)
{
	KeyRing ring = {.count = second ? 2 : 1};

	ring.pairs[0] = (KeyPair){private_key(first), public_key(first)};
	if (second)
		ring.pairs[1] = (KeyPair){private_key(second), public_key(second)};
	return ring;
}

static inline void make_manager(Fixture *fixture)
{
	const Clock clock = {now_mono, now_boot, now_real, &fixture->now};
	KeyRing keys = make_keys(OTHER_SERVER, SERVER);
	Config *config = make_config(CONFIG);

	fixture->fake = fake_enforcer_new();
	assert_non_null(fixture->fake);
	fixture->fake->interfaces[0] = (EnforcerInterface){.name = "test0", .ifindex = 2};
	fixture->fake->interfaces[1] = (EnforcerInterface){.name = "test1", .ifindex = 3};
	fixture->fake->interface_count = 2;
	if (fixture->heritage) {
		fixture->fake->entries = fixture->heritage->entries;
		fixture->fake->entry_count = fixture->heritage->entry_count;
		fixture->fake->kept = fixture->heritage->kept;
		fixture->fake->kept_count = fixture->heritage->kept_count;
		memcpy(fixture->fake->sessions, fixture->heritage->sessions,
		       sizeof(fixture->fake->sessions));
		fixture->fake->session_count = fixture->heritage->session_count;
	}
	assert_int_equal(manager_new(&fixture->fake->base, config, &keys,
				     make_clients(config, fixture->alice, true), fixture->state,
				     &clock, &fixture->manager),
			 0);
	assert_true(secret_is_zero(&keys, sizeof(keys)));
}

static inline void open_state(Fixture *fixture, bool first_start)
{
	_cleanup_free_ char *error = NULL;
	bool fresh;

	assert_int_equal(state_open(fixture->directory, &fixture->state, &fresh, &error), 0);
	if (fresh)
		assert_int_equal(
			knock_judge_begin(fixture->state, first_start, fixture->now.real_usec), 0);
}

static inline void close_all(Fixture *fixture)
{
	manager_free(fixture->manager);
	state_free(fixture->state);
	fixture->manager = NULL;
	fixture->state = NULL;
}

/*
 * Another daemon, in whose kernel everything is as this one left it; its state directory too,
 * unless PROBLEM says why that cannot be used.
 */
static inline void start_anew_with(Fixture *fixture, const char *problem)
{
	FakeEnforcer before = *fixture->fake;

	fixture->fake->entries = NULL;
	fixture->fake->entry_count = 0;
	fixture->fake->kept = NULL;
	fixture->fake->kept_count = 0;
	close_all(fixture);
	if (problem)
		assert_int_equal(state_new_unusable(strdup(problem), &fixture->state), 0);
	else
		open_state(fixture, false);
	fixture->heritage = &before;
	make_manager(fixture);
	fixture->heritage = NULL;
}

static inline void start_anew(Fixture *fixture)
{
	start_anew_with(fixture, NULL);
}

static inline int set_up(void **data)
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

static inline int tear_down(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	close_all(fixture);
	snprintf(command, sizeof(command), "rm -r %s", fixture->directory);
	free(*data);
	return system(command);
}

/* The knock of client SEED for SERVER in a time step, from 192.0.2.LAST. */
static inline struct spale_knock make_knock(Fixture *fixture, uint8_t seed, uint8_t server,
					    uint64_t step, uint8_t last)
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

static inline void knock_as(Fixture *fixture, uint8_t seed, uint8_t last)
{
	struct spale_knock knock =
		make_knock(fixture, seed, SERVER,
			   fixture->now.real_usec / USEC_PER_SEC / SPALE_TIME_STEP, last);

	manager_knock(&knock, fixture->manager);
}

static inline void assert_state(const Fixture *fixture, size_t grants, size_t entries)
{
	assert_int_equal(grant_table_count(manager_grants(fixture->manager)), grants);
	assert_int_equal(grant_table_entries(manager_grants(fixture->manager)), entries);
	assert_int_equal(fixture->fake->entry_count, entries);
}

static inline void reload(Fixture *fixture, const char *text, const char *alice, bool with_alice,
			  int expected)
{
	Config *config = make_config(text);

	assert_int_equal(manager_reload(fixture->manager, config, NULL,
					make_clients(config, alice, with_alice)),
			 expected);
}
