/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reason -> counter, event, and verdict. The only exit of the programs.
 */
#ifndef SPALE_REPORT_BPF_H
#define SPALE_REPORT_BPF_H

#include "limit.bpf.h"
#include "maps.bpf.h"
#include "parse.bpf.h"

enum report_verdict {
	REPORT_PASS,
	REPORT_DROP, /* in log-only mode: pass */
	REPORT_TAKE,
};

/* The reasons that have a verdict, as bits. */
#define REPORT_BIT(name, verdict, wanted)                                                          \
	(REPORT_##verdict == (wanted) ? 1u << SPALE_REASON_##name : 0) |
#define REPORT_DROP_BIT(name, text, verdict) REPORT_BIT(name, verdict, REPORT_DROP)
#define REPORT_TAKE_BIT(name, text, verdict) REPORT_BIT(name, verdict, REPORT_TAKE)

#define REPORT_SECOND_NS 1000000000ULL

enum {
	REPORT_DROPS = SPALE_REASONS(REPORT_DROP_BIT) 0,
	REPORT_TAKES = SPALE_REASONS(REPORT_TAKE_BIT) 0,
};

/* Not counted: this is nearly all of a server's traffic. */
static __always_inline int report_unprotected(void)
{
	return CTX_PASS;
}

/*
 * Tells the daemon of a denied attempt, unless its source was told of lately or the ring is full.
 * What is left out is counted in the source's next event. Not inlined: seldom needed.
 */
static __noinline void report_attempt(Context *ctx, const struct spale_settings *policy,
				      const struct flow *flow, __u32 reason, __u64 now)
{
	/*
	 * Half of a second's events at once, half as they come back: no second has more, but for
	 * the tokens that limit_take() may give too many.
	 */
	const struct spale_rate total = {REPORT_SECOND_NS * 2 / SPALE_EVENTS_MAX, REPORT_SECOND_NS};
	const struct spale_attempts none = {.full_mono_ns = now};
	struct address key = limit_source(flow);
	struct spale_attempts *seen;
	struct spale_event *event;

	seen = bpf_map_lookup_elem(&attempts, &key);
	if (!seen) {
		/* Another CPU may be first: then its attempts are found. */
		bpf_map_update_elem(&attempts, &key, &none, BPF_NOEXIST);
		seen = bpf_map_lookup_elem(&attempts, &key);
		if (!seen)
			return;
	}
	__sync_fetch_and_add(&seen->count, 1);
	if (!limit_take(&seen->full_mono_ns, &policy->event_rate, now) ||
	    !limit_total(SPALE_TOTAL_EVENTS, &total, now))
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;

	__builtin_memcpy(event->source, flow->source.bytes, sizeof(event->source));
	event->count = seen->count;
	event->ifindex = ctx_ifindex(ctx);
	event->port = flow->destination_port;
	event->protocol = flow->protocol;
	event->reason = reason;
	/* One that another CPU counts right now may get lost. */
	seen->count = 0;
	bpf_ringbuf_submit(event, 0);
}

/*
 * What became of a packet to a protected port, at NOW. In a flood the first question is all that
 * it costs: a bucket of all sources, before anything is looked up.
 */
static __always_inline void report_denied(Context *ctx, const struct spale_settings *policy,
					  const struct flow *flow, __u32 reason, __u64 now)
{
	const struct spale_rate looks = {REPORT_SECOND_NS / SPALE_LOOKS_RATE,
					 REPORT_SECOND_NS / 10};

	if (limit_total(SPALE_TOTAL_LOOKS, &looks, now))
		report_attempt(ctx, policy, flow, reason, now);
}

/* LENIENT: what would be dropped passes. */
static __always_inline int report(Context *ctx, __u32 reason, bool lenient)
{
	struct spale_counters *counted;
	__u32 key = slot;
	bool log_only;

	/* The second half never holds: it tells the verifier the bound of an index. */
	if (reason == SPALE_REASON_UNPROTECTED || reason >= SPALE_REASON_COUNT)
		return report_unprotected();
	log_only = lenient && REPORT_DROPS >> reason & 1;

	/*
	 * A CPU's own counters need no atomic add: receiving is not interrupted by receiving. (It
	 * can be on a PREEMPT_RT kernel, where a count may get lost.)
	 */
	counted = bpf_map_lookup_elem(&counters, &key);
	if (counted) {
		if (log_only)
			counted->would_drop[reason] += ctx_segments(ctx);
		else
			counted->packets[reason] += ctx_segments(ctx);
	}

	if (log_only)
		return CTX_PASS;
	return (REPORT_DROPS | REPORT_TAKES) >> reason & 1 ? CTX_DROP : CTX_PASS;
}

#endif
