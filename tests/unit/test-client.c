/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/client.h"
#include "said.h"
#include "scarcity.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define MIN (60 * NSEC_PER_SEC)

static PublicKey key_of(uint32_t number)
{
	PublicKey key = {.bytes = {0xa5}};

	memcpy(key.bytes + 28, &number, sizeof(number));
	return key;
}

/* A set, and what it said while it was filled. */
typedef struct Filling {
	ClientSet *set;
	Config config;
	Diagnostics diagnostics;
} Filling;

static void filling_done(Filling *filling)
{
	client_set_free(filling->set);
	diagnostics_done(&filling->diagnostics);
}

#define _cleanup_filling_ _cleanup_(filling_done)

static Filling filling_new(void)
{
	Filling filling = {.set = client_set_new()};

	assert_non_null(filling.set);
	return filling;
}

static int add(Filling *filling, const char *name, uint32_t number, const char *conf)
{
	PublicKey key = key_of(number);

	return client_set_add(filling->set, &filling->config, name, &key, "c.conf", conf,
			      conf ? strlen(conf) : 0, &filling->diagnostics);
}

/* ---- names ------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	char longest[CLIENT_NAME_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[CLIENT_NAME_MAX + 1] = '\0';
	assert_false(client_name_is_valid(longest));
	longest[CLIENT_NAME_MAX] = '\0';
	assert_true(client_name_is_valid(longest));
	assert_true(client_name_is_valid("a"));
	assert_true(client_name_is_valid("_"));
	assert_true(client_name_is_valid("-"));
	assert_true(client_name_is_valid("0"));
	assert_true(client_name_is_valid("Alice_2.home-PC"));
	assert_false(client_name_is_valid(""));
	assert_false(client_name_is_valid("."));
	assert_false(client_name_is_valid(".."));
	assert_false(client_name_is_valid(".hidden"));
	assert_false(client_name_is_valid("a b"));
	assert_false(client_name_is_valid("a/b"));
	assert_false(client_name_is_valid("a\n"));
	assert_false(client_name_is_valid("a="));
	assert_false(client_name_is_valid("\xc3\xa9"));
}

static void test_bad_name(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();

	(void)state;
	assert_int_equal(add(&filling, "../x", 1, NULL), -EINVAL);
	assert_int_equal(client_set_count(filling.set), 0);
	assert_said(&filling.diagnostics,
		    "error c.conf: \"../x\" cannot be the name of a client: it takes 1 to 64 "
		    "letters, digits, \"_\", \"-\" and \".\", the first no \".\"\n");
}

/* ---- settings ---------------------------------------------------------------------------- */

static void test_plain(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();
	const Client *client;

	(void)state;
	assert_int_equal(add(&filling, "alice", 1, NULL), 0);
	client = client_set_by_name(filling.set, "alice");
	assert_non_null(client);
	assert_string_equal(client->name, "alice");
	assert_true(client->enabled);
	assert_false(client->has_ports);
	assert_false(client->has_idle);
	assert_false(client->has_grace);
	assert_false(client->has_lifetime);
	assert_false(client->has_allowed_sources);
	assert_int_equal(client->not_before_real_usec, 0);
	assert_true(client->not_after_real_usec == UINT64_MAX);
	assert_said(&filling.diagnostics, "");
	/* An empty NAME.conf says nothing either. */
	assert_int_equal(add(&filling, "bob", 2, ""), 0);
	assert_false(client_set_by_name(filling.set, "bob")->has_ports);
}

static void test_everything(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();
	_cleanup_free_ char *ports = NULL;
	const Client *client;

	(void)state;
	assert_int_equal(
		add(&filling, "alice", 1,
		    "# Alice\n[Client]\nPorts=22/tcp\nPorts=443\nIdle=2min\nGrace=infinity\n"
		    "Lifetime=1h\nNotBefore=1970-01-02\nNotAfter=1970-01-03 00:00:01\n"
		    "AllowedSources=192.0.2.0/24 2001:db8::1\nEnabled=no\nFormats=2 1\n"
		    "RequireSourceMatch=no\nRequireDestinationMatch=no\n"
		    "PresharedKeyFile=\n"),
		0);
	assert_said(&filling.diagnostics, "");
	client = client_set_by_name(filling.set, "alice");
	assert_non_null(client);
	assert_true(client->has_ports);
	ports = port_list_format(&client->ports);
	assert_string_equal(ports, "22/tcp 443/tcp 443/udp");
	assert_true(client->needs_no_match);
	assert_true(client->has_idle);
	assert_int_equal(client->idle_ns, 2 * MIN);
	assert_true(client->has_grace);
	assert_true(client->grace_ns == DURATION_INFINITY);
	assert_true(client->has_lifetime);
	assert_int_equal(client->lifetime_ns, 60 * MIN);
	assert_int_equal(client->not_before_real_usec, 86400 * USEC_PER_SEC);
	assert_int_equal(client->not_after_real_usec, (2 * 86400 + 1) * USEC_PER_SEC);
	assert_true(client->has_allowed_sources);
	assert_int_equal(client->allowed_sources.count, 2);
	assert_false(client->enabled);
}

/* Empty lists are lists that allow nothing, not lists that nobody wrote. */
static void test_empty_lists(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();
	const Client *client;

	(void)state;
	assert_int_equal(add(&filling, "alice", 1,
			     "[Client]\nPorts=22\nPorts=\nAllowedSources=192.0.2.1\n"
			     "AllowedSources=\n"),
			 0);
	client = client_set_by_name(filling.set, "alice");
	assert_true(client->has_ports);
	assert_int_equal(client->ports.count, 0);
	assert_true(client->has_allowed_sources);
	assert_int_equal(client->allowed_sources.count, 0);
}

static void assert_refused(const char *line, const char *expected)
{
	_cleanup_filling_ Filling filling = filling_new();
	_cleanup_free_ char *conf = NULL;
	_cleanup_free_ char *error = NULL;

	assert_true(asprintf(&conf, "[Client]\n%s\n", line) > 0);
	assert_true(asprintf(&error, "error %s\n", expected) > 0);
	assert_int_equal(add(&filling, "alice", 1, conf), -EINVAL);
	assert_int_equal(client_set_count(filling.set), 0);
	assert_null(client_set_by_name(filling.set, "alice"));
	assert_said(&filling.diagnostics, error);
}

#define DURATION "; it takes a duration such as 90 (seconds), 5min, 1h 30min or infinity"
#define MOMENT	 "; it takes a moment in UTC such as 2030-01-31 or 2030-01-31 18:30:05"
#define FORMAT1	 ": a knock of format 1, the only one of this version, "

static void test_refused(void **state)
{
	(void)state;
	assert_refused("Ports=22,ssh", "c.conf:2: [Client] Ports= cannot take \"ssh\"; it takes "
				       "ports such as 22, 22/tcp or 8000-8010/udp");
	assert_refused("Idle=0",
		       "c.conf:2: [Client] Idle= cannot take \"0\"" DURATION ", from 1 second");
	assert_refused("Idle=",
		       "c.conf:2: [Client] Idle= cannot take \"\"" DURATION ", from 1 second");
	assert_refused("Grace=x", "c.conf:2: [Client] Grace= cannot take \"x\"" DURATION);
	assert_refused("Lifetime=0s", "c.conf:2: [Client] Lifetime= cannot take \"0s\"" DURATION
				      ", from 1 second");
	assert_refused("NotBefore=tomorrow",
		       "c.conf:2: [Client] NotBefore= cannot take \"tomorrow\"" MOMENT);
	assert_refused("NotAfter=2030-02-30",
		       "c.conf:2: [Client] NotAfter= cannot take \"2030-02-30\"" MOMENT);
	assert_refused(
		"AllowedSources=10.0.0.0/8 home",
		"c.conf:2: [Client] AllowedSources= cannot take \"home\"; it takes addresses "
		"and prefixes such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32");
	assert_refused("Enabled=perhaps",
		       "c.conf:2: [Client] Enabled= cannot take \"perhaps\"; it takes yes or no");
	assert_refused("NotBefore=2030-01-01\nNotAfter=2030-01-01",
		       "c.conf: [Client] NotBefore= is not before NotAfter=, so this client would "
		       "never be valid");
	assert_refused("what\n", "c.conf:2: \"what\" is neither KEY=VALUE, nor a [section], nor a "
				 "comment");
}

/* What excludes format 1 excludes the client, for there is no other format here. */
static void test_without_format1(void **state)
{
	(void)state;
	assert_refused("Formats=2",
		       "c.conf: [Client] Formats= is without format 1, the only one of "
		       "this version, so this client could not knock");
	assert_refused("Formats=1\nFormats=",
		       "c.conf: [Client] Formats= is without format 1, the only one of this "
		       "version, so this client could not knock");
	assert_refused("Formats=1 3", "c.conf:2: [Client] Formats= cannot take \"3\"; it takes 1");
	assert_refused("PresharedKeyFile=alice.psk",
		       "c.conf:2: [Client] PresharedKeyFile= cannot take \"alice.psk\"" FORMAT1
		       "cannot use it; it takes no value");
	assert_refused("RequireSourceMatch=yes",
		       "c.conf:2: [Client] RequireSourceMatch= cannot take \"yes\"" FORMAT1
		       "does not state it; it takes auto or no");
	assert_refused("RequireDestinationMatch=yes",
		       "c.conf:2: [Client] RequireDestinationMatch= cannot take \"yes\"" FORMAT1
		       "does not state it; it takes no");
}

static void test_unknown(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();

	(void)state;
	assert_int_equal(
		add(&filling, "alice", 1, "Ports=1\n[Client]\nPort=22\n[Other]\nPorts=443\n"),
		-EINVAL);
#define REFUSED ": the client is refused, for it may have been meant to restrict it\n"
	assert_said(&filling.diagnostics,
		    "error c.conf:1: unknown key Ports= before the section [Client]" REFUSED
		    "error c.conf:3: unknown key Port= in [Client]" REFUSED
		    "error c.conf:5: unknown section [Other] with Ports=" REFUSED);
	assert_null(client_set_by_name(filling.set, "alice"));
}

/* ---- overrides of spale 0.3 -------------------------------------------------------------- */

static void test_overrides(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();
	PortRange range = {.protocol = 6, .first = 22, .last = 22};
	ClientOverride overrides[] = {
		{.name = (char[]){"ALICE"},
		 .has_ports = true,
		 .ports = {&range, 1},
		 .has_idle = true,
		 .idle_ns = 7 * MIN,
		 .has_grace = true,
		 .grace_ns = DURATION_INFINITY},
		{.name = (char[]){"BOB"}, .has_ports = true},
	};
	const Client *client;

	(void)state;
	filling.config.overrides = overrides;
	filling.config.override_count = ARRAY_SIZE(overrides);
	assert_int_equal(add(&filling, "alice", 1, NULL), 0);
	client = client_set_by_name(filling.set, "alice");
	assert_true(client->has_ports);
	assert_int_equal(client->ports.count, 1);
	assert_ptr_not_equal(client->ports.ranges, &range);
	assert_int_equal(client->idle_ns, 7 * MIN);
	assert_true(client->grace_ns == DURATION_INFINITY);

	/* NAME.conf comes first. */
	assert_int_equal(add(&filling, "Alice", 2, "[Client]\nPorts=\nIdle=1\n"), 0);
	client = client_set_by_name(filling.set, "Alice");
	assert_int_equal(client->ports.count, 0);
	assert_int_equal(client->idle_ns, NSEC_PER_SEC);
	assert_true(client->grace_ns == DURATION_INFINITY);

	/* An override that leaves no port leaves none. */
	assert_int_equal(add(&filling, "bob", 3, NULL), 0);
	client = client_set_by_name(filling.set, "bob");
	assert_true(client->has_ports);
	assert_int_equal(client->ports.count, 0);
	assert_false(client->has_idle);
}

/* ---- the set ----------------------------------------------------------------------------- */

static void test_same_key_or_name(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();
	PublicKey key = key_of(1);

	(void)state;
	assert_int_equal(add(&filling, "alice", 1, NULL), 0);
	assert_int_equal(add(&filling, "bob", 1, NULL), -EEXIST);
	assert_int_equal(add(&filling, "alice", 2, NULL), -EEXIST);
	assert_said(&filling.diagnostics,
		    "error c.conf: the key of client \"bob\" is that of client \"alice\" too; each "
		    "client needs its own\n"
		    "error c.conf: there is a client named \"alice\" already\n");
	assert_int_equal(client_set_count(filling.set), 1);
	client_set_remove(filling.set, "bob");
	assert_int_equal(client_set_count(filling.set), 1);
	client_set_remove(filling.set, "alice");
	assert_int_equal(client_set_count(filling.set), 0);
	assert_null(client_set_by_key(filling.set, &key));
	assert_null(client_set_by_name(filling.set, "alice"));
	assert_int_equal(add(&filling, "bob", 1, NULL), 0);
	assert_string_equal(client_set_by_key(filling.set, &key)->name, "bob");
}

/* One client that cannot be used does not keep the others out. */
static void test_equal(void **state)
{
	static const char *const confs[] = {
		NULL,
		"[Client]\nEnabled=no\n",
		"[Client]\nPorts=22/tcp\n",
		"[Client]\nPorts=22/udp\n",
		"[Client]\nIdle=5\n",
		"[Client]\nGrace=5\n",
		"[Client]\nLifetime=5\n",
		"[Client]\nNotBefore=2026-01-01\n",
		"[Client]\nNotAfter=2026-01-01\n",
		"[Client]\nAllowedSources=192.0.2.0/24\n",
		"[Client]\nAllowedSources=192.0.2.0/25\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(confs); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(confs); j++) {
			_cleanup_filling_ Filling a = filling_new(), b = filling_new();

			assert_int_equal(add(&a, "alice", 1, confs[i]), 0);
			assert_int_equal(add(&b, "alice", 1, confs[j]), 0);
			assert_int_equal(
				client_equal(client_set_get(a.set, 0), client_set_get(b.set, 0)),
				i == j);
		}
	}
}

static void test_others_stay(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();

	(void)state;
	assert_int_equal(add(&filling, "a", 1, NULL), 0);
	assert_int_equal(add(&filling, "b", 2, "[Client]\nPorts=x\n"), -EINVAL);
	assert_int_equal(add(&filling, "c", 3, NULL), 0);
	assert_int_equal(client_set_count(filling.set), 2);
	/* Nothing of the refused one stays behind. */
	assert_int_equal(add(&filling, "b", 2, "[Client]\nPorts=1\n"), 0);
	assert_int_equal(client_set_count(filling.set), 3);
}

static void test_full(void **state)
{
	_cleanup_filling_ Filling filling = filling_new();
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(add(&filling, name, i, NULL), 0);
	}
	assert_int_equal(add(&filling, "more", CLIENTS_MAX, NULL), -E2BIG);
	assert_said(&filling.diagnostics,
		    "error c.conf: client \"more\" is one too many: there can be 65536\n");
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		PublicKey key = key_of(i);
		const Client *client = client_set_by_key(filling.set, &key);

		assert_non_null(client);
		snprintf(name, sizeof(name), "c%u", i);
		assert_string_equal(client->name, name);
		assert_ptr_equal(client, client_set_by_name(filling.set, name));
	}
	/* Every other one goes; the rest is found by key, name and index. */
	for (uint32_t i = 0; i < CLIENTS_MAX; i += 2) {
		snprintf(name, sizeof(name), "c%u", i);
		client_set_remove(filling.set, name);
	}
	assert_int_equal(client_set_count(filling.set), CLIENTS_MAX / 2);
	for (size_t i = 0; i < client_set_count(filling.set); i++) {
		const Client *client = client_set_get(filling.set, i);

		assert_ptr_equal(client_set_by_key(filling.set, &client->key), client);
		assert_ptr_equal(client_set_by_name(filling.set, client->name), client);
	}
}

static int fill_scarcely(void)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_client_set_ ClientSet *set = client_set_new();
	static const char conf[] = "[Client]\nPorts=22 443\nAllowedSources=192.0.2.1 192.0.2.2\n";
	const Config config = {0};
	int r = 0;

	if (!set)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < 3; i++) {
		PublicKey key = key_of(i);

		r = client_set_add(set, &config, (const char *[]){"a", "b", "c"}[i], &key, "c.conf",
				   conf, strlen(conf), &diagnostics);
		assert_int_equal(client_set_count(set), r == 0 ? i + 1 : i);
	}
	return r;
}

static void test_no_memory(void **state)
{
	(void)state;
	SCARCITY_UNTIL_IT_WORKS(fill_scarcely(), (void)0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_name),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_empty_lists),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_without_format1),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_same_key_or_name),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
