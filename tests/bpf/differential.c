/* SPDX-License-Identifier: MIT */
/*
 * The differential test: random frames go through the programs and through the oracle, and each
 * disagreement about a verdict, a reason or a knock is a failure.
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

#include "gate.h"
#include "oracle.h"
#include "random-bits.h"
#include "random-frames.h"
#include "runner.h"
#include "scenario.h"
#include "util/parse.h"

#define FRAMES_PER_ROUND 2000
#define FAILURES_SHOWN	 20

typedef struct Options {
	uint64_t seed, frames, round;
	bool one_round;
} Options;

/* Where we are: what to say so that somebody else gets there too. */
typedef struct Place {
	uint64_t seed, round;
} Place;

static const struct {
	bool xdp;
	Manner manner;
} ways[] = {
	{false, MANNER_WHOLE}, {true, MANNER_WHOLE},   {false, MANNER_METADATA},
	{true, MANNER_PIECES}, {false, MANNER_PIECES},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static Runner runners[WAYS];
static size_t runner_count;
static unsigned failures;
static uint64_t reasons_seen[SPALE_REASON_COUNT];

/* Whether the ring buffer holds the oracle's knock and nothing else. */
static bool is_record_right(Gate *gate, const OracleAnswer *answer, uint64_t begin_ns)
{
	unsigned wanted = answer->reason == SPALE_REASON_KNOCK;
	struct spale_knock record;

	gate->records = 0;
	gate_drain(gate);
	if (gate->records != wanted)
		return false;
	if (!wanted)
		return true;
	record = gate->record;
	if (record.received_mono_ns < begin_ns || record.received_mono_ns > clock_latest_ns())
		return false;
	record.received_mono_ns = 0;
	return memcmp(&record, &answer->knock, sizeof(record)) == 0;
}

static void show(const Runner *runner, const Place *place, const Frame *frame, size_t linear,
		 const OracleAnswer *answer, const Outcome *outcome, bool record_right)
{
	if (++failures > FAILURES_SHOWN)
		return;
	printf("FAIL %s: --seed %llu --round %llu\n", runner_name(runner),
	       (unsigned long long)place->seed, (unsigned long long)place->round);
	printf("     program: %s%s\n", outcome_text(outcome),
	       record_right ? "" : ", not the right record in the ring buffer");
	printf("     oracle:  %s, %s%s\n", answer->pass ? "passed" : "dropped",
	       answer->would_drop ? "would drop for " : "", reason_text(answer->reason));
	printf("     %zu bytes (in pieces: %zu in the first):", frame->size, linear);
	for (size_t i = 0; i < frame->size; i++)
		printf("%s%02x", i % 32 ? "" : "\n     ", frame->bytes[i]);
	printf("\n");
}

static void compare(Runner *runner, const Place *place, const Frame *frame, size_t linear,
		    const OracleAnswer *answer, uint64_t begin_ns)
{
	Outcome outcome;
	bool right, record_right = true;

	if (!runner_run(runner, frame, linear, &outcome))
		return;
	right = outcome_is(&outcome, answer->reason, answer->would_drop, 1) &&
		outcome.passed == answer->pass;
	if (!right || answer->reason >= SPALE_REASON_KNOCK)
		record_right = is_record_right(&runner->gate, answer, begin_ns);
	if (!right || !record_right)
		show(runner, place, frame, linear, answer, &outcome, record_right);
}

static void run_round(const Place *place, uint64_t frames)
{
	static Scenario scenario;
	static Frame frame;
	Random random = {place->seed * 0x2545f4914f6cdd1dULL + place->round};
	unsigned failed_before = failures;

	scenario_make(&scenario, &random, runners[0].gate.ifindex);
	for (size_t i = 0; i < runner_count; i++)
		scenario_apply(&scenario, &runners[i].gate);

	/* Past a disagreement programs and oracle remember different things: on to the next round.
	 */
	for (uint64_t i = 0; i < frames && failures == failed_before; i++) {
		uint64_t begin_ns = clock_mono_ns();
		OracleAnswer answer;
		size_t linear;

		frame_make(&frame, &scenario, &random);
		linear = 15 + random_below(&random, frame.size - 14);
		answer = oracle_judge(&scenario.oracle, frame.bytes, frame.size);
		reasons_seen[answer.reason]++;
		for (size_t j = 0; j < runner_count; j++)
			compare(&runners[j], place, &frame, linear, &answer, begin_ns);
	}
	for (size_t i = 0; i < runner_count; i++)
		scenario_clear(&scenario, &runners[i].gate);
}

/* A reason that was never met was not tested; for a full ring buffer nobody may empty it. */
static void check_coverage(void)
{
	for (int reason = 0; reason < SPALE_REASON_COUNT; reason++) {
		printf("%12llu %s\n", (unsigned long long)reasons_seen[reason],
		       reason_text(reason));
		if (reasons_seen[reason] == 0 && reason != SPALE_REASON_KNOCK_RING_FULL &&
		    reason != SPALE_REASON_ESTABLISHED && reason != SPALE_REASON_FORWARDED) {
			printf("FAIL no frame met the reason %s\n", reason_text(reason));
			failures++;
		}
	}
}

/* Counters are read for one CPU: stay on it. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0) {
		perror("sched_setaffinity");
		exit(1);
	}
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

static void run_rounds(const Options *options)
{
	Place place = {options->seed, options->round};
	uint64_t done = 0;

	for (; done < options->frames; place.round++) {
		uint64_t frames = options->frames - done;

		if (frames > FRAMES_PER_ROUND)
			frames = FRAMES_PER_ROUND;
		run_round(&place, frames);
		done += frames;
		if (options->one_round)
			return;
	}
	check_coverage();
}

int main(int argc, char **argv)
{
	Options options = {.seed = 1, .frames = 1000000};

	read_options(argc, argv, &options);
	stay_here();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < WAYS; i++)
		if (runner_open(&runners[runner_count], ways[i].xdp, ways[i].manner))
			runner_count++;

	printf("differential: seed %llu\n", (unsigned long long)options.seed);
	run_rounds(&options);
	for (size_t i = 0; i < runner_count; i++) {
		printf("%12llu frames through %s, %llu refused by the kernel\n",
		       (unsigned long long)runners[i].run, runner_name(&runners[i]),
		       (unsigned long long)runners[i].refused);
		gate_close(&runners[i].gate);
	}
	if (failures)
		printf("%u disagreements\n", failures);
	printf("%d passed, %d failed, 0 skipped\n", !failures, !!failures);
	return failures ? 1 : 0;
}
