/* SPDX-License-Identifier: MIT */
/*
 * What the host's own sockets keep: real ones, in each state that a stranger or a peer may meet.
 * Both of their ends are of this namespace, where tests/bpf/run has put the addresses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rows.h"

static const char *const ours[] = {DESTINATION4, DESTINATION6};
static const char *const peers[] = {"192.0.2.200", "2001:db8:1:2:3::200"};
static const char *const strangers[] = {"192.0.2.201", "2001:db8:1:2:3::201"};
/* A route leads there, but nobody answers. */
static const char *const silent[] = {"203.0.113.5", "2001:db8:fff0::5"};

/* Where and as what a packet meets the sockets. */
struct meeting {
	Gate *gate;
	enum spale_family family;
	bool dual; /* IPv4 by sockets of IPv6 */
	const char *state;
	uint16_t peer_port; /* another one for each, for connections leave something behind */
};

static void die(const char *what)
{
	fprintf(stderr, "sockets: %s: %s (this needs tests/bpf/run)\n", what, strerror(errno));
	exit(1);
}

/* TEXT and PORT for a socket of the meeting. Returns its length. */
static socklen_t end_point(const struct meeting *meeting, const char *text, uint16_t port,
			   struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *ipv4 = (void *)ret_address;
	struct sockaddr_in6 *ipv6 = (void *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (meeting->family == SPALE_IPV4 && !meeting->dual) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		inet_pton(AF_INET, text, &ipv4->sin_addr);
		return sizeof(*ipv4);
	}
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons(port);
	packet_address(text, ipv6->sin6_addr.s6_addr);
	return sizeof(*ipv6);
}

static int open_socket(const struct meeting *meeting, int type, const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t length = end_point(meeting, text, port, &address);
	int one = 1, none = 0, fd;

	fd = socket(address.ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		die("socket");
	if (address.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &none, sizeof(none)) < 0)
		die("IPV6_V6ONLY");
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		die("bind");
	return fd;
}

static void connect_to(const struct meeting *meeting, int fd, const char *text, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t length = end_point(meeting, text, port, &address);

	if (connect(fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS)
		die("connect");
}

/* What becomes of a packet from SOURCE, which differs from the usual one as SHAPE says. */
static void expect(const struct meeting *meeting, const char *name, const char *const source[],
		   struct shape shape, enum spale_reason reason)
{
	struct packet packet;
	Outcome outcome;

	shape.source4 = source[SPALE_IPV4];
	shape.source6 = source[SPALE_IPV6];
	if (!shape.source_port)
		shape.source_port = meeting->peer_port;
	packet_build(&packet, &shape, meeting->family);
	outcome = gate_run(meeting->gate, &packet);
	check(outcome_is(&outcome, reason, false, 1), "%s, %s, %s, IPv%d%s: expected %s, got: %s",
	      meeting->state, name, meeting->gate->name, meeting->family == SPALE_IPV4 ? 4 : 6,
	      meeting->dual ? " by IPv6" : "", reason_text(reason), outcome_text(&outcome));
}

/* The flags of TCP lie behind what the IP header says is there: "ports" is all that is to be seen.
 */
static struct shape out_of_sight(enum spale_family family)
{
	return (struct shape){.tcp_flags = TCP_ACK,
			      .has_length = true,
			      .length = (family == SPALE_IPV4 ? 20 : 0) + 13};
}

#define FLAGS(flags)                                                                               \
	(struct shape)                                                                             \
	{                                                                                          \
		.tcp_flags = (flags)                                                               \
	}
#define AS(number)                                                                                 \
	(struct shape)                                                                             \
	{                                                                                          \
		.protocol = (number)                                                               \
	}

#define DENIED	    SPALE_REASON_DENIED
#define ESTABLISHED SPALE_REASON_ESTABLISHED

/* The peer's packets: of what goes on, and what might begin anew. */
static void expect_peer(const struct meeting *meeting, enum spale_reason reason)
{
	expect(meeting, "ACK", peers, FLAGS(TCP_ACK), reason);
	expect(meeting, "FIN", peers, FLAGS(TCP_FIN | TCP_ACK), reason);
	expect(meeting, "RST", peers, FLAGS(TCP_RST), reason);
	expect(meeting, "SYN and ACK", peers, FLAGS(TCP_SYN | TCP_ACK), reason);
	expect(meeting, "no flags", peers, FLAGS(0x40), reason);
	expect(meeting, "SYN", peers, FLAGS(TCP_SYN), DENIED);
	expect(meeting, "SYN and FIN", peers, FLAGS(TCP_SYN | TCP_FIN), DENIED);
	expect(meeting, "flags out of sight", peers, out_of_sight(meeting->family), DENIED);
}

/* Everybody else's. */
static void expect_strangers(const struct meeting *meeting)
{
	const struct shape other_port = {.tcp_flags = TCP_ACK,
					 .source_port = meeting->peer_port + 1};
	const struct shape other_address = {.tcp_flags = TCP_ACK,
					    .destination4 = "198.51.100.2",
					    .destination6 = "2001:db8:ffff::2"};

	expect(meeting, "SYN, stranger", strangers, FLAGS(TCP_SYN), DENIED);
	expect(meeting, "ACK, stranger", strangers, FLAGS(TCP_ACK), DENIED);
	expect(meeting, "RST, stranger", strangers, FLAGS(TCP_RST), DENIED);
	expect(meeting, "flags out of sight, stranger", strangers, out_of_sight(meeting->family),
	       DENIED);
	expect(meeting, "ACK, other port", peers, other_port, DENIED);
	expect(meeting, "ACK, other address", peers, other_address, DENIED);
	expect(meeting, "SCTP", peers, AS(IPPROTO_SCTP), DENIED);
	expect(meeting, "DCCP", peers, AS(IPPROTO_DCCP), DENIED);
}

static void set_keep(const struct meeting *meeting, unsigned flags)
{
	struct spale_settings settings = gate_settings();

	settings.flags |= flags;
	gate_set_settings(meeting->gate, &settings);
}

/* Waits for what the other end's packets do, which the kernel sees to by itself. */
static void wait_for_state(int fd, int state)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	for (int i = 0; i < 2000 && info.tcpi_state != state; i++) {
		length = sizeof(info);
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
			die("TCP_INFO");
		usleep(1000);
	}
	if (info.tcpi_state != state)
		die("a connection is not in the state that it should be in");
}

/* From the listener's life to what is left of a connection. */
static void connections(struct meeting *meeting)
{
	int listener = open_socket(meeting, SOCK_STREAM, ours[meeting->family], PROTECTED_PORT);
	int peer = open_socket(meeting, SOCK_STREAM, peers[meeting->family], meeting->peer_port),
	    fd;

	if (listen(listener, 8) < 0)
		die("listen");
	meeting->state = "listener";
	expect_peer(meeting, DENIED);
	expect_strangers(meeting);

	connect_to(meeting, peer, ours[meeting->family], PROTECTED_PORT);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		die("accept");
	meeting->state = "connection";
	expect_peer(meeting, ESTABLISHED);
	expect_strangers(meeting);
	set_keep(meeting, SPALE_KEEP_ESTABLISHED | SPALE_SCOPE_LOCAL);
	expect_peer(meeting, ESTABLISHED);
	set_keep(meeting, SPALE_SCOPE_LOCAL);
	expect_peer(meeting, DENIED);
	set_keep(meeting, SPALE_KEEP_ESTABLISHED);

	/* Who closes first is left with the connection for a minute. */
	shutdown(fd, SHUT_WR);
	wait_for_state(peer, TCP_CLOSE_WAIT);
	meeting->state = "half of a connection";
	expect_peer(meeting, ESTABLISHED);
	close(peer);
	wait_for_state(fd, TCP_CLOSE);
	close(fd);
	meeting->state = "TIME_WAIT";
	expect_peer(meeting, ESTABLISHED);
	expect_strangers(meeting);
	close(listener);
}

/* A request that waits for its first data is what it was when its SYN came. */
static void requests(struct meeting *meeting)
{
	int listener = open_socket(meeting, SOCK_STREAM, ours[meeting->family], PROTECTED_PORT);
	int peer =
		open_socket(meeting, SOCK_STREAM, strangers[meeting->family], meeting->peer_port);
	const struct linger at_once = {.l_onoff = 1};
	int seconds = 30;

	if (setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) < 0 ||
	    listen(listener, 8) < 0)
		die("listen");
	connect_to(meeting, peer, ours[meeting->family], PROTECTED_PORT);
	meeting->state = "request";
	expect_strangers(meeting);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(peer);
	close(listener);
}

/* The answer to our own SYN passes, whatever it is; others' packets do not. */
static void outgoing(struct meeting *meeting)
{
	int fd = open_socket(meeting, SOCK_STREAM | SOCK_NONBLOCK, ours[meeting->family],
			     PROTECTED_PORT);

	connect_to(meeting, fd, silent[meeting->family], meeting->peer_port);
	meeting->state = "outgoing";
	expect(meeting, "SYN and ACK", silent, FLAGS(TCP_SYN | TCP_ACK), ESTABLISHED);
	expect(meeting, "SYN", silent, FLAGS(TCP_SYN), ESTABLISHED);
	expect(meeting, "RST", silent, FLAGS(TCP_RST | TCP_ACK), ESTABLISHED);
	expect(meeting, "flags out of sight", silent, out_of_sight(meeting->family), ESTABLISHED);
	expect_peer(meeting, DENIED);
	expect_strangers(meeting);
	close(fd);
}

static void datagrams(struct meeting *meeting)
{
	const struct shape udp = AS(IPPROTO_UDP);
	const struct shape other_port = {.protocol = IPPROTO_UDP,
					 .source_port = meeting->peer_port + 1};
	const struct shape many = {.protocol = IPPROTO_UDP,
				   .destination4 = "255.255.255.255",
				   .destination6 = "ff02::1"};
	int fd = open_socket(meeting, SOCK_DGRAM, ours[meeting->family], PROTECTED_PORT);

	meeting->state = "UDP socket";
	expect(meeting, "UDP", peers, udp, DENIED);

	connect_to(meeting, fd, peers[meeting->family], meeting->peer_port);
	meeting->state = "connected UDP socket";
	expect(meeting, "UDP", peers, udp, ESTABLISHED);
	expect(meeting, "UDP, stranger", strangers, udp, DENIED);
	expect(meeting, "UDP, other port", peers, other_port, DENIED);
	expect(meeting, "UDP, to many", peers, many, DENIED);
	expect(meeting, "UDP-Lite", peers, AS(IPPROTO_UDPLITE), DENIED);
	expect(meeting, "ACK", peers, FLAGS(TCP_ACK), DENIED);
	set_keep(meeting, SPALE_SCOPE_LOCAL);
	expect(meeting, "UDP, not kept", peers, udp, DENIED);
	set_keep(meeting, SPALE_KEEP_ESTABLISHED);
	close(fd);
}

static void run(Gate *gate, enum spale_family family, bool dual)
{
	static uint16_t port = 41000;
	struct meeting meeting = {.gate = gate, .family = family, .dual = dual, .peer_port = port};

	gate_reset(gate);
	set_keep(&meeting, SPALE_KEEP_ESTABLISHED);
	requests(&meeting);
	outgoing(&meeting);
	datagrams(&meeting);
	connections(&meeting);
	port += 2;
}

void sockets_run(struct bench *bench)
{
	Gate *gates[] = {&bench->tc, &bench->xdp};

	for (int i = 0; i < bench->modes; i++) {
		run(gates[i], SPALE_IPV4, false);
		run(gates[i], SPALE_IPV4, true);
		run(gates[i], SPALE_IPV6, false);
	}
}
