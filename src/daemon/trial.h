/* SPDX-License-Identifier: MIT */
/*
 * A trial: spale enforces for a while, and then drops nothing until somebody says otherwise, so
 * that nobody is locked out for good. Its end lies in the kernel (spale/bpf-abi.h); the state
 * directory has it for a daemon that comes later, and that it is over.
 *
 * Keeps and tells; puts nothing into force. Logs nothing.
 */
#pragma once

#include <stdint.h>

#include <spale/bus-names.h>

#include "policy/config.h"
#include "policy/diagnostics.h"
#include "util/parse.h"

/* Longest and shortest trial. */
#define TRIAL_MAX_NS (SPALE_TRIAL_SECONDS_MAX * NSEC_PER_SEC)
#define TRIAL_MIN_NS NSEC_PER_SEC

typedef enum TrialState {
	TRIAL_NONE,
	TRIAL_ON,
	TRIAL_OVER, /* and not confirmed: nothing is dropped */
} TrialState;

typedef struct Trial {
	TrialState state;
	uint64_t end_mono_ns;	  /* TRIAL_ON */
	uint64_t until_real_usec; /* the same moment */
	uint64_t length_ns;
} Trial;

/*
 * What DIR_FD, the state directory, has of one; no file: TRIAL_NONE, and so is one that cannot be
 * read, which is said in DIAGNOSTICS: then the configuration decides. However the clock was set
 * meanwhile, none lasts for longer than it was meant to.
 */
Trial trial_load(int dir_fd, uint64_t now_mono_ns, uint64_t now_real_usec,
		 Diagnostics *diagnostics);

/* Writes it there; returns as kept_file_write() does. */
int trial_write(const Trial *trial, int dir_fd, const char **ret_why);

/* Makes CONFIG what is in force with it. */
void trial_apply(const Trial *trial, Config *config);
