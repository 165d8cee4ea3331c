/* SPDX-License-Identifier: MIT */
/*
 * Sends knocks of format 1 (knock/format1.h).
 *
 * Reports what goes wrong, and with -v each datagram (client/report.h).
 */
#pragma once

#include <stdint.h>

#include "client/target.h"
#include "keys/key-file.h"

/* What is sent, and how often. */
typedef struct SendOrder {
	const KeyPair *client;
	const PublicKey *server;
	const Target *source; /* NULL: the system's choice */
	uint32_t step_sec;    /* seconds of a time step */
	uint32_t count;	      /* knocks at each address, each of its own making */
} SendOrder;

/*
 * Knocks at every one of TARGETS. Returns 0 when at least one datagram left this machine: a host
 * has addresses of families that this machine does not have. Else the first error.
 */
int send_knocks(const TargetList *targets, const SendOrder *order);
