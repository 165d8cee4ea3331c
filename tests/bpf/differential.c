/* SPDX-License-Identifier: MIT */
/*
 * The differential test: random frames go through the programs (TC and XDP, headers in one piece
 * and scattered) and through the oracle, and each disagreement about a verdict, a reason or a
 * knock is a failure.
 *
 * Frames come in rounds, each with a policy of its own and made from the seed and the round's
 * number alone, so that any round can be had again.
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "gate.h"
#include "oracle.h"
#include "random-bits.h"
#include "random-frames.h"
#include "scenario.h"
#include "util/parse.h"

#define FRAMES_PER_ROUND 2000
#define FAILURES_SHOWN	 20

/* A gate, and how frames are handed to it. */
typedef struct Runner {
	Gate gate;
	bool scattered; /* only the first bytes of a frame can be read without a helper */
	struct spale_counters counted; /* up to now */
} Runner;

typedef struct Options {
	uint64_t seed, frames, round;
	bool one_round;
} Options;

static unsigned failures;
static uint64_t reasons_seen[SPALE_REASON_COUNT];

/* ---- running ----------------------------------------------------------------------------- */

static void die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

/* The counters of this CPU, on which everything here runs. */
static struct spale_counters read_counters(const Gate *gate)
{
	static struct spale_counters *each;
	uint32_t slot = GATE_SLOT;
	int r;

	if (!each)
		each = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));
	if (!each)
		die("counters", ENOMEM);
	r = bpf_map_lookup_elem(gate->counters, &slot, each);
	if (r < 0)
		die("counters", r);
	return each[sched_getcpu()];
}

/* Runs the program on FRAME, of which LINEAR bytes lie in one piece. Returns 0 or -EINVAL. */
static int run_program(const Gate *gate, const Frame *frame, size_t linear, bool *ret_passed)
{
	struct __sk_buff skb = {.ifindex = gate->ifindex};
	struct xdp_md xdp = {.ingress_ifindex = gate->ifindex, .data_end = (__u32)linear};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes,
		    .data_size_in = (__u32)frame->size, .repeat = 1);
	int r;

	if (linear < frame->size)
		skb.data_end = (__u32)linear;
	run.ctx_in = gate->xdp ? (void *)&xdp : (void *)&skb;
	run.ctx_size_in = gate->xdp ? sizeof(xdp) : sizeof(skb);
	r = bpf_prog_test_run_opts(gate->program, &run);
	if (r < 0)
		return r;
	if (gate->xdp ? run.retval != XDP_PASS && run.retval != XDP_DROP
		      : run.retval != (uint32_t)-1 && run.retval != 2)
		die("a verdict that is neither pass nor drop", EPROTO);
	*ret_passed = run.retval == (gate->xdp ? (uint32_t)XDP_PASS : (uint32_t)-1);
	return 0;
}

/* Whether this kernel hands over frames in pieces (XDP since 6.18, TC later). */
static bool can_scatter(const Gate *gate)
{
	Frame frame = {.size = 200};
	bool passed;

	frame.bytes[12] = 0x08;
	frame.bytes[13] = 0x06;
	return run_program(gate, &frame, 40, &passed) == 0;
}

/* ---- comparing --------------------------------------------------------------------------- */

/* What the counters should be after ANSWER. */
static void count(struct spale_counters *counters, const OracleAnswer *answer)
{
	if (answer->reason == SPALE_REASON_UNPROTECTED)
		return;
	if (answer->would_drop)
		counters->would_drop[answer->reason]++;
	else
		counters->packets[answer->reason]++;
}

/* Whether the ring buffer holds the oracle's knock and nothing else. */
static bool is_record_right(Gate *gate, const OracleAnswer *answer, uint64_t begin_ns)
{
	unsigned wanted = answer->reason == SPALE_REASON_KNOCK;
	struct spale_knock record;

	gate_drain(gate);
	record = gate->record;
	if (gate->records != wanted)
		return false;
	gate->records = 0;
	if (!wanted)
		return true;
	if (record.received_mono_ns < begin_ns || record.received_mono_ns > clock_mono_ns())
		return false;
	record.received_mono_ns = 0;
	return memcmp(&record, &answer->knock, sizeof(record)) == 0;
}

static void show(const Runner *runner, const Options *options, uint64_t round, const Frame *frame,
		 const OracleAnswer *answer, const Outcome *outcome, bool record_right)
{
	if (++failures > FAILURES_SHOWN)
		return;
	printf("FAIL %s%s: --seed %llu --round %llu\n", runner->gate.name,
	       runner->scattered ? ", scattered" : "", (unsigned long long)options->seed,
	       (unsigned long long)round);
	printf("     program: %s%s\n", outcome_text(outcome),
	       record_right ? "" : ", wrong record in the ring buffer");
	printf("     oracle:  %s, %s%s\n", answer->pass ? "passed" : "dropped",
	       answer->would_drop ? "would drop for " : "", reason_text(answer->reason));
	printf("     %zu bytes:", frame->size);
	for (size_t i = 0; i < frame->size; i++)
		printf("%s%02x", i % 32 ? "" : "\n     ", frame->bytes[i]);
	printf("\n");
}

static void compare(Runner *runner, const Options *options, uint64_t round, const Frame *frame,
		    size_t linear, const OracleAnswer *answer, uint64_t begin_ns)
{
	struct spale_counters before = runner->counted, wanted = before, after;
	Outcome outcome = {0};
	uint64_t *moved = (uint64_t *)&outcome.counted;
	bool record_right = true;
	int r;

	r = run_program(&runner->gate, frame, runner->scattered ? linear : frame->size,
			&outcome.passed);
	if (r < 0)
		die("BPF_PROG_TEST_RUN", r);
	after = runner->counted = read_counters(&runner->gate);
	count(&wanted, answer);
	if (answer->reason >= SPALE_REASON_KNOCK || memcmp(&wanted, &after, sizeof(after)))
		record_right = is_record_right(&runner->gate, answer, begin_ns);
	if (outcome.passed == answer->pass && !memcmp(&wanted, &after, sizeof(after)) &&
	    record_right)
		return;

	for (size_t i = 0; i < sizeof(after) / sizeof(*moved); i++)
		moved[i] = ((uint64_t *)&after)[i] - ((uint64_t *)&before)[i];
	show(runner, options, round, frame, answer, &outcome, record_right);
}

/* ---- rounds ------------------------------------------------------------------------------ */

static void run_round(Runner *runners, size_t count_of_runners, const Options *options,
		      uint64_t round, uint64_t frames)
{
	static Scenario scenario;
	static Frame frame;
	Random random = {options->seed * 0x2545f4914f6cdd1dULL + round};

	scenario_make(&scenario, &random, runners[0].gate.ifindex);
	for (size_t i = 0; i < count_of_runners; i++)
		scenario_apply(&scenario, &runners[i].gate);

	for (uint64_t i = 0; i < frames; i++) {
		uint64_t begin_ns = clock_mono_ns();
		OracleAnswer answer;
		size_t linear;

		frame_make(&frame, &scenario, &random);
		linear = 14 + random_below(&random, frame.size - 14) + 1;
		answer = oracle_judge(&scenario.oracle, frame.bytes, frame.size);
		reasons_seen[answer.reason]++;
		for (size_t j = 0; j < count_of_runners; j++)
			compare(&runners[j], options, round, &frame, linear, &answer, begin_ns);
	}
	for (size_t i = 0; i < count_of_runners; i++)
		scenario_clear(&scenario, &runners[i].gate);
}

/* A reason that was never met was not tested. A ring buffer that is full takes a reader that
 * sleeps. */
static void check_coverage(void)
{
	for (int reason = 0; reason < SPALE_REASON_COUNT; reason++) {
		printf("     %10llu %s\n", (unsigned long long)reasons_seen[reason],
		       reason_text(reason));
		if (reasons_seen[reason] == 0 && reason != SPALE_REASON_KNOCK_RING_FULL) {
			printf("FAIL no frame met the reason %s\n", reason_text(reason));
			failures++;
		}
	}
}

/* Per-CPU counters are read for one CPU: stay on it. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity", errno);
}

static void read_options(int argc, char **argv, Options *options)
{
	static const struct option known[] = {
		{"seed", required_argument, NULL, 's'},
		{"frames", required_argument, NULL, 'f'},
		{"round", required_argument, NULL, 'r'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t *value = option == 's'	  ? &options->seed
				  : option == 'f' ? &options->frames
						  : &options->round;

		if (option == '?' || parse_u64(optarg, 0, UINT64_MAX, value) < 0) {
			fprintf(stderr,
				"usage: differential [--seed N] [--frames N] [--round N]\n");
			exit(2);
		}
		options->one_round |= option == 'r';
	}
}

int main(int argc, char **argv)
{
	static Runner runners[4];
	Options options = {.seed = 1, .frames = 1000000};
	uint64_t done = 0;
	size_t count_of_runners = 0;

	read_options(argc, argv, &options);
	stay_here();
	for (size_t i = 0; i < 4; i++) {
		Runner *runner = &runners[count_of_runners];
		bool xdp = i % 2;

		*runner = (Runner){.scattered = i >= 2};
		gate_open(&runner->gate, xdp ? "XDP" : "TC", xdp, SPALE_HEADER_ETHERNET);
		gate_empty(runner->gate.grants, sizeof(struct spale_grant_key));
		if (runner->scattered && !can_scatter(&runner->gate)) {
			gate_close(&runner->gate);
			continue;
		}
		runner->counted = read_counters(&runner->gate);
		count_of_runners++;
	}
	printf("seed %llu, through", (unsigned long long)options.seed);
	for (size_t i = 0; i < count_of_runners; i++)
		printf(" %s%s", runners[i].gate.name, runners[i].scattered ? " (scattered)" : "");
	printf("\n");

	for (uint64_t round = options.one_round ? options.round : 0; done < options.frames;
	     round++) {
		uint64_t frames = options.frames - done;

		if (frames > FRAMES_PER_ROUND)
			frames = FRAMES_PER_ROUND;
		run_round(runners, count_of_runners, &options, round, frames);
		done += frames;
		if (options.one_round)
			break;
	}
	if (!options.one_round)
		check_coverage();
	for (size_t i = 0; i < count_of_runners; i++)
		gate_close(&runners[i].gate);
	printf("%s %llu frames, %u disagreements\n", failures ? "FAIL" : "ok  ",
	       (unsigned long long)done, failures);
	return failures ? 1 : 0;
}
