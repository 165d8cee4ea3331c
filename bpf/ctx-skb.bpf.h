/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The context of TC behind the interface that ctx-xdp.bpf.h has too:
 *
 *   Context             what the program gets
 *   CTX_PASS, CTX_DROP  verdicts
 *   ctx_data, _end      the bytes that can be read in place
 *   ctx_length          length of the frame, wherever its bytes lie
 *   ctx_load            copies bytes, wherever they lie; not 0: they are not all there
 *   ctx_l3_offset       where the link header (without tags) ends
 *   ctx_protocol        what follows it: the EtherType
 *   ctx_tags            VLAN tags that are not in the frame
 *   ctx_tag             the VLAN's tag among them (0: none), as map "vlans" has it
 *   ctx_ifindex         the interface that received the frame
 *   ctx_is_at_home      the kernel itself says that the frame is for the interface, or for all
 *   ctx_segments        packets on the wire that this one stands for
 */
#ifndef SPALE_CTX_SKB_BPF_H
#define SPALE_CTX_SKB_BPF_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"

typedef struct __sk_buff Context;

/* UNSPEC is TCX_NEXT, and with clsact "the next filter": others still see the packet. */
enum {
	CTX_PASS = TC_ACT_UNSPEC,
	CTX_DROP = TC_ACT_SHOT,
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
	return ctx->len;
}

static __always_inline long ctx_load(Context *ctx, __u32 offset, void *to, __u32 length)
{
	return bpf_skb_load_bytes(ctx, offset, to, length);
}

static __always_inline __u32 ctx_l3_offset(Context *ctx)
{
	(void)ctx;
	return header_kind == SPALE_HEADER_NONE ? 0 : ETH_HLEN;
}

/*
 * By skb->protocol, as the kernel does: it has peeled the first tag into the metadata by now, and
 * on a device without link headers nothing else says what the packet is.
 */
static __always_inline bool ctx_protocol(Context *ctx, __be16 *ret_protocol)
{
	*ret_protocol = (__be16)ctx->protocol;
	return true;
}

static __always_inline __u32 ctx_tags(Context *ctx)
{
	return ctx->vlan_present;
}

static __always_inline __u32 ctx_tag(Context *ctx)
{
	__u32 id = ctx->vlan_tci & 0xfff;

	if (!ctx->vlan_present || !id)
		return 0;
	return (__u32)bpf_ntohs((__be16)ctx->vlan_proto) << 16 | id;
}

static __always_inline __u32 ctx_ifindex(Context *ctx)
{
	return ctx->ifindex;
}

/* By the interface's own address of this very moment. */
static __always_inline bool ctx_is_at_home(Context *ctx)
{
	return ctx->pkt_type != PACKET_OTHERHOST;
}

static __always_inline __u32 ctx_segments(Context *ctx)
{
	return ctx->gso_segs > 1 ? ctx->gso_segs : 1;
}

#endif
