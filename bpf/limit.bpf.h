/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Token buckets (struct spale_rate): how often something may happen, for a source and for all.
 */
#ifndef SPALE_LIMIT_BPF_H
#define SPALE_LIMIT_BPF_H

#include "maps.bpf.h"
#include "parse.bpf.h"

/*
 * Takes a token from a bucket. Without compare-and-swap, which Linux 5.10 lacks in BPF:
 * - CPUs that look at the same moment may all see room for the last token and all take it. The
 *   adds are atomic, none is lost, so what was taken too much is waited for afterwards.
 * - A CPU may find the bucket full, and reset it to now, while others have just reset it and
 *   added: their tokens of those nanoseconds are forgotten.
 * Either way at most about a token for each CPU too many, once for each time that the bucket was
 * full: a rate limit need not be better.
 */
static __always_inline bool limit_take(__u64 *bucket, const struct spale_rate *rate, __u64 now)
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

/* Whose limits a packet's source shares: an IPv6 source its /64's. */
static __always_inline struct address limit_source(const struct flow *flow)
{
	struct address source = flow->source;

	if (flow->family == SPALE_IPV6)
		source.halves[1] = 0;
	return source;
}

/* The same from a bucket that all sources share. */
static __always_inline bool limit_total(__u32 total, const struct spale_rate *rate, __u64 now)
{
	__u64 *bucket = bpf_map_lookup_elem(&totals, &total);

	return bucket && limit_take(bucket, rate, now);
}

#endif
