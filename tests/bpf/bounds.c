/* SPDX-License-Identifier: MIT */
/* Packets that end at any byte, by the frame and by the length field, and headers far behind. */
#include <netinet/in.h>
#include <string.h>

#include "rows.h"

#define X EXTENSION

static const struct {
	const char *name;
	struct shape shape;
	unsigned int only;
} wholes[] = {
	{"plain", {.tcp_flags = TCP_SYN}, BOTH},
	{"UDP", {.protocol = IPPROTO_UDP, .payload = 8}, BOTH},
	{"one tag", {.tags = {VLAN}}, BOTH},
	{"two tags", {.tags = {QINQ, VLAN}}, BOTH},
	{"options", {.option_words = 6}, ONLY_IPV4},
	{"AH", {.extensions = {X(AH), {.present = 1, .type = AH, .units = 4}}}, BOTH},
	{"extensions",
	 {.extensions = {X(HOP_BY_HOP), {.present = 1, .type = ROUTING, .units = 2}, X(FRAGMENT)}},
	 ONLY_IPV6},
};

/* Where the header of the family ends for sure. */
static size_t header_end(const struct packet *packet, const struct shape *shape,
			 enum spale_family family)
{
	if (family == SPALE_IPV6)
		return packet->l3 + 40;
	return packet->l3 + 20 + 4 * shape->option_words;
}

/* BPF_PROG_TEST_RUN wants a whole IP header in TC, where the EtherType says that there is one. */
static size_t shortest(const Gate *gate, const struct shape *shape, enum spale_family family)
{
	if (gate->xdp || shape->tags[0])
		return 14;
	return family == SPALE_IPV4 ? 14 + 20 : 14 + 40;
}

static void cut_everywhere(Gate *gate, const char *name, const struct shape *shape,
			   enum spale_family family)
{
	enum spale_reason reason;
	struct packet packet;
	Outcome outcome;

	packet_build(&packet, shape, family);
	for (size_t whole = packet.length, cut = shortest(gate, shape, family); cut <= whole;
	     cut++) {
		if (cut < packet.l3)
			reason = SPALE_REASON_TRUNCATED;
		else if (cut < header_end(&packet, shape, family))
			reason = SPALE_REASON_BAD_HEADER;
		else if (cut < packet.l4 + 4)
			reason = SPALE_REASON_TRUNCATED;
		else
			reason = SPALE_REASON_DENIED;

		packet.length = cut;
		outcome = gate_run(gate, &packet);
		check(outcome_is(&outcome, reason, false, 1),
		      "%s cut to %zu bytes, %s, IPv%d: expected %s, got: %s", name, cut, gate->name,
		      family == SPALE_IPV4 ? 4 : 6, reason_text(reason), outcome_text(&outcome));
	}
}

/* All values that the length field can have up to the true one, and some beyond. */
static void every_length(Gate *gate, const char *name, struct shape shape, enum spale_family family)
{
	enum spale_reason reason;
	struct packet packet;
	size_t headers, whole;
	Outcome outcome;

	packet_build(&packet, &shape, family);
	whole = packet.length - packet.l3;
	/* Where the field counts from, and how much of the header it counts. */
	headers = family == SPALE_IPV4 ? header_end(&packet, &shape, family) - packet.l3 : 0;
	shape.has_length = true;
	for (size_t length = 0; length <= whole + 40; length++) {
		size_t ports_end = packet.l4 + 4 - packet.l3 - (family == SPALE_IPV6 ? 40 : 0);

		if (length == 0 || length >= ports_end)
			reason = SPALE_REASON_DENIED;
		else
			reason =
				length < headers ? SPALE_REASON_BAD_HEADER : SPALE_REASON_TRUNCATED;

		shape.length = length;
		packet_build(&packet, &shape, family);
		outcome = gate_run(gate, &packet);
		check(outcome_is(&outcome, reason, false, 1),
		      "%s, length field %zu, %s, IPv%d: expected %s, got: %s", name, length,
		      gate->name, family == SPALE_IPV4 ? 4 : 6, reason_text(reason),
		      outcome_text(&outcome));
	}
}

/*
 * L4 at every offset around the end of an XDP frame's first buffer (a page less head- and
 * tailroom), so that headers lie before, behind and across it. In TC, BPF_PROG_TEST_RUN takes no
 * frames of more than a buffer; devices_run() has such.
 */
static void far_headers(const struct bench *bench, Gate *gate)
{
	static const struct row_grant grace = {true, 10 * SECOND, 5 * SECOND, NEVER, NEVER};
	struct shape shape = {
		.extensions = {{.present = 1, .type = DESTINATION, .units = 255},
			       {.present = 1, .type = ROUTING}},
		.payload = 1000,
	};
	struct packet packet;
	Outcome outcome;

	for (unsigned int units = 80; units < 256; units++) {
		shape.extensions[1].units = units;
		gate_reset(gate);
		packet_build(&packet, &shape, SPALE_IPV6);
		outcome = gate_run(gate, &packet);
		check(outcome_is(&outcome, SPALE_REASON_DENIED, false, 1),
		      "ports at %zu, %s: expected denied, got: %s", packet.l4, gate->name,
		      outcome_text(&outcome));

		row_put_grant(gate, bench, &grace, &shape, SPALE_IPV6);
		outcome = gate_run(gate, &packet);
		check(outcome_is(&outcome, SPALE_REASON_GRACE, false, 1),
		      "SYN at %zu, %s: expected grace, got: %s", packet.l4, gate->name,
		      outcome_text(&outcome));
	}
}

void bounds_run(struct bench *bench)
{
	Gate *gates[] = {&bench->tc, &bench->xdp};

	for (size_t i = 0; i < sizeof(wholes) / sizeof(wholes[0]); i++) {
		for (int family = 0; family < SPALE_FAMILIES; family++) {
			if (wholes[i].only & ONLY_IPV4 && family != SPALE_IPV4)
				continue;
			if (wholes[i].only & ONLY_IPV6 && family != SPALE_IPV6)
				continue;
			for (int g = 0; g < bench->modes; g++) {
				gate_reset(gates[g]);
				cut_everywhere(gates[g], wholes[i].name, &wholes[i].shape, family);
				every_length(gates[g], wholes[i].name, wholes[i].shape, family);
			}
		}
	}
	if (bench->modes > 1)
		far_headers(bench, &bench->xdp);
}
