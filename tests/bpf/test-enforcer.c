/* SPDX-License-Identifier: MIT */
/* Clients and grants in the kernel's maps, knocks out of its ring. */
#include "enforce-help.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/address.h"
#include "util/parse.h"

/* ---- clients ----------------------------------------------------------------------------- */

static void add_client(ClientSet *set, const Config *config, const char *name, uint8_t first,
		       const char *conf)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	PublicKey key = {.bytes = {first, 1, 2, 3}};

	assert_int_equal(client_set_add(set, config, name, &key, "client.conf", conf,
					conf ? strlen(conf) : 0, &diagnostics),
			 0);
}

static bool knows_client(uint8_t first)
{
	PublicKey key = {.bytes = {first, 1, 2, 3}};
	__u32 value;

	return bpf_map_lookup_elem(help_map("clients"), key.bytes, &value) == 0;
}

static void test_enabled_clients_are_known(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();
	_cleanup_client_set_ ClientSet *first = client_set_new();
	_cleanup_client_set_ ClientSet *second = client_set_new();
	_cleanup_client_set_ ClientSet *none = client_set_new();

	(void)state;
	add_client(first, config, "alice", 1, NULL);
	add_client(first, config, "bob", 2, NULL);
	add_client(first, config, "carol", 3, "[Client]\nEnabled=no\n");
	assert_done(enforcer, enforcer_set_clients(enforcer, first));
	assert_true(knows_client(1) && knows_client(2) && !knows_client(3));

	add_client(second, config, "alice", 1, "[Client]\nEnabled=no\n");
	add_client(second, config, "bob", 2, NULL);
	add_client(second, config, "dave", 4, NULL);
	assert_done(enforcer, enforcer_set_clients(enforcer, second));
	assert_true(!knows_client(1) && knows_client(2) && knows_client(4));

	assert_done(enforcer, enforcer_set_clients(enforcer, none));
	assert_int_equal(help_map_count(help_map("clients")), 0);
}

/* ---- grants ------------------------------------------------------------------------------ */

static struct spale_grant_key key_of(const char *prefix, uint16_t port)
{
	struct spale_grant_key key = {.port = port, .protocol = IPPROTO_TCP};
	Prefix parsed;

	assert_int_equal(prefix_parse(prefix, &parsed), 0);
	memcpy(key.source, parsed.address.bytes, sizeof(key.source));
	key.prefix_length = parsed.length;
	return key;
}

static EntryChange put(struct spale_grant_key key, uint64_t last_mono_ns, uint64_t idle_ns)
{
	return (EntryChange){.put = true,
			     .key = key,
			     .value = {.last_mono_ns = last_mono_ns,
				       .idle_ns = idle_ns,
				       .deadline_mono_ns = SPALE_NEVER_NS}};
}

static EntryChange delete (struct spale_grant_key key)
{
	return (EntryChange){.key = key};
}

static int apply(Enforcer *enforcer, EntryChange *items, size_t count)
{
	return enforcer_apply(enforcer, &(EntryChanges){.items = items, .count = count});
}

static struct spale_grant grant_now(struct spale_grant_key key)
{
	struct spale_grant grant = {0};

	assert_int_equal(bpf_map_lookup_elem(help_map("grants"), &key, &grant), 0);
	return grant;
}

/* As if the kernel had let so many packets through, on the first CPU. */
static void count_packets(struct spale_grant_key key, uint64_t packets)
{
	uint64_t *each = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));
	uint32_t counter = grant_now(key).counter;

	assert_non_null(each);
	each[0] = packets;
	assert_int_equal(bpf_map_update_elem(help_map("grant_packets"), &counter, each, BPF_ANY),
			 0);
	free(each);
}

static uint64_t packets_of(Enforcer *enforcer, struct spale_grant_key key)
{
	uint64_t packets = 0;

	assert_done(enforcer, enforcer_packets(enforcer, &key, &packets));
	return packets;
}

static void test_grants_come_and_go(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	struct spale_grant_key a = key_of("192.0.2.1", 22), b = key_of("2001:db8::1", 22);
	EntryChange changes[] = {put(a, 1000, 60), put(b, 1000, 60),
				 delete (key_of("192.0.2.9", 1))};
	uint64_t last = 0;

	(void)state;
	assert_done(enforcer, apply(enforcer, changes, 3));
	assert_int_equal(help_map_count(help_map("grants")), 2);
	assert_done(enforcer, enforcer_last_seen(enforcer, &a, &last));
	assert_int_equal(last, 1000);

	/* A packet came meanwhile: its time stays, everything else is new. */
	changes[0] = put(a, 500, 99);
	changes[1] = delete (b);
	assert_done(enforcer, apply(enforcer, changes, 2));
	assert_int_equal(grant_now(a).last_mono_ns, 1000);
	assert_int_equal(grant_now(a).idle_ns, 99);
	assert_int_equal(enforcer_last_seen(enforcer, &b, &last), -ENOENT);
	assert_int_equal(last, 1000);

	changes[0] = put(a, 2000, 99);
	assert_done(enforcer, apply(enforcer, changes, 1));
	assert_int_equal(grant_now(a).last_mono_ns, 2000);
	assert_done(enforcer, apply(enforcer, NULL, 0));
}

static void test_prefix_lengths_stay_while_grants_live(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();
	struct spale_grant_key host = key_of("192.0.2.1", 22), net = key_of("192.0.2.0/24", 22);
	EntryChange changes[] = {put(host, 1, 60), put(net, 1, 60)};

	(void)state;
	assert_done(enforcer, apply(enforcer, changes, 1));

	config->prefix4 = 24;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	assert_int_equal(help_settings().masks[SPALE_IPV4][0].length, 128);
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 120);
	assert_int_equal(help_settings().masks[SPALE_IPV6][1].length, 0);
	assert_done(enforcer, apply(enforcer, changes, 2));

	config->prefix4 = 16;
	assert_int_equal(enforcer_set_policy(enforcer, config), -EBUSY);
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 120);

	changes[0] = delete (host);
	assert_done(enforcer, apply(enforcer, changes, 1));
	assert_int_equal(help_settings().masks[SPALE_IPV4][0].length, 120);
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 0);
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	assert_int_equal(help_settings().masks[SPALE_IPV4][0].length, 120);
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 112);
}

/* Grants of a length that the policy does not have bring it along, as far as there is room. */
static void test_prefix_lengths_come_with_grants(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	struct spale_grant_key net = key_of("192.0.2.0/24", 22), wide = key_of("192.0.0.0/16", 22);
	struct spale_grant_key net6 = key_of("2001:db8::/56", 22);
	EntryChange changes[] = {put(net, 1, 60), put(net6, 1, 60), put(wide, 1, 60)};

	(void)state;
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 0);
	assert_int_equal(apply(enforcer, changes, 3), -E2BIG);
	assert_int_equal(help_map_count(help_map("grants")), 0);
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 0);
	assert_done(enforcer, apply(enforcer, changes, 2));
	assert_int_equal(help_settings().masks[SPALE_IPV4][0].length, 128);
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 120);
	assert_int_equal(help_settings().masks[SPALE_IPV6][1].length, 56);
	assert_int_equal(apply(enforcer, changes + 2, 1), -E2BIG);

	changes[0] = delete (net);
	assert_done(enforcer, apply(enforcer, changes, 1));
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 0);
	assert_done(enforcer, apply(enforcer, changes + 2, 1));
	assert_int_equal(help_settings().masks[SPALE_IPV4][1].length, 112);
	changes[0] = put(key_of("::/0", 22), 1, 60);
	assert_int_equal(apply(enforcer, changes, 1), -EINVAL);
}

static void test_failed_changes_are_taken_back(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	struct spale_grant_key kept = key_of("192.0.2.1", 22), gone = key_of("192.0.2.2", 22);
	EntryChange changes[] = {put(kept, 1, 60), put(gone, 1, 60), put(gone, 1, 60),
				 put(key_of("192.0.2.3", 22), 1, 60),
				 put(key_of("192.0.2.4", 22), 1, 60)};
	int fd = help_map("grants");

	(void)state;
	assert_done(enforcer, apply(enforcer, changes, 2));

	/* Somebody else takes all room but one entry. */
	for (uint32_t i = 0; i < SPALE_GRANTS_MAX - 2; i++) {
		struct spale_grant_key key = key_of("10.0.0.1", 1);
		struct spale_grant grant = {0};

		key.ifindex = i + 1;
		assert_int_equal(bpf_map_update_elem(fd, &key, &grant, BPF_ANY), 0);
	}

	/* One goes, two come: the second has no room. */
	count_packets(kept, 3);
	count_packets(gone, 4);
	changes[0] = put(kept, 1, 99);
	changes[1] = delete (gone);
	changes[2] = delete (gone);
	assert_int_equal(apply(enforcer, changes, 5), -ENOSPC);
	assert_string_equal(enforcer_error(enforcer),
			    "the kernel's table of 262144 grants is full");
	assert_int_equal(grant_now(kept).idle_ns, 60);
	assert_int_equal(grant_now(gone).idle_ns, 60);
	assert_int_equal(packets_of(enforcer, kept), 3);
	assert_int_equal(packets_of(enforcer, gone), 4);
	assert_int_equal(help_map_count(fd), SPALE_GRANTS_MAX);
	assert_int_equal(bpf_map_lookup_elem(fd, &changes[3].key, &changes[3].value), -ENOENT);

	/* What is counted came back too: one prefix length, as many as there are entries. */
	changes[0] = delete (kept);
	assert_done(enforcer, apply(enforcer, changes, 2));
	assert_int_equal(help_settings().masks[SPALE_IPV4][0].length, 128);
	assert_done(enforcer, apply(enforcer, changes + 3, 2));
}

static void test_packets_of_grants(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	struct spale_grant_key a = key_of("192.0.2.1", 22), b = key_of("192.0.2.1", 23);
	EntryChange changes[] = {put(a, 1, 60), put(b, 1, 60)};
	uint64_t packets = 7;

	(void)state;
	assert_done(enforcer, apply(enforcer, changes, 2));
	count_packets(a, 5);
	assert_int_equal(packets_of(enforcer, a), 5);
	assert_int_equal(packets_of(enforcer, b), 0);

	/* What is put over it counts on; what is made anew begins anew. */
	assert_done(enforcer, apply(enforcer, changes, 2));
	assert_int_equal(packets_of(enforcer, a), 5);
	changes[1] = delete (a);
	assert_done(enforcer, apply(enforcer, &changes[1], 1));
	assert_int_equal(enforcer_packets(enforcer, &a, &packets), -ENOENT);
	assert_int_equal(packets, 7);
	assert_done(enforcer, apply(enforcer, changes, 1));
	assert_int_equal(packets_of(enforcer, a), 0);
	assert_done(enforcer,
		    enforcer_sync(enforcer, &(EntryChanges){.items = changes, .count = 1}));
	assert_int_equal(packets_of(enforcer, a), 0);
}

/* Each of as many as there are has one of its own; the others are granted all the same. */
static void test_counters_of_grants_run_out(void **state)
{
	enum { EXTRA = 3, ENTRIES = SPALE_GRANT_COUNTERS + EXTRA };
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	EntryChange *changes = calloc(ENTRIES, sizeof(*changes));
	bool *seen = calloc(SPALE_GRANT_COUNTERS, sizeof(*seen));
	int fd = help_map("grants");
	struct spale_grant grant;
	uint64_t packets;

	(void)state;
	assert_non_null(changes);
	assert_non_null(seen);
	for (uint16_t i = 0; i < ENTRIES; i++)
		changes[i] = put(key_of("192.0.2.1", (uint16_t)(i + 1)), 1, 60);
	for (int round = 0; round < 2; round++) {
		memset(seen, 0, SPALE_GRANT_COUNTERS * sizeof(*seen));
		assert_done(enforcer, apply(enforcer, changes, ENTRIES));
		for (size_t i = 0; i < SPALE_GRANT_COUNTERS; i++) {
			assert_int_equal(bpf_map_lookup_elem(fd, &changes[i].key, &grant), 0);
			assert_true(grant.counter < SPALE_GRANT_COUNTERS && !seen[grant.counter]);
			seen[grant.counter] = true;
		}
		/* What was counted in the first round is not the second's. */
		for (size_t i = 0; i < SPALE_GRANT_COUNTERS; i += 1000) {
			assert_int_equal(packets_of(enforcer, changes[i].key), 0);
			count_packets(changes[i].key, 1);
		}
		for (size_t i = SPALE_GRANT_COUNTERS; i < ENTRIES; i++)
			assert_int_equal(enforcer_packets(enforcer, &changes[i].key, &packets),
					 -ENODATA);
		if (round == 0)
			assert_done(enforcer, enforcer_sync(enforcer, &(EntryChanges){0}));
	}
	for (size_t i = 0; i < ENTRIES; i++)
		changes[i].put = false;
	assert_done(enforcer, apply(enforcer, changes, ENTRIES));
	changes[0].put = true;
	assert_done(enforcer, apply(enforcer, changes, 1));
	assert_int_equal(packets_of(enforcer, changes[0].key), 0);
	free(seen);
	free(changes);
}

/* ---- knocks ------------------------------------------------------------------------------ */

typedef struct Heard {
	size_t count;
	struct spale_knock last;
} Heard;

static void on_knock(const void *knock, void *userdata)
{
	Heard *heard = userdata;

	heard->count++;
	heard->last = *(const struct spale_knock *)knock;
}

static void test_knock_is_handed_up(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();
	_cleanup_client_set_ ClientSet *clients = client_set_new();
	uint8_t datagram[SPALE_FORMAT1_SIZE] = {7, 1, 2, 3};
	struct pollfd poll_fd = {.fd = enforcer_ring_fd(enforcer, ENFORCER_KNOCKS),
				 .events = POLLIN};
	Heard heard = {0};
	Address source;

	(void)state;
	add_client(clients, config, "alice", 7, NULL);
	assert_done(enforcer, enforcer_set_clients(enforcer, clients));
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_int_equal(enforcer_ring_consume(enforcer, ENFORCER_KNOCKS, on_knock, &heard), 0);

	memset(datagram + 4, 0, SPALE_KEY_SIZE - 4);
	datagram[SPALE_FORMAT1_SIZE - 1] = 42;
	help_send_udp("far", HELP_KNOCK_PORT, datagram, sizeof(datagram));
	assert_int_equal(poll(&poll_fd, 1, 2000), 1);
	assert_int_equal(enforcer_ring_consume(enforcer, ENFORCER_KNOCKS, on_knock, &heard), 1);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.last.length, sizeof(datagram));
	assert_int_equal(heard.last.format, 1);
	assert_memory_equal(heard.last.data, datagram, sizeof(datagram));
	assert_int_equal(heard.last.source_port, 40000);
	assert_int_equal(heard.last.destination_port, HELP_KNOCK_PORT);
	assert_int_equal(heard.last.ifindex, if_nametoindex("near"));
	assert_int_equal(address_parse("192.0.2.2", &source), 0);
	assert_memory_equal(heard.last.source, source.bytes, sizeof(source.bytes));
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_KNOCK, 1), 1);

	/* Not of an enrolled client: nobody hears of it. */
	datagram[0] = 8;
	help_send_udp("far", HELP_KNOCK_PORT, datagram, sizeof(datagram));
	assert_int_equal(poll(&poll_fd, 1, 100), 0);
	assert_int_equal(enforcer_ring_consume(enforcer, ENFORCER_KNOCKS, on_knock, &heard), 0);
}

/* More than one call hands over: the rest waits, and the descriptor says so. */
static void test_many_knocks_come_in_portions(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();
	_cleanup_config_ Config *config = help_config();
	_cleanup_client_set_ ClientSet *clients = client_set_new();
	uint8_t datagram[SPALE_FORMAT1_SIZE] = {7, 1, 2, 3};
	struct pollfd poll_fd = {.fd = enforcer_ring_fd(enforcer, ENFORCER_KNOCKS),
				 .events = POLLIN};
	Heard heard = {0};

	(void)state;
	config->source_interval_ns = 1000;
	config->source_burst = 1000000;
	config->total_interval_ns = 1000;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	add_client(clients, config, "alice", 7, NULL);
	assert_done(enforcer, enforcer_set_clients(enforcer, clients));
	assert_done(enforcer, enforcer_attach(enforcer, "near", help_mode()));
	for (uint32_t i = 0; i < 300; i++) {
		memcpy(datagram + SPALE_FORMAT1_SIZE - 4, &i, sizeof(i));
		help_send_udp("far", HELP_KNOCK_PORT, datagram, sizeof(datagram));
	}
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_KNOCK, 300), 300);
	assert_int_equal(poll(&poll_fd, 1, 1000), 1);
	assert_int_equal(enforcer_ring_consume(enforcer, ENFORCER_KNOCKS, on_knock, &heard), 256);
	assert_int_equal(poll(&poll_fd, 1, 1000), 1);
	assert_int_equal(enforcer_ring_consume(enforcer, ENFORCER_KNOCKS, on_knock, &heard), 44);
	assert_int_equal(heard.count, 300);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

typedef struct Limited {
	size_t count;
	Prefix source;
	uint64_t free_mono_ns;
} Limited;

static void on_limited(const Prefix *source, uint64_t free_mono_ns, void *userdata)
{
	Limited *limited = userdata;

	limited->count++;
	limited->source = *source;
	limited->free_mono_ns = free_mono_ns;
}

/* Who has used up his share is told, until it is there again. */
static void test_limited_sources(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();
	_cleanup_client_set_ ClientSet *clients = client_set_new();
	uint8_t datagram[SPALE_FORMAT1_SIZE] = {7, 1, 2, 3};
	Limited limited = {0};
	struct timespec now;
	uint64_t now_ns;
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	add_client(clients, config, "alice", 7, NULL);
	assert_done(enforcer, enforcer_set_clients(enforcer, clients));
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	for (uint8_t i = 0; i < 9; i++) {
		datagram[SPALE_FORMAT1_SIZE - 1] = i;
		help_send_udp("far", HELP_KNOCK_PORT, datagram, sizeof(datagram));
	}
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_KNOCK, 9), 9);
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
	assert_done(enforcer, enforcer_limited(enforcer, now_ns, on_limited, &limited));
	assert_int_equal(limited.count, 0);
	for (uint8_t i = 9; i < 40; i++) {
		datagram[SPALE_FORMAT1_SIZE - 1] = i;
		help_send_udp("far", HELP_KNOCK_PORT, datagram, sizeof(datagram));
	}
	assert_true(help_wait_counter(enforcer, "near", SPALE_REASON_KNOCK_SOURCE_RATE, 1) >= 1);
	assert_done(enforcer, enforcer_limited(enforcer, now_ns, on_limited, &limited));
	assert_int_equal(limited.count, 1);
	assert_string_equal(prefix_format(&limited.source, text), "192.0.2.2");
	assert_true(limited.free_mono_ns > now_ns);
	assert_true(limited.free_mono_ns < now_ns + 60 * NSEC_PER_SEC);
	limited.count = 0;
	assert_done(enforcer,
		    enforcer_limited(enforcer, limited.free_mono_ns, on_limited, &limited));
	assert_int_equal(limited.count, 0);
}

/* ---- events ------------------------------------------------------------------------------ */

typedef struct Denied {
	size_t count;
	struct spale_event last;
} Denied;

static void on_event(const void *event, void *userdata)
{
	Denied *denied = userdata;

	denied->count++;
	denied->last = *(const struct spale_event *)event;
}

/* Of packets to a protected port one is told, and nothing of it wakes who waits for knocks. */
static void test_denied_attempts_are_told(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();
	_cleanup_config_ Config *config = help_config();
	struct pollfd events = {.fd = enforcer_ring_fd(enforcer, ENFORCER_DENIED),
				.events = POLLIN};
	struct pollfd knocks = {.fd = enforcer_ring_fd(enforcer, ENFORCER_KNOCKS),
				.events = POLLIN};
	Denied denied = {0};
	Address source;

	(void)state;
	config->denied_interval_ns = 3600 * NSEC_PER_SEC;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(enforcer_ring_consume(enforcer, ENFORCER_DENIED, on_event, &denied), 0);

	for (size_t i = 0; i < 3; i++)
		help_send_udp("far", HELP_UDP_PORT, "x", 1);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 3), 3);
	assert_int_equal(poll(&events, 1, 2000), 1);
	assert_int_equal(enforcer_ring_consume(enforcer, ENFORCER_DENIED, on_event, &denied), 1);
	assert_int_equal(denied.count, 1);
	assert_int_equal(denied.last.count, 1);
	assert_int_equal(denied.last.port, HELP_UDP_PORT);
	assert_int_equal(denied.last.protocol, IPPROTO_UDP);
	assert_int_equal(denied.last.reason, SPALE_REASON_DENIED);
	assert_int_equal(denied.last.ifindex, if_nametoindex("near"));
	assert_int_equal(address_parse("192.0.2.2", &source), 0);
	assert_memory_equal(denied.last.source, source.bytes, sizeof(source.bytes));
	assert_int_equal(poll(&events, 1, 0), 0);
	assert_int_equal(poll(&knocks, 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enabled_clients_are_known),
		cmocka_unit_test(test_grants_come_and_go),
		cmocka_unit_test(test_prefix_lengths_stay_while_grants_live),
		cmocka_unit_test(test_prefix_lengths_come_with_grants),
		cmocka_unit_test(test_failed_changes_are_taken_back),
		cmocka_unit_test(test_packets_of_grants),
		cmocka_unit_test(test_counters_of_grants_run_out),
		cmocka_unit_test(test_knock_is_handed_up),
		cmocka_unit_test(test_many_knocks_come_in_portions),
		cmocka_unit_test(test_limited_sources),
		cmocka_unit_test(test_denied_attempts_are_told),
	};

	return help_run_tests(tests, ARRAY_SIZE(tests));
}
