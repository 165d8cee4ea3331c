/* SPDX-License-Identifier: MIT */
/*
 * Waits until a TCP port of a host accepts a connection.
 *
 * Only connects, never knocks. Reports what it waits for (client/report.h).
 */
#pragma once

#include <stdint.h>

#include "client/target.h"

/*
 * Tries all TARGETS, whose ports are those to wait for, again and again, from SOURCE (or NULL),
 * until one answers. Returns 0, -ETIMEDOUT after TIMEOUT_NS (both reported), or an error.
 */
int wait_for_port(const TargetList *targets, const Target *source, uint64_t timeout_ns);
