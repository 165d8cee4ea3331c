/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reason -> counter and verdict. The only exit of the programs.
 */
#ifndef SPALE_REPORT_BPF_H
#define SPALE_REPORT_BPF_H

#include "maps.bpf.h"

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

enum {
	REPORT_DROPS = SPALE_REASONS(REPORT_DROP_BIT) 0,
	REPORT_TAKES = SPALE_REASONS(REPORT_TAKE_BIT) 0,
};

/* Not counted: this is nearly all of a server's traffic. */
static __always_inline int report_unprotected(void)
{
	return CTX_PASS;
}

static __always_inline int report(Context *ctx, const struct spale_settings *policy, __u32 reason)
{
	struct spale_counters *counted;
	__u32 key = slot;
	bool log_only;

	/* The second half never holds: it tells the verifier the bound of an index. */
	if (reason == SPALE_REASON_UNPROTECTED || reason >= SPALE_REASON_COUNT)
		return report_unprotected();
	log_only = policy->flags & SPALE_LOG_ONLY && REPORT_DROPS >> reason & 1;

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
