/* SPDX-License-Identifier: MIT */
/*
 * Text for people: names and sentences that others made, times, durations, ports. Pure, but for the
 * locale's characters and time zone. Texts are untrusted; strings that are returned are the
 * caller's, and NULL means that there was no memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "util/ports.h"

/* A time or duration that never comes. */
#define TEXT_INFINITY UINT64_MAX

/*
 * TEXT with everything that is not a printable character of the locale as \xNN: nothing that
 * moves a terminal's cursor, changes its colours or answers for the person in front of it.
 */
char *text_escape(const char *text);

/* Columns of a terminal that TEXT takes, which text_escape() made. */
size_t text_width(const char *text);

/* Bytes at the start of TEXT that take at most WIDTH columns. */
size_t text_fitting(const char *text, size_t width);

/* Room for any of the texts below. */
#define TEXT_TIME_MAX 64

/* SECONDS with the two largest units that matter: "2h 5min"; "infinity". Rounded down. */
const char *text_duration(uint64_t seconds, char text[static TEXT_TIME_MAX]);

/*
 * A moment, microseconds of CLOCK_REALTIME, as seen at NOW: "in 2h 5min", "3min ago", "now";
 * "-" for 0, "never" for infinity.
 */
const char *text_relative(uint64_t real_usec, uint64_t now_real_usec,
			  char text[static TEXT_TIME_MAX]);

/* The same in local time: "2026-01-31 18:30:05 CET". */
const char *text_absolute(uint64_t real_usec, char text[static TEXT_TIME_MAX]);

/* The same for programs, in UTC (RFC 3339): "2026-01-31T17:30:05.000000Z", "infinity". */
const char *text_rfc3339(uint64_t real_usec, char text[static TEXT_TIME_MAX]);

/*
 * PORTS as spale.conf(5) writes them, by port: "22/tcp 53 8000-8010/udp", where a range of TCP and
 * UDP alike needs no protocol. "-" for none.
 */
char *text_ports(const PortList *ports);

/* Letters to change to make B of A, at most LIMIT + 1: how far a slip of the finger is. */
size_t text_distance(const char *a, const char *b, size_t limit);
