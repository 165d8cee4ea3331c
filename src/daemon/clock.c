/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "daemon/manager.h"
#include "util/parse.h"

/* clock_gettime(2) cannot fail for these clocks. */
static uint64_t read_ns(clockid_t id)
{
	struct timespec now = {0};

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static uint64_t mono_ns(void *userdata)
{
	(void)userdata;
	return read_ns(CLOCK_MONOTONIC_COARSE);
}

static uint64_t boot_ns(void *userdata)
{
	(void)userdata;
	return read_ns(CLOCK_BOOTTIME);
}

static uint64_t real_usec(void *userdata)
{
	(void)userdata;
	return read_ns(CLOCK_REALTIME) / NSEC_PER_USEC;
}

const Clock clock_system = {mono_ns, boot_ns, real_usec, NULL};
