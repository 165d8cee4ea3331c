/* SPDX-License-Identifier: MIT */
/*
 * Internet addresses and prefixes: one 16-byte type for both families.
 *
 * IPv4 is held as ::ffff:a.b.c.d, and prefix lengths count those 128 bits (an IPv4 /24 is 120);
 * the text forms are the native ones. Texts are untrusted.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Address {
	uint8_t bytes[16];
} Address;

typedef struct Prefix {
	Address address; /* bits behind the length are zero */
	uint8_t length;	 /* 0 to 128 of the 16-byte form; IPv4: 96 to 128 */
} Prefix;

/* Room for any address, prefix ("…/128") and terminating NUL. */
#define ADDRESS_TEXT_MAX (INET6_ADDRSTRLEN + 4)

/* Length in the 16-byte form at which an IPv4 prefix begins. */
#define ADDRESS_IPV4_BITS 96

/*
 * Reads an IPv4 address in dotted decimal (four numbers) or an IPv6 address (RFC 4291, section
 * 2.2), the latter with or without brackets around it. No names, no zones, no white space, no
 * leading zeros in IPv4 (some take them for octal), no prefix; an IPv4-mapped IPv6 address is the
 * IPv4 address. Returns 0 or -EINVAL.
 */
int address_parse(const char *text, Address *ret_address);

/* Writes the native form of ADDRESS (IPv6: RFC 5952) into TEXT and returns TEXT. */
const char *address_format(const Address *address, char text[static ADDRESS_TEXT_MAX]);

/* The same address in the 16-byte form. */
Address address_from_ipv4(struct in_addr address);
Address address_from_ipv6(const struct in6_addr *address);

/* Reads AF_INET and AF_INET6; returns 0 or -EAFNOSUPPORT. */
int address_from_sockaddr(const struct sockaddr *sockaddr, Address *ret_address);

/* Whether it is ::ffff:0:0/96. */
bool address_is_ipv4(const Address *address);

/* fe80::/10 or 169.254.0.0/16: says something only together with an interface. */
bool address_is_link_local(const Address *address);

/* Whether it can be where a packet comes from: neither multicast nor the unspecified address. */
bool address_can_send(const Address *address);

bool address_equal(const Address *a, const Address *b);
int address_compare(const Address *a, const Address *b);

/* ADDRESS with all bits behind the first LENGTH (0 to 128) cleared. */
Address address_mask(const Address *address, uint8_t length);

/*
 * Reads "ADDRESS" or "ADDRESS/LENGTH" with the native length of the family that the text is
 * written in. Bits behind the length are cleared. An IPv4-mapped text takes 96 to 128 only, for a
 * shorter one would not be IPv4 any more. Returns 0 or -EINVAL.
 */
int prefix_parse(const char *text, Prefix *ret_prefix);

/* Writes "ADDRESS/LENGTH", or "ADDRESS" alone for a full-length prefix, and returns TEXT. */
const char *prefix_format(const Prefix *prefix, char text[static ADDRESS_TEXT_MAX]);

/* A prefix of one family holds nothing of the other: ::/0 is every IPv6 address and no IPv4 one. */
bool prefix_contains(const Prefix *prefix, const Address *address);
int prefix_compare(const Prefix *a, const Prefix *b);
