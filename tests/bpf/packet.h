/* SPDX-License-Identifier: MIT */
/*
 * Frames from descriptions. What a description leaves out is ordinary: untagged Ethernet, a TCP
 * SYN from SOURCE4 or SOURCE6, no options, true lengths.
 *
 * Bytes that nobody has to look at (options, bodies of extension headers, padding) say "port 80"
 * over and over, so that a parser that takes ports from the wrong place finds an open one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

#define SOURCE4	     "192.0.2.77"
#define SOURCE6	     "2001:db8:1:2:3::77"
#define DESTINATION4 "198.51.100.1"
#define DESTINATION6 "2001:db8:ffff::1"
#define SOURCE_PORT  40000

/* Protected for each of the five protocols, and not protected for any. */
#define PROTECTED_PORT 22
#define OPEN_PORT      80

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define VLAN  0x8100
#define QINQ  0x88a8
#define IP_MF 0x2000

#define HOP_BY_HOP  0
#define ROUTING	    43
#define FRAGMENT    44
#define ESP	    50
#define AH	    51
#define NO_NEXT	    59
#define DESTINATION 60
#define MOBILITY    135
#define HIP	    139
#define SHIM6	    140

#define PACKET_MAX 16384

/* EXTENSION(type) is a header of 8 bytes; units is its length field, bits those of a fragment. */
struct extension {
	uint16_t present;
	uint8_t type;
	uint8_t units;
	uint16_t bits;
};
#define EXTENSION(number)                                                                          \
	{                                                                                          \
		.present = 1, .type = (number)                                                     \
	}

struct shape {
	const uint8_t *station; /* 6 bytes: the frame's destination */
	uint16_t tags[4];	/* TPIDs of VLAN tags in the frame */
	uint16_t vids[4];	/* VLAN of each; 0: none, the tag is of a priority only */
	uint16_t ethertype;	/* not the family's */
	bool no_link;		/* begins with the IP header */
	const char *source4;
	const char *source6;
	const char *destination4;
	const char *destination6;
	uint8_t version;      /* not the family's */
	uint8_t ihl;	      /* not the true one */
	uint8_t option_words; /* IPv4 options */
	uint16_t fragment;    /* IPv4 flags and offset */
	struct extension extensions[10];
	uint8_t protocol;
	uint16_t source_port;
	uint16_t port;
	uint8_t tcp_flags;
	uint16_t payload; /* bytes behind the L4 header */
	const void *payload_bytes;
	uint16_t udp_length; /* not the true one */
	bool has_length;     /* length is what the IP header's length field says */
	uint16_t length;
	uint16_t cut; /* the frame ends here */
	uint16_t pad; /* bytes behind the IP packet */
};

struct packet {
	size_t length;
	size_t l3; /* offsets of the headers */
	size_t l4;
	uint8_t bytes[PACKET_MAX];
};

/* Builds the frame that SHAPE describes, for one of the families. */
void packet_build(struct packet *packet, const struct shape *shape, enum spale_family family);

/* Its source and destination as in the ABI, IPv4 as ::ffff:a.b.c.d. */
void packet_source(const struct shape *shape, enum spale_family family, uint8_t ret_address[16]);
void packet_destination(const struct shape *shape, enum spale_family family,
			uint8_t ret_address[16]);

/* TEXT of either family as in the ABI. */
void packet_address(const char *text, uint8_t ret_address[16]);
