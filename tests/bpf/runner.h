/* SPDX-License-Identifier: MIT */
/*
 * A gate and a manner in which it gets its frames, made for many of them: a system call to run one,
 * one to see what was counted.
 */
#pragma once

#include "gate.h"
#include "random-frames.h"

typedef enum Manner {
	MANNER_WHOLE,	 /* as it is */
	MANNER_METADATA, /* TC: the outermost VLAN tag in the skb's metadata */
	MANNER_PIECES,	 /* only the first bytes can be read without a helper */
} Manner;

typedef struct Runner {
	Gate gate;
	Manner manner;
	struct spale_counters counted; /* up to now */
	uint64_t granted;
	uint64_t run, refused; /* frames, and those that the kernel itself does not run */
} Runner;

/*
 * Opens a gate for a manner. Returns false where the kernel's BPF_PROG_TEST_RUN knows no frames in
 * pieces (only newer ones do, for XDP before TC). All else that fails ends the test.
 */
bool runner_open(Runner *runner, bool xdp, Manner manner);

/* How frames get there, for people: "TC, tag in metadata". */
const char *runner_name(const Runner *runner);

/*
 * Runs the program on FRAME, the first LINEAR bytes of which are the first piece. Returns false
 * where the kernel does not run it: for TC, an IP frame that ends within its IP header.
 */
bool runner_run(Runner *runner, const Frame *frame, size_t linear, Outcome *ret_outcome);
