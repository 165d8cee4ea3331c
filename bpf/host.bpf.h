/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host's own tables know of a packet: a socket that it belongs to, a route that leads it
 * elsewhere, a station that is none of ours. Dear, so asked only where the packet would be dropped
 * (or eaten, for a knock).
 */
#ifndef SPALE_HOST_BPF_H
#define SPALE_HOST_BPF_H

#include "maps.bpf.h"
#include "parse.bpf.h"

/* bpf_fib_lookup() takes these; no UAPI header has them. */
#define HOST_AF_INET  2
#define HOST_AF_INET6 10

/* Where the flags byte lies in a TCP header, and the two flags asked for (RFC 9293, 3.1). */
#define HOST_TCP_FLAGS_OFFSET 13
#define HOST_TCP_SYN	      0x02
#define HOST_TCP_ACK	      0x10

/*
 * What a TCP packet does to a conversation. A packet that may do anything because its flags are
 * out of sight neither begins one nor is part of one.
 */
enum host_tcp {
	HOST_TCP_UNKNOWN,
	HOST_TCP_BEGINS, /* SYN without ACK */
	HOST_TCP_GOES_ON,
};

static __always_inline enum host_tcp host_tcp(Context *ctx, const struct flow *flow)
{
	__u32 offset = flow->l4_offset + HOST_TCP_FLAGS_OFFSET;
	__u8 flags;

	if (offset >= flow->end_offset || ctx_load(ctx, offset, &flags, sizeof(flags)))
		return HOST_TCP_UNKNOWN;
	return (flags & (HOST_TCP_SYN | HOST_TCP_ACK)) == HOST_TCP_SYN ? HOST_TCP_BEGINS
								       : HOST_TCP_GOES_ON;
}

/*
 * Is the destination one host's? To the others neither table has an answer: several sockets may get
 * such a packet, and the kernel delivers it whatever the route to its address says.
 */
static __always_inline bool host_is_unicast(const struct flow *flow)
{
	__u32 first = bpf_ntohl(flow->destination.words[flow->family == SPALE_IPV4 ? 3 : 0]);

	if (flow->family == SPALE_IPV4)
		return first >> 24 && first >> 28 != 0xe && first != 0xffffffff;
	return first >> 24 != 0xff;
}

/* ---- sockets ----------------------------------------------------------------------------- */

/* The two ends as the socket tables are asked for them. Returns the size that says the family. */
static __always_inline __u32 host_tuple(const struct flow *flow, struct bpf_sock_tuple *ret_tuple)
{
	if (flow->family == SPALE_IPV4) {
		ret_tuple->ipv4.saddr = flow->source.words[3];
		ret_tuple->ipv4.daddr = flow->destination.words[3];
		ret_tuple->ipv4.sport = bpf_htons(flow->source_port);
		ret_tuple->ipv4.dport = bpf_htons(flow->destination_port);
		return sizeof(ret_tuple->ipv4);
	}
	__builtin_memcpy(ret_tuple->ipv6.saddr, flow->source.bytes, sizeof(flow->source));
	__builtin_memcpy(ret_tuple->ipv6.daddr, flow->destination.bytes, sizeof(flow->source));
	ret_tuple->ipv6.sport = bpf_htons(flow->source_port);
	ret_tuple->ipv6.dport = bpf_htons(flow->destination_port);
	return sizeof(ret_tuple->ipv6);
}

/*
 * The table answers with a connection of exactly these ends, or else with a listener. Of what is
 * not a connection yet, only a socket that has itself sent a SYN waits for what we have here.
 */
static __always_inline bool host_has_tcp(Context *ctx, const struct flow *flow)
{
	enum host_tcp packet = host_tcp(ctx, flow);
	struct bpf_sock_tuple tuple;
	struct bpf_sock *socket;
	__u32 size = host_tuple(flow, &tuple), state;

	socket = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return false;
	state = socket->state;
	bpf_sk_release(socket);

	if (state == BPF_TCP_SYN_SENT)
		return true;
	return packet == HOST_TCP_GOES_ON && state != BPF_TCP_LISTEN &&
	       state != BPF_TCP_NEW_SYN_RECV && state != BPF_TCP_CLOSE;
}

/*
 * A connected socket has the state of a connection, and hears its peer only. Every field is loaded
 * by itself and in any case: the verifier lets nobody calculate with the address of a socket.
 */
static __always_inline bool host_is_connected(const struct bpf_sock *socket,
					      const struct flow *flow)
{
	const volatile struct bpf_sock *is = socket;
	__u32 state = is->state, port = is->dst_port, peer4 = is->dst_ip4;
	struct address peer = {
		.words = {is->dst_ip6[0], is->dst_ip6[1], is->dst_ip6[2], is->dst_ip6[3]},
	};

	if (state != BPF_TCP_ESTABLISHED || port != bpf_htons(flow->source_port))
		return false;
	if (flow->family == SPALE_IPV4)
		return peer4 == flow->source.words[3];
	return peer.halves[0] == flow->source.halves[0] && peer.halves[1] == flow->source.halves[1];
}

/*
 * Of the sockets of a port the table prefers the one that is connected to this peer, but answers
 * with any other where there is none.
 */
static __always_inline bool host_has_udp(Context *ctx, const struct flow *flow)
{
	struct bpf_sock_tuple tuple;
	struct bpf_sock *socket;
	__u32 size = host_tuple(flow, &tuple);
	bool connected;

	socket = bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return false;
	connected = host_is_connected(socket, flow);
	bpf_sk_release(socket);
	return connected;
}

/* Is the packet part of a conversation that a socket of this host has? */
static __noinline bool host_converses(Context *ctx, const struct flow *flow)
{
	if (!host_is_unicast(flow))
		return false;
	if (flow->protocol == IPPROTO_TCP)
		return host_has_tcp(ctx, flow);
	return flow->protocol == IPPROTO_UDP && host_has_udp(ctx, flow);
}

/* ---- routes ------------------------------------------------------------------------------ */

/* The interface on which what is inside of a tag is received; TAG 0: there is none. */
static __always_inline bool host_enter(__u32 *ifindex, __u32 tag)
{
	struct spale_vlan_key key = {.ifindex = *ifindex, .tag = tag};
	const __u32 *child;

	if (!tag)
		return true;
	child = bpf_map_lookup_elem(&vlans, &key);
	if (!child)
		return false;
	*ifindex = *child;
	return true;
}

/*
 * Is the packet on its way to another host? Any answer but these (local address, forwarding
 * switched off, an error, a tag of no interface that we know) means that it is for us.
 */
static __noinline bool host_forwards(Context *ctx, const struct flow *flow)
{
	struct bpf_fib_lookup route = {
		.l4_protocol = flow->protocol,
		.sport = bpf_htons(flow->source_port),
		.dport = bpf_htons(flow->destination_port),
	};
	__u32 ifindex = ctx_ifindex(ctx);
	long answer;

	if (!host_is_unicast(flow) || !host_enter(&ifindex, ctx_tag(ctx)) ||
	    !host_enter(&ifindex, flow->tags[0]) || !host_enter(&ifindex, flow->tags[1]))
		return false;

	route.ifindex = ifindex;
	if (flow->family == SPALE_IPV4) {
		route.family = HOST_AF_INET;
		route.ipv4_src = flow->source.words[3];
		route.ipv4_dst = flow->destination.words[3];
	} else {
		route.family = HOST_AF_INET6;
		__builtin_memcpy(route.ipv6_src, flow->source.words, sizeof(route.ipv6_src));
		__builtin_memcpy(route.ipv6_dst, flow->destination.words, sizeof(route.ipv6_dst));
	}

	answer = bpf_fib_lookup(ctx, &route, sizeof(route), 0);
	return answer == BPF_FIB_LKUP_RET_SUCCESS || answer == BPF_FIB_LKUP_RET_NO_NEIGH ||
	       answer == BPF_FIB_LKUP_RET_FRAG_NEEDED || answer == BPF_FIB_LKUP_RET_UNSUPP_LWT;
}

/* ---- stations ---------------------------------------------------------------------------- */

/*
 * The kernel's mark of frames for other stations is not enough: a bridge, a macvlan or a VLAN with
 * an address of its own takes frames that its port sees so marked. The absence of the mark is:
 * such a frame is for us, even if our list is a moment behind.
 */
static __noinline bool host_is_stranger(Context *ctx)
{
	struct spale_station station = {0};

	if (ctx_is_at_home(ctx) || ctx_load(ctx, 0, station.address, sizeof(station.address)))
		return false;
	/* Multicast and broadcast are for us as well. */
	return !(station.address[0] & 1) && !bpf_map_lookup_elem(&stations, &station);
}

/*
 * Does the frame only pass by, on its way to another station? Asked where the daemon says so: any
 * doubt (a slot that nobody has filled, no link header, a frame that cannot be read) means that the
 * frame is judged, so that no change of an address opens an ordinary interface.
 */
static __always_inline bool host_is_passed_by(Context *ctx)
{
	__u32 key = slot;
	const __u32 *asks = bpf_map_lookup_elem(&asking, &key);

	return asks && *asks && header_kind == SPALE_HEADER_ETHERNET && host_is_stranger(ctx);
}

#endif
