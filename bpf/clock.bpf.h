/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What time it is: CLOCK_MONOTONIC in its coarse form, which moves once a tick. The kernel has that
 * for programs since 5.11; the daemon says where it has not, and the fine one is up to a tick
 * ahead.
 */
#ifndef SPALE_CLOCK_BPF_H
#define SPALE_CLOCK_BPF_H

#include "maps.bpf.h"

/* The verifier follows one of the branches only, so that the other may call what is not there. */
static __always_inline __u64 clock_mono_ns(void)
{
	return fine_clock ? bpf_ktime_get_ns() : bpf_ktime_get_coarse_ns();
}

#endif
