/* SPDX-License-Identifier: MIT */
/*
 * Ranges of ports with their protocol, and lists of them.
 *
 * A list owns its memory (port_list_done()). Lists are kept sorted by protocol and port, without
 * overlaps, so that two lists that mean the same are equal. Texts are untrusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

typedef struct PortRange {
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _SCTP, _DCCP or _UDPLITE */
	uint16_t first;	  /* 1 to 65535, host byte order */
	uint16_t last;	  /* first to 65535 */
} PortRange;

typedef struct PortList {
	PortRange *ranges;
	size_t count;
} PortList;

/* Most ranges that one list may hold. */
#define PORT_LIST_MAX 4096

/* Room for "65535-65535/udplite" and NUL. */
#define PORT_RANGE_TEXT_MAX 24

#define PORT_LIST_NULL	    ((PortList){0})
#define _cleanup_port_list_ _cleanup_(port_list_done)

/* RANGE goes through LIST. An empty list has no memory, and a null pointer may not be added to. */
#define port_list_foreach(range, list)                                                             \
	for (const PortRange *range = (list)->ranges;                                              \
	     range && range < (list)->ranges + (list)->count; range++)

void port_list_done(PortList *list);

/* Name of a protocol that has ports ("tcp"), or NULL. */
const char *port_protocol_name(uint8_t protocol);

/*
 * Reads one item, "22", "22/tcp" or "8000-8010/udp" (protocols: tcp, udp, sctp, dccp, udplite, in
 * any case), and adds its range to LIST; without a protocol, one for TCP and one for UDP.
 * Returns 0, -EINVAL (not a port), -E2BIG (PORT_LIST_MAX) or -ENOMEM; LIST is unchanged then.
 */
int port_list_add_text(PortList *list, const char *text);

/* Adds a range, merging it with what is there. Returns 0, -EINVAL, -E2BIG or -ENOMEM. */
int port_list_add(PortList *list, PortRange range);

/* What both A and B hold, into *RET_LIST. Returns 0, -E2BIG or -ENOMEM. */
int port_list_intersect(const PortList *a, const PortList *b, PortList *ret_list);

/* What A holds and B does not, into *RET_LIST. Returns 0, -E2BIG or -ENOMEM. */
int port_list_subtract(const PortList *a, const PortList *b, PortList *ret_list);

int port_list_copy(const PortList *list, PortList *ret_list);
bool port_list_equal(const PortList *a, const PortList *b);
bool port_list_contains(const PortList *list, uint8_t protocol, uint16_t port);

/* Number of single (protocol, port) pairs in LIST. */
size_t port_list_ports(const PortList *list);

const char *port_range_format(const PortRange *range, char text[static PORT_RANGE_TEXT_MAX]);

/* All of LIST, separated by spaces, as a string that the caller frees; NULL: no memory. */
char *port_list_format(const PortList *list);
