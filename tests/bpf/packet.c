/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static void put8(struct packet *packet, uint8_t value)
{
	if (packet->length >= PACKET_MAX)
		abort();
	packet->bytes[packet->length++] = value;
}

static void put16(struct packet *packet, uint16_t value)
{
	put8(packet, value >> 8);
	put8(packet, value & 0xff);
}

static void put(struct packet *packet, const void *bytes, size_t length)
{
	if (packet->length + length > PACKET_MAX)
		abort();
	memcpy(packet->bytes + packet->length, bytes, length);
	packet->length += length;
}

static void put_filler(struct packet *packet, size_t length)
{
	for (size_t i = 0; i < length; i++)
		put8(packet, i % 2 ? OPEN_PORT : 0);
}

static void set16(struct packet *packet, size_t offset, uint16_t value)
{
	packet->bytes[offset] = value >> 8;
	packet->bytes[offset + 1] = value & 0xff;
}

void packet_address(const char *text, uint8_t ret_address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	int read;

	if (strchr(text, ':')) {
		read = inet_pton(AF_INET6, text, ret_address);
	} else {
		memcpy(ret_address, mapped, sizeof(mapped));
		read = inet_pton(AF_INET, text, ret_address + 12);
	}
	if (read != 1)
		abort();
}

void packet_source(const struct shape *shape, enum spale_family family, uint8_t ret_address[16])
{
	if (family == SPALE_IPV4)
		packet_address(shape->source4 ? shape->source4 : SOURCE4, ret_address);
	else
		packet_address(shape->source6 ? shape->source6 : SOURCE6, ret_address);
}

void packet_destination(const struct shape *shape, enum spale_family family,
			uint8_t ret_address[16])
{
	if (family == SPALE_IPV4)
		packet_address(shape->destination4 ? shape->destination4 : DESTINATION4,
			       ret_address);
	else
		packet_address(shape->destination6 ? shape->destination6 : DESTINATION6,
			       ret_address);
}

static void put_link(struct packet *packet, const struct shape *shape, enum spale_family family)
{
	static const uint8_t macs[12] = {0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02};

	put(packet, shape->station ? shape->station : macs, 6);
	put(packet, macs + 6, 6);
	for (size_t i = 0; i < 4 && shape->tags[i]; i++) {
		put16(packet, shape->tags[i]);
		put16(packet, shape->vids[i]);
	}
	if (shape->ethertype)
		put16(packet, shape->ethertype);
	else
		put16(packet, family == SPALE_IPV4 ? 0x0800 : 0x86dd);
}

static uint8_t upper_protocol(const struct shape *shape)
{
	return shape->protocol ? shape->protocol : IPPROTO_TCP;
}

static uint8_t first_header(const struct shape *shape)
{
	return shape->extensions[0].present ? shape->extensions[0].type : upper_protocol(shape);
}

static void put_ip4(struct packet *packet, const struct shape *shape)
{
	uint8_t version = shape->version ? shape->version : 4;
	uint8_t ihl = shape->ihl ? shape->ihl : 5 + shape->option_words;
	uint8_t address[16];

	put8(packet, version << 4 | (ihl & 15));
	put8(packet, 0);
	put16(packet, 0); /* length: later */
	put16(packet, 0x1234);
	put16(packet, shape->fragment);
	put8(packet, 64);
	put8(packet, first_header(shape));
	put16(packet, 0);
	packet_source(shape, SPALE_IPV4, address);
	put(packet, address + 12, 4);
	packet_destination(shape, SPALE_IPV4, address);
	put(packet, address + 12, 4);
	put_filler(packet, shape->option_words * 4);
}

static void put_ip6(struct packet *packet, const struct shape *shape)
{
	uint8_t version = shape->version ? shape->version : 6;
	uint8_t address[16];

	put8(packet, version << 4);
	put8(packet, 0);
	put16(packet, 0);
	put16(packet, 0); /* length: later */
	put8(packet, first_header(shape));
	put8(packet, 64);
	packet_source(shape, SPALE_IPV6, address);
	put(packet, address, sizeof(address));
	packet_destination(shape, SPALE_IPV6, address);
	put(packet, address, sizeof(address));
}

static void put_extensions(struct packet *packet, const struct shape *shape)
{
	const struct extension *list = shape->extensions;

	for (size_t i = 0; i < 10 && list[i].present; i++) {
		size_t length = (list[i].units + 1) * 8;

		if (list[i].type == AH)
			length = (list[i].units + 2) * 4;
		else if (list[i].type == FRAGMENT)
			length = 8;

		put8(packet,
		     i + 1 < 10 && list[i + 1].present ? list[i + 1].type : upper_protocol(shape));
		put8(packet, list[i].units);
		if (list[i].type == FRAGMENT) {
			put16(packet, list[i].bits);
			put_filler(packet, length - 4);
		} else {
			put_filler(packet, length - 2);
		}
	}
}

/* The header of L4 in its usual length; all five protocols begin with the ports. */
static void put_l4(struct packet *packet, const struct shape *shape)
{
	uint16_t source_port = shape->source_port ? shape->source_port : SOURCE_PORT;
	uint16_t port = shape->port ? shape->port : PROTECTED_PORT;
	size_t begin = packet->length;

	switch (upper_protocol(shape)) {
	case IPPROTO_TCP:
		put16(packet, source_port);
		put16(packet, port);
		put_filler(packet, 8);
		put8(packet, 0x50);
		put8(packet, shape->tcp_flags ? shape->tcp_flags : TCP_SYN);
		put_filler(packet, 6);
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		put16(packet, source_port);
		put16(packet, port);
		put16(packet, shape->udp_length ? shape->udp_length : 8 + shape->payload);
		put16(packet, 0);
		break;
	case IPPROTO_SCTP:
		put16(packet, source_port);
		put16(packet, port);
		put_filler(packet, 8);
		break;
	case IPPROTO_DCCP:
		put16(packet, source_port);
		put16(packet, port);
		put_filler(packet, 12);
		break;
	default:
		/* Would be ports, if it had some: one who takes them for that drops. */
		put16(packet, PROTECTED_PORT);
		put16(packet, PROTECTED_PORT);
		put_filler(packet, 4);
	}
	packet->l4 = begin;
}

void packet_build(struct packet *packet, const struct shape *shape, enum spale_family family)
{
	size_t length;

	packet->length = 0;
	if (!shape->no_link)
		put_link(packet, shape, family);
	packet->l3 = packet->length;
	if (family == SPALE_IPV4)
		put_ip4(packet, shape);
	else
		put_ip6(packet, shape);
	put_extensions(packet, shape);
	put_l4(packet, shape);
	if (shape->payload_bytes)
		put(packet, shape->payload_bytes, shape->payload);
	else
		put_filler(packet, shape->payload);

	length = packet->length - packet->l3 - (family == SPALE_IPV6 ? 40 : 0);
	if (shape->has_length)
		length = shape->length;
	set16(packet, packet->l3 + (family == SPALE_IPV4 ? 2 : 4), (uint16_t)length);

	put_filler(packet, shape->pad);
	if (shape->cut && shape->cut < packet->length)
		packet->length = shape->cut;
}
