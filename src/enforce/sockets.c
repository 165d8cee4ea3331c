/* SPDX-License-Identifier: MIT */
#include "enforce/sockets.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "enforce/netlink-socket.h"
#include "util/cleanup.h"

/* States of sockets that have a peer. What is left of a connection in TIME_WAIT ends by itself. */
#define TCP_STATES                                                                                 \
	(1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECV | 1u << TCP_FIN_WAIT1 |   \
	 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)
#define UDP_STATES (1u << TCP_ESTABLISHED)

/* A socket as the kernel knows it again. */
typedef struct Socket {
	uint8_t family;
	uint8_t protocol;
	struct inet_diag_sockid id;
} Socket;

/* What is asked of one list of sockets, and what of it has to go. */
typedef struct Selection {
	EnforcerCut test;
	void *userdata;
	uint8_t protocol;
	Socket *sockets;
	size_t count;
} Selection;

static Address peer_address(const struct inet_diag_msg *info)
{
	Address address = {{0}};

	if (info->idiag_family == AF_INET6) {
		memcpy(address.bytes, info->id.idiag_dst, sizeof(address.bytes));
	} else {
		memset(address.bytes + 10, 0xff, 2);
		memcpy(address.bytes + 12, info->id.idiag_dst, 4);
	}
	return address;
}

static int on_socket(const struct nlmsghdr *message, void *userdata)
{
	Selection *selection = userdata;
	const struct inet_diag_msg *info = mnl_nlmsg_get_payload(message);
	Socket *sockets;

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return netlink_socket_error(-EPROTO);

	const EnforcerSession session = {
		.source = peer_address(info),
		.ifindex = info->id.idiag_if,
		.port = ntohs(info->id.idiag_sport),
		.protocol = selection->protocol,
	};
	if (!selection->test(&session, selection->userdata))
		return MNL_CB_OK;
	sockets = reallocarray(selection->sockets, selection->count + 1, sizeof(*sockets));
	if (!sockets)
		return netlink_socket_error(-ENOMEM);
	selection->sockets = sockets;
	sockets[selection->count++] = (Socket){info->idiag_family, selection->protocol, info->id};
	return MNL_CB_OK;
}

/* Adds those sockets of FAMILY and the selection's protocol that have to go. */
static int list_sockets(Selection *selection, uint8_t family)
{
	char buffer[128];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *wanted;

	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	wanted = mnl_nlmsg_put_extra_header(request, sizeof(*wanted));
	wanted->sdiag_family = family;
	wanted->sdiag_protocol = selection->protocol;
	wanted->idiag_states = selection->protocol == IPPROTO_TCP ? TCP_STATES : UDP_STATES;
	return netlink_socket_ask(NETLINK_SOCK_DIAG, request, on_socket, selection);
}

/* -ENOENT: it has gone meanwhile. */
static int destroy_socket(const Socket *socket)
{
	char buffer[128];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *wanted;

	request->nlmsg_type = SOCK_DESTROY;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	wanted = mnl_nlmsg_put_extra_header(request, sizeof(*wanted));
	wanted->sdiag_family = socket->family;
	wanted->sdiag_protocol = socket->protocol;
	wanted->idiag_states = ~0u;
	wanted->id = socket->id;
	return netlink_socket_ask(NETLINK_SOCK_DIAG, request, NULL, NULL);
}

int sockets_destroy(EnforcerCut test, void *userdata)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	Selection selection = {.test = test, .userdata = userdata};
	int count = 0, error = 0, r;

	for (size_t i = 0; i < ARRAY_SIZE(families) * ARRAY_SIZE(protocols); i++) {
		selection.protocol = protocols[i % 2];
		r = list_sockets(&selection, families[i / 2]);
		/* There is nobody who could list them: a module that this kernel has not. */
		if (r < 0 && error == 0)
			error = r == -ENOENT ? -EOPNOTSUPP : r;
	}
	for (size_t i = 0; i < selection.count; i++) {
		r = destroy_socket(&selection.sockets[i]);
		count += r == 0;
		if (r < 0 && r != -ENOENT && error == 0)
			error = r;
	}
	free(selection.sockets);
	return error < 0 ? error : count;
}
