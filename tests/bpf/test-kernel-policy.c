/* SPDX-License-Identifier: MIT */
/* A configuration in the kernel's maps: what is there, what changes, what is refused. */
#include "enforce-help.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util/address.h"
#include "util/parse.h"

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

static void test_nothing_is_in_force_at_first(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer();

	(void)state;
	assert_int_equal(help_settings().abi, 0);
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
	config->denied_interval_ns = 10 * NSEC_PER_SEC;
	config->trial_end_mono_ns = 12345;
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

	settings = help_settings();
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
	assert_int_equal(settings.event_rate.interval_ns, 10 * NSEC_PER_SEC);
	assert_int_equal(settings.event_rate.burst_ns, 10 * NSEC_PER_SEC);
	assert_int_equal(settings.trial_end_mono_ns, 12345);
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

	struct spale_settings settings = help_settings();
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
	assert_int_equal(help_settings().flags,
			 SPALE_ALLOW4 | SPALE_ALLOW6 | SPALE_KNOCK_ANY6 | SPALE_KNOCK_FORMAT1);
	first->scope = SCOPE_LOCAL;
	assert_done(enforcer, enforcer_set_policy(enforcer, first));
	assert_int_equal(help_settings().flags, SPALE_ALLOW4 | SPALE_ALLOW6 | SPALE_KNOCK_ANY6 |
							SPALE_KNOCK_FORMAT1 | SPALE_SCOPE_LOCAL);
	first->scope = SCOPE_ALL;
	first->keep_established = true;
	assert_done(enforcer, enforcer_set_policy(enforcer, first));
	assert_int_equal(help_settings().flags, SPALE_ALLOW4 | SPALE_ALLOW6 | SPALE_KNOCK_ANY6 |
							SPALE_KNOCK_FORMAT1 |
							SPALE_KEEP_ESTABLISHED);
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
	assert_int_equal(help_settings().flags,
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
	struct spale_settings before = help_settings(), after;

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

	after = help_settings();
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
	before = help_settings();

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

	after = help_settings();
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(ports_set(SPALE_PORTS_TCP), 1);
	assert_true(allows4(32, "192.0.2.7"));
	assert_int_equal(help_map_count(fd), 2 * SPALE_ALLOW_MAX - 10);
}

static _Atomic bool flicker_end;

/* Looks at the bit of a port until told to end. Returns how often it was not there. */
static void *watch_port(void *words)
{
	const uint64_t *word = (const uint64_t *)words + (HELP_TCP_PORT >> 6);
	uintptr_t gone = 0;

	while (!flicker_end)
		gone += !(__atomic_load_n(word, __ATOMIC_RELAXED) & 1ULL << (HELP_TCP_PORT & 63));
	return (void *)gone;
}

static void test_a_port_that_stays_does_not_flicker(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_config_ Config *one = help_config();
	_cleanup_config_ Config *all = help_config();
	struct spale_ports *ports =
		mmap(NULL, sizeof(*ports), PROT_READ, MAP_SHARED, help_map("ports"), 0);
	pthread_t watcher;
	void *gone;

	(void)state;
	assert_true(ports != MAP_FAILED);
	assert_int_equal(port_list_add(&all->protected_ports, (PortRange){IPPROTO_TCP, 1, 65535}),
			 0);
	flicker_end = false;
	assert_int_equal(pthread_create(&watcher, NULL, watch_port, ports->words[SPALE_PORTS_TCP]),
			 0);
	for (int i = 0; i < 500; i++)
		assert_done(enforcer, enforcer_set_policy(enforcer, i % 2 ? one : all));
	flicker_end = true;
	assert_int_equal(pthread_join(watcher, &gone), 0);
	assert_null(gone);
	munmap(ports, sizeof(*ports));
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
		cmocka_unit_test(test_a_port_that_stays_does_not_flicker),
	};

	return help_run_tests(tests, ARRAY_SIZE(tests));
}
