/* SPDX-License-Identifier: MIT */
/* What the enforcer puts into the kernel's maps and takes out of its ring. */
#include "enforce-help.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util/address.h"
#include "util/parse.h"

/* ---- policy ------------------------------------------------------------------------------ */

static bool port_is_set(enum spale_port_set set, uint16_t port)
{
	struct spale_ports *ports =
		mmap(NULL, sizeof(*ports), PROT_READ, MAP_SHARED, help_map("ports"), 0);

	assert_true(ports != MAP_FAILED);
	bool is_set = ports->words[set][port >> 6] & 1ULL << (port & 63);
	munmap(ports, sizeof(*ports));
	return is_set;
}

static size_t ports_set(enum spale_port_set set)
{
	struct spale_ports *ports =
		mmap(NULL, sizeof(*ports), PROT_READ, MAP_SHARED, help_map("ports"), 0);
	size_t count = 0;

	assert_true(ports != MAP_FAILED);
	for (size_t i = 0; i < SPALE_PORT_WORDS; i++)
		count += (size_t)__builtin_popcountll(ports->words[set][i]);
	munmap(ports, sizeof(*ports));
	return count;
}

static struct spale_settings settings_now(void)
{
	struct spale_settings settings;
	const __u32 zero = 0;

	assert_int_equal(bpf_map_lookup_elem(help_map("settings"), &zero, &settings), 0);
	return settings;
}

static void test_nothing_is_in_force_at_first(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();

	(void)state;
	assert_int_equal(settings_now().abi, 0);
	assert_int_equal(enforcer_attach(enforcer, "near", MODE_TC), -EINVAL);
	assert_string_equal(enforcer_error(enforcer), "near: there is no policy to enforce yet");
	assert_int_equal(help_tc_count("near"), 0);
}

static void test_policy_reaches_the_maps(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();
	_cleanup_config_ Config *config = help_config();
	struct spale_settings settings;

	(void)state;
	config->log_only = true;
	config->knock_any6 = false;
	config->prefix4 = 24;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));

	assert_true(port_is_set(SPALE_PORTS_TCP, HELP_TCP_PORT));
	assert_true(port_is_set(SPALE_PORTS_UDP, HELP_UDP_PORT));
	assert_true(port_is_set(SPALE_PORTS_UDP_WATCHED, HELP_UDP_PORT));
	assert_true(port_is_set(SPALE_PORTS_UDP_WATCHED, HELP_KNOCK_PORT));
	assert_true(port_is_set(SPALE_PORTS_KNOCK, HELP_KNOCK_PORT));
	assert_int_equal(ports_set(SPALE_PORTS_TCP), 1);
	assert_int_equal(ports_set(SPALE_PORTS_UDP), 1);
	assert_int_equal(ports_set(SPALE_PORTS_UDP_WATCHED), 2);
	assert_int_equal(ports_set(SPALE_PORTS_KNOCK), 1);
	assert_int_equal(ports_set(SPALE_PORTS_SCTP), 0);

	settings = settings_now();
	assert_int_equal(settings.abi, SPALE_ABI);
	assert_int_equal(settings.flags, SPALE_LOG_ONLY | SPALE_KNOCK_ANY4 | SPALE_KNOCK_FORMAT1);
	assert_int_equal(settings.masks[SPALE_IPV4][0].length, 120);
	assert_int_equal(settings.masks[SPALE_IPV4][0].bytes[14], 0xff);
	assert_int_equal(settings.masks[SPALE_IPV4][0].bytes[15], 0);
	assert_int_equal(settings.masks[SPALE_IPV4][1].length, 0);
	assert_int_equal(settings.masks[SPALE_IPV6][0].length, 128);
	assert_int_equal(settings.source_rate.interval_ns, NSEC_PER_SEC / 3);
	assert_int_equal(settings.source_rate.burst_ns, NSEC_PER_SEC / 3 * 10);
	assert_int_equal(settings.total_rate[SPALE_TOTAL_ALL].interval_ns, NSEC_PER_SEC / 2000);
	assert_int_equal(settings.total_rate[SPALE_TOTAL_ALL].burst_ns, NSEC_PER_SEC / 4);
	assert_int_equal(settings.total_rate[SPALE_TOTAL_FORMAT1].interval_ns, NSEC_PER_SEC / 1000);
	assert_int_equal(settings.total_rate[SPALE_TOTAL_FORMAT1].burst_ns, NSEC_PER_SEC / 4);
}

static void test_slow_rates_keep_a_burst(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();
	_cleanup_config_ Config *config = help_config();

	(void)state;
	config->total_interval_ns = NSEC_PER_SEC;
	config->source_interval_ns = UINT64_MAX / 2;
	config->source_burst = UINT32_MAX;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));

	struct spale_settings settings = settings_now();
	assert_int_equal(settings.total_rate[SPALE_TOTAL_ALL].burst_ns, 16 * NSEC_PER_SEC);
	assert_int_equal(settings.total_rate[SPALE_TOTAL_FORMAT1].interval_ns, 2 * NSEC_PER_SEC);
	assert_int_equal(settings.total_rate[SPALE_TOTAL_FORMAT1].burst_ns, 32 * NSEC_PER_SEC);
	assert_int_equal(settings.source_rate.burst_ns, 1ULL << 62);
}

static bool allows4(uint32_t prefix_length, const char *address)
{
	struct spale_allow4_key key = {.prefix_length = prefix_length};
	struct spale_allow4_key found = {0}, *from = NULL;
	int fd = help_map("allow4");

	assert_int_equal(inet_pton(AF_INET, address, key.address), 1);
	while (bpf_map_get_next_key(fd, from, &found) == 0) {
		if (memcmp(&found, &key, sizeof(key)) == 0)
			return true;
		from = &found;
	}
	return false;
}

static void test_second_policy_is_a_difference(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();
	_cleanup_config_ Config *first = help_config();
	_cleanup_config_ Config *second = help_config();
	Address address;
	__u32 value;

	(void)state;
	help_allow(first, "10.0.0.0/8");
	help_allow(first, "192.0.2.7");
	help_allow(first, "192.0.2.7"); /* twice is once */
	help_allow(first, "2001:db8::/32");
	first->knock_any4 = false;
	first->knock_addresses.items = calloc(1, sizeof(Address));
	first->knock_addresses.count = 1;
	assert_int_equal(address_parse("192.0.2.1", &first->knock_addresses.items[0]), 0);
	assert_done(enforcer, enforcer_set_policy(enforcer, first));
	assert_int_equal(settings_now().flags,
			 SPALE_ALLOW4 | SPALE_ALLOW6 | SPALE_KNOCK_ANY6 | SPALE_KNOCK_FORMAT1);
	assert_int_equal(help_map_count(help_map("allow4")), 2);
	assert_int_equal(help_map_count(help_map("allow6")), 1);
	address = first->knock_addresses.items[0];
	assert_int_equal(bpf_map_lookup_elem(help_map("knock_addrs"), address.bytes, &value), 0);

	help_allow(second, "0.0.0.0/0");
	help_allow(second, "10.0.0.0/8");
	port_list_done(&second->protected_ports);
	assert_int_equal(
		port_list_add(&second->protected_ports, (PortRange){IPPROTO_SCTP, 1, 65535}), 0);
	assert_int_equal(port_list_add(&second->protected_ports, (PortRange){IPPROTO_DCCP, 7, 7}),
			 0);
	assert_int_equal(
		port_list_add(&second->protected_ports, (PortRange){IPPROTO_UDPLITE, 64, 127}), 0);
	assert_done(enforcer, enforcer_set_policy(enforcer, second));
	assert_int_equal(settings_now().flags,
			 SPALE_ALLOW4 | SPALE_KNOCK_ANY4 | SPALE_KNOCK_ANY6 | SPALE_KNOCK_FORMAT1);
	assert_int_equal(help_map_count(help_map("allow4")), 2);
	assert_true(allows4(0, "0.0.0.0"));
	assert_true(allows4(8, "10.0.0.0"));
	assert_int_equal(help_map_count(help_map("allow6")), 0);
	assert_int_equal(help_map_count(help_map("knock_addrs")), 0);
	assert_int_equal(ports_set(SPALE_PORTS_TCP), 0);
	assert_int_equal(ports_set(SPALE_PORTS_UDP), 0);
	assert_int_equal(ports_set(SPALE_PORTS_UDP_WATCHED), 1);
	assert_int_equal(ports_set(SPALE_PORTS_SCTP), 65535);
	assert_int_equal(ports_set(SPALE_PORTS_DCCP), 1);
	assert_int_equal(ports_set(SPALE_PORTS_UDPLITE), 64);
}

/* COUNT prefixes from FIRST (an IPv4 address as a number) on, in steps of one address. */
static void allow_many(Config *config, uint32_t first, size_t count)
{
	config->always_allow.items =
		reallocarray(config->always_allow.items, count, sizeof(Prefix));
	assert_non_null(config->always_allow.items);
	for (size_t i = 0; i < count; i++)
		config->always_allow.items[i] = (Prefix){
			.address = address_from_ipv4((struct in_addr){htonl(first + (uint32_t)i)}),
			.length = 128};
	config->always_allow.count = count;
}

static void test_policy_limits(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();
	struct spale_settings before = settings_now(), after;

	(void)state;
	config->log_only = true;
	allow_many(config, 0x0a000000, SPALE_ALLOW_MAX + 1);
	assert_int_equal(enforcer_set_policy(enforcer, config), -E2BIG);
	assert_string_equal(enforcer_error(enforcer),
			    "AlwaysAllow= takes at most 65536 prefixes of a family");

	config->always_allow.count = 0;
	config->knock_addresses.count = SPALE_KNOCK_ADDRESSES_MAX + 1;
	config->knock_addresses.items = calloc(SPALE_KNOCK_ADDRESSES_MAX + 1, sizeof(Address));
	for (size_t i = 0; i <= SPALE_KNOCK_ADDRESSES_MAX; i++)
		config->knock_addresses.items[i] =
			address_from_ipv4((struct in_addr){htonl(0x0a000000 + (uint32_t)i)});
	assert_int_equal(enforcer_set_policy(enforcer, config), -E2BIG);

	config->knock_addresses.count = 0;
	config->knock_ports.ranges[0].protocol = IPPROTO_TCP;
	assert_int_equal(enforcer_set_policy(enforcer, config), -EINVAL);

	config->knock_ports.ranges[0].protocol = IPPROTO_UDP;
	config->protected_ports.ranges[0].protocol = IPPROTO_ICMP;
	assert_int_equal(enforcer_set_policy(enforcer, config), -EINVAL);

	config->protected_ports.ranges[0].protocol = IPPROTO_TCP;
	config->prefix4 = 33;
	assert_int_equal(enforcer_set_policy(enforcer, config), -EINVAL);

	after = settings_now();
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(help_map_count(help_map("allow4")), 0);
	assert_int_equal(help_map_count(help_map("knock_addrs")), 0);
}

/* The largest list can be replaced by another of that size. */
static void test_largest_lists_can_be_replaced(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();

	(void)state;
	allow_many(config, 0x0a000000, SPALE_ALLOW_MAX);
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	allow_many(config, 0x0b000000, SPALE_ALLOW_MAX);
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	assert_int_equal(help_map_count(help_map("allow4")), SPALE_ALLOW_MAX);
	assert_true(allows4(32, "11.0.0.0"));
	assert_false(allows4(32, "10.0.0.0"));
}

/* What the kernel refuses half-way leaves the old policy in force. */
static void test_failed_policy_is_taken_back(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();
	int fd = help_map("allow4");
	struct spale_settings before, after;

	(void)state;
	help_allow(config, "192.0.2.7");
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	before = settings_now();

	/* Somebody else fills the map: the new list does not fit in. */
	for (uint32_t i = 0; i < 2 * SPALE_ALLOW_MAX - 11; i++) {
		struct spale_allow4_key key = {.prefix_length = 32};
		uint32_t address = htonl(0xac000000 + i), there = 1;

		memcpy(key.address, &address, sizeof(address));
		assert_int_equal(bpf_map_update_elem(fd, &key, &there, BPF_ANY), 0);
	}
	allow_many(config, 0x0a000000, 100);
	config->log_only = true;
	config->protected_ports.ranges[0].last = 80;
	assert_int_equal(enforcer_set_policy(enforcer, config), -ENOSPC);

	after = settings_now();
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(ports_set(SPALE_PORTS_TCP), 1);
	assert_true(allows4(32, "192.0.2.7"));
	assert_int_equal(help_map_count(fd), 2 * SPALE_ALLOW_MAX - 10);
}

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
	assert_int_equal(apply(enforcer, changes, 2), -EINVAL);
	assert_int_equal(help_map_count(help_map("grants")), 0);
	assert_done(enforcer, apply(enforcer, changes, 1));

	config->prefix4 = 24;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	assert_int_equal(settings_now().masks[SPALE_IPV4][0].length, 128);
	assert_int_equal(settings_now().masks[SPALE_IPV4][1].length, 120);
	assert_int_equal(settings_now().masks[SPALE_IPV6][1].length, 0);
	assert_done(enforcer, apply(enforcer, changes, 2));

	config->prefix4 = 16;
	assert_int_equal(enforcer_set_policy(enforcer, config), -EBUSY);
	assert_int_equal(settings_now().masks[SPALE_IPV4][1].length, 120);

	changes[0] = delete (host);
	assert_done(enforcer, apply(enforcer, changes, 1));
	assert_int_equal(settings_now().masks[SPALE_IPV4][0].length, 120);
	assert_int_equal(settings_now().masks[SPALE_IPV4][1].length, 0);
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	assert_int_equal(settings_now().masks[SPALE_IPV4][0].length, 120);
	assert_int_equal(settings_now().masks[SPALE_IPV4][1].length, 112);
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
	changes[0] = put(kept, 1, 99);
	changes[1] = delete (gone);
	changes[2] = delete (gone);
	assert_int_equal(apply(enforcer, changes, 5), -E2BIG);
	assert_string_equal(enforcer_error(enforcer),
			    "the kernel's table of 262144 grants is full");
	assert_int_equal(grant_now(kept).idle_ns, 60);
	assert_int_equal(grant_now(gone).idle_ns, 60);
	assert_int_equal(help_map_count(fd), SPALE_GRANTS_MAX);
	assert_int_equal(bpf_map_lookup_elem(fd, &changes[3].key, &changes[3].value), -ENOENT);

	/* What is counted came back too: one prefix length, as many as there are entries. */
	changes[0] = delete (kept);
	assert_done(enforcer, apply(enforcer, changes, 2));
	assert_int_equal(settings_now().masks[SPALE_IPV4][0].length, 128);
	assert_done(enforcer, apply(enforcer, changes + 3, 2));
}

/* ---- knocks ------------------------------------------------------------------------------ */

typedef struct Heard {
	size_t count;
	struct spale_knock last;
} Heard;

static void on_knock(const struct spale_knock *knock, void *userdata)
{
	Heard *heard = userdata;

	heard->count++;
	heard->last = *knock;
}

static void test_knock_is_handed_up(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *config = help_config();
	_cleanup_client_set_ ClientSet *clients = client_set_new();
	uint8_t datagram[SPALE_FORMAT1_SIZE] = {7, 1, 2, 3};
	struct pollfd poll_fd = {.fd = enforcer_knock_fd(enforcer), .events = POLLIN};
	Heard heard = {0};
	Address source;

	(void)state;
	add_client(clients, config, "alice", 7, NULL);
	assert_done(enforcer, enforcer_set_clients(enforcer, clients));
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_int_equal(enforcer_consume_knocks(enforcer, on_knock, &heard), 0);

	memset(datagram + 4, 0, SPALE_KEY_SIZE - 4);
	datagram[SPALE_FORMAT1_SIZE - 1] = 42;
	help_send_udp("far", HELP_KNOCK_PORT, datagram, sizeof(datagram));
	assert_int_equal(poll(&poll_fd, 1, 2000), 1);
	assert_int_equal(enforcer_consume_knocks(enforcer, on_knock, &heard), 1);
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
	assert_int_equal(enforcer_consume_knocks(enforcer, on_knock, &heard), 0);
}

/* More than one call hands over: the rest waits, and the descriptor says so. */
static void test_many_knocks_come_in_portions(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();
	_cleanup_config_ Config *config = help_config();
	_cleanup_client_set_ ClientSet *clients = client_set_new();
	uint8_t datagram[SPALE_FORMAT1_SIZE] = {7, 1, 2, 3};
	struct pollfd poll_fd = {.fd = enforcer_knock_fd(enforcer), .events = POLLIN};
	Heard heard = {0};

	(void)state;
	config->source_interval_ns = 1000;
	config->source_burst = 1000000;
	config->total_interval_ns = 1000;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	add_client(clients, config, "alice", 7, NULL);
	assert_done(enforcer, enforcer_set_clients(enforcer, clients));
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_XDP));
	for (uint32_t i = 0; i < 300; i++) {
		memcpy(datagram + SPALE_FORMAT1_SIZE - 4, &i, sizeof(i));
		help_send_udp("far", HELP_KNOCK_PORT, datagram, sizeof(datagram));
	}
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_KNOCK, 300), 300);
	assert_int_equal(poll(&poll_fd, 1, 1000), 1);
	assert_int_equal(enforcer_consume_knocks(enforcer, on_knock, &heard), 256);
	assert_int_equal(poll(&poll_fd, 1, 1000), 1);
	assert_int_equal(enforcer_consume_knocks(enforcer, on_knock, &heard), 44);
	assert_int_equal(heard.count, 300);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_in_force_at_first),
		cmocka_unit_test(test_policy_reaches_the_maps),
		cmocka_unit_test(test_slow_rates_keep_a_burst),
		cmocka_unit_test(test_second_policy_is_a_difference),
		cmocka_unit_test(test_policy_limits),
		cmocka_unit_test(test_largest_lists_can_be_replaced),
		cmocka_unit_test(test_failed_policy_is_taken_back),
		cmocka_unit_test(test_enabled_clients_are_known),
		cmocka_unit_test(test_grants_come_and_go),
		cmocka_unit_test(test_prefix_lengths_stay_while_grants_live),
		cmocka_unit_test(test_failed_changes_are_taken_back),
		cmocka_unit_test(test_knock_is_handed_up),
		cmocka_unit_test(test_many_knocks_come_in_portions),
	};

	return cmocka_run_group_tests(tests, help_enter_namespace, NULL);
}
