/* SPDX-License-Identifier: GPL-2.0-only */
/* The gate at TC ingress. */
#include "ctx-skb.bpf.h"
#include "gate.bpf.h"

SEC("tc")
int spale_tc(Context *ctx)
{
	return gate(ctx);
}

char LICENSE[] SEC("license") = "GPL";
