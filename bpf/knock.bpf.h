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

#include "clock.bpf.h"
#include "host.bpf.h"
#include "limit.bpf.h"
#include "maps.bpf.h"
#include "parse.bpf.h"
#include "spale/wire.h"

/* knock_take()'s answer for what is not a knock; next to the reasons. */
#define KNOCK_NONE SPALE_REASON_COUNT

/* A knock of format 1 from L4 on. */
#define KNOCK_DATAGRAM_SIZE (sizeof(struct udphdr) + SPALE_FORMAT1_SIZE)

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

	/* Neither a gateway nor a bridge may eat another server's knocks. */
	return knock_is_address(policy, flow) && !host_forwards(ctx, flow) &&
	       !host_is_passed_by(ctx);
}

/*
 * A source's bucket is full when it is new. The map may evict it under a flood from many sources,
 * which then is the total buckets' business.
 */
static __always_inline bool knock_source_take(const struct spale_settings *policy,
					      const struct flow *flow, __u64 now)
{
	struct address key = limit_source(flow);
	__u64 *bucket;

	if (!policy->source_rate.interval_ns)
		return true;

	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket) {
		/* Another CPU may be first: then its bucket is found. */
		bpf_map_update_elem(&buckets, &key, &now, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(&buckets, &key);
	}
	return bucket && limit_take(bucket, &policy->source_rate, now);
}

static __always_inline bool knock_total_take(const struct spale_settings *policy, __u32 total,
					     __u64 now)
{
	const struct spale_rate *rate = &policy->total_rate[total];

	return !rate->interval_ns || limit_total(total, rate, now);
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

	now = clock_mono_ns();
	if (!knock_source_take(policy, flow, now))
		return SPALE_REASON_KNOCK_SOURCE_RATE;
	if (!knock_total_take(policy, SPALE_TOTAL_FORMAT1, now) ||
	    !knock_total_take(policy, SPALE_TOTAL_ALL, now))
		return SPALE_REASON_KNOCK_TOTAL_RATE;
	return knock_hand_up(ctx, flow, &key, now);
}

#endif
