/* SPDX-License-Identifier: MIT */
#include "runner.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "tag-tc.skel.h"

/* For TC, newer kernels refuse IP frames that are shorter than this. */
#define SHORTEST_IN_TC (14 + 40)

#define TC_PASS (uint32_t) - 1
#define TC_DROP 2u

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

/* Returns 0 or what the kernel says. */
static int run_program(const Gate *gate, int program, const Frame *frame, size_t linear,
		       bool *ret_passed)
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
	r = bpf_prog_test_run_opts(program, &run);
	if (r < 0)
		return r;

	*ret_passed = run.retval == (gate->xdp ? (uint32_t)XDP_PASS : TC_PASS);
	if (!*ret_passed && run.retval != (gate->xdp ? (uint32_t)XDP_DROP : TC_DROP))
		die("a verdict that is neither pass nor drop", EPROTO);
	return 0;
}

/* FRAME without its outermost tag, which the tagger is told to put into the metadata. */
static bool lift_tag(const Gate *gate, const Frame *frame, Frame *ret_lifted)
{
	const uint8_t *tag = frame->bytes + 12;
	unsigned tpid = tag[0] * 256u + tag[1];

	if ((tpid != 0x8100 && tpid != 0x88a8) || frame->size < FRAME_MIN + 4)
		return false;
	ret_lifted->size = frame->size - 4;
	memcpy(ret_lifted->bytes, frame->bytes, 12);
	memcpy(ret_lifted->bytes + 12, frame->bytes + 16, frame->size - 16);
	gate->tagger->data->tpid = (__u16)tpid;
	return true;
}

bool runner_open(Runner *runner, bool xdp, Manner manner)
{
	Frame frame = {.size = 200, .bytes = {[12] = 0x08, [13] = 0x06}};
	bool passed;

	*runner = (Runner){.manner = manner};
	if (xdp && !gate_has_xdp()) {
		printf("# left out, for this kernel has no XDP of Linux 5.18: frames through "
		       "XDP\n");
		return false;
	}
	gate_open(&runner->gate, xdp ? "XDP" : "TC", xdp, SPALE_HEADER_ETHERNET);
	if (manner == MANNER_PIECES &&
	    run_program(&runner->gate, runner->gate.program, &frame, 40, &passed) < 0) {
		gate_close(&runner->gate);
		return false;
	}
	runner->counted = read_counters(&runner->gate);
	return true;
}

const char *runner_name(const Runner *runner)
{
	bool xdp = runner->gate.xdp;

	switch (runner->manner) {
	case MANNER_WHOLE:
		return xdp ? "XDP" : "TC";
	case MANNER_METADATA:
		return "TC, tag in metadata";
	case MANNER_PIECES:
		return xdp ? "XDP, in pieces" : "TC, in pieces";
	}
	return NULL;
}

bool runner_run(Runner *runner, const Frame *frame, size_t linear, Outcome *ret_outcome)
{
	const Gate *gate = &runner->gate;
	struct spale_counters before = runner->counted;
	const uint64_t *old = (uint64_t *)&before, *new = (uint64_t *)&runner->counted;
	uint64_t granted = runner->granted;
	Outcome outcome = {0};
	Frame lifted;
	int r = -EINVAL;

	if (runner->manner != MANNER_PIECES)
		linear = frame->size;
	/* Where it cannot be lifted the tag stays: the gate must see every frame, as the others do.
	 */
	if (runner->manner == MANNER_METADATA && lift_tag(gate, frame, &lifted))
		r = run_program(gate, bpf_program__fd(gate->tagger->progs.tag_tc), &lifted,
				lifted.size, &outcome.passed);
	if (r == -EINVAL)
		r = run_program(gate, gate->program, frame, linear, &outcome.passed);
	/* Linux 7.2 wants them in the first piece too. */
	if (r == -EINVAL && !gate->xdp && linear < SHORTEST_IN_TC && linear < frame->size) {
		linear = frame->size < SHORTEST_IN_TC ? frame->size : SHORTEST_IN_TC;
		r = run_program(gate, gate->program, frame, linear, &outcome.passed);
	}
	if (r == -EINVAL && !gate->xdp && frame->size < SHORTEST_IN_TC) {
		runner->refused++;
		return false;
	}
	if (r < 0) {
		fprintf(stderr, "%s: %zu bytes, %zu of them linear, EtherType 0x%02x%02x: ",
			runner_name(runner), frame->size, linear, frame->bytes[12],
			frame->bytes[13]);
		die("BPF_PROG_TEST_RUN", r);
	}

	runner->run++;
	runner->counted = read_counters(gate);
	runner->granted = gate_granted(&runner->gate, GATE_GRANT_COUNTER);
	outcome.granted = runner->granted - granted;
	for (size_t i = 0; i < sizeof(before) / sizeof(*old); i++)
		((uint64_t *)&outcome.counted)[i] = new[i] - old[i];
	*ret_outcome = outcome;
	return true;
}
