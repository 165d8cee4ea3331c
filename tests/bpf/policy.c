/* SPDX-License-Identifier: MIT */
/* Sets of ports, when last_mono_ns is written, how GSO packets and those of grants count. */
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "rows.h"

static const struct {
	uint8_t protocol;
	enum spale_port_set set;
	enum spale_port_set watched; /* the same, but for UDP */
} protocols[] = {
	{IPPROTO_TCP, SPALE_PORTS_TCP, SPALE_PORTS_TCP},
	{IPPROTO_UDP, SPALE_PORTS_UDP, SPALE_PORTS_UDP_WATCHED},
	{IPPROTO_SCTP, SPALE_PORTS_SCTP, SPALE_PORTS_SCTP},
	{IPPROTO_DCCP, SPALE_PORTS_DCCP, SPALE_PORTS_DCCP},
	{IPPROTO_UDPLITE, SPALE_PORTS_UDPLITE, SPALE_PORTS_UDPLITE},
};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

static void set_only(Gate *gate, size_t protocol, uint16_t port)
{
	static struct spale_ports ports;
	uint32_t zero = 0;

	ports = (struct spale_ports){0};
	ports.words[protocols[protocol].set][port >> 6] |= 1ULL << (port & 63);
	ports.words[protocols[protocol].watched][port >> 6] |= 1ULL << (port & 63);
	gate_put(gate->ports, &zero, &ports);
}

static void expect(Gate *gate, size_t protocol, uint16_t port, enum spale_family family,
		   enum spale_reason reason)
{
	/* The builder takes port 0 for "the usual one", so the port is written afterwards. */
	struct shape shape = {.protocol = protocols[protocol].protocol};
	struct packet packet;
	Outcome outcome;

	packet_build(&packet, &shape, family);
	packet.bytes[packet.l4 + 2] = port >> 8;
	packet.bytes[packet.l4 + 3] = port & 0xff;
	outcome = gate_run(gate, &packet);
	check(outcome_is(&outcome, reason, false, 1),
	      "protocol %d port %u, %s, IPv%d: expected %s, got: %s", shape.protocol, port,
	      gate->name, family == SPALE_IPV4 ? 4 : 6, reason_text(reason),
	      outcome_text(&outcome));
}

/* One bit set: that port of that protocol is protected, its neighbours and namesakes are not. */
static void port_bits(Gate *gate)
{
	static const uint16_t ports[] = {0, 1, 63, 64, 1023, 32767, 32768, 65472, 65535};

	gate_reset(gate);
	for (size_t p = 0; p < PROTOCOLS; p++) {
		for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
			set_only(gate, p, ports[i]);
			for (int family = 0; family < SPALE_FAMILIES; family++) {
				for (size_t q = 0; q < PROTOCOLS; q++)
					expect(gate, q, ports[i], family,
					       q == p ? SPALE_REASON_DENIED
						      : SPALE_REASON_UNPROTECTED);
				expect(gate, p, ports[i] + 1, family, SPALE_REASON_UNPROTECTED);
				expect(gate, p, ports[i] - 1, family, SPALE_REASON_UNPROTECTED);
				expect(gate, p, ports[i] ^ 64, family, SPALE_REASON_UNPROTECTED);
			}
		}
	}
}

/* A UDP port that is watched, but neither protected nor for knocks; and all 65,536 at once. */
static void port_sets(Gate *gate)
{
	static struct spale_ports ports;
	uint32_t zero = 0;

	gate_reset(gate);
	gate_set_port(gate, SPALE_PORTS_UDP_WATCHED, 5000);
	expect(gate, 1, 5000, SPALE_IPV4, SPALE_REASON_UNPROTECTED);
	expect(gate, 1, 5000, SPALE_IPV6, SPALE_REASON_UNPROTECTED);

	for (int set = 0; set < SPALE_PORTS_KNOCK; set++)
		for (int word = 0; word < SPALE_PORT_WORDS; word++)
			ports.words[set][word] = ~0ULL;
	gate_put(gate->ports, &zero, &ports);
	for (size_t p = 0; p < PROTOCOLS; p++) {
		for (uint32_t port = 0; port < 65536; port += 4369) {
			expect(gate, p, port, SPALE_IPV4, SPALE_REASON_DENIED);
			expect(gate, p, port, SPALE_IPV6, SPALE_REASON_DENIED);
		}
	}
}

/*
 * Packets in a row write last_mono_ns once in SPALE_LAST_STEP_NS. On a busy machine that much may
 * pass between two lines here: then the try says nothing and is repeated.
 */
static void last_step(const struct bench *bench, Gate *gate)
{
	static const struct row_grant fresh = {true, 20, 60 * SECOND, 60 * SECOND, NEVER};
	struct shape shape = {.tcp_flags = TCP_ACK};
	struct spale_grant_key key;
	struct spale_grant value = {0};
	struct packet packet;
	uint64_t last;
	bool ok = false;

	packet_build(&packet, &shape, SPALE_IPV4);
	for (int i = 0; i < 1000 && !ok; i++) {
		gate_reset(gate);
		last = row_put_grant(gate, bench, &fresh, &shape, SPALE_IPV4);
		for (int j = 0; j < 3; j++)
			gate_run(gate, &packet);
		ok = clock_latest_ns() - last < SPALE_LAST_STEP_NS;
	}
	ok = ok && bpf_map_get_next_key(gate->grants, NULL, &key) == 0 &&
	     bpf_map_lookup_elem(gate->grants, &key, &value) == 0;
	check(ok && value.last_mono_ns == last, "last_mono_ns within a step, %s: written",
	      gate->name);
}

/* GSO: TC counts segments. XDP never sees such packets. */
static void segments(const struct bench *bench, Gate *gate)
{
	static const struct row_grant endless = {true, 0, NEVER, NEVER, NEVER};
	static const uint32_t counts[] = {0, 1, 2, 45};
	struct spale_settings settings = gate_settings();
	struct shape shape = {.payload = 1000};
	struct packet packet;
	Outcome outcome;

	gate_reset(gate);
	packet_build(&packet, &shape, SPALE_IPV6);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t expected = counts[i] > 1 ? counts[i] : 1;

		settings.flags &= ~SPALE_LOG_ONLY;
		gate_set_settings(gate, &settings);
		outcome = gate_run_segments(gate, &packet, counts[i]);
		check(outcome_is(&outcome, SPALE_REASON_DENIED, false, expected),
		      "%u segments: got %s", counts[i], outcome_text(&outcome));

		settings.flags |= SPALE_LOG_ONLY;
		gate_set_settings(gate, &settings);
		outcome = gate_run_segments(gate, &packet, counts[i]);
		check(outcome_is(&outcome, SPALE_REASON_DENIED, true, expected),
		      "%u segments, log-only: got %s", counts[i], outcome_text(&outcome));

		row_put_grant(gate, bench, &endless, &shape, SPALE_IPV6);
		outcome = gate_run_segments(gate, &packet, counts[i]);
		check(outcome_is(&outcome, SPALE_REASON_GRANTED, true, expected),
		      "%u segments, granted: got %s", counts[i], outcome_text(&outcome));
		gate_empty(gate->grants, sizeof(struct spale_grant_key));
	}
}

/* Puts an endless grant for this packet's /LENGTH, that counts in COUNTER, which begins at 0. */
static void put_counting(Gate *gate, const struct shape *shape, uint8_t length, uint32_t counter)
{
	struct spale_grant_key key = {
		.port = PROTECTED_PORT, .protocol = IPPROTO_TCP, .prefix_length = length};
	struct spale_grant grant = {
		.last_mono_ns = clock_mono_ns(),
		.idle_ns = SPALE_NEVER_NS,
		.deadline_mono_ns = SPALE_NEVER_NS,
		.counter = counter,
	};
	uint64_t *zero = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*zero));

	if (!zero)
		abort();
	packet_source(shape, SPALE_IPV4, key.source);
	if (length < 128)
		key.source[15] = 0;
	gate_put(gate->grants, &key, &grant);
	if (counter < SPALE_GRANT_COUNTERS)
		gate_put(gate->grant_packets, &counter, zero);
	free(zero);
}

static void expect_counts(Gate *gate, const char *what, const struct packet *packet,
			  uint64_t longer, uint64_t shorter)
{
	uint64_t first = gate_granted(gate, GATE_GRANT_COUNTER),
		 last = gate_granted(gate, SPALE_GRANT_COUNTERS - 1);
	Outcome outcome = gate_run(gate, packet);

	first = gate_granted(gate, GATE_GRANT_COUNTER) - first;
	last = gate_granted(gate, SPALE_GRANT_COUNTERS - 1) - last;
	check(outcome.passed && first == longer && last == shorter,
	      "%s, %s: counted %llu and %llu, %s", what, gate->name, (unsigned long long)first,
	      (unsigned long long)last, outcome_text(&outcome));
}

/* The grant that let the packet pass counts it, and no other one; some have no counter. */
static void grant_counters(Gate *gate)
{
	static const unsigned int lengths[SPALE_MASKS] = {128, 120};
	struct spale_settings settings = gate_settings();
	struct shape shape = {.tcp_flags = TCP_SYN}, open = {.port = OPEN_PORT};
	struct packet packet, unprotected;

	gate_reset(gate);
	row_set_lengths(&settings, SPALE_IPV4, lengths);
	gate_set_settings(gate, &settings);
	packet_build(&packet, &shape, SPALE_IPV4);
	packet_build(&unprotected, &open, SPALE_IPV4);
	put_counting(gate, &shape, 128, GATE_GRANT_COUNTER);
	put_counting(gate, &shape, 120, SPALE_GRANT_COUNTERS - 1);
	expect_counts(gate, "both prefixes granted", &packet, 1, 0);
	expect_counts(gate, "an open port", &unprotected, 0, 0);
	gate_empty(gate->grants, sizeof(struct spale_grant_key));
	put_counting(gate, &shape, 120, SPALE_GRANT_COUNTERS - 1);
	expect_counts(gate, "the shorter granted", &packet, 0, 1);
	put_counting(gate, &shape, 128, SPALE_NO_COUNTER);
	expect_counts(gate, "no counter", &packet, 0, 0);
	put_counting(gate, &shape, 128, SPALE_GRANT_COUNTERS);
	expect_counts(gate, "a counter that is not there", &packet, 0, 0);
	put_counting(gate, &shape, 120, SPALE_GRANT_COUNTERS - 1);
}

/* Each CPU counts for itself, and what is read is all of it. */
static void grants_on_cpus(Gate *gate)
{
	struct shape shape = {.tcp_flags = TCP_SYN};
	struct packet packet;
	cpu_set_t before, one;
	uint64_t granted;
	int ran = 0;

	gate_reset(gate);
	packet_build(&packet, &shape, SPALE_IPV4);
	put_counting(gate, &shape, 128, GATE_GRANT_COUNTER);
	sched_getaffinity(0, sizeof(before), &before);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (!CPU_ISSET(cpu, &before) || sched_setaffinity(0, sizeof(one), &one) < 0)
			continue;
		gate_run(gate, &packet);
		ran++;
	}
	sched_setaffinity(0, sizeof(before), &before);
	granted = gate_granted(gate, GATE_GRANT_COUNTER);
	check(ran > 0 && granted == (uint64_t)ran, "packets of a grant on %d CPUs, %s: %llu", ran,
	      gate->name, (unsigned long long)granted);
}

/*
 * The interface's own station, which has just got its address: the list does not have it yet. TC
 * knows by the kernel's mark. XDP has to wait for the list.
 */
static void new_station(Gate *gate)
{
	struct ifreq request = {0};
	struct shape shape = {0};
	struct packet packet;
	Outcome outcome;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	gate_reset(gate);
	gate_set_asking(gate, true);
	if (!check(fd >= 0 && if_indextoname(gate->ifindex, request.ifr_name) &&
			   ioctl(fd, SIOCGIFHWADDR, &request) == 0,
		   "no address of the interface"))
		return;
	close(fd);
	shape.station = (const uint8_t *)request.ifr_hwaddr.sa_data;
	packet_build(&packet, &shape, SPALE_IPV4);
	outcome = gate_run(gate, &packet);
	check(outcome_is(&outcome, gate->xdp ? SPALE_REASON_OTHER_STATION : SPALE_REASON_DENIED,
			 false, 1),
	      "new address, %s: got %s", gate->name, outcome_text(&outcome));
	gate_put_station(gate, shape.station);
	outcome = gate_run(gate, &packet);
	check(outcome_is(&outcome, SPALE_REASON_DENIED, false, 1), "own address, %s: got %s",
	      gate->name, outcome_text(&outcome));
}

void policy_run(struct bench *bench)
{
	Gate *gates[] = {&bench->tc, &bench->xdp};

	for (int g = 0; g < bench->modes; g++) {
		port_bits(gates[g]);
		port_sets(gates[g]);
		last_step(bench, gates[g]);
		new_station(gates[g]);
		grant_counters(gates[g]);
		grants_on_cpus(gates[g]);
	}
	segments(bench, &bench->tc);
}
