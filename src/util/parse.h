/* SPDX-License-Identifier: MIT */
/*
 * Strict readers of small values: the whole text or nothing, no locale, no overflow, no leading
 * or trailing white space. The only place where digits become numbers.
 *
 * Each returns 0, -EINVAL (not of that form) or -ERANGE (of that form, but out of range), and
 * leaves *RET untouched on failure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NSEC_PER_SEC  1000000000ULL
#define USEC_PER_SEC  1000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL

/* A duration without end. */
#define DURATION_INFINITY UINT64_MAX

/* Decimal digits only. */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret);

/* yes no, true false, on off, 1 0; in any case. */
int parse_bool(const char *text, bool *ret);

/*
 * A duration: "90" (seconds), "5min", "1h", "1h 30min", "500ms", "infinity"; units from ns to
 * weeks with the names that systemd.time(7) has for them; only a number alone needs none, and no
 * fractions. "-1" is infinity, as spale 0.3 had it. At most 2^63 - 1 ns besides infinity.
 */
int parse_duration(const char *text, uint64_t *ret_ns);

/*
 * A rate: "3/s", "100/min", "1/10s", or "3" (a second). Nanoseconds between two, rounded down;
 * never 0.
 */
int parse_rate(const char *text, uint64_t *ret_interval_ns);

/*
 * A moment in UTC: "2026-01-31", "2026-01-31 18:30" or "2026-01-31T18:30:05Z" (the T, the seconds
 * and the Z may be left out). Microseconds since the epoch.
 */
int parse_timestamp(const char *text, uint64_t *ret_real_usec);

/* Room for any duration in text. */
#define DURATION_TEXT_MAX 64

/* Shortest exact form ("1h 30min", "infinity") into TEXT; returns TEXT. */
const char *format_duration(uint64_t ns, char text[static DURATION_TEXT_MAX]);
