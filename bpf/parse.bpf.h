/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes -> struct flow, or why not. Decides nothing and reads no map.
 *
 * Two ways lead to the same answer. parse_straight() reads in place what nearly all packets are:
 * no tag in the frame, IPv4 without options or IPv6 without extension headers. Whatever is
 * unusual about a packet sends it to parse_walk(), which copies each header with helpers and so
 * can read any frame to its end. What cannot be read to the end is dropped, never passed for that.
 *
 * L4 lies within the frame and within what the IP header's length field says (Ethernet pads short
 * frames). A length field of 0 (jumbograms, BIG TCP) sets no bound but the frame's.
 */
#ifndef SPALE_PARSE_BPF_H
#define SPALE_PARSE_BPF_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>

#include "maps.bpf.h"

/* VLAN tags and extension headers that are looked through. */
#define PARSE_TAGS_MAX	  2
#define PARSE_HEADERS_MAX 8

/* Bytes of L4 that hold the ports, in each of the five protocols. */
#define PARSE_PORTS_SIZE 4

/* Next to the reasons (enum spale_reason), which mean that the packet's fate is known. */
enum parse_answer {
	PARSE_DONE = SPALE_REASON_COUNT, /* the output is filled in */
	PARSE_UNUSUAL,			 /* parse_straight() only: for parse_walk() */
};

/* A packet with ports. Addresses as in the ABI: IPv4 as ::ffff:a.b.c.d. */
struct flow {
	struct address source;
	struct address destination;
	__u32 tags[PARSE_TAGS_MAX]; /* in the frame, outermost first, as parse_tag() has them */
	__u32 l4_offset;
	__u32 end_offset; /* of L4, by the length field; loads stop at the frame's end anyway */
	__u16 source_port;
	__u16 destination_port;
	__u8 protocol;
	__u8 family;   /* enum spale_family */
	bool fragment; /* a first fragment: more follow */
};

/* What the port test needs, before anything is copied; the pointer is into the packet. */
struct parse_straight {
	const void *l3;
	__u8 family;
	__u8 protocol;
	__u16 destination_port;
};

struct parse_ports {
	__be16 source;
	__be16 destination;
};

/* The set of ports that is asked first for a packet; SPALE_PORT_SETS: it has no ports. */
static __always_inline __u32 parse_port_set(__u8 protocol)
{
	if (protocol == IPPROTO_TCP)
		return SPALE_PORTS_TCP;
	if (protocol == IPPROTO_UDP)
		return SPALE_PORTS_UDP_WATCHED;
	if (protocol == IPPROTO_SCTP)
		return SPALE_PORTS_SCTP;
	if (protocol == IPPROTO_DCCP)
		return SPALE_PORTS_DCCP;
	if (protocol == IPPROTO_UDPLITE)
		return SPALE_PORTS_UDPLITE;
	return SPALE_PORT_SETS;
}

static __always_inline bool parse_is_tag(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* A tag as map "vlans" has it, or 0: without a VLAN's number it is of no VLAN, only a priority. */
static __always_inline __u32 parse_tag(__be16 protocol, __u16 tci)
{
	return tci & 0xfff ? (__u32)bpf_ntohs(protocol) << 16 | (tci & 0xfff) : 0;
}

/* ::ffff:a.b.c.d in an IPv6 header, which is no host's address and would look like IPv4's. */
static __always_inline bool parse_is_mapped(const struct address *address)
{
	return !address->halves[0] && address->words[2] == bpf_htonl(0xffff);
}

/* Words as they lie in the packet: headers are aligned to 4 bytes, not to 8. */
static __always_inline void parse_address(struct address *address, __be32 word0, __be32 word1,
					  __be32 word2, __be32 word3)
{
	const struct address words = {.words = {word0, word1, word2, word3}};

	address->halves[0] = words.halves[0];
	address->halves[1] = words.halves[1];
}

static __always_inline void parse_addresses4(const struct iphdr *ip, struct flow *flow)
{
	flow->family = SPALE_IPV4;
	parse_address(&flow->source, 0, 0, bpf_htonl(0xffff), ip->saddr);
	parse_address(&flow->destination, 0, 0, bpf_htonl(0xffff), ip->daddr);
}

static __always_inline void parse_addresses6(const struct ipv6hdr *ip, struct flow *flow)
{
	const __be32 *source = ip->saddr.s6_addr32, *destination = ip->daddr.s6_addr32;

	flow->family = SPALE_IPV6;
	parse_address(&flow->source, source[0], source[1], source[2], source[3]);
	parse_address(&flow->destination, destination[0], destination[1], destination[2],
		      destination[3]);
}

/* ---- the straight way -------------------------------------------------------------------- */

static __always_inline __u32 parse_straight4(const struct iphdr *ip, const void *data_end,
					     struct parse_straight *ret)
{
	const struct parse_ports *l4 = (const void *)(ip + 1);

	if ((const void *)(l4 + 1) > data_end)
		return PARSE_UNUSUAL;
	if (*(const __u8 *)ip != 0x45 || ip->frag_off & bpf_htons(0x1fff))
		return PARSE_UNUSUAL;
	/* Too short for ports; 0 wraps round to "long enough". */
	if ((__u32)bpf_ntohs(ip->tot_len) - 1 < sizeof(*ip) + PARSE_PORTS_SIZE - 1)
		return PARSE_UNUSUAL;
	if (ip->protocol == IPPROTO_AH)
		return PARSE_UNUSUAL;

	ret->l3 = ip;
	ret->family = SPALE_IPV4;
	ret->protocol = ip->protocol;
	ret->destination_port = bpf_ntohs(l4->destination);
	return PARSE_DONE;
}

static __always_inline __u32 parse_straight6(const struct ipv6hdr *ip, const void *data_end,
					     struct parse_straight *ret)
{
	const struct parse_ports *l4 = (const void *)(ip + 1);

	if ((const void *)(l4 + 1) > data_end)
		return PARSE_UNUSUAL;
	if (*(const __u8 *)ip >> 4 != 6)
		return PARSE_UNUSUAL;
	if ((__u32)bpf_ntohs(ip->payload_len) - 1 < PARSE_PORTS_SIZE - 1)
		return PARSE_UNUSUAL;
	/* May be mapped: only ::/32 has this, so that one comparison is enough here. */
	if (!ip->saddr.s6_addr32[0])
		return PARSE_UNUSUAL;
	/* Neighbour discovery and ping. Anything else may be an extension header. */
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return SPALE_REASON_UNPROTECTED;
	if (parse_port_set(ip->nexthdr) == SPALE_PORT_SETS)
		return PARSE_UNUSUAL;

	ret->l3 = ip;
	ret->family = SPALE_IPV6;
	ret->protocol = ip->nexthdr;
	ret->destination_port = bpf_ntohs(l4->destination);
	return PARSE_DONE;
}

static __always_inline __u32 parse_straight(Context *ctx, struct parse_straight *ret)
{
	const void *l3 = ctx_data(ctx) + ctx_l3_offset(ctx);
	const void *data_end = ctx_data_end(ctx);
	__be16 protocol;

	if (!ctx_protocol(ctx, &protocol))
		return SPALE_REASON_TRUNCATED;
	if (protocol == bpf_htons(ETH_P_IP))
		return parse_straight4(l3, data_end, ret);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return parse_straight6(l3, data_end, ret);
	return parse_is_tag(protocol) ? PARSE_UNUSUAL : SPALE_REASON_UNPROTECTED;
}

/* The rest of it, for a packet that the port test did not send away. */
static __always_inline void parse_straight_flow(const struct parse_straight *straight,
						__u32 l3_offset, struct flow *flow)
{
	const struct parse_ports *l4;
	__u32 length;

	flow->tags[0] = flow->tags[1] = 0;
	if (straight->family == SPALE_IPV4) {
		const struct iphdr *ip = straight->l3;

		l4 = (const void *)(ip + 1);
		flow->l4_offset = l3_offset + sizeof(*ip);
		length = bpf_ntohs(ip->tot_len);
		flow->end_offset = length ? l3_offset + length : ~0u;
		flow->fragment = ip->frag_off & bpf_htons(0x2000);
		parse_addresses4(ip, flow);
	} else {
		const struct ipv6hdr *ip = straight->l3;

		l4 = (const void *)(ip + 1);
		flow->l4_offset = l3_offset + sizeof(*ip);
		length = bpf_ntohs(ip->payload_len);
		flow->end_offset = length ? flow->l4_offset + length : ~0u;
		flow->fragment = false;
		parse_addresses6(ip, flow);
	}
	flow->source_port = bpf_ntohs(l4->source);
	flow->destination_port = straight->destination_port;
	flow->protocol = straight->protocol;
}

/* ---- the walk ---------------------------------------------------------------------------- */

/* Headers that stand between the IP header and L4: in IPv4, of these, AH alone. */
static __always_inline bool parse_is_extension(__u8 family, __u8 protocol)
{
	if (protocol == IPPROTO_AH)
		return true;
	if (family == SPALE_IPV4)
		return false;
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_MH || protocol == 139 /* HIP */ || protocol == 140 /* shim6 */;
}

/*
 * One extension header at flow->l4_offset, which is moved behind it. Not inlined, for its caller is
 * unrolled.
 */
static __noinline __u32 parse_extension(Context *ctx, struct flow *flow)
{
	__u8 header[8]; /* no extension header is shorter */
	__u32 length;

	if (flow->l4_offset + sizeof(header) > flow->end_offset ||
	    ctx_load(ctx, flow->l4_offset, header, sizeof(header)))
		return SPALE_REASON_TRUNCATED;

	if (flow->protocol == IPPROTO_FRAGMENT) {
		if (header[2] || header[3] & 0xf8)
			return SPALE_REASON_FRAGMENT;
		flow->fragment |= header[3] & 1;
		length = sizeof(header);
	} else if (flow->protocol == IPPROTO_AH) {
		length = (header[1] + 2) * 4; /* RFC 4302, 2.2 */
	} else {
		length = (header[1] + 1) * 8; /* RFC 8200, 4.2 */
	}

	flow->l4_offset += length;
	flow->protocol = header[0];
	return flow->l4_offset > flow->end_offset ? SPALE_REASON_TRUNCATED : PARSE_DONE;
}

/*
 * From behind the IP header to the ports. Headers are counted before they are looked at. Unrolled:
 * clang may lay a loop out so that its end falls into its head, a back-edge that Linux 6.1 refuses.
 */
static __always_inline __u32 parse_extensions(Context *ctx, struct flow *flow)
{
	struct parse_ports l4;
	__u32 answer;

#pragma unroll
	for (int i = 0; i <= PARSE_HEADERS_MAX; i++) {
		if (!parse_is_extension(flow->family, flow->protocol))
			break;
		if (i == PARSE_HEADERS_MAX)
			return SPALE_REASON_HEADER_DEPTH;
		answer = parse_extension(ctx, flow);
		if (answer != PARSE_DONE)
			return answer;
	}

	if (parse_port_set(flow->protocol) == SPALE_PORT_SETS)
		return SPALE_REASON_UNPROTECTED;
	if (flow->l4_offset + PARSE_PORTS_SIZE > flow->end_offset ||
	    ctx_load(ctx, flow->l4_offset, &l4, sizeof(l4)))
		return SPALE_REASON_TRUNCATED;

	flow->source_port = bpf_ntohs(l4.source);
	flow->destination_port = bpf_ntohs(l4.destination);
	return PARSE_DONE;
}

/* Limits L4 to LENGTH bytes from L3_OFFSET, if that is what the header says. */
static __always_inline __u32 parse_end(Context *ctx, __u32 l3_offset, __u32 length)
{
	__u32 frame_end = ctx_length(ctx);

	return length && l3_offset + length < frame_end ? l3_offset + length : frame_end;
}

static __always_inline __u32 parse_walk4(Context *ctx, __u32 l3_offset, struct flow *flow)
{
	struct iphdr ip;

	if (ctx_load(ctx, l3_offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return SPALE_REASON_BAD_HEADER;
	flow->l4_offset = l3_offset + ip.ihl * 4;
	flow->end_offset = parse_end(ctx, l3_offset, bpf_ntohs(ip.tot_len));
	if (flow->l4_offset > flow->end_offset)
		return SPALE_REASON_BAD_HEADER;
	/* Judged by its first fragment; without that one nothing is put together. */
	if (ip.frag_off & bpf_htons(0x1fff))
		return SPALE_REASON_FRAGMENT;

	flow->fragment = ip.frag_off & bpf_htons(0x2000);
	flow->protocol = ip.protocol;
	parse_addresses4(&ip, flow);
	return PARSE_DONE;
}

static __always_inline __u32 parse_walk6(Context *ctx, __u32 l3_offset, struct flow *flow)
{
	struct ipv6hdr ip;
	__u32 length;

	if (ctx_load(ctx, l3_offset, &ip, sizeof(ip)) || ip.version != 6)
		return SPALE_REASON_BAD_HEADER;
	parse_addresses6(&ip, flow);
	if (parse_is_mapped(&flow->source))
		return SPALE_REASON_MAPPED_SOURCE;

	length = bpf_ntohs(ip.payload_len);
	flow->l4_offset = l3_offset + sizeof(ip);
	flow->end_offset = parse_end(ctx, l3_offset, length ? sizeof(ip) + length : 0);
	flow->fragment = false;
	flow->protocol = ip.nexthdr;
	return PARSE_DONE;
}

/*
 * Tags are there without link headers, too: the other end of a tunnel may say that one follows (GRE
 * has an EtherType), and the kernel peels it.
 *
 * Not inlined: it is seldom needed, and its registers are better left to the straight way.
 */
static __noinline __u32 parse_walk(Context *ctx, struct flow *flow)
{
	__u32 offset = ctx_l3_offset(ctx), hidden = ctx_tags(ctx), answer;
	struct {
		__be16 tci;
		__be16 protocol;
	} tag;
	__be16 protocol;

	if (!ctx_protocol(ctx, &protocol))
		return SPALE_REASON_TRUNCATED;
	flow->tags[0] = flow->tags[1] = 0;

#pragma unroll
	for (__u32 i = 0; i < PARSE_TAGS_MAX; i++) {
		if (!parse_is_tag(protocol))
			break;
		if (hidden + i >= PARSE_TAGS_MAX)
			return SPALE_REASON_VLAN_DEPTH;
		if (ctx_load(ctx, offset, &tag, sizeof(tag)))
			return SPALE_REASON_TRUNCATED;
		if (!flow->tags[0])
			flow->tags[0] = parse_tag(protocol, bpf_ntohs(tag.tci));
		else
			flow->tags[1] = parse_tag(protocol, bpf_ntohs(tag.tci));
		protocol = tag.protocol;
		offset += sizeof(tag);
	}
	if (parse_is_tag(protocol))
		return SPALE_REASON_VLAN_DEPTH;

	if (protocol == bpf_htons(ETH_P_IP))
		answer = parse_walk4(ctx, offset, flow);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		answer = parse_walk6(ctx, offset, flow);
	else
		answer = SPALE_REASON_UNPROTECTED;

	return answer == PARSE_DONE ? parse_extensions(ctx, flow) : answer;
}

#endif
