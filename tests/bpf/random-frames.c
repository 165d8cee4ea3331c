/* SPDX-License-Identifier: MIT */
#include "random-frames.h"

#include <netinet/in.h>
#include <string.h>

#include <spale/wire.h>

/* Numbers at which readers of headers go wrong. */
static const uint16_t nasty[] = {
	0,	1,	2,	4,	5,	7,	8,	19,	20,	21,	39,
	40,	41,	0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x05ff, 0x0600, 0x1fff,
	0x2000, 0x4000, 0x7fff, 0x8000, 0xfff8, 0xfff9, 0xffff, 105,	0x4500, 0x4600, 0x6000};
static const uint8_t walked[] = {0, 43, 44, 51, 60, 135, 139, 140};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- pieces ------------------------------------------------------------------------------ */

/* SIZE zero bytes at the end of the frame; what does not fit goes to a place that nobody reads. */
static uint8_t *append(Frame *frame, size_t size)
{
	static uint8_t nowhere[FRAME_MAX];
	uint8_t *at = frame->bytes + frame->size;

	if (frame->size + size > FRAME_MAX)
		return nowhere;
	memset(at, 0, size);
	frame->size += size;
	return at;
}

static void put_16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void add_ethernet(Frame *frame, const Scenario *scenario, Random *random, unsigned type)
{
	static const uint8_t tag_counts[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					     0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					     0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4};
	size_t tags = tag_counts[random_below(random, COUNT(tag_counts))];
	uint8_t *at;

	at = append(frame, 12);
	if (random_percent(random, 50))
		random_fill(random, at, 12);
	else if (random_percent(random, 30))
		memset(at, 0xff, 6);
	else if (random_percent(random, 60))
		memcpy(at, scenario->oracle.stations[random_below(random, ORACLE_STATIONS)], 6);
	for (; tags > 0; tags--) {
		at = append(frame, 4);
		put_16(at, random_percent(random, 50) ? 0x8100 : 0x88a8);
		if (random_percent(random, 60)) /* else a priority tag */
			random_fill(random, at + 2, 2);
	}
	put_16(append(frame, 2), type);
}

static uint8_t random_protocol(Random *random)
{
	static const uint8_t protocols[] = {6,	6,  6,	 6,   6,   17, 17,  17,	 17, 17,
					    17, 17, 132, 132, 33,  33, 136, 136, 1,  58,
					    50, 4,  41,	 47,  108, 59, 51,  255};

	return protocols[random_below(random, COUNT(protocols))];
}

/* One header of a chain, which says that NEXT follows. */
static void add_extension(Frame *frame, Random *random, uint8_t type, uint8_t next)
{
	size_t units = random_percent(random, 80) ? random_below(random, 3) : 0;
	uint8_t *at;

	if (type == 44) {
		at = append(frame, 8);
		random_fill(random, at + 4, 4);
		if (random_percent(random, 20))
			put_16(at + 2, random_below(random, 0x2000) << 3);
		at[3] = (uint8_t)((at[3] & ~7) | random_percent(random, 25));
		if (random_percent(random, 20))
			at[3] |= (uint8_t)(random_below(random, 4) << 1); /* reserved bits */
		at[1] = (uint8_t)(random_percent(random, 10) ? random_bits(random) : 0);
	} else {
		size_t size = type == 51 ? (units + 2) * 4 : (units + 1) * 8;

		at = append(frame, size);
		if (random_percent(random, 30))
			random_fill(random, at, size);
		at[1] = (uint8_t)units;
	}
	at[0] = next;
}

/* A chain of headers that ends with PROTOCOL; FIRST is where its first type goes. */
static void add_chain(Frame *frame, Random *random, uint8_t *first, uint8_t protocol, bool ipv4)
{
	static const uint8_t counts[] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	size_t count = counts[random_below(random, COUNT(counts))];
	uint8_t types[11];

	if (ipv4 && random_percent(random, 75))
		count = 0;
	for (size_t i = 0; i < count; i++)
		types[i] = ipv4 ? 51 : walked[random_below(random, COUNT(walked))];
	types[count] = protocol;
	*first = types[0];
	for (size_t i = 0; i < count; i++)
		add_extension(frame, random, types[i], types[i + 1]);
}

static void put_ports(uint8_t *at, const Scenario *scenario, Random *random, uint16_t port)
{
	put_16(at, random_percent(random, 20) ? scenario_port(scenario, random)
					      : random_below(random, 65536));
	put_16(at + 2, port);
}

/* A knock, or what a scanner takes for one. */
static void add_knock(Frame *frame, const Scenario *scenario, Random *random, uint16_t port)
{
	const Oracle *oracle = &scenario->oracle;
	uint8_t *at = append(frame, 8 + SPALE_FORMAT1_SIZE), *payload = at + 8;

	if (random_percent(random, 90))
		port = scenario->ports[random_below(random, SCENARIO_KNOCK_PORTS)];
	put_ports(at, scenario, random, port);
	put_16(at + 4, 8 + SPALE_FORMAT1_SIZE);
	random_fill(random, payload, 32);
	if (oracle->client_count > 0 && random_percent(random, 90))
		memcpy(payload, oracle->clients[random_below(random, oracle->client_count)], 32);
	memcpy(payload + 32, scenario->encs[random_below(random, COUNT(scenario->encs))], 32);
	payload[SPALE_FORMAT1_SIZE - 1] = (uint8_t)random_below(random, 3);
	if (random_percent(random, 10))
		payload[random_below(random, SPALE_FORMAT1_SIZE)] ^= 1;
}

static void add_transport(Frame *frame, const Scenario *scenario, Random *random, const Aim *aim,
			  uint8_t protocol)
{
	static const uint8_t flags[] = {0x02, 0x02, 0x02, 0x12, 0x10, 0x04, 0x11, 0xc2, 0x03, 0};
	uint8_t *at;

	if (protocol == IPPROTO_UDP && random_percent(random, aim->at_grant ? 15 : 60)) {
		add_knock(frame, scenario, random, aim->port);
	} else if (protocol == IPPROTO_UDP) {
		at = append(frame, 8 + random_below(random, 120));
		put_ports(at, scenario, random, aim->port);
		put_16(at + 4, frame->size - (size_t)(at - frame->bytes));
	} else if (protocol == IPPROTO_TCP) {
		at = append(frame, 20 + random_below(random, 30));
		put_ports(at, scenario, random, aim->port);
		at[12] = 0x50;
		at[13] = flags[random_below(random, COUNT(flags))];
	} else {
		at = append(frame, 8 + random_below(random, 30));
		random_fill(random, at, 8);
		put_ports(at, scenario, random, aim->port);
	}
}

/* ---- packets ----------------------------------------------------------------------------- */

/* What the length field says: mostly the truth. */
static size_t told_length(Random *random, size_t length)
{
	switch (random_below(random, 30)) {
	case 0:
		return 0;
	case 1:
		return length - random_below(random, length + 1);
	case 2:
		return length + random_below(random, 40);
	case 3:
		return random_below(random, 65536);
	default:
		return length;
	}
}

static void add_ipv4(Frame *frame, const Scenario *scenario, Random *random)
{
	size_t words = random_percent(random, 25) ? random_below(random, 11) : 0;
	size_t begin = frame->size;
	uint8_t *header = append(frame, 20 + words * 4);
	Aim aim = scenario_aim(scenario, random, true);
	uint8_t protocol = aim.protocol ? aim.protocol : random_protocol(random);

	header[0] = (uint8_t)(0x45 + words);
	if (random_percent(random, 2))
		header[0] = (uint8_t)(0x40 + random_below(random, 16));
	put_16(header + 4, random_below(random, 65536));
	if (random_percent(random, 8))
		put_16(header + 6, 0x2000);
	else if (random_percent(random, 5))
		put_16(header + 6, random_below(random, 65536));
	else if (random_percent(random, 30))
		put_16(header + 6, 0x4000);
	header[8] = 64;
	memcpy(header + 12, aim.source.bytes, 4);
	memcpy(header + 16, aim.destination.bytes, 4);
	if (words > 0 && random_percent(random, 50))
		random_fill(random, header + 20, words * 4);
	add_chain(frame, random, header + 9, protocol, true);
	add_transport(frame, scenario, random, &aim, protocol);
	put_16(header + 2, told_length(random, frame->size - begin));
}

static void add_ipv6(Frame *frame, const Scenario *scenario, Random *random)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t *header = append(frame, 40);
	size_t begin = frame->size;
	Aim aim = scenario_aim(scenario, random, false), mapped_aim;
	uint8_t protocol = aim.protocol ? aim.protocol : random_protocol(random);

	header[0] = 0x60;
	if (random_percent(random, 20))
		random_fill(random, header + 1, 3);
	header[7] = 64;
	memcpy(header + 8, aim.source.bytes, 16);
	memcpy(header + 24, aim.destination.bytes, 16);
	mapped_aim = scenario_aim(scenario, random, true);
	if (random_percent(random, 3)) {
		memcpy(header + 8, mapped, 12);
		memcpy(header + 20, mapped_aim.source.bytes, 4);
	}
	if (random_percent(random, 3)) {
		memcpy(header + 24, mapped, 12);
		memcpy(header + 36, mapped_aim.destination.bytes, 4);
	}
	add_chain(frame, random, header + 6, protocol, false);
	add_transport(frame, scenario, random, &aim, protocol);
	put_16(header + 4, told_length(random, frame->size - begin));
}

static void make_packet(Frame *frame, const Scenario *scenario, Random *random)
{
	static const uint16_t others[] = {0x0806, 0x8847, 0x9100, 0x88cc, 0x05dc, 0x0004, 0x86dc};

	if (random_percent(random, 3)) {
		add_ethernet(frame, scenario, random, others[random_below(random, COUNT(others))]);
		add_ipv4(frame, scenario, random);
	} else if (random_percent(random, 50)) {
		add_ethernet(frame, scenario, random, 0x0800);
		add_ipv4(frame, scenario, random);
	} else {
		add_ethernet(frame, scenario, random, 0x86dd);
		add_ipv6(frame, scenario, random);
	}
	if (random_percent(random, 15))
		append(frame, random_below(random, 40));
}

/* ---- damage ------------------------------------------------------------------------------ */

static void insert(Frame *frame, size_t at, size_t size, Random *random)
{
	if (frame->size + size > FRAME_MAX)
		return;
	memmove(frame->bytes + at + size, frame->bytes + at, frame->size - at);
	random_fill(random, frame->bytes + at, size);
	frame->size += size;
}

static void delete (Frame *frame, size_t at, size_t size)
{
	if (size > frame->size - at)
		size = frame->size - at;
	memmove(frame->bytes + at, frame->bytes + at + size, frame->size - at - size);
	frame->size -= size;
}

static void damage(Frame *frame, Random *random)
{
	/* Mostly where the headers are. */
	size_t reach = random_percent(random, 80) && frame->size > 90 ? 90 : frame->size;
	size_t at = random_below(random, reach);

	switch (random_below(random, 9)) {
	case 0:
		frame->bytes[at] ^= (uint8_t)(1 << random_below(random, 8));
		break;
	case 1:
		frame->bytes[at] = (uint8_t)random_bits(random);
		break;
	case 2:
		if (at + 2 <= frame->size)
			put_16(frame->bytes + at, nasty[random_below(random, COUNT(nasty))]);
		break;
	case 3:
		frame->bytes[at] = walked[random_below(random, COUNT(walked))];
		break;
	case 4: /* a cut anywhere */
		frame->size = at;
		break;
	case 5: /* a cut near the end */
		frame->size -= random_below(random, frame->size < 24 ? frame->size : 24);
		break;
	case 6:
		insert(frame, at, 1 + random_below(random, 12), random);
		break;
	case 7:
		delete (frame, at, 1 + random_below(random, 12));
		break;
	default:
		random_fill(random, append(frame, 8), 8);
		break;
	}
	if (frame->size < FRAME_MIN)
		append(frame, FRAME_MIN - frame->size);
}

static void make_noise(Frame *frame, Random *random)
{
	size_t size = FRAME_MIN + random_below(random, 200);

	random_fill(random, append(frame, size), size);
	if (random_percent(random, 80))
		put_16(frame->bytes + 12, random_percent(random, 50) ? 0x0800 : 0x86dd);
	if (random_percent(random, 50))
		frame->bytes[14] = frame->bytes[12] == 0x08 ? 0x45 : 0x60;
}

void frame_make(Frame *frame, const Scenario *scenario, Random *random)
{
	frame->size = 0;
	if (random_percent(random, 4))
		make_noise(frame, random);
	else
		make_packet(frame, scenario, random);
	if (random_percent(random, 35))
		for (size_t i = 1 + random_below(random, 3); i > 0; i--)
			damage(frame, random);
}
