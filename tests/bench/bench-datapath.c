/* SPDX-License-Identifier: MIT */
/*
 * What a packet costs: nanoseconds over an empty program of the same type.
 *
 * Every round runs every packet through its program and through the empty one, next to each other
 * and in alternating order, so that a change of clock frequency or a busy neighbour hits both. A
 * figure is the median over the rounds of the differences within a round. Time is the CPU time of
 * this thread around one BPF_PROG_TEST_RUN of many repetitions.
 *
 * Usage: bench-datapath [PART]: only packets whose name contains PART.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "gate.h"
#include "packet.h"
#include "renew.skel.h"

#define ROUNDS	    31
#define REPETITIONS 20000
#define WARM_UP	    1000
/* Of knocks that are taken: they fit into the ring. */
#define TAKEN 1000

/* Not in every Debian's linux/bpf.h. */
#define XDP_HAS_FRAGS (1U << 5)

enum {
	XDP,
	TC,
	KINDS,
};

static const uint8_t client[97] = {1, 2, 3};
static const uint8_t stranger[97] = {3, 2, 1};

#define UDP_PAYLOAD(bytes)                                                                         \
	.protocol = IPPROTO_UDP, .port = KNOCK_PORT, .payload = sizeof(bytes),                     \
	.payload_bytes = (bytes)

struct subject {
	const char *name;
	struct shape shape;
	enum spale_reason reason;
	unsigned int grants;
	unsigned int allowed; /* prefixes */
	double bar;	      /* nanoseconds; 0: none */
	unsigned int flags;   /* enum spale_setting_flag, besides the usual ones */
	bool renewed;	      /* the number in the knock is another one for each packet */
};

static const struct subject subjects[] = {
	{"TCP, unprotected", {.port = OPEN_PORT}, SPALE_REASON_UNPROTECTED, .bar = 6},
	{"UDP, unprotected",
	 {.port = OPEN_PORT, .protocol = IPPROTO_UDP},
	 SPALE_REASON_UNPROTECTED,
	 .bar = 6},
	{"ARP", {.ethertype = 0x0806}, SPALE_REASON_UNPROTECTED},
	{"TCP, denied", {.tcp_flags = TCP_SYN}, SPALE_REASON_DENIED, .bar = 60},
	{"TCP, denied, SYN, keep established",
	 {.tcp_flags = TCP_SYN},
	 SPALE_REASON_DENIED,
	 .flags = SPALE_KEEP_ESTABLISHED},
	{"TCP, denied, scope local",
	 {.tcp_flags = TCP_SYN},
	 SPALE_REASON_DENIED,
	 .flags = SPALE_SCOPE_LOCAL},
	{"TCP, denied, both",
	 {.tcp_flags = TCP_SYN},
	 SPALE_REASON_DENIED,
	 .flags = SPALE_KEEP_ESTABLISHED | SPALE_SCOPE_LOCAL},
	{"UDP, denied, both",
	 {.protocol = IPPROTO_UDP},
	 SPALE_REASON_DENIED,
	 .flags = SPALE_KEEP_ESTABLISHED | SPALE_SCOPE_LOCAL},
	{"TCP, granted, 1 grant", {.tcp_flags = TCP_ACK}, SPALE_REASON_GRANTED, 1, .bar = 60},
	{"TCP, granted, 1,000 grants",
	 {.tcp_flags = TCP_ACK},
	 SPALE_REASON_GRANTED,
	 1000,
	 .bar = 60},
	{"TCP, granted, 16,000 grants",
	 {.tcp_flags = TCP_ACK},
	 SPALE_REASON_GRANTED,
	 16000,
	 .bar = 60},
	{"TCP, always allowed, 1 prefix",
	 {.tcp_flags = TCP_ACK},
	 SPALE_REASON_ALLOWED,
	 .allowed = 1},
	{"TCP, always allowed, 1,000 prefixes",
	 {.tcp_flags = TCP_ACK},
	 SPALE_REASON_ALLOWED,
	 .allowed = 1000},
	{"TCP, unprotected, one VLAN tag",
	 {.tags = {VLAN}, .port = OPEN_PORT},
	 SPALE_REASON_UNPROTECTED},
	{"TCP, denied, AH", {.extensions = {EXTENSION(AH)}}, SPALE_REASON_DENIED},
	{"knock, forged", {UDP_PAYLOAD(stranger)}, SPALE_REASON_UNPROTECTED},
	{"knock, repeated", {UDP_PAYLOAD(client)}, SPALE_REASON_KNOCK_REPEATED},
	{"knock, taken", {UDP_PAYLOAD(client)}, SPALE_REASON_KNOCK, .renewed = true},
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

/* A subject on one kind of program in one family. */
struct trial {
	const struct subject *subject;
	enum spale_family family;
	Gate gate;
	struct packet packet;
	int program, empty; /* what runs: the gate's, or one that renews the packet first */
	double differences[ROUNDS];
};

static void die(const char *what, int error)
{
	fprintf(stderr, "bench-datapath: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* A program that only returns what lets a packet pass. */
static int empty_program(int kind)
{
	struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = kind == XDP ? XDP_PASS : -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	/* As libbpf loads "xdp.frags", or it could not stand in for one. */
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = kind == XDP ? XDP_HAS_FRAGS : 0,
		    .expected_attach_type = kind == XDP ? BPF_XDP : 0);
	int fd = bpf_prog_load(kind == XDP ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, "empty",
			       "GPL", code, 2, &opts);

	if (fd < 0)
		die("empty program", fd);
	return fd;
}

/* Puts the renewing program in front of PROGRAM. */
static int renewing(int kind, int program, uint32_t offset)
{
	struct renew *renew = renew__open();
	uint32_t zero = 0;
	int r;

	if (!renew)
		die("renew", errno);
	renew->rodata->offset = offset;
	bpf_program__set_autoload(kind == XDP ? renew->progs.renew_tc : renew->progs.renew_xdp,
				  false);
	r = renew__load(renew);
	if (r < 0)
		die("renew", r);
	gate_put(bpf_map__fd(renew->maps.next), &zero, &program);
	return bpf_program__fd(kind == XDP ? renew->progs.renew_xdp : renew->progs.renew_tc);
}

/* NUMBER grants, scattered; that of the packet in their middle. */
static void fill_grants(struct trial *trial, unsigned int number)
{
	struct spale_grant_key key = {
		.port = PROTECTED_PORT, .protocol = IPPROTO_TCP, .prefix_length = 128};
	struct spale_grant grant = {
		.last_mono_ns = clock_mono_ns(),
		.idle_ns = 3600 * 1000000000ULL,
		.grace_ns = SPALE_NEVER_NS,
		.deadline_mono_ns = SPALE_NEVER_NS,
	};

	for (unsigned int i = 0; i < number; i++) {
		packet_source(&trial->subject->shape, trial->family, key.source);
		if (i != number / 2) {
			key.source[12] ^= 0x40;
			key.source[14] += i >> 8;
			key.source[15] += i;
		}
		grant.counter = i == number / 2 ? GATE_GRANT_COUNTER : i;
		gate_put(trial->gate.grants, &key, &grant);
	}
}

/* NUMBER prefixes, scattered, /24 or /64; one of them the packet's. */
static void fill_allowed(struct trial *trial, unsigned int number)
{
	uint32_t one = 1;
	uint8_t source[16];

	packet_source(&trial->subject->shape, trial->family, source);
	for (unsigned int i = 0; i < number; i++) {
		struct spale_allow4_key key4 = {.prefix_length = 24};
		struct spale_allow6_key key6 = {.prefix_length = 64};
		uint16_t scatter = i * 40503;

		memcpy(key4.address, source + 12, 3);
		memcpy(key6.address, source, 8);
		key4.address[1] ^= scatter >> 8;
		key4.address[2] ^= scatter;
		key6.address[4] ^= scatter >> 8;
		key6.address[6] ^= scatter;
		if (trial->family == SPALE_IPV4)
			gate_put(trial->gate.allow4, &key4, &one);
		else
			gate_put(trial->gate.allow6, &key6, &one);
	}
}

static void set_up(struct trial *trial, int kind, const struct subject *subject,
		   enum spale_family family, int empty)
{
	struct spale_settings settings = gate_settings();
	uint32_t one = 1;
	Outcome outcome;

	*trial = (struct trial){.subject = subject, .family = family, .empty = empty};
	gate_open(&trial->gate, kind == XDP ? "XDP" : "TC", kind == XDP, SPALE_HEADER_ETHERNET);
	fill_grants(trial, subject->grants);
	fill_allowed(trial, subject->allowed);
	gate_put(trial->gate.clients, client, &one);

	settings.flags |= subject->allowed ? SPALE_ALLOW4 | SPALE_ALLOW6 : 0;
	settings.flags |= subject->flags;
	/* Limits that are looked at and never reached. */
	settings.source_rate = (struct spale_rate){1, 1ULL << 60};
	settings.total_rate[SPALE_TOTAL_ALL] = settings.source_rate;
	settings.total_rate[SPALE_TOTAL_FORMAT1] = settings.source_rate;
	settings.event_rate = (struct spale_rate){10000000000ULL, 10000000000ULL};
	gate_set_settings(&trial->gate, &settings);

	packet_build(&trial->packet, &subject->shape, family);
	trial->program = trial->gate.program;
	if (subject->reason == SPALE_REASON_KNOCK_REPEATED)
		gate_run(&trial->gate, &trial->packet);
	outcome = gate_run(&trial->gate, &trial->packet);
	if (!outcome_is(&outcome, subject->reason, false, 1)) {
		fprintf(stderr, "bench-datapath: %s: %s\n", subject->name, outcome_text(&outcome));
		exit(1);
	}
	if (subject->renewed) {
		trial->program = renewing(kind, trial->gate.program, trial->packet.l4 + 8 + 32);
		trial->empty = renewing(kind, empty, trial->packet.l4 + 8 + 32);
	}
}

static double measure(struct trial *trial, int program, int repetitions)
{
	static uint8_t frame[PACKET_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = trial->packet.bytes,
		    .data_size_in = trial->packet.length, .data_out = frame,
		    .data_size_out = sizeof(frame), .repeat = repetitions);
	double begin, end;
	int r;

	begin = cpu_ns();
	r = bpf_prog_test_run_opts(program, &opts);
	end = cpu_ns();
	if (r < 0)
		die("BPF_PROG_TEST_RUN", r);
	gate_drain(&trial->gate);
	return (end - begin) / repetitions;
}

static void run_round(struct trial *trial, int round)
{
	int first = round % 2 ? trial->program : trial->empty;
	int second = round % 2 ? trial->empty : trial->program;
	int repetitions = trial->subject->renewed ? TAKEN : REPETITIONS;
	double a, b;

	measure(trial, first, WARM_UP);
	a = measure(trial, first, repetitions);
	measure(trial, second, WARM_UP);
	b = measure(trial, second, repetitions);
	trial->differences[round] = round % 2 ? a - b : b - a;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(struct trial *trial)
{
	qsort(trial->differences, ROUNDS, sizeof(double), compare);
	return trial->differences[ROUNDS / 2];
}

/* One line of the table. Returns 1 if there is a bar and it isn't met. */
static int print_row(const struct subject *subject, enum spale_family family,
		     struct trial *trials[KINDS])
{
	double tc = median(trials[TC]), xdp = median(trials[XDP]);
	bool met = !subject->bar || (tc <= subject->bar && xdp <= subject->bar);

	printf("IPv%d  %-38s %7.1f %7.1f", family == SPALE_IPV4 ? 4 : 6, subject->name, tc, xdp);
	if (subject->bar)
		printf("   at most %2.0f: %s", subject->bar, met ? "met" : "NOT MET");
	printf("\n");
	return !met;
}

int main(int argc, char **argv)
{
	static struct trial trials[SUBJECTS][SPALE_FAMILIES][KINDS];
	int empty, rows = 0, missed = 0;
	cpu_set_t cpus = {0};

	for (int kind = 0; kind < KINDS; kind++) {
		empty = empty_program(kind);
		for (size_t i = 0; i < SUBJECTS; i++) {
			if (argc > 1 && !strstr(subjects[i].name, argv[1]))
				continue;
			for (int family = 0; family < SPALE_FAMILIES; family++)
				set_up(&trials[i][family][kind], kind, &subjects[i], family, empty);
		}
	}

	/* On one CPU; where there is but one, this fails and doesn't matter. */
	CPU_SET(1, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < SUBJECTS; i++)
			for (int family = 0; family < SPALE_FAMILIES; family++)
				for (int kind = 0; kind < KINDS; kind++)
					if (trials[i][family][kind].subject)
						run_round(&trials[i][family][kind], round);

	printf("ns per packet over an empty program            TC     XDP\n");
	for (int family = 0; family < SPALE_FAMILIES; family++) {
		for (size_t i = 0; i < SUBJECTS; i++) {
			struct trial *pair[KINDS] = {&trials[i][family][XDP],
						     &trials[i][family][TC]};

			if (!pair[TC]->subject)
				continue;
			rows++;
			missed += print_row(&subjects[i], family, pair);
		}
	}
	if (rows == 0) {
		fprintf(stderr, "bench-datapath: no packet of that name\n");
		return 1;
	}
	printf("%d bars are not met.\n", missed);
	return missed ? 1 : 0;
}
