/* SPDX-License-Identifier: MIT */
/* What happens to knocks one after the other: repetitions, limits, a full ring, other hosts'. */
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "rows.h"

/* Sender, enc, ciphertext: the packet path looks at their places only. */
#define TIMES16(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
#define SENDER	   TIMES16(0x51), TIMES16(0x52)
#define REST	   TIMES16(0x61), TIMES16(0x62), TIMES16(0x71), TIMES16(0x72), 0x73

const uint8_t knock_payload[97] = {SENDER, REST};
const uint8_t knock_stranger[97] = {TIMES16(0x51), [16 ... 30] = 0x52, [31] = 0x53,
				    [32 ... 96] = 0x61};
const uint8_t knock_long[1200] = {SENDER, REST};

#define NS 1000000000ULL

/* The gate and family that a sequence is about, and what it is called. */
struct course {
	struct bench *bench;
	Gate *gate;
	enum spale_family family;
	uint8_t payload[97];
	struct shape shape;
	struct spale_settings settings;
};

static void begin(struct course *course)
{
	uint32_t one = 1;

	gate_reset(course->gate);
	gate_put(course->gate->clients, knock_payload, &one);
	course->gate->ifindex = course->bench->first;
	course->settings = gate_settings();
	memcpy(course->payload, knock_payload, sizeof(course->payload));
	course->shape = (struct shape){.protocol = IPPROTO_UDP,
				       .port = KNOCK_PORT,
				       .payload = sizeof(course->payload),
				       .payload_bytes = course->payload};
}

static bool expect(struct course *course, const char *step, enum spale_reason reason)
{
	unsigned int before = course->gate->records;
	struct packet packet;
	Outcome outcome;

	packet_build(&packet, &course->shape, course->family);
	outcome = gate_run(course->gate, &packet);
	gate_drain(course->gate);
	return check(outcome_is(&outcome, reason, false, 1) &&
			     course->gate->records - before == (reason == SPALE_REASON_KNOCK),
		     "%s, %s, IPv%d: expected %s, got: %s, %u knocks", step, course->gate->name,
		     course->family == SPALE_IPV4 ? 4 : 6, reason_text(reason),
		     outcome_text(&outcome), course->gate->records - before);
}

/* Another datagram: a number in enc. */
static void renew(struct course *course)
{
	for (int i = 32; i < 40 && ++course->payload[i] == 0; i++)
		;
}

static void record(struct course *course)
{
	const struct spale_knock *knock = &course->gate->record;
	struct spale_knock expected = {
		.ifindex = course->bench->first,
		.source_port = 54321,
		.destination_port = KNOCK_PORT,
		.length = 97,
		.format = 1,
	};
	uint64_t before;

	begin(course);
	course->shape.source_port = 54321;
	before = clock_mono_ns();
	if (!expect(course, "knock", SPALE_REASON_KNOCK))
		return;

	packet_source(&course->shape, course->family, expected.source);
	packet_destination(&course->shape, course->family, expected.destination);
	memcpy(expected.data, course->payload, sizeof(course->payload));
	check(knock->received_mono_ns >= before && knock->received_mono_ns <= clock_latest_ns(),
	      "time of a knock, %s", course->gate->name);
	expected.received_mono_ns = knock->received_mono_ns;
	check(!memcmp(knock, &expected, sizeof(expected)), "record of a knock, %s, IPv%d",
	      course->gate->name, course->family == SPALE_IPV4 ? 4 : 6);
}

static void repetitions(struct course *course)
{
	begin(course);
	expect(course, "first", SPALE_REASON_KNOCK);
	expect(course, "again", SPALE_REASON_KNOCK_REPEATED);
	course->shape.source_port = 1234;
	expect(course, "again from another port", SPALE_REASON_KNOCK_REPEATED);
	course->shape.port = SHARED_PORT;
	expect(course, "again to another port", SPALE_REASON_KNOCK_REPEATED);
	for (int i = 32; i < 97; i++) {
		course->payload[i] ^= 1;
		expect(course, "a bit of what is sealed changed", SPALE_REASON_KNOCK);
	}
	expect(course, "the last one again", SPALE_REASON_KNOCK_REPEATED);
	course->shape.source4 = "192.0.2.78";
	course->shape.source6 = "2001:db8:1:2:3::78";
	expect(course, "from elsewhere", SPALE_REASON_KNOCK);
	expect(course, "from elsewhere again", SPALE_REASON_KNOCK_REPEATED);
}

/* Settings under which a knock is none, and the addresses that take knocks. */
static void addresses(struct course *course)
{
	uint32_t any = course->family == SPALE_IPV4 ? SPALE_KNOCK_ANY4 : SPALE_KNOCK_ANY6;
	uint8_t address[16];
	uint32_t one = 1;

	begin(course);
	course->settings.flags &= ~SPALE_KNOCK_FORMAT1;
	gate_set_settings(course->gate, &course->settings);
	expect(course, "format 1 not taken", SPALE_REASON_UNPROTECTED);
	course->shape.port = SHARED_PORT;
	expect(course, "format 1 not taken, shared port", SPALE_REASON_DENIED);

	begin(course);
	course->settings.flags &= ~any;
	gate_set_settings(course->gate, &course->settings);
	expect(course, "address not listed", SPALE_REASON_UNPROTECTED);
	course->shape.port = SHARED_PORT;
	expect(course, "address not listed, shared port", SPALE_REASON_DENIED);
	course->shape.port = KNOCK_PORT;
	packet_source(&course->shape, course->family, address);
	gate_put(course->gate->knock_addrs, address, &one);
	expect(course, "source listed", SPALE_REASON_UNPROTECTED);
	packet_destination(&course->shape, course->family, address);
	gate_put(course->gate->knock_addrs, address, &one);
	expect(course, "address listed", SPALE_REASON_KNOCK);
}

/* A gateway: what is for a host behind it is not for us. Interfaces: see tests/bpf/run. */
static void forwarded(struct course *course)
{
	begin(course);
	course->shape.destination4 = "203.0.113.5";
	course->shape.destination6 = "2001:db8:fff0::5";
	expect(course, "to be forwarded", SPALE_REASON_UNPROTECTED);
	course->shape.port = SHARED_PORT;
	expect(course, "to be forwarded, shared port", SPALE_REASON_DENIED);
	course->gate->ifindex = course->bench->second;
	expect(course, "received where nothing is forwarded", SPALE_REASON_KNOCK);

	begin(course);
	course->shape.destination4 = "255.255.255.255";
	course->shape.destination6 = "ff02::1";
	expect(course, "to everybody", SPALE_REASON_KNOCK);
	renew(course);
	course->shape.destination4 = "192.168.77.7";
	course->shape.destination6 = "2001:db8:dead::7";
	expect(course, "to where no route leads", SPALE_REASON_KNOCK);
}

static void source_rate(struct course *course)
{
	begin(course);
	course->settings.source_rate = (struct spale_rate){10 * NS, 30 * NS};
	gate_set_settings(course->gate, &course->settings);
	for (int i = 0; i < 3; i++, renew(course))
		expect(course, "within the burst", SPALE_REASON_KNOCK);
	for (int i = 0; i < 3; i++)
		expect(course, "beyond the burst", SPALE_REASON_KNOCK_SOURCE_RATE);
	course->payload[32]--;
	expect(course, "repeated, bucket empty", SPALE_REASON_KNOCK_REPEATED);
	renew(course);

	course->shape.source4 = "192.0.2.78";
	course->shape.source6 = "2001:db8:1:2:ffff::78";
	expect(course, "a neighbour: IPv6 shares its /64's bucket, IPv4 doesn't",
	       course->family == SPALE_IPV4 ? SPALE_REASON_KNOCK : SPALE_REASON_KNOCK_SOURCE_RATE);
	renew(course);
	course->shape.source4 = "192.0.3.77";
	course->shape.source6 = "2001:db8:1:3:3::77";
	expect(course, "another network", SPALE_REASON_KNOCK);

	begin(course);
	course->settings.source_rate = (struct spale_rate){10 * NS, 10 * NS - 1};
	gate_set_settings(course->gate, &course->settings);
	expect(course, "a bucket that holds no token", SPALE_REASON_KNOCK_SOURCE_RATE);
}

static uint64_t bucket_value(struct course *course)
{
	uint8_t key[16];
	uint64_t value = 0;

	packet_source(&course->shape, course->family, key);
	if (course->family == SPALE_IPV6)
		memset(key + 8, 0, 8);
	bpf_map_lookup_elem(course->gate->buckets, key, &value);
	return value;
}

static void set_bucket(struct course *course, uint64_t value)
{
	uint8_t key[16];

	packet_source(&course->shape, course->family, key);
	if (course->family == SPALE_IPV6)
		memset(key + 8, 0, 8);
	gate_put(course->gate->buckets, key, &value);
}

/* A bucket is the time at which it is full again. */
static void arithmetic(struct course *course)
{
	uint64_t before, value;

	begin(course);
	course->settings.source_rate = (struct spale_rate){10 * NS, 30 * NS};
	gate_set_settings(course->gate, &course->settings);

	before = clock_mono_ns();
	expect(course, "new bucket", SPALE_REASON_KNOCK);
	value = bucket_value(course);
	check(value >= before + 10 * NS && value <= clock_latest_ns() + 10 * NS,
	      "a new bucket begins full, %s", course->gate->name);
	renew(course);
	expect(course, "second", SPALE_REASON_KNOCK);
	check(bucket_value(course) == value + 10 * NS, "a token is an interval, %s",
	      course->gate->name);

	set_bucket(course, clock_mono_ns() + 20 * NS);
	renew(course);
	expect(course, "room for exactly one", SPALE_REASON_KNOCK);
	value = clock_mono_ns() + 25 * NS;
	set_bucket(course, value);
	renew(course);
	expect(course, "room for half of one", SPALE_REASON_KNOCK_SOURCE_RATE);
	check(bucket_value(course) == value, "a refusal takes nothing, %s", course->gate->name);
	set_bucket(course, 1);
	before = clock_mono_ns();
	expect(course, "full since long ago", SPALE_REASON_KNOCK);
	check(bucket_value(course) >= before + 10 * NS, "no more than full, %s",
	      course->gate->name);
	set_bucket(course, ~0ULL);
	renew(course);
	expect(course, "full at the end of time", SPALE_REASON_KNOCK_SOURCE_RATE);
}

static uint64_t total(struct course *course, uint32_t which)
{
	uint64_t value = 0;

	bpf_map_lookup_elem(course->gate->totals, &which, &value);
	return value;
}

static void total_rates(struct course *course)
{
	uint64_t before;

	for (uint32_t which = 0; which < SPALE_TOTALS; which++) {
		begin(course);
		course->settings.total_rate[which] = (struct spale_rate){10 * NS, 30 * NS};
		gate_set_settings(course->gate, &course->settings);
		for (int i = 0; i < 3; i++, renew(course))
			expect(course, "within the total's burst", SPALE_REASON_KNOCK);
		expect(course, "beyond the total's burst", SPALE_REASON_KNOCK_TOTAL_RATE);
		course->shape.source4 = "10.9.8.7";
		course->shape.source6 = "2001:db8:9::7";
		expect(course, "beyond the total's burst, from elsewhere",
		       SPALE_REASON_KNOCK_TOTAL_RATE);
		check(total(course, !which) == 0, "a bucket without a limit is left alone, %s",
		      course->gate->name);
	}

	/* One source's flood takes nothing from the others. */
	begin(course);
	course->settings.source_rate = (struct spale_rate){10 * NS, 10 * NS};
	course->settings.total_rate[SPALE_TOTAL_ALL] = (struct spale_rate){10 * NS, 30 * NS};
	course->settings.total_rate[SPALE_TOTAL_FORMAT1] = (struct spale_rate){10 * NS, 30 * NS};
	gate_set_settings(course->gate, &course->settings);
	expect(course, "all limits", SPALE_REASON_KNOCK);
	before = total(course, SPALE_TOTAL_ALL) + total(course, SPALE_TOTAL_FORMAT1);
	for (int i = 0; i < 5; i++) {
		renew(course);
		expect(course, "a source's flood", SPALE_REASON_KNOCK_SOURCE_RATE);
	}
	check(before == total(course, SPALE_TOTAL_ALL) + total(course, SPALE_TOTAL_FORMAT1),
	      "a source's flood took from the totals, %s", course->gate->name);
}

/* What a full ring refused is not remembered: sent again, it arrives. */
static void full_ring(struct course *course)
{
	unsigned int taken = 0;
	struct packet packet;
	Outcome outcome;

	begin(course);
	do {
		renew(course);
		packet_build(&packet, &course->shape, course->family);
		outcome = gate_run(course->gate, &packet);
	} while (outcome_is(&outcome, SPALE_REASON_KNOCK, false, 1) && ++taken < 10000);
	check(outcome_is(&outcome, SPALE_REASON_KNOCK_RING_FULL, false, 1),
	      "expected a full ring, got: %s", outcome_text(&outcome));
	check(taken == SPALE_KNOCKS_RING / (sizeof(struct spale_knock) + 8), "the ring took %u",
	      taken);

	gate_drain(course->gate);
	check(course->gate->records == taken, "the ring gave %u of %u", course->gate->records,
	      taken);
	expect(course, "the refused one again", SPALE_REASON_KNOCK);
	expect(course, "and once more", SPALE_REASON_KNOCK_REPEATED);
}

/* Two CPUs get the same new knocks at the same time. */
#define RACES 1000

struct racer {
	struct course *course;
	pthread_barrier_t *barrier;
	int cpu;
};

static void *race(void *argument)
{
	struct racer *racer = argument;
	struct course course = *racer->course;
	struct packet packet;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(racer->cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	course.shape.payload_bytes = course.payload;
	for (int i = 0; i < RACES; i++) {
		renew(&course);
		packet_build(&packet, &course.shape, course.family);
		pthread_barrier_wait(racer->barrier);
		gate_shoot(course.gate, &packet);
	}
	return NULL;
}

/* Each is handed up once, whoever is first. */
static void races(struct course *course)
{
	struct spale_counters before, counted;
	pthread_barrier_t barrier;
	struct racer racers[2];
	pthread_t threads[2];

	begin(course);
	gate_counters(course->gate, &before);
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 2; i++) {
		racers[i] = (struct racer){course, &barrier, i};
		if (pthread_create(&threads[i], NULL, race, &racers[i]))
			abort();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	gate_drain(course->gate);

	counted = gate_counted(course->gate, &before);
	check(counted.packets[SPALE_REASON_KNOCK] == RACES &&
		      counted.packets[SPALE_REASON_KNOCK_REPEATED] == RACES &&
		      course->gate->records == RACES,
	      "knocks on two CPUs, %s: %llu taken, %llu repeated, %u handed up", course->gate->name,
	      (unsigned long long)counted.packets[SPALE_REASON_KNOCK],
	      (unsigned long long)counted.packets[SPALE_REASON_KNOCK_REPEATED],
	      course->gate->records);
}

void knocks_run(struct bench *bench)
{
	Gate *gates[] = {&bench->tc, &bench->xdp};

	for (int g = 0; g < bench->modes; g++) {
		for (int family = 0; family < SPALE_FAMILIES; family++) {
			struct course course = {bench, gates[g], family};

			record(&course);
			repetitions(&course);
			addresses(&course);
			forwarded(&course);
			source_rate(&course);
			arithmetic(&course);
			total_rates(&course);
			full_ring(&course);
			races(&course);
			gates[g]->ifindex = bench->first;
		}
	}
}
