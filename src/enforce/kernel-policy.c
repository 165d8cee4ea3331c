/* SPDX-License-Identifier: MIT */
#include "enforce/kernel-policy.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "util/address.h"
#include "util/parse.h"

/* No burst is longer (146 years), so that the packet path may add times without an overflow. */
#define BURST_MAX_NS (1ULL << 62)

/* The total limits are smoothed over this time, but let so many come at once at least. */
#define TOTAL_BURST_NS	   (NSEC_PER_SEC / 4)
#define TOTAL_BURST_TOKENS 16

KernelPolicy *kernel_policy_new(void)
{
	KernelPolicy *policy = calloc(1, sizeof(*policy));

	if (policy) {
		policy->allow4.key_size = sizeof(struct spale_allow4_key);
		policy->allow6.key_size = sizeof(struct spale_allow6_key);
		policy->knock_addresses.key_size = sizeof(Address);
	}
	return policy;
}

void kernel_policy_free(KernelPolicy *policy)
{
	if (!policy)
		return;
	key_set_done(&policy->allow4);
	key_set_done(&policy->allow6);
	key_set_done(&policy->knock_addresses);
	free(policy);
}

/* ---- ports ------------------------------------------------------------------------------- */

/* A packet to a UDP port is looked at closer only once the port is watched: that comes last. */
static const enum spale_port_set growing_order[] = {
	SPALE_PORTS_TCP,     SPALE_PORTS_UDP,	SPALE_PORTS_SCTP,	 SPALE_PORTS_DCCP,
	SPALE_PORTS_UDPLITE, SPALE_PORTS_KNOCK, SPALE_PORTS_UDP_WATCHED,
};
_Static_assert(ARRAY_SIZE(growing_order) == SPALE_PORT_SETS, "every set of ports");

static int port_set_of(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return SPALE_PORTS_TCP;
	case IPPROTO_UDP:
		return SPALE_PORTS_UDP;
	case IPPROTO_SCTP:
		return SPALE_PORTS_SCTP;
	case IPPROTO_DCCP:
		return SPALE_PORTS_DCCP;
	case IPPROTO_UDPLITE:
		return SPALE_PORTS_UDPLITE;
	}
	return -EINVAL;
}

static void set_ports(struct spale_ports *ports, enum spale_port_set set, const PortRange *range)
{
	for (uint32_t port = range->first; port <= range->last; port++)
		ports->words[set][port >> 6] |= 1ULL << (port & 63);
}

static int make_ports(Enforcer *report, const Config *config, struct spale_ports *ports)
{
	port_list_foreach (range, &config->protected_ports) {
		int set = port_set_of(range->protocol);

		if (set < 0)
			return enforcer_fail(report, set, "protocol %u has no ports to protect",
					     range->protocol);
		set_ports(ports, (enum spale_port_set)set, range);
		if (set == SPALE_PORTS_UDP)
			set_ports(ports, SPALE_PORTS_UDP_WATCHED, range);
	}
	port_list_foreach (range, &config->knock_ports) {
		if (range->protocol != IPPROTO_UDP)
			return enforcer_fail(report, -EINVAL, "knocks arrive at UDP ports only");
		set_ports(ports, SPALE_PORTS_KNOCK, range);
		set_ports(ports, SPALE_PORTS_UDP_WATCHED, range);
	}
	return 0;
}

/* Each word is stored once, and only when it changes: its other ports do not flicker. */
static void store_word(uint64_t *word, uint64_t value)
{
	if (__atomic_load_n(word, __ATOMIC_RELAXED) != value)
		__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void grow_ports(struct spale_ports *ports, const struct spale_ports *to)
{
	for (size_t i = 0; i < SPALE_PORT_SETS; i++) {
		uint64_t *words = (uint64_t *)ports->words[growing_order[i]];

		for (size_t j = 0; j < SPALE_PORT_WORDS; j++)
			store_word(&words[j], words[j] | to->words[growing_order[i]][j]);
	}
}

static void shrink_ports(struct spale_ports *ports, const struct spale_ports *to)
{
	for (size_t i = SPALE_PORT_SETS; i-- > 0;) {
		uint64_t *words = (uint64_t *)ports->words[growing_order[i]];

		for (size_t j = 0; j < SPALE_PORT_WORDS; j++)
			store_word(&words[j], words[j] & to->words[growing_order[i]][j]);
	}
}

/* ---- masks ------------------------------------------------------------------------------- */

enum spale_family kernel_policy_family(const struct spale_grant_key *key)
{
	Address source;

	memcpy(source.bytes, key->source, sizeof(source.bytes));
	return key->prefix_length >= ADDRESS_IPV4_BITS && address_is_ipv4(&source) ? SPALE_IPV4
										   : SPALE_IPV6;
}

static struct spale_mask make_mask(uint8_t length)
{
	Address ones;
	struct spale_mask mask = {.length = length};

	memset(ones.bytes, 0xff, sizeof(ones.bytes));
	ones = address_mask(&ones, length);
	memcpy(mask.bytes, ones.bytes, sizeof(mask.bytes));
	return mask;
}

/* Longest first: the length of new grants, and what still lives. -EBUSY: those are too many. */
static int make_masks(struct spale_mask masks[static SPALE_MASKS], uint8_t configured,
		      const uint32_t entries[static 129])
{
	struct spale_mask made[SPALE_MASKS] = {0};
	size_t count = 0;

	for (unsigned length = 128; length > 0; length--) {
		if (length != configured && entries[length] == 0)
			continue;
		if (count == SPALE_MASKS)
			return -EBUSY;
		made[count++] = make_mask((uint8_t)length);
	}
	memcpy(masks, made, sizeof(made));
	return 0;
}

struct spale_settings kernel_policy_settings(const KernelPolicy *policy, const PrefixUse *use)
{
	struct spale_settings settings = policy->settings;

	/* On failure the masks stay as they are: a mask too many costs a lookup, nothing else. */
	for (size_t family = 0; family < SPALE_FAMILIES; family++)
		make_masks(settings.masks[family], policy->prefix_lengths[family],
			   use->entries[family]);
	return settings;
}

int kernel_policy_add_masks(const KernelPolicy *policy, const PrefixUse *use,
			    struct spale_settings *ret_settings)
{
	struct spale_settings settings = policy->settings;

	for (size_t family = 0; family < SPALE_FAMILIES; family++) {
		int error = make_masks(settings.masks[family], policy->prefix_lengths[family],
				       use->entries[family]);

		if (error < 0)
			return error;
	}
	*ret_settings = settings;
	return 0;
}

bool kernel_policy_has_mask(const KernelPolicy *policy, const struct spale_grant_key *key)
{
	const struct spale_mask *masks = policy->settings.masks[kernel_policy_family(key)];

	for (size_t i = 0; i < SPALE_MASKS; i++)
		if (masks[i].length && masks[i].length == key->prefix_length)
			return true;
	return false;
}

/* ---- settings ---------------------------------------------------------------------------- */

static struct spale_rate make_rate(uint64_t interval_ns, uint64_t tokens)
{
	struct spale_rate rate = {.interval_ns = interval_ns};

	if (__builtin_mul_overflow(interval_ns, tokens, &rate.burst_ns) ||
	    rate.burst_ns > BURST_MAX_NS)
		rate.burst_ns = BURST_MAX_NS;
	return rate;
}

static struct spale_rate make_total_rate(uint64_t interval_ns)
{
	struct spale_rate rate = make_rate(interval_ns, TOTAL_BURST_TOKENS);

	if (rate.burst_ns < TOTAL_BURST_NS)
		rate.burst_ns = TOTAL_BURST_NS;
	return rate;
}

static int make_settings(Enforcer *report, const Config *config, const PrefixUse *use,
			 KernelPolicy *policy)
{
	static const char *const keys[SPALE_FAMILIES] = {"Prefix4", "Prefix6"};
	struct spale_settings *settings = &policy->settings;
	uint64_t half_interval_ns = config->total_interval_ns;

	if (config->prefix4 < 1 || config->prefix4 > 32 || config->prefix6 < 1 ||
	    config->prefix6 > 128)
		return enforcer_fail(report, -EINVAL, "no such prefix lengths: %u and %u",
				     config->prefix4, config->prefix6);
	policy->prefix_lengths[SPALE_IPV4] = (uint8_t)(config->prefix4 + ADDRESS_IPV4_BITS);
	policy->prefix_lengths[SPALE_IPV6] = config->prefix6;
	for (size_t family = 0; family < SPALE_FAMILIES; family++) {
		int error = make_masks(settings->masks[family], policy->prefix_lengths[family],
				       use->entries[family]);
		if (error < 0)
			return enforcer_fail(report, error,
					     "%s= cannot change again while grants of two earlier "
					     "lengths live: wait for their end, or restart",
					     keys[family]);
	}

	settings->abi = SPALE_ABI;
	settings->flags = SPALE_KNOCK_FORMAT1 | (config->log_only ? SPALE_LOG_ONLY : 0) |
			  (config->keep_established ? SPALE_KEEP_ESTABLISHED : 0) |
			  (config->scope == SCOPE_LOCAL ? SPALE_SCOPE_LOCAL : 0) |
			  (config->knock_any4 ? SPALE_KNOCK_ANY4 : 0) |
			  (config->knock_any6 ? SPALE_KNOCK_ANY6 : 0) |
			  (policy->allow4.count ? SPALE_ALLOW4 : 0) |
			  (policy->allow6.count ? SPALE_ALLOW6 : 0);
	settings->source_rate = make_rate(config->source_interval_ns, config->source_burst);
	settings->total_rate[SPALE_TOTAL_ALL] = make_total_rate(config->total_interval_ns);
	/* Half the rate: twice the interval. */
	if (__builtin_mul_overflow(half_interval_ns, 2, &half_interval_ns))
		half_interval_ns = BURST_MAX_NS;
	settings->total_rate[SPALE_TOTAL_FORMAT1] = make_total_rate(half_interval_ns);
	settings->event_rate = make_rate(config->denied_interval_ns, 1);
	settings->trial_end_mono_ns = config->trial_end_mono_ns;
	return 0;
}

/* ---- addresses --------------------------------------------------------------------------- */

static int add_allowed(KernelPolicy *policy, const Prefix *prefix)
{
	struct spale_allow4_key key4;
	struct spale_allow6_key key6;

	if (prefix->length >= ADDRESS_IPV4_BITS && address_is_ipv4(&prefix->address)) {
		key4.prefix_length = prefix->length - ADDRESS_IPV4_BITS;
		memcpy(key4.address, prefix->address.bytes + 12, sizeof(key4.address));
		return key_set_add(&policy->allow4, &key4);
	}
	key6.prefix_length = prefix->length;
	memcpy(key6.address, prefix->address.bytes, sizeof(key6.address));
	return key_set_add(&policy->allow6, &key6);
}

static int make_addresses(Enforcer *report, const Config *config, KernelPolicy *policy)
{
	int error = 0;

	for (size_t i = 0; i < config->always_allow.count && error == 0; i++)
		error = add_allowed(policy, &config->always_allow.items[i]);
	for (size_t i = 0; i < config->knock_addresses.count && error == 0; i++)
		error = key_set_add(&policy->knock_addresses, &config->knock_addresses.items[i]);
	if (error < 0)
		return enforcer_fail(report, error, "out of memory");

	key_set_sort(&policy->allow4);
	key_set_sort(&policy->allow6);
	key_set_sort(&policy->knock_addresses);
	if (policy->allow4.count > SPALE_ALLOW_MAX || policy->allow6.count > SPALE_ALLOW_MAX)
		return enforcer_fail(report, -E2BIG,
				     "AlwaysAllow= takes at most %d prefixes of a family",
				     SPALE_ALLOW_MAX);
	if (policy->knock_addresses.count > SPALE_KNOCK_ADDRESSES_MAX)
		return enforcer_fail(report, -E2BIG, "Addresses= takes at most %d addresses",
				     SPALE_KNOCK_ADDRESSES_MAX);
	return 0;
}

/* ---- whole policies ---------------------------------------------------------------------- */

int kernel_policy_make(Enforcer *report, const Config *config, const PrefixUse *use,
		       KernelPolicy **ret_policy)
{
	_cleanup_kernel_policy_ KernelPolicy *policy = kernel_policy_new();
	int error;

	if (!policy)
		return enforcer_fail(report, -ENOMEM, "out of memory");
	error = make_ports(report, config, &policy->ports);
	if (error == 0)
		error = make_addresses(report, config, policy);
	if (error == 0)
		error = make_settings(report, config, use, policy);
	if (error == 0)
		*ret_policy = TAKE_PTR(policy);
	return error;
}

int kernel_policy_read(const PolicyMaps *maps, KernelPolicy **ret_policy)
{
	_cleanup_kernel_policy_ KernelPolicy *policy = kernel_policy_new();
	const __u32 zero = 0;
	int error;

	if (!policy)
		return -ENOMEM;
	policy->ports = *maps->ports;
	if (bpf_map_lookup_elem(maps->settings, &zero, &policy->settings) < 0)
		return -errno;
	if ((error = key_set_read(maps->allow4, &policy->allow4)) < 0 ||
	    (error = key_set_read(maps->allow6, &policy->allow6)) < 0 ||
	    (error = key_set_read(maps->knock_addresses, &policy->knock_addresses)) < 0)
		return error;
	*ret_policy = TAKE_PTR(policy);
	return 0;
}

/* Every run of set bits, as ranges of PROTOCOL. */
static int tell_ports(const uint64_t *words, uint8_t protocol, PortList *list)
{
	int error = 0;

	for (uint32_t port = 0; port <= UINT16_MAX && error == 0; port++) {
		uint32_t first = port;

		while (port <= UINT16_MAX && words[port >> 6] & 1ULL << (port & 63))
			port++;
		if (port > first)
			error = port_list_add(
				list, (PortRange){protocol, (uint16_t)first, (uint16_t)(port - 1)});
	}
	return error;
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static int tell_allowed(const KernelPolicy *policy, PrefixList *list)
{
	const struct spale_allow4_key *keys4 = (const void *)policy->allow4.keys;
	const struct spale_allow6_key *keys6 = (const void *)policy->allow6.keys;
	size_t count = policy->allow4.count + policy->allow6.count;
	Prefix *prefix = calloc(count ?: 1, sizeof(*prefix));

	if (!prefix)
		return -ENOMEM;
	*list = (PrefixList){prefix, count};
	for (size_t i = 0; i < policy->allow4.count; i++, prefix++) {
		struct in_addr address;

		memcpy(&address, keys4[i].address, sizeof(address));
		prefix->address = address_from_ipv4(address);
		prefix->length = (uint8_t)(keys4[i].prefix_length + ADDRESS_IPV4_BITS);
	}
	for (size_t i = 0; i < policy->allow6.count; i++, prefix++) {
		memcpy(prefix->address.bytes, keys6[i].address, sizeof(keys6[i].address));
		prefix->length = (uint8_t)keys6[i].prefix_length;
	}
	qsort(list->items, count, sizeof(*list->items), compare_prefixes);
	return 0;
}

int kernel_policy_tell(const KernelPolicy *policy, Config **ret_config)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
					    IPPROTO_UDPLITE};
	_cleanup_config_ Config *config = calloc(1, sizeof(*config));
	int error = config ? tell_allowed(policy, &config->always_allow) : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(protocols) && error == 0; i++)
		error = tell_ports((const uint64_t *)policy->ports.words[port_set_of(protocols[i])],
				   protocols[i], &config->protected_ports);
	if (error == 0)
		*ret_config = TAKE_PTR(config);
	return error;
}

int kernel_policy_step(const PolicyMaps *maps, const KernelPolicy *from, const KernelPolicy *to)
{
	const __u32 zero = 0;
	int error;

	if ((error = key_set_put_new(maps->allow4, &from->allow4, &to->allow4)) < 0 ||
	    (error = key_set_put_new(maps->allow6, &from->allow6, &to->allow6)) < 0 ||
	    (error = key_set_put_new(maps->knock_addresses, &from->knock_addresses,
				     &to->knock_addresses)) < 0)
		return error;

	grow_ports(maps->ports, &to->ports);
	if (bpf_map_update_elem(maps->settings, &zero, &to->settings, BPF_ANY) < 0)
		return -errno;
	shrink_ports(maps->ports, &to->ports);

	if ((error = key_set_delete_old(maps->allow4, &from->allow4, &to->allow4)) < 0 ||
	    (error = key_set_delete_old(maps->allow6, &from->allow6, &to->allow6)) < 0)
		return error;
	return key_set_delete_old(maps->knock_addresses, &from->knock_addresses,
				  &to->knock_addresses);
}

void kernel_policy_take_back(const PolicyMaps *maps, const KernelPolicy *from,
			     const KernelPolicy *to)
{
	const __u32 zero = 0;

	grow_ports(maps->ports, &from->ports);
	(void)bpf_map_update_elem(maps->settings, &zero, &from->settings, BPF_ANY);
	shrink_ports(maps->ports, &from->ports);
	(void)key_set_delete_old(maps->allow4, &to->allow4, &from->allow4);
	(void)key_set_delete_old(maps->allow6, &to->allow6, &from->allow6);
	(void)key_set_delete_old(maps->knock_addresses, &to->knock_addresses,
				 &from->knock_addresses);
	(void)key_set_put_new(maps->allow4, &to->allow4, &from->allow4);
	(void)key_set_put_new(maps->allow6, &to->allow6, &from->allow6);
	(void)key_set_put_new(maps->knock_addresses, &to->knock_addresses, &from->knock_addresses);
}
