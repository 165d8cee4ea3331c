/* SPDX-License-Identifier: MIT */
/*
 * Questions to rtnetlink: what interfaces there are, what they are, which filters hang on them, and
 * when that changes. Asks only, changes nothing.
 *
 * Each question opens its own socket, in the network namespace of the caller.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct NetlinkInterface {
	char name[IFNAMSIZ];
	uint32_t ifindex;
	uint16_t hardware_type;	 /* ARPHRD_* */
	uint32_t xdp_program_id; /* of the XDP program on it, 0: none */
	bool is_up;
	bool is_loopback;
	bool is_port;	     /* what arrives is its master's: a bridge's, a bond's; not a VRF's */
	char kind[IFNAMSIZ]; /* "macvlan", "bridge", …; "" for plain devices */
	uint32_t lower_ifindex; /* of the device that it is made on, in this namespace; 0: none */
	uint16_t vlan_id;	/* of a VLAN's interface on that device, else 0 */
	uint16_t vlan_protocol; /* the EtherType of its tags */
	bool is_bridge_port;
	bool is_promiscuous;
	bool has_station; /* it is Ethernet, and has this MAC address: */
	uint8_t station[6];
	bool has_addresses; /* in answers of netlink_interfaces() only */
} NetlinkInterface;

/* By name (not an alternative one). Returns 0, -ENODEV or what the socket calls say. */
int netlink_interface_by_name(const char *name, NetlinkInterface *ret_interface);

/* The same by index. */
int netlink_interface_by_index(uint32_t ifindex, NetlinkInterface *ret_interface);

/*
 * All interfaces of this namespace, as an array that the caller frees (NULL for none). Returns 0,
 * -ENOMEM or what the socket calls say.
 */
int netlink_interfaces(NetlinkInterface **ret_interfaces, size_t *ret_count);

/* A MAC address. */
typedef struct NetlinkStation {
	uint8_t address[6];
} NetlinkStation;

/*
 * The MAC addresses that interfaces of this namespace take frames for besides their own: those of
 * what is stacked on them, in this namespace or another, and what bridges were told is here. As an
 * array that the caller frees (NULL for none). Returns 0, -ENOMEM or what the socket calls say.
 */
int netlink_stations(NetlinkStation **ret_stations, size_t *ret_count);

/* What has changed since it was asked last. */
enum {
	NETLINK_CHANGED_LINKS = 1 << 0,
	NETLINK_CHANGED_ADDRESSES = 1 << 1,
};

/*
 * Opens a socket that becomes readable when an interface of this namespace or an address on one
 * changes. Returns its descriptor, which the caller closes, or a negative errno.
 */
int netlink_watch(void);

/*
 * Empties that socket, or reads a good deal of what waits there: it stays readable then. Returns
 * what has changed, all of it where the kernel had to drop messages, or a negative errno.
 */
int netlink_watch_consume(int fd);

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
