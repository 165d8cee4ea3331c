/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include <string.h>

/* The rest of a packet: what is taken from the front is gone, and more than there is is not had. */
typedef struct Bytes {
	const uint8_t *at;
	size_t left;
} Bytes;

typedef struct Packet {
	OracleAddress source, destination;
	uint8_t protocol;
	bool fragmented; /* more fragments follow: not a whole datagram */
	Bytes l4;
	uint16_t destination_port;
} Packet;

/* Every way in which reading a packet can end. */
typedef enum Reading {
	READ_PORTS, /* a packet with ports: to be decided */
	READ_OTHER, /* of no concern to anybody */
	READ_FRAGMENT,
	READ_BAD_HEADER,
	READ_TRUNCATED,
	READ_VLAN_DEPTH,
	READ_HEADER_DEPTH,
	READ_MAPPED_SOURCE,
} Reading;

static const enum spale_reason reading_reasons[] = {
	[READ_OTHER] = SPALE_REASON_UNPROTECTED,
	[READ_FRAGMENT] = SPALE_REASON_FRAGMENT,
	[READ_BAD_HEADER] = SPALE_REASON_BAD_HEADER,
	[READ_TRUNCATED] = SPALE_REASON_TRUNCATED,
	[READ_VLAN_DEPTH] = SPALE_REASON_VLAN_DEPTH,
	[READ_HEADER_DEPTH] = SPALE_REASON_HEADER_DEPTH,
	[READ_MAPPED_SOURCE] = SPALE_REASON_MAPPED_SOURCE,
};

static bool take(Bytes *bytes, size_t size)
{
	if (bytes->left < size)
		return false;
	bytes->at += size;
	bytes->left -= size;
	return true;
}

static unsigned big_endian_16(const uint8_t *p)
{
	return p[0] * 256u + p[1];
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Takes the Ethernet header and its tags; *RET_TYPE is what is inside. */
static Reading read_ethernet(Bytes *bytes, unsigned *ret_type)
{
	unsigned type;

	if (bytes->left < 14)
		return READ_TRUNCATED;
	type = big_endian_16(bytes->at + 12);
	take(bytes, 14);
	for (int tags = 0; type == 0x8100 || type == 0x88a8; tags++) {
		if (tags == 2)
			return READ_VLAN_DEPTH;
		if (bytes->left < 4)
			return READ_TRUNCATED;
		type = big_endian_16(bytes->at + 2);
		take(bytes, 4);
	}
	*ret_type = type;
	return READ_PORTS;
}

/* What the length field of an IP header leaves of BYTES; LENGTH counts from their beginning. */
static void cut(Bytes *bytes, size_t length)
{
	if (length < bytes->left)
		bytes->left = length;
}

static Reading read_ipv4(Bytes bytes, Packet *packet)
{
	const uint8_t *header = bytes.at;
	size_t header_size, length;

	if (bytes.left < 20 || header[0] / 16 != 4 || header[0] % 16 < 5)
		return READ_BAD_HEADER;
	header_size = header[0] % 16 * 4u;
	length = big_endian_16(header + 2);
	if (length != 0)
		cut(&bytes, length);
	if (!take(&bytes, header_size))
		return READ_BAD_HEADER;
	if (big_endian_16(header + 6) % 0x2000 != 0)
		return READ_FRAGMENT;

	packet->fragmented = header[6] & 0x20;
	packet->protocol = header[9];
	packet->source = (OracleAddress){.ipv4 = true};
	memcpy(packet->source.bytes, header + 12, 4);
	packet->destination = (OracleAddress){.ipv4 = true};
	memcpy(packet->destination.bytes, header + 16, 4);
	packet->l4 = bytes;
	return READ_PORTS;
}

/* ::ffff:a.b.c.d, which is no host's address. */
static bool is_mapped(const uint8_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

static Reading read_ipv6(Bytes bytes, Packet *packet)
{
	const uint8_t *header = bytes.at;
	size_t length;

	if (bytes.left < 40 || header[0] / 16 != 6)
		return READ_BAD_HEADER;
	if (is_mapped(header + 8))
		return READ_MAPPED_SOURCE;
	length = big_endian_16(header + 4);
	take(&bytes, 40);
	if (length != 0)
		cut(&bytes, length);

	packet->protocol = header[6];
	packet->source = (OracleAddress){0};
	memcpy(packet->source.bytes, header + 8, 16);
	packet->destination = (OracleAddress){0};
	memcpy(packet->destination.bytes, header + 24, 16);
	packet->l4 = bytes;
	return READ_PORTS;
}

/* Whether PROTOCOL is a header between the network's and the transport's. */
static bool is_walked(uint8_t protocol, bool ipv4)
{
	static const uint8_t walked[] = {0, 43, 44, 51, 60, 135, 139, 140};

	if (ipv4)
		return protocol == 51;
	return memchr(walked, protocol, sizeof(walked)) != NULL;
}

/* Takes the headers in front of the transport's, up to eight. */
static Reading read_chain(Packet *packet)
{
	for (int headers = 0; is_walked(packet->protocol, packet->source.ipv4); headers++) {
		const uint8_t *header = packet->l4.at;
		size_t size;

		if (headers == 8)
			return READ_HEADER_DEPTH;
		if (packet->l4.left < 8)
			return READ_TRUNCATED;
		if (packet->protocol == 44)
			size = 8;
		else if (packet->protocol == 51)
			size = (header[1] + 2u) * 4;
		else
			size = (header[1] + 1u) * 8;
		if (packet->protocol == 44) {
			if (big_endian_16(header + 2) / 8 != 0)
				return READ_FRAGMENT;
			packet->fragmented |= header[3] & 1;
		}
		packet->protocol = header[0];
		if (!take(&packet->l4, size))
			return READ_TRUNCATED;
	}
	return READ_PORTS;
}

static Reading read_packet(Bytes frame, Packet *packet)
{
	unsigned type = 0;
	Reading reading;

	*packet = (Packet){0};
	reading = read_ethernet(&frame, &type);
	if (reading != READ_PORTS)
		return reading;
	if (type != 0x0800 && type != 0x86dd)
		return READ_OTHER;

	reading = type == 0x0800 ? read_ipv4(frame, packet) : read_ipv6(frame, packet);
	if (reading == READ_PORTS)
		reading = read_chain(packet);
	if (reading != READ_PORTS)
		return reading;

	switch (packet->protocol) {
	case 6:	  /* TCP */
	case 17:  /* UDP */
	case 33:  /* DCCP */
	case 132: /* SCTP */
	case 136: /* UDP-Lite */
		if (packet->l4.left < 4)
			return READ_TRUNCATED;
		packet->destination_port = (uint16_t)big_endian_16(packet->l4.at + 2);
		return READ_PORTS;
	default: /* an outsider's number, no enumeration of ours */
		return READ_OTHER;
	}
}

/* ---- deciding ---------------------------------------------------------------------------- */

static bool same(const OracleAddress *a, const OracleAddress *b)
{
	return a->ipv4 == b->ipv4 && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool within(const OracleAddress *address, const OraclePrefix *prefix)
{
	if (address->ipv4 != prefix->address.ipv4)
		return false;
	for (unsigned bit = 0; bit < prefix->length; bit++) {
		uint8_t differs = address->bytes[bit / 8] ^ prefix->address.bytes[bit / 8];

		if (differs & 0x80 >> bit % 8)
			return false;
	}
	return true;
}

static bool is_link_local(const OracleAddress *address)
{
	if (address->ipv4)
		return address->bytes[0] == 169 && address->bytes[1] == 254;
	return address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

/* Whether the packet may start a conversation. */
static bool starts(const Packet *packet)
{
	if (packet->protocol != 6)
		return true;
	return packet->l4.left >= 14 && (packet->l4.at[13] & 0x12) == 0x02;
}

/* Whether NOW lies before BEGIN + SPAN. */
static bool is_before(uint64_t now, uint64_t begin, uint64_t span)
{
	return span == SPALE_NEVER_NS || now < begin || now - begin < span;
}

/* Step 3. SPALE_REASON_DENIED: there is no grant; SPALE_REASON_ENDED: none that passes it. */
static enum spale_reason ask_grants(Oracle *oracle, const Packet *packet)
{
	const unsigned *lengths = packet->source.ipv4 ? oracle->lengths4 : oracle->lengths6;
	uint32_t ifindex = is_link_local(&packet->source) ? oracle->ifindex : 0;
	enum spale_reason reason = SPALE_REASON_DENIED;

	for (size_t i = 0; i < SPALE_MASKS && lengths[i] != 0; i++) {
		for (size_t j = 0; j < oracle->grant_count; j++) {
			OracleGrant *grant = &oracle->grants[j];

			if (grant->source.length != lengths[i] || grant->ifindex != ifindex ||
			    grant->protocol != packet->protocol ||
			    grant->port != packet->destination_port ||
			    !within(&packet->source, &grant->source))
				continue;
			reason = SPALE_REASON_ENDED;
			if (grant->deadline_ns != SPALE_NEVER_NS &&
			    oracle->now_ns >= grant->deadline_ns)
				continue;
			if (is_before(oracle->now_ns, grant->last_ns, grant->idle_ns))
				return SPALE_REASON_GRANTED;
			if (is_before(oracle->now_ns, grant->last_ns, grant->grace_ns) &&
			    starts(packet)) {
				grant->last_ns = oracle->now_ns;
				return SPALE_REASON_GRACE;
			}
		}
	}
	return reason;
}

/* Whether a frame for DESTINATION goes to others only. */
static bool is_for_others(const Oracle *oracle, const uint8_t *destination)
{
	if (!oracle->asks || destination[0] % 2 != 0)
		return false;
	for (size_t i = 0; i < ORACLE_STATIONS; i++)
		if (memcmp(oracle->stations[i], destination, 6) == 0)
			return false;
	return true;
}

/* The payload of a knock, or NULL: it is none, and goes on as if no knock port existed. */
static const uint8_t *knock_of(const Oracle *oracle, const Packet *packet)
{
	const uint8_t *udp = packet->l4.at, *payload = udp + 8;
	bool taken = packet->destination.ipv4 ? oracle->knock_any4 : oracle->knock_any6;

	if (packet->protocol != 17 || !oracle->knock_ports[packet->destination_port])
		return NULL;
	if (!packet->destination.ipv4 && is_mapped(packet->destination.bytes))
		return NULL;
	if (packet->fragmented || packet->l4.left < 8 + 97 || big_endian_16(udp + 4) != 8 + 97)
		return NULL;
	for (size_t i = 0; i < oracle->knock_address_count; i++)
		taken |= same(&oracle->knock_addresses[i], &packet->destination);
	if (!taken || !oracle->format1)
		return NULL;
	for (size_t i = 0; i < oracle->client_count; i++)
		if (memcmp(oracle->clients[i], payload, 32) == 0)
			return payload;
	return NULL;
}

/* Whether the source has a token left; uses it up. */
static bool take_source_token(Oracle *oracle, const OracleAddress *source)
{
	OracleAddress network = *source;
	OracleBucket *bucket = NULL;

	if (oracle->source_tokens == ORACLE_UNLIMITED)
		return true;
	if (!network.ipv4)
		memset(network.bytes + 8, 0, 8);
	for (size_t i = 0; i < oracle->bucket_count; i++)
		if (same(&oracle->buckets[i].source, &network))
			bucket = &oracle->buckets[i];
	if (!bucket) {
		bucket = &oracle->buckets[oracle->bucket_count++];
		*bucket = (OracleBucket){.source = network};
	}
	if (bucket->used >= oracle->source_tokens)
		return false;
	bucket->used++;
	return true;
}

static enum spale_reason judge_knock(Oracle *oracle, const Packet *packet, const uint8_t *payload)
{
	OracleSeen *seen;

	for (size_t i = 0; i < oracle->seen_count; i++) {
		seen = &oracle->seen[i];
		if (same(&seen->source, &packet->source) &&
		    memcmp(seen->datagram, payload, sizeof(seen->datagram)) == 0)
			return SPALE_REASON_KNOCK_REPEATED;
	}
	if (!take_source_token(oracle, &packet->source))
		return SPALE_REASON_KNOCK_SOURCE_RATE;
	if (oracle->total_tokens != ORACLE_UNLIMITED &&
	    oracle->total_used++ >= oracle->total_tokens)
		return SPALE_REASON_KNOCK_TOTAL_RATE;

	seen = &oracle->seen[oracle->seen_count++];
	seen->source = packet->source;
	memcpy(seen->datagram, payload, sizeof(seen->datagram));
	return SPALE_REASON_KNOCK;
}

/* The 16-byte form in which addresses leave the kernel. */
static void write_address(const OracleAddress *address, uint8_t *out)
{
	if (!address->ipv4) {
		memcpy(out, address->bytes, 16);
		return;
	}
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, address->bytes, 4);
}

static void write_knock(const Oracle *oracle, const Packet *packet, const uint8_t *payload,
			struct spale_knock *knock)
{
	write_address(&packet->source, knock->source);
	write_address(&packet->destination, knock->destination);
	knock->ifindex = oracle->ifindex;
	knock->source_port = (uint16_t)big_endian_16(packet->l4.at);
	knock->destination_port = packet->destination_port;
	knock->length = 97;
	knock->format = 1;
	memcpy(knock->data, payload, 97);
}

static enum spale_reason decide(Oracle *oracle, const Packet *packet, bool is_ours,
				struct spale_knock *knock)
{
	const uint8_t *payload = is_ours ? knock_of(oracle, packet) : NULL;
	enum spale_reason reason;

	if (payload) {
		reason = judge_knock(oracle, packet, payload);
		if (reason == SPALE_REASON_KNOCK)
			write_knock(oracle, packet, payload, knock);
		return reason;
	}
	if (!oracle->protected_ports[packet->protocol][packet->destination_port])
		return SPALE_REASON_UNPROTECTED;
	reason = ask_grants(oracle, packet);
	if (reason == SPALE_REASON_GRANTED || reason == SPALE_REASON_GRACE)
		return reason;
	for (size_t i = 0; i < oracle->allowed_count; i++)
		if (within(&packet->source, &oracle->allowed[i]))
			return SPALE_REASON_ALLOWED;
	return reason;
}

OracleAnswer oracle_judge(Oracle *oracle, const uint8_t *frame, size_t size)
{
	OracleAnswer answer = {0};
	Packet packet;
	Reading reading = read_packet((Bytes){frame, size}, &packet);
	bool is_knock, is_ours = size < 6 || !is_for_others(oracle, frame);

	if (reading == READ_PORTS)
		answer.reason = decide(oracle, &packet, is_ours, &answer.knock);
	else
		answer.reason = reading_reasons[reading];

	is_knock = answer.reason >= SPALE_REASON_KNOCK;
	answer.pass = answer.reason <= SPALE_REASON_ALLOWED;
	if (!answer.pass && !is_knock && !is_ours) {
		answer.reason = SPALE_REASON_OTHER_STATION;
		answer.pass = true;
	}
	if (!answer.pass && !is_knock && oracle->log_only)
		answer.pass = answer.would_drop = true;
	return answer;
}
