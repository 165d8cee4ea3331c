/* SPDX-License-Identifier: MIT */
#include "util/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/parse.h"

static const uint8_t ipv4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int address_parse(const char *text, Address *ret_address)
{
	char inner[INET6_ADDRSTRLEN];
	struct in_addr ipv4;
	struct in6_addr ipv6;
	size_t size = strlen(text);

	if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
		if (size - 2 >= sizeof(inner))
			return -EINVAL;
		memcpy(inner, text + 1, size - 2);
		inner[size - 2] = '\0';
		text = inner;
	} else if (inet_pton(AF_INET, text, &ipv4) == 1) {
		*ret_address = address_from_ipv4(ipv4);
		return 0;
	}

	if (inet_pton(AF_INET6, text, &ipv6) != 1)
		return -EINVAL;
	*ret_address = address_from_ipv6(&ipv6);
	return 0;
}

const char *address_format(const Address *address, char text[static ADDRESS_TEXT_MAX])
{
	/* Cannot fail: both families are known and the room suffices. */
	if (address_is_ipv4(address))
		inet_ntop(AF_INET, address->bytes + sizeof(ipv4_mapped), text, ADDRESS_TEXT_MAX);
	else
		inet_ntop(AF_INET6, address->bytes, text, ADDRESS_TEXT_MAX);
	return text;
}

Address address_from_ipv4(struct in_addr address)
{
	Address result;

	memcpy(result.bytes, ipv4_mapped, sizeof(ipv4_mapped));
	memcpy(result.bytes + sizeof(ipv4_mapped), &address.s_addr, sizeof(address.s_addr));
	return result;
}

Address address_from_ipv6(const struct in6_addr *address)
{
	Address result;

	memcpy(result.bytes, address->s6_addr, sizeof(result.bytes));
	return result;
}

int address_from_sockaddr(const struct sockaddr *sockaddr, Address *ret_address)
{
	/* Copied, for the bytes behind a struct sockaddr need not be aligned for its families. */
	if (sockaddr->sa_family == AF_INET) {
		struct sockaddr_in ipv4;

		memcpy(&ipv4, sockaddr, sizeof(ipv4));
		*ret_address = address_from_ipv4(ipv4.sin_addr);
		return 0;
	}
	if (sockaddr->sa_family == AF_INET6) {
		struct sockaddr_in6 ipv6;

		memcpy(&ipv6, sockaddr, sizeof(ipv6));
		*ret_address = address_from_ipv6(&ipv6.sin6_addr);
		return 0;
	}
	return -EAFNOSUPPORT;
}

bool address_is_ipv4(const Address *address)
{
	return memcmp(address->bytes, ipv4_mapped, sizeof(ipv4_mapped)) == 0;
}

bool address_is_link_local(const Address *address)
{
	const uint8_t *bytes = address->bytes;

	if (address_is_ipv4(address))
		return bytes[12] == 169 && bytes[13] == 254;
	return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

bool address_can_send(const Address *address)
{
	static const uint8_t zeros[16] = {0};
	size_t size = address_is_ipv4(address) ? 4 : 16;
	const uint8_t *bytes = address->bytes + 16 - size;
	bool is_multicast = size == 4 ? (bytes[0] & 0xf0) == 0xe0 : bytes[0] == 0xff;

	return !is_multicast && memcmp(bytes, zeros, size) != 0;
}

bool address_equal(const Address *a, const Address *b)
{
	return address_compare(a, b) == 0;
}

int address_compare(const Address *a, const Address *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

Address address_mask(const Address *address, uint8_t length)
{
	Address result = *address;
	size_t whole = length / 8;

	if (whole >= sizeof(result.bytes))
		return result;
	result.bytes[whole] &= (uint8_t)(0xff00 >> (length % 8));
	memset(result.bytes + whole + 1, 0, sizeof(result.bytes) - whole - 1);
	return result;
}

int prefix_parse(const char *text, Prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	size_t size = slash ? (size_t)(slash - text) : strlen(text);
	char address_text[ADDRESS_TEXT_MAX];
	Address address;
	uint32_t base = 0, length = 128;
	int r;

	if (size >= sizeof(address_text))
		return -EINVAL;
	memcpy(address_text, text, size);
	address_text[size] = '\0';
	r = address_parse(address_text, &address);
	if (r < 0)
		return r;

	if (slash) {
		bool dotted = !strchr(address_text, ':');

		if (dotted)
			base = ADDRESS_IPV4_BITS;
		if (strlen(slash + 1) > 3 || parse_u32(slash + 1, 0, 128 - base, &length) < 0)
			return -EINVAL;
		length += base;
		/* ::ffff:10.0.0.0/24 would mean ::/24, and was certainly not meant so. */
		if (address_is_ipv4(&address) && length < ADDRESS_IPV4_BITS)
			return -EINVAL;
	}

	*ret_prefix = (Prefix){.address = address_mask(&address, length), .length = length};
	return 0;
}

const char *prefix_format(const Prefix *prefix, char text[static ADDRESS_TEXT_MAX])
{
	unsigned int base = address_is_ipv4(&prefix->address) ? ADDRESS_IPV4_BITS : 0;
	size_t size;

	address_format(&prefix->address, text);
	if (prefix->length < 128) {
		size = strlen(text);
		snprintf(text + size, ADDRESS_TEXT_MAX - size, "/%u", prefix->length - base);
	}
	return text;
}

bool prefix_contains(const Prefix *prefix, const Address *address)
{
	Address masked = address_mask(address, prefix->length);

	/* Without the first condition ::/0 would hold every IPv4 address. */
	return address_is_ipv4(&prefix->address) == address_is_ipv4(address) &&
	       address_equal(&masked, &prefix->address);
}

int prefix_compare(const Prefix *a, const Prefix *b)
{
	int order = address_compare(&a->address, &b->address);

	return order ? order : (int)a->length - (int)b->length;
}
