/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flow and maps -> reason. The only place that decides.
 */
#ifndef SPALE_GATE_BPF_H
#define SPALE_GATE_BPF_H

#include "clock.bpf.h"
#include "host.bpf.h"
#include "knock.bpf.h"
#include "maps.bpf.h"
#include "parse.bpf.h"
#include "report.bpf.h"

/* gate_udp()'s answer for a packet to a protected port; next to the reasons. */
#define GATE_PROTECTED SPALE_REASON_COUNT

/* One load and a bit test, in the map's memory. */
static __always_inline bool gate_port(const struct spale_ports *set_of_ports, __u32 set, __u16 port)
{
	return set_of_ports->words[set][port >> 6] >> (port & 63) & 1;
}

/* Is the port protected, or (UDP) one that knocks come to? False for nearly all packets. */
static __always_inline bool gate_watches(__u8 protocol, __u16 port)
{
	const struct spale_ports *watched = maps_ports();
	__u32 set = parse_port_set(protocol);

	return watched && set < SPALE_PORT_SETS && gate_port(watched, set, port);
}

/* An address that is unique on its link only. */
static __always_inline bool gate_is_link_local(const struct flow *flow)
{
	if (flow->family == SPALE_IPV4)
		return (flow->source.words[3] & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000);
	return (flow->source.words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* The grant for a flow's source under one mask. The only place that knows how grants are kept. */
static __always_inline struct spale_grant *grant_find(const struct flow *flow,
						      const struct spale_mask *mask, __u32 ifindex)
{
	struct spale_grant_key __attribute__((aligned(8))) key = {
		.ifindex = ifindex,
		.port = flow->destination_port,
		.protocol = flow->protocol,
		.prefix_length = mask->length,
	};
	struct address source = flow->source, bits;

	if (mask->length < 128) {
		__builtin_memcpy(bits.bytes, mask->bytes, sizeof(bits));
		source.halves[0] &= bits.halves[0];
		source.halves[1] &= bits.halves[1];
	}
	__builtin_memcpy(key.source, source.bytes, sizeof(key.source));
	return bpf_map_lookup_elem(&grants, &key);
}

/*
 * The coarse clock moves once a tick, as jiffies do, and these cost a load where the clock costs a
 * call (20 ns): so each CPU asks the clock once a tick. The kernel moves jiffies a moment before
 * the clock, so that a reading may be a tick behind, no more. Time is written before the tick that
 * it belongs to, for an interrupt may bring another packet in between.
 */
static __always_inline __u64 gate_now(void)
{
	__u64 jiffies = bpf_jiffies64();
	struct tick *tick;
	__u32 zero = 0;

	tick = bpf_map_lookup_elem(&ticks, &zero);
	if (!tick)
		return clock_mono_ns();
	if (tick->jiffies != jiffies) {
		*(volatile __u64 *)&tick->mono_ns = clock_mono_ns();
		*(volatile __u64 *)&tick->jiffies = jiffies;
	}
	return tick->mono_ns;
}

/* May the packet start a conversation? */
static __always_inline bool gate_starts(Context *ctx, const struct flow *flow)
{
	return flow->protocol != IPPROTO_TCP || host_tcp(ctx, flow) == HOST_TCP_BEGINS;
}

/*
 * GRANTED, GRACE or ENDED. last_mono_ns is a plain store: CPUs that race write nearly the same
 * time, and for packets in a row it is written once in SPALE_LAST_STEP_NS, so that a line that
 * all CPUs read stays in their caches. The clock is behind last_mono_ns where the daemon has just
 * written a finer one; then no time has passed.
 */
static __always_inline __u32 gate_grant(Context *ctx, const struct flow *flow,
					struct spale_grant *grant)
{
	__u64 last = *(volatile __u64 *)&grant->last_mono_ns;
	__u64 now = gate_now();
	__u64 elapsed = now > last ? now - last : 0;

	if (now >= grant->deadline_mono_ns)
		return SPALE_REASON_ENDED;
	if (elapsed < grant->idle_ns) {
		if (elapsed > SPALE_LAST_STEP_NS)
			*(volatile __u64 *)&grant->last_mono_ns = now;
		return SPALE_REASON_GRANTED;
	}
	if (elapsed < grant->grace_ns && gate_starts(ctx, flow)) {
		*(volatile __u64 *)&grant->last_mono_ns = now;
		return SPALE_REASON_GRACE;
	}
	return SPALE_REASON_ENDED;
}

/*
 * Counts a packet that GRANT let through, where there was room for a counter of its own. No atomic
 * add: see report().
 */
static __always_inline void gate_count(Context *ctx, const struct spale_grant *grant)
{
	__u32 counter = grant->counter;
	__u64 *packets = bpf_map_lookup_elem(&grant_packets, &counter);

	if (packets)
		*packets += ctx_segments(ctx);
}

/* Is the source in the list of its family? Asked last: a trie is dear, and usually empty. */
static __always_inline bool gate_allows(const struct spale_settings *policy,
					const struct flow *flow)
{
	if (flow->family == SPALE_IPV4) {
		struct spale_allow4_key key = {.prefix_length = 32};

		__builtin_memcpy(key.address, &flow->source.words[3], sizeof(key.address));
		return policy->flags & SPALE_ALLOW4 && bpf_map_lookup_elem(&allow4, &key);
	} else {
		struct spale_allow6_key key = {.prefix_length = 128};

		__builtin_memcpy(key.address, flow->source.bytes, sizeof(key.address));
		return policy->flags & SPALE_ALLOW6 && bpf_map_lookup_elem(&allow6, &key);
	}
}

/* A packet to a protected port. */
static __always_inline __u32 gate_protect(Context *ctx, const struct spale_settings *policy,
					  const struct flow *flow)
{
	/* Compared, not used as an index: older verifiers lose the range of a byte on the stack. */
	const struct spale_mask *masks = policy->masks[flow->family == SPALE_IPV6];
	__u32 ifindex = gate_is_link_local(flow) ? ctx_ifindex(ctx) : 0;
	__u32 answer = SPALE_REASON_DENIED, verdict;
	struct spale_grant *grant;

#pragma unroll
	for (int i = 0; i < SPALE_MASKS; i++) {
		if (!masks[i].length)
			break;
		grant = grant_find(flow, &masks[i], ifindex);
		if (!grant)
			continue;
		verdict = gate_grant(ctx, flow, grant);
		if (verdict != SPALE_REASON_ENDED) {
			gate_count(ctx, grant);
			return verdict;
		}
		answer = SPALE_REASON_ENDED;
	}

	if (gate_allows(policy, flow))
		return SPALE_REASON_ALLOWED;
	if (policy->flags & SPALE_KEEP_ESTABLISHED && host_converses(ctx, flow))
		return SPALE_REASON_ESTABLISHED;
	if (policy->flags & SPALE_SCOPE_LOCAL && host_forwards(ctx, flow))
		return SPALE_REASON_FORWARDED;
	return answer;
}

/* A UDP packet to a port that is watched: a knock, or protected, or neither. */
static __always_inline __u32 gate_udp(Context *ctx, const struct spale_settings *policy,
				      const struct flow *flow)
{
	const struct spale_ports *watched = maps_ports();
	__u32 answer;

	if (!watched)
		return SPALE_REASON_UNPROTECTED;
	if (policy->flags & SPALE_KNOCK_FORMAT1 &&
	    gate_port(watched, SPALE_PORTS_KNOCK, flow->destination_port)) {
		answer = knock_take(ctx, policy, flow);
		if (answer != KNOCK_NONE)
			return answer;
	}
	if (!gate_port(watched, SPALE_PORTS_UDP, flow->destination_port))
		return SPALE_REASON_UNPROTECTED;
	return GATE_PROTECTED;
}

/* PARSE_DONE: a packet to a port that is watched, in FLOW. Else a reason. */
static __always_inline __u32 gate_parse(Context *ctx, struct flow *flow)
{
	struct parse_straight straight;
	__u32 answer = parse_straight(ctx, &straight);

	if (answer == PARSE_DONE) {
		if (!gate_watches(straight.protocol, straight.destination_port))
			return SPALE_REASON_UNPROTECTED;
		parse_straight_flow(&straight, ctx_l3_offset(ctx), flow);
	} else if (answer == PARSE_UNUSUAL) {
		answer = parse_walk(ctx, flow);
		if (answer == PARSE_DONE && !gate_watches(flow->protocol, flow->destination_port))
			return SPALE_REASON_UNPROTECTED;
	}
	return answer;
}

/* Whether REASON is of a packet that could be read, and has a flow. */
static __always_inline bool gate_denies(__u32 reason)
{
	return reason == SPALE_REASON_DENIED || reason == SPALE_REASON_ENDED;
}

/*
 * Whether what should be dropped passes: in log-only mode, and after the end of a trial, which
 * nobody has confirmed. The daemon need not live to see it.
 */
static __always_inline bool gate_is_lenient(const struct spale_settings *policy)
{
	return policy->flags & SPALE_LOG_ONLY ||
	       (policy->trial_end_mono_ns && gate_now() >= policy->trial_end_mono_ns);
}

/* What becomes of a packet: a reason and its verdict. */
static __always_inline int gate(Context *ctx)
{
	const struct spale_settings *policy;
	struct flow flow;
	__u32 reason = gate_parse(ctx, &flow);
	bool lenient = false;

	if (reason == SPALE_REASON_UNPROTECTED)
		return report_unprotected();

	/* Nobody has filled the maps: nothing is protected. */
	policy = maps_settings();
	if (!policy || !policy->abi)
		return report_unprotected();

	if (reason == PARSE_DONE)
		reason = flow.protocol == IPPROTO_UDP ? gate_udp(ctx, policy, &flow)
						      : GATE_PROTECTED;
	if (reason == GATE_PROTECTED)
		reason = gate_protect(ctx, policy, &flow);
	if (REPORT_DROPS >> reason & 1) {
		if (host_is_passed_by(ctx))
			reason = SPALE_REASON_OTHER_STATION;
		else if (gate_denies(reason) && policy->event_rate.interval_ns)
			report_denied(ctx, policy, &flow, reason, gate_now());
		lenient = gate_is_lenient(policy);
	}
	return report(ctx, reason, lenient);
}

#endif
