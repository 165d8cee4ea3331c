/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <netinet/in.h>
#include <string.h>

#include <bpf/bpf.h>

#define HOUR_NS 3600000000000ULL
/* The longest that there is: 100 of them a second. */
#define TICK_NS 10000000ULL

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
				    IPPROTO_UDPLITE};

/* ---- making ------------------------------------------------------------------------------ */

/* An address from a small world, so that things meet; link-local now and then, or just not. */
static OracleAddress random_address(Random *random, bool ipv4)
{
	OracleAddress address = {.ipv4 = ipv4};
	bool local = random_percent(random, 15), near = random_percent(random, 60);
	uint8_t *bytes = address.bytes;

	random_fill(random, bytes, ipv4 ? 4 : 16);
	if (ipv4 && local) {
		bytes[0] = 169;
		if (near)
			bytes[1] = 254;
	} else if (ipv4 && near) {
		memcpy(bytes, (uint8_t[]){10, 0}, 2);
	} else if (local) {
		bytes[0] = 0xfe;
		bytes[1] |= 0x80;
		if (near)
			memcpy(bytes + 1, (uint8_t[]){0x80, 0, 0, 0, 0, 0, 0}, 7);
	} else if (near) {
		memcpy(bytes, (uint8_t[]){0x20, 1, 0xd, 0xb8, 0, 0}, 6);
	} else if (random_percent(random, 30)) {
		memset(bytes, 0, 12); /* ::a.b.c.d, which is not mapped */
	}
	return address;
}

static bool is_link_local(const OracleAddress *address)
{
	return address->ipv4 ? address->bytes[0] == 169 && address->bytes[1] == 254
			     : address->bytes[0] == 0xfe && address->bytes[1] / 64 == 2;
}

/* Clears what lies behind the prefix. */
static OraclePrefix prefix_of(OracleAddress address, unsigned length)
{
	for (unsigned bit = length; bit < 128; bit++)
		address.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return (OraclePrefix){address, length};
}

static void make_lengths(Random *random, unsigned *lengths, unsigned shortest, unsigned full)
{
	unsigned a = shortest + (unsigned)random_below(random, full - shortest + 1);
	unsigned b = shortest + (unsigned)random_below(random, full - shortest + 1);

	lengths[0] = random_percent(random, 40) ? full : a > b ? a : b;
	lengths[1] = 0;
	if (random_percent(random, 60) && b < lengths[0])
		lengths[1] = b;
	if (random_percent(random, 5))
		lengths[0] = lengths[1] = 0;
}

/*
 * A grant's times: none depends on how fast this machine is within the next seconds, or on the
 * programs' clock, which may be a tick behind ours (gate_now()).
 */
static void make_times(Random *random, uint64_t now, OracleGrant *grant)
{
	uint64_t past = now - TICK_NS;

	grant->last_ns = now;
	grant->idle_ns = random_percent(random, 30) ? SPALE_NEVER_NS : HOUR_NS;
	grant->grace_ns = random_percent(random, 30) ? SPALE_NEVER_NS : 2 * HOUR_NS;
	grant->deadline_ns = random_percent(random, 50) ? SPALE_NEVER_NS : now + HOUR_NS;
	switch (random_below(random, 8)) {
	case 0: /* idle for good: grace at every packet */
		grant->last_ns = 1;
		grant->idle_ns = 0;
		break;
	case 1: /* idle, until a packet wakes it for half of the time since the machine started */
		grant->last_ns = 1;
		grant->idle_ns = now / 2;
		break;
	case 2: /* past idle and grace */
		grant->last_ns = 1;
		grant->idle_ns = random_below(random, 2);
		grant->grace_ns = 1 + random_below(random, 2);
		break;
	case 3: /* past its end, else in use */
		grant->deadline_ns = 1 + random_below(random, 2) * (past - 1);
		break;
	case 4: /* past its end, else in grace */
		grant->last_ns = 1;
		grant->idle_ns = 1;
		grant->deadline_ns = past;
		break;
	default: /* in use */
		break;
	}
}

static bool have_grant(const Oracle *oracle, const OracleGrant *grant)
{
	for (size_t i = 0; i < oracle->grant_count; i++) {
		const OracleGrant *other = &oracle->grants[i];

		if (other->source.length == grant->source.length &&
		    other->source.address.ipv4 == grant->source.address.ipv4 &&
		    memcmp(other->source.address.bytes, grant->source.address.bytes, 16) == 0 &&
		    other->protocol == grant->protocol && other->port == grant->port &&
		    other->ifindex == grant->ifindex)
			return true;
	}
	return false;
}

static void make_grants(Scenario *scenario, Random *random)
{
	Oracle *oracle = &scenario->oracle;
	OracleAddress around[6]; /* grants of both lengths for the same sources */

	for (size_t i = 0; i < 6; i++)
		around[i] = random_address(random, i % 2);
	for (size_t i = random_below(random, ORACLE_GRANTS); i > 0; i--) {
		OracleAddress address =
			random_percent(random, 50)
				? around[random_below(random, 6)]
				: random_address(random, random_percent(random, 50));
		const unsigned *lengths = address.ipv4 ? oracle->lengths4 : oracle->lengths6;
		unsigned length = lengths[random_below(random, SPALE_MASKS)];
		OracleGrant grant = {
			.protocol = protocols[random_below(random, sizeof(protocols))],
			.port = scenario->ports[random_below(random, SCENARIO_PORTS)],
		};

		if (length == 0)
			continue;
		grant.source = prefix_of(address, length);
		if (is_link_local(&address))
			grant.ifindex = oracle->ifindex + random_percent(random, 20);
		make_times(random, oracle->now_ns, &grant);
		if (!have_grant(oracle, &grant))
			oracle->grants[oracle->grant_count++] = grant;
	}
}

static void make_ports(Scenario *scenario, Random *random)
{
	static const uint16_t edges[] = {0, 1, 22, 63, 64, 65, 443, 32767, 32768, 65472, 65535};
	Oracle *oracle = &scenario->oracle;

	for (size_t i = 0; i < SCENARIO_PORTS; i++) {
		uint16_t port = random_percent(random, 50)
					? edges[random_below(random, sizeof(edges) / 2)]
					: (uint16_t)random_bits(random);

		scenario->ports[i] = port;
		for (size_t j = 0; j < sizeof(protocols); j++)
			oracle->protected_ports[protocols[j]][port] = random_percent(random, 75);
		if (i < SCENARIO_KNOCK_PORTS)
			oracle->knock_ports[port] = true;
	}
	if (random_percent(random, 5))
		memset(oracle->protected_ports[IPPROTO_TCP], true, 65536);
}

static void make_knocks(Scenario *scenario, Random *random)
{
	Oracle *oracle = &scenario->oracle;

	oracle->format1 = random_percent(random, 90);
	oracle->knock_any4 = random_percent(random, 60);
	oracle->knock_any6 = random_percent(random, 60);
	for (size_t i = random_below(random, ORACLE_PREFIXES); i > 0; i--)
		oracle->knock_addresses[oracle->knock_address_count++] =
			random_address(random, random_percent(random, 50));
	oracle->client_count = random_below(random, ORACLE_CLIENTS + 1);
	random_fill(random, oracle->clients, sizeof(oracle->clients));
	random_fill(random, scenario->encs, sizeof(scenario->encs));
	for (size_t i = 0; i < 4; i++)
		scenario->knockers[i] = random_address(random, i % 2);

	/* One limit at a time: which of several is asked first is told apart, what a refusal by a
	 * later one costs at an earlier one is nobody's business. */
	oracle->source_tokens = oracle->total_tokens = ORACLE_UNLIMITED;
	if (random_percent(random, 40))
		oracle->source_tokens = 1 + (unsigned)random_below(random, 4);
	else if (random_percent(random, 40))
		oracle->total_tokens = 1 + (unsigned)random_below(random, 20);
}

/* The first of our stations is that of the interface itself: lo's are all zero. */
static void make_stations(Oracle *oracle, Random *random)
{
	oracle->asks = random_percent(random, 40);
	for (size_t i = 1; i < ORACLE_STATIONS; i++)
		random_fill(random, oracle->stations[i], sizeof(oracle->stations[i]));
}

void scenario_make(Scenario *scenario, Random *random, uint32_t ifindex)
{
	Oracle *oracle = &scenario->oracle;

	memset(scenario, 0, sizeof(*scenario));
	oracle->ifindex = ifindex;
	oracle->now_ns = clock_mono_ns();
	oracle->log_only = random_percent(random, 15);
	make_lengths(random, oracle->lengths4, 16, 32);
	make_lengths(random, oracle->lengths6, 32, 128);
	make_ports(scenario, random);
	make_grants(scenario, random);
	make_knocks(scenario, random);
	make_stations(oracle, random);
	if (random_percent(random, 60)) {
		for (size_t i = random_below(random, ORACLE_PREFIXES); i > 0; i--) {
			OracleAddress address = random_address(random, random_percent(random, 50));
			unsigned length = (unsigned)random_below(random, address.ipv4 ? 33 : 129);

			/* Prefixes of a bit or two would leave nothing to deny. */
			if (length > 2 || random_percent(random, 2))
				oracle->allowed[oracle->allowed_count++] =
					prefix_of(address, length);
		}
	}
}

/* ---- telling the programs ---------------------------------------------------------------- */

static void address_key(const OracleAddress *address, uint8_t key[16])
{
	memset(key, 0, 16);
	if (address->ipv4) {
		key[10] = key[11] = 0xff;
		memcpy(key + 12, address->bytes, 4);
	} else {
		memcpy(key, address->bytes, 16);
	}
}

static struct spale_grant_key grant_key(const OracleGrant *grant)
{
	struct spale_grant_key key = {
		.ifindex = grant->ifindex,
		.port = grant->port,
		.protocol = grant->protocol,
		.prefix_length =
			(__u8)(grant->source.length + (grant->source.address.ipv4 ? 96 : 0)),
	};

	address_key(&grant->source.address, key.source);
	return key;
}

static void set_mask(struct spale_mask *mask, unsigned length)
{
	mask->length = length;
	for (unsigned bit = 0; bit < length; bit++)
		mask->bytes[bit / 8] |= (__u8)(0x80 >> bit % 8);
}

/* TOKENS that do not come back within an hour. */
static struct spale_rate rate_of(unsigned tokens)
{
	if (tokens == ORACLE_UNLIMITED)
		return (struct spale_rate){0};
	return (struct spale_rate){
		.interval_ns = HOUR_NS,
		.burst_ns = tokens * HOUR_NS + HOUR_NS / 2,
	};
}

static void apply_settings(const Oracle *oracle, Gate *gate)
{
	struct spale_settings settings = {.abi = SPALE_ABI};
	enum spale_total limited = oracle->now_ns % 2 ? SPALE_TOTAL_ALL : SPALE_TOTAL_FORMAT1;

	settings.flags = (oracle->log_only ? SPALE_LOG_ONLY : 0) |
			 (oracle->knock_any4 ? SPALE_KNOCK_ANY4 : 0) |
			 (oracle->knock_any6 ? SPALE_KNOCK_ANY6 : 0) |
			 (oracle->format1 ? SPALE_KNOCK_FORMAT1 : 0);
	/* Here is no socket and no route, so these must change nothing. */
	if (oracle->now_ns / 2 % 2)
		settings.flags |= SPALE_KEEP_ESTABLISHED;
	if (oracle->now_ns / 4 % 2)
		settings.flags |= SPALE_SCOPE_LOCAL;
	/* A trial that is over is log-only mode by another name, one that is on is none. */
	if (oracle->now_ns / 8 % 2) {
		settings.flags &= ~SPALE_LOG_ONLY;
		settings.trial_end_mono_ns =
			oracle->log_only ? oracle->now_ns - 1000000000 : oracle->now_ns + HOUR_NS;
	}
	for (size_t i = 0; i < oracle->allowed_count; i++)
		settings.flags |= oracle->allowed[i].address.ipv4 ? SPALE_ALLOW4 : SPALE_ALLOW6;
	for (size_t i = 0; i < SPALE_MASKS; i++) {
		if (oracle->lengths4[i])
			set_mask(&settings.masks[SPALE_IPV4][i], oracle->lengths4[i] + 96);
		if (oracle->lengths6[i])
			set_mask(&settings.masks[SPALE_IPV6][i], oracle->lengths6[i]);
	}
	settings.source_rate = rate_of(oracle->source_tokens);
	settings.total_rate[limited] = rate_of(oracle->total_tokens);
	gate_set_settings(gate, &settings);
}

static void apply_ports(const Oracle *oracle, Gate *gate)
{
	static struct spale_ports ports;
	static const struct {
		enum spale_port_set set;
		uint8_t protocol;
	} sets[] = {
		{SPALE_PORTS_TCP, IPPROTO_TCP},		{SPALE_PORTS_UDP, IPPROTO_UDP},
		{SPALE_PORTS_SCTP, IPPROTO_SCTP},	{SPALE_PORTS_DCCP, IPPROTO_DCCP},
		{SPALE_PORTS_UDPLITE, IPPROTO_UDPLITE},
	};
	uint32_t zero = 0;

	memset(&ports, 0, sizeof(ports));
	for (unsigned port = 0; port < 65536; port++) {
		uint64_t bit = 1ULL << (port & 63);

		for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
			if (oracle->protected_ports[sets[i].protocol][port])
				ports.words[sets[i].set][port >> 6] |= bit;
		if (oracle->knock_ports[port])
			ports.words[SPALE_PORTS_KNOCK][port >> 6] |= bit;
	}
	for (size_t i = 0; i < SPALE_PORT_WORDS; i++)
		ports.words[SPALE_PORTS_UDP_WATCHED][i] =
			ports.words[SPALE_PORTS_UDP][i] | ports.words[SPALE_PORTS_KNOCK][i];
	gate_put(gate->ports, &zero, &ports);
}

/* Puts (or deletes, without a value) the scenario's entries of one map after the other. */
static void change(int map, const void *key, const void *value)
{
	if (value)
		gate_put(map, key, value);
	else
		bpf_map_delete_elem(map, key);
}

static void change_lists(const Oracle *oracle, Gate *gate, const uint32_t *one)
{
	uint8_t key[16];

	for (size_t i = 0; i < oracle->allowed_count; i++) {
		const OraclePrefix *prefix = &oracle->allowed[i];
		struct spale_allow4_key key4 = {.prefix_length = prefix->length};
		struct spale_allow6_key key6 = {.prefix_length = prefix->length};

		memcpy(key4.address, prefix->address.bytes, 4);
		memcpy(key6.address, prefix->address.bytes, 16);
		if (prefix->address.ipv4)
			change(gate->allow4, &key4, one);
		else
			change(gate->allow6, &key6, one);
	}
	for (size_t i = 0; i < oracle->client_count; i++)
		change(gate->clients, oracle->clients[i], one);
	for (size_t i = 0; i < oracle->knock_address_count; i++) {
		address_key(&oracle->knock_addresses[i], key);
		change(gate->knock_addrs, key, one);
	}
}

void scenario_apply(const Scenario *scenario, Gate *gate)
{
	const Oracle *oracle = &scenario->oracle;
	const uint32_t one = 1;

	apply_settings(oracle, gate);
	apply_ports(oracle, gate);
	change_lists(oracle, gate, &one);
	gate_set_asking(gate, oracle->asks);
	for (size_t i = 0; i < ORACLE_STATIONS; i++)
		gate_put_station(gate, oracle->stations[i]);
	for (size_t i = 0; i < oracle->grant_count; i++) {
		const OracleGrant *grant = &oracle->grants[i];
		struct spale_grant_key key = grant_key(grant);
		struct spale_grant value = {grant->last_ns, grant->idle_ns, grant->grace_ns,
					    grant->deadline_ns, GATE_GRANT_COUNTER};

		gate_put(gate->grants, &key, &value);
	}
}

void scenario_clear(const Scenario *scenario, Gate *gate)
{
	const Oracle *oracle = &scenario->oracle;
	const uint64_t empty = 0;

	change_lists(oracle, gate, NULL);
	for (size_t i = 0; i < oracle->grant_count; i++) {
		struct spale_grant_key key = grant_key(&oracle->grants[i]);

		bpf_map_delete_elem(gate->grants, &key);
	}
	gate_empty(gate->stations, sizeof(struct spale_station));
	gate_empty(gate->seen, sizeof(struct spale_seen_key));
	gate_empty(gate->buckets, 16);
	for (uint32_t total = 0; total < SPALE_TOTALS; total++)
		gate_put(gate->totals, &total, &empty);
}

/* ---- what packets are made of ------------------------------------------------------------ */

/* An address within the prefix, or just not. */
static OracleAddress near_prefix(const OraclePrefix *prefix, Random *random)
{
	OracleAddress address = prefix->address;
	unsigned bits = address.ipv4 ? 32 : 128;

	for (unsigned bit = prefix->length; bit < bits; bit++)
		if (random_percent(random, 50))
			address.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	if (random_percent(random, 10)) {
		size_t bit = random_below(random, bits);

		address.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	}
	return address;
}

static OracleAddress make_destination(const Scenario *scenario, Random *random, bool ipv4)
{
	const Oracle *oracle = &scenario->oracle;

	if (oracle->knock_address_count > 0 && random_percent(random, 60)) {
		const OracleAddress *address =
			&oracle->knock_addresses[random_below(random, oracle->knock_address_count)];

		if (address->ipv4 == ipv4)
			return *address;
	}
	return random_address(random, ipv4);
}

Aim scenario_aim(const Scenario *scenario, Random *random, bool ipv4)
{
	const Oracle *oracle = &scenario->oracle;
	Aim aim = {
		.source = random_address(random, ipv4),
		.destination = make_destination(scenario, random, ipv4),
		.port = scenario_port(scenario, random),
	};

	if (random_percent(random, 20)) {
		/* Another host of the same network now and then. */
		aim.source = scenario->knockers[random_below(random, 2) * 2 + ipv4];
		if (random_percent(random, 30))
			aim.source.bytes[ipv4 ? 3 : 8 + random_below(random, 8)] ^= 1;
		aim.protocol = IPPROTO_UDP;
	} else if (oracle->grant_count > 0 && random_percent(random, 75)) {
		const OracleGrant *grant =
			&oracle->grants[random_below(random, oracle->grant_count)];

		if (grant->source.address.ipv4 != ipv4)
			return aim;
		aim.source = near_prefix(&grant->source, random);
		aim.at_grant = random_percent(random, 85);
		if (aim.at_grant) {
			aim.protocol = grant->protocol;
			aim.port = grant->port;
		}
	} else if (oracle->allowed_count > 0 && random_percent(random, 60)) {
		const OraclePrefix *prefix =
			&oracle->allowed[random_below(random, oracle->allowed_count)];

		if (prefix->address.ipv4 == ipv4)
			aim.source = near_prefix(prefix, random);
	}
	return aim;
}

uint16_t scenario_port(const Scenario *scenario, Random *random)
{
	if (random_percent(random, 5))
		return (uint16_t)random_bits(random);
	return scenario->ports[random_below(random, SCENARIO_PORTS)];
}
