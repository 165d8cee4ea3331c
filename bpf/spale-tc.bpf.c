/* SPDX-License-Identifier: GPL-2.0-only */
/* The gate at TC ingress. */
#include "ctx-skb.bpf.h"
#include "gate.bpf.h"
#include "report.bpf.h"

SEC("tc")
int spale_tc(Context *ctx)
{
	return report(ctx, gate_reason(ctx));
}

char LICENSE[] SEC("license") = "GPL";
