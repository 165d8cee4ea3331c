/* SPDX-License-Identifier: MIT */
/*
 * One question to the kernel by netlink, and its answers. For netlink.c and sockets.c, which know
 * what to ask.
 */
#pragma once

#include <libmnl/libmnl.h>

/* Longest answer: an interface with many virtual functions does not fit into a page. */
#define NETLINK_SOCKET_ANSWER_MAX 32768

/*
 * Sends REQUEST by a socket of its own, in the network namespace of the caller, to NETLINK_ROUTE or
 * another BUS, and hands every answer to CALLBACK until the kernel says that this was all. Returns
 * 0 or a negative errno, of the kernel or of CALLBACK.
 */
int netlink_socket_ask(int bus, struct nlmsghdr *request, mnl_cb_t callback, void *userdata);

/* What such a callback returns to report ERROR (a negative errno). */
int netlink_socket_error(int error);
