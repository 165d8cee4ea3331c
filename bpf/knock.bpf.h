/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is a datagram a knock, may it be handed up now, and the handing up.
 *
 * A datagram that is not a knock is none of our business: it goes on as if there were no knock
 * port. A knock never goes on, whether it is handed up or not.
 */
#ifndef SPALE_KNOCK_BPF_H
#define SPALE_KNOCK_BPF_H

#include <linux/errno.h>
#include <linux/udp.h>

#include "maps.bpf.h"
#include "parse.bpf.h"
#include "spale/wire.h"

/* knock_take()'s answer for what is not a knock; next to the reasons. */
#define KNOCK_NONE SPALE_REASON_COUNT

/* A knock of format 1 from L4 on. */
#define KNOCK_DATAGRAM_SIZE (sizeof(struct udphdr) + SPALE_FORMAT1_SIZE)

/* bpf_fib_lookup() takes these; no UAPI header has them. */
#define KNOCK_AF_INET  2
#define KNOCK_AF_INET6 10

_Static_assert(SPALE_FORMAT1_SIZE <= SPALE_KNOCK_MAX, "room for a knock of format 1");

/* Read by itself, so that a flood of datagrams that are nobody's costs no more. */
struct knock_head {
	struct udphdr udp;
	struct client_key sender;
};

/*
 * Does this host take knocks at the address? Never at an IPv4-mapped one of IPv6, which no host
 * has, and which would look like IPv4's in the map.
 */
static __always_inline bool knock_is_address(const struct spale_settings *policy,
					     const struct flow *flow)
{
	__u32 any = flow->family == SPALE_IPV4 ? SPALE_KNOCK_ANY4 : SPALE_KNOCK_ANY6;

	if (flow->family == SPALE_IPV6 && parse_is_mapped(&flow->destination))
		return false;
	return policy->flags & any || bpf_map_lookup_elem(&knock_addrs, &flow->destination);
}

/*
 * Is the packet on its way to another host? A gateway must not eat an inner server's knocks. Any
 * answer but these (local address, forwarding switched off, an error) means that it is for us.
 */
static __always_inline bool knock_is_forwarded(Context *ctx, const struct flow *flow)
{
	struct bpf_fib_lookup route = {
		.l4_protocol = IPPROTO_UDP,
		.sport = bpf_htons(flow->source_port),
		.dport = bpf_htons(flow->destination_port),
		.ifindex = ctx_ifindex(ctx),
	};
	long answer;

	if (flow->family == SPALE_IPV4) {
		route.family = KNOCK_AF_INET;
		route.ipv4_src = flow->source.words[3];
		route.ipv4_dst = flow->destination.words[3];
	} else {
		route.family = KNOCK_AF_INET6;
		__builtin_memcpy(route.ipv6_src, flow->source.words, sizeof(route.ipv6_src));
		__builtin_memcpy(route.ipv6_dst, flow->destination.words, sizeof(route.ipv6_dst));
	}

	answer = bpf_fib_lookup(ctx, &route, sizeof(route), 0);
	return answer == BPF_FIB_LKUP_RET_SUCCESS || answer == BPF_FIB_LKUP_RET_NO_NEIGH ||
	       answer == BPF_FIB_LKUP_RET_FRAG_NEEDED || answer == BPF_FIB_LKUP_RET_UNSUPP_LWT;
}

/* Also fills in what repetitions are known by. */
static __always_inline bool knock_is_knock(Context *ctx, const struct spale_settings *policy,
					   const struct flow *flow, struct spale_seen_key *ret_seen)
{
	struct knock_head head;

	if (flow->fragment || flow->l4_offset + KNOCK_DATAGRAM_SIZE > flow->end_offset)
		return false;
	if (ctx_load(ctx, flow->l4_offset, &head, sizeof(head)))
		return false;
	if (head.udp.len != bpf_htons(KNOCK_DATAGRAM_SIZE))
		return false;
	if (!bpf_map_lookup_elem(&clients, &head.sender))
		return false;

	__builtin_memset(ret_seen->datagram, 0, sizeof(ret_seen->datagram));
	__builtin_memcpy(ret_seen->source, flow->source.bytes, sizeof(ret_seen->source));
	if (ctx_load(ctx, flow->l4_offset + sizeof(head.udp), ret_seen->datagram,
		     SPALE_FORMAT1_SIZE))
		return false;

	return knock_is_address(policy, flow) && !knock_is_forwarded(ctx, flow);
}

/*
 * Takes a token from a bucket. Without compare-and-swap, which Linux 5.10 lacks in BPF:
 * - CPUs that look at the same moment may all see room for the last token and all take it. The
 *   adds are atomic, none is lost, so what was taken too much is waited for afterwards.
 * - A CPU may find the bucket full, and reset it to now, while others have just reset it and
 *   added: their tokens of those nanoseconds are forgotten.
 * Either way at most about a token for each CPU too many, once for each time that the bucket was
 * full: a rate limit need not be better.
 */
static __always_inline bool knock_bucket_take(__u64 *bucket, const struct spale_rate *rate,
					      __u64 now)
{
	__u64 full_at = *(volatile __u64 *)bucket;

	if (full_at < now) {
		*(volatile __u64 *)bucket = now;
		full_at = now;
	}
	if (rate->interval_ns > rate->burst_ns ||
	    full_at - now > rate->burst_ns - rate->interval_ns)
		return false;
	__sync_fetch_and_add(bucket, rate->interval_ns);
	return true;
}

/*
 * A source has one bucket, an IPv6 source shares its /64's. A new one begins full. The map may
 * evict it under a flood from many sources, which then is the total buckets' business.
 */
static __always_inline bool knock_source_take(const struct spale_settings *policy,
					      const struct flow *flow, __u64 now)
{
	struct address key = flow->source;
	__u64 *bucket;

	if (!policy->source_rate.interval_ns)
		return true;

	if (flow->family == SPALE_IPV6)
		key.halves[1] = 0;

	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket) {
		/* Another CPU may be first: then its bucket is found. */
		bpf_map_update_elem(&buckets, &key, &now, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(&buckets, &key);
	}
	return bucket && knock_bucket_take(bucket, &policy->source_rate, now);
}

static __always_inline bool knock_total_take(const struct spale_settings *policy, __u32 total,
					     __u64 now)
{
	const struct spale_rate *rate = &policy->total_rate[total];
	__u64 *bucket;

	if (!rate->interval_ns)
		return true;
	bucket = bpf_map_lookup_elem(&totals, &total);
	return bucket && knock_bucket_take(bucket, rate, now);
}

/*
 * Copies the knock into the ring buffer. It is remembered as seen only once there is room for it,
 * so that a client may repeat what a full ring refused; who remembers it first hands it up.
 */
static __always_inline __u32 knock_hand_up(Context *ctx, const struct flow *flow,
					   const struct spale_seen_key *key, __u64 now)
{
	struct spale_knock *knock = bpf_ringbuf_reserve(&knocks, sizeof(*knock), 0);
	__u32 one = 1;

	if (!knock)
		return SPALE_REASON_KNOCK_RING_FULL;

	/* All of it is written: what is not would be old kernel memory. */
	__builtin_memset(knock, 0, __builtin_offsetof(struct spale_knock, data));
	knock->received_mono_ns = now;
	__builtin_memcpy(knock->source, flow->source.bytes, sizeof(knock->source));
	__builtin_memcpy(knock->destination, flow->destination.bytes, sizeof(knock->destination));
	knock->ifindex = ctx_ifindex(ctx);
	knock->source_port = flow->source_port;
	knock->destination_port = flow->destination_port;
	knock->length = SPALE_FORMAT1_SIZE;
	knock->format = 1;
	__builtin_memcpy(knock->data, key->datagram, sizeof(knock->data));

	/* Any other failure (no memory) must not cost a knock: the daemon remembers exactly. */
	if (bpf_map_update_elem(&seen, key, &one, BPF_NOEXIST) == -EEXIST) {
		bpf_ringbuf_discard(knock, 0);
		return SPALE_REASON_KNOCK_REPEATED;
	}
	bpf_ringbuf_submit(knock, 0);
	return SPALE_REASON_KNOCK;
}

/*
 * A reason, or KNOCK_NONE: not a knock. Not inlined: knocks are few, and the packets that are
 * granted keep its registers and stack. The narrowest limit is asked first, so that one source's
 * flood takes nothing from the buckets that all share.
 */
static __noinline __u32 knock_take(Context *ctx, const struct spale_settings *policy,
				   const struct flow *flow)
{
	struct spale_seen_key key;
	__u64 now;

	if (!knock_is_knock(ctx, policy, flow, &key))
		return KNOCK_NONE;
	if (bpf_map_lookup_elem(&seen, &key))
		return SPALE_REASON_KNOCK_REPEATED;

	now = bpf_ktime_get_coarse_ns();
	if (!knock_source_take(policy, flow, now))
		return SPALE_REASON_KNOCK_SOURCE_RATE;
	if (!knock_total_take(policy, SPALE_TOTAL_FORMAT1, now) ||
	    !knock_total_take(policy, SPALE_TOTAL_ALL, now))
		return SPALE_REASON_KNOCK_TOTAL_RATE;
	return knock_hand_up(ctx, flow, &key, now);
}

#endif
