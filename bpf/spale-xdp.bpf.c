/* SPDX-License-Identifier: GPL-2.0-only */
/* The gate in the driver, XDP. */
#include "ctx-xdp.bpf.h"
#include "gate.bpf.h"

SEC("xdp.frags")
int spale_xdp(Context *ctx)
{
	return gate(ctx);
}

char LICENSE[] SEC("license") = "GPL";
