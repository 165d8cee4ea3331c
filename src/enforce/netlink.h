/* SPDX-License-Identifier: MIT */
/*
 * Questions to rtnetlink: what an interface is, which filters hang on it. Asks only, changes
 * nothing. libmnl's only door.
 *
 * Each call opens its own socket, in the network namespace of the caller.
 */
#pragma once

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

typedef struct NetlinkInterface {
	char name[IFNAMSIZ];
	uint32_t ifindex;
	uint16_t hardware_type;	 /* ARPHRD_* */
	uint32_t xdp_program_id; /* of the XDP program on it, 0: none */
} NetlinkInterface;

/* By name (not an alternative one). Returns 0, -ENODEV or what the socket calls say. */
int netlink_interface_by_name(const char *name, NetlinkInterface *ret_interface);

/* The same by index. */
int netlink_interface_by_index(uint32_t ifindex, NetlinkInterface *ret_interface);

/* Room for the name that a filter gives its program, and NUL; the kernel's longest is 256. */
#define NETLINK_FILTER_NAME_MAX 257

typedef struct NetlinkFilter {
	uint32_t chain;
	uint32_t priority;
	uint32_t handle; /* 0: the head of all filters of one priority, not itself a filter */
	char kind[IFNAMSIZ];
	uint32_t program_id;			    /* of a BPF filter, else 0 */
	char program_name[NETLINK_FILTER_NAME_MAX]; /* as whoever attached it wrote it, or "" */
} NetlinkFilter;

/*
 * Lists the filters at PARENT (a class of the clsact qdisc) of an interface, each chain in the
 * order in which the kernel asks them, as an array that the caller frees (NULL for none). No such
 * interface or qdisc: no filters. Returns 0, -ENOMEM or what the socket calls say.
 */
int netlink_filters(uint32_t ifindex, uint32_t parent, NetlinkFilter **ret_filters,
		    size_t *ret_count);
