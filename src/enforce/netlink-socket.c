/* SPDX-License-Identifier: MIT */
#include "enforce/netlink-socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "util/cleanup.h"

static void mnl_socket_closep(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

#define _cleanup_mnl_socket_ _cleanup_(mnl_socket_closep)

int netlink_socket_ask(int bus, struct nlmsghdr *request, mnl_cb_t callback, void *userdata)
{
	_cleanup_mnl_socket_ struct mnl_socket *socket = NULL;
	_cleanup_free_ char *answer = malloc(NETLINK_SOCKET_ANSWER_MAX);

	if (!answer)
		return -ENOMEM;
	socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	request->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;

	int result = MNL_CB_OK;
	while (result > MNL_CB_STOP) {
		ssize_t size = mnl_socket_recvfrom(socket, answer, NETLINK_SOCKET_ANSWER_MAX);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return -errno;
		result = mnl_cb_run(answer, (size_t)size, request->nlmsg_seq,
				    mnl_socket_get_portid(socket), callback, userdata);
	}
	return result < 0 ? -errno : 0;
}

int netlink_socket_error(int error)
{
	errno = -error;
	return MNL_CB_ERROR;
}
