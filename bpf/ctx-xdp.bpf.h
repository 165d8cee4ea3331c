/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The context of XDP behind the interface that ctx-skb.bpf.h describes.
 *
 * Frames may be spread over several buffers (xdp.frags): only the first is read in place, the
 * rest with helpers of Linux 5.18. Devices without Ethernet headers are not for XDP.
 */
#ifndef SPALE_CTX_XDP_BPF_H
#define SPALE_CTX_XDP_BPF_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"

typedef struct xdp_md Context;

enum {
	CTX_PASS = XDP_PASS,
	CTX_DROP = XDP_DROP,
};

static __always_inline void *ctx_data(Context *ctx)
{
	return (void *)(long)ctx->data;
}

static __always_inline void *ctx_data_end(Context *ctx)
{
	return (void *)(long)ctx->data_end;
}

static __always_inline __u32 ctx_length(Context *ctx)
{
	return (__u32)bpf_xdp_get_buff_len(ctx);
}

static __always_inline long ctx_load(Context *ctx, __u32 offset, void *to, __u32 length)
{
	return bpf_xdp_load_bytes(ctx, offset, to, length);
}

static __always_inline __u32 ctx_l3_offset(Context *ctx)
{
	(void)ctx;
	return ETH_HLEN;
}

static __always_inline bool ctx_protocol(Context *ctx, __be16 *ret_protocol)
{
	const struct ethhdr *eth = ctx_data(ctx);

	if ((void *)(eth + 1) > ctx_data_end(ctx))
		return false;

	*ret_protocol = eth->h_proto;
	return true;
}

/* A tag that the hardware took out of the frame is hidden from XDP. */
static __always_inline __u32 ctx_tags(Context *ctx)
{
	(void)ctx;
	return 0;
}

static __always_inline __u32 ctx_tag(Context *ctx)
{
	(void)ctx;
	return 0;
}

static __always_inline __u32 ctx_ifindex(Context *ctx)
{
	return ctx->ingress_ifindex;
}

/* Nobody has looked yet. */
static __always_inline bool ctx_is_at_home(Context *ctx)
{
	(void)ctx;
	return false;
}

static __always_inline __u32 ctx_segments(Context *ctx)
{
	(void)ctx;
	return 1;
}

#endif
