/* SPDX-License-Identifier: MIT */
/*
 * Random frames for the differential test: most are built as a sender would build them, with tags,
 * options, extension headers, fragments and knocks, and then some are damaged; a few are noise.
 */
#pragma once

#include "random-bits.h"
#include "scenario.h"

#define FRAME_MAX 1600
#define FRAME_MIN 15 /* less than an Ethernet header and a byte is not run by the kernel */

typedef struct Frame {
	size_t size;
	uint8_t bytes[FRAME_MAX];
} Frame;

/* Makes the next one. */
void frame_make(Frame *frame, const Scenario *scenario, Random *random);
