/* SPDX-License-Identifier: MIT */
/* Denied attempts: which are told to the daemon, with what, and how often at most. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rows.h"

#define NS 1000000000ULL

/* The gate and family that a sequence is about. */
struct course {
	struct bench *bench;
	Gate *gate;
	enum spale_family family;
	struct shape shape;
	struct spale_settings settings;
};

static void begin(struct course *course, struct spale_rate rate)
{
	gate_reset(course->gate);
	course->gate->ifindex = course->bench->first;
	course->settings = gate_settings();
	course->settings.event_rate = rate;
	gate_set_settings(course->gate, &course->settings);
	course->shape = (struct shape){.protocol = IPPROTO_TCP, .port = PROTECTED_PORT};
}

static const struct spale_rate one_in_ten_seconds = {10 * NS, 10 * NS};

/* Sends a packet: what it is denied for (or not), and how many events come of it. */
static bool expect(struct course *course, const char *step, enum spale_reason reason,
		   unsigned int events)
{
	bool log_only = course->settings.flags & SPALE_LOG_ONLY;
	unsigned int before = course->gate->events_told, told;
	struct packet packet;
	Outcome outcome;

	packet_build(&packet, &course->shape, course->family);
	outcome = gate_run(course->gate, &packet);
	gate_drain(course->gate);
	told = course->gate->events_told - before;
	return check(outcome_is(&outcome, reason, log_only, 1) && told == events,
		     "%s, %s, IPv%d: expected %s and %u events, got: %s, %u events", step,
		     course->gate->name, course->family == SPALE_IPV4 ? 4 : 6, reason_text(reason),
		     events, outcome_text(&outcome), told);
}

static void says(struct course *course, const char *step, enum spale_reason reason, uint64_t count)
{
	struct spale_event expected = {
		.count = count,
		.ifindex = course->gate->ifindex,
		.port = PROTECTED_PORT,
		.protocol = course->shape.protocol,
		.reason = reason,
	};

	packet_source(&course->shape, course->family, expected.source);
	check(!memcmp(&course->gate->event, &expected, sizeof(expected)),
	      "event of %s, %s, IPv%d: count %llu", step, course->gate->name,
	      course->family == SPALE_IPV4 ? 4 : 6, (unsigned long long)course->gate->event.count);
}

/* What is dropped for lack of a grant is told, nothing else is. */
static void which(struct course *course)
{
	struct row_grant grant = {
		.present = true, .age = 100 * SECOND, .idle = SECOND, .deadline = NEVER};

	begin(course, one_in_ten_seconds);
	course->shape.port = OPEN_PORT;
	expect(course, "not protected", SPALE_REASON_UNPROTECTED, 0);
	course->shape.port = PROTECTED_PORT;
	expect(course, "denied", SPALE_REASON_DENIED, 1);
	says(course, "denied", SPALE_REASON_DENIED, 1);

	begin(course, one_in_ten_seconds);
	course->shape.protocol = IPPROTO_UDP;
	expect(course, "denied, UDP", SPALE_REASON_DENIED, 1);
	says(course, "denied, UDP", SPALE_REASON_DENIED, 1);

	begin(course, one_in_ten_seconds);
	row_put_grant(course->gate, course->bench, &grant, &course->shape, course->family);
	expect(course, "ended", SPALE_REASON_ENDED, 1);
	says(course, "ended", SPALE_REASON_ENDED, 1);

	begin(course, one_in_ten_seconds);
	grant.age = 0;
	row_put_grant(course->gate, course->bench, &grant, &course->shape, course->family);
	expect(course, "granted", SPALE_REASON_GRANTED, 0);

	begin(course, one_in_ten_seconds);
	course->settings.flags |= SPALE_LOG_ONLY;
	gate_set_settings(course->gate, &course->settings);
	expect(course, "log-only", SPALE_REASON_DENIED, 1);
	says(course, "log-only", SPALE_REASON_DENIED, 1);

	begin(course, (struct spale_rate){0});
	expect(course, "nothing wanted", SPALE_REASON_DENIED, 0);
}

/* A source is told of once in its time; what came in between is in the next event. */
static void one_source(struct course *course)
{
	struct spale_attempts attempts = {0};
	uint8_t key[16];

	begin(course, one_in_ten_seconds);
	expect(course, "first", SPALE_REASON_DENIED, 1);
	for (int i = 0; i < 5; i++)
		expect(course, "again", SPALE_REASON_DENIED, 0);

	course->shape.source4 = "192.0.2.78";
	course->shape.source6 = "2001:db8:1:2:ffff::78";
	expect(course, "a neighbour: IPv6 shares its /64's events, IPv4 doesn't",
	       SPALE_REASON_DENIED, course->family == SPALE_IPV4);
	course->shape.source4 = "192.0.3.77";
	course->shape.source6 = "2001:db8:1:3:3::77";
	expect(course, "another network", SPALE_REASON_DENIED, 1);

	/* Its time is over. */
	packet_source(&course->shape, course->family, key);
	if (course->family == SPALE_IPV6)
		memset(key + 8, 0, 8);
	attempts.count = 5;
	gate_put(course->gate->attempts, key, &attempts);
	expect(course, "after its time", SPALE_REASON_DENIED, 1);
	says(course, "after its time", SPALE_REASON_DENIED, 6);
	expect(course, "right behind", SPALE_REASON_DENIED, 0);
}

/* At most ten in any second, however many there are who try. */
static void all_sources(struct course *course)
{
	const unsigned int half = SPALE_EVENTS_MAX / 2, sources = 500;
	char source4[32], source6[48];
	struct packet packet;
	uint64_t begin_ns, passed_ns;

	begin(course, one_in_ten_seconds);
	begin_ns = clock_mono_ns();
	for (unsigned int i = 0; i < sources; i++) {
		snprintf(source4, sizeof(source4), "10.1.%u.%u", i >> 8, i & 255);
		snprintf(source6, sizeof(source6), "2001:db8:7:%x::1", i);
		course->shape.source4 = source4;
		course->shape.source6 = source6;
		packet_build(&packet, &course->shape, course->family);
		gate_shoot(course->gate, &packet);
	}
	passed_ns = clock_mono_ns() - begin_ns;
	gate_drain(course->gate);
	/* A jiffy more: the programs' clock is that coarse. */
	check(course->gate->events_told >= half &&
		      course->gate->events_told <= half + (passed_ns + NS / 100) * half / NS,
	      "events of %u sources in %llu ns, %s: %u", sources, (unsigned long long)passed_ns,
	      course->gate->name, course->gate->events_told);
}

/* In a flood most packets are not even looked at: the map of sources is left alone. */
static void flood(struct course *course)
{
	uint32_t looks = SPALE_TOTAL_LOOKS;
	uint64_t never = ~0ULL;

	begin(course, one_in_ten_seconds);
	gate_put(course->gate->totals, &looks, &never);
	expect(course, "nobody looks", SPALE_REASON_DENIED, 0);
}

void events_run(struct bench *bench)
{
	Gate *gates[] = {&bench->tc, &bench->xdp};

	for (int g = 0; g < bench->modes; g++) {
		for (int family = 0; family < SPALE_FAMILIES; family++) {
			struct course course = {bench, gates[g], family};

			which(&course);
			one_source(&course);
			all_sources(&course);
			flood(&course);
		}
	}
}
