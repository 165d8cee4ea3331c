/* SPDX-License-Identifier: GPL-2.0-only */
/* The gate of a later version: a program with other bytes that judges alike. */
#include "ctx-xdp.bpf.h"
#include "gate.bpf.h"

SEC("xdp.frags")
int spale_xdp(Context *ctx)
{
	/* No frame is that long; the compiler does not know. */
	return ctx_length(ctx) == 0xfffffff0 ? CTX_DROP : gate(ctx);
}

char LICENSE[] SEC("license") = "GPL";
