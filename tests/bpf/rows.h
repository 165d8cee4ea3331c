/* SPDX-License-Identifier: MIT */
/*
 * What the suite consists of: tables of rows, and sequences that a row cannot say.
 *
 * A row is one packet, the state that it meets, and what must become of it. It runs on TC and on
 * XDP and, unless it says otherwise, in both families, each time
 *   - enforcing: verdict and reason are the row's, no other counter moves;
 *   - in log-only mode: drops pass and are counted as "would drop", all else is the same;
 *   - with maps that no daemon has filled: it passes, nothing is counted;
 * and a row that is denied
 *   - with a grant for it: it passes;
 *   - to OPEN_PORT: it passes, nothing is counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gate.h"
#include "packet.h"

enum row_only {
	BOTH,
	ONLY_IPV4 = 1 << 0,
	ONLY_IPV6 = 1 << 1,
	ONLY_TC = 1 << 2,
	ONLY_XDP = 1 << 3,
	NO_LINK = 1 << 4, /* TC on a device without link headers */
};

enum row_last {
	LAST_ANY,
	LAST_KEPT,
	LAST_NOW,
};

/* Where a grant holds: not a number, for those are known at run time only. */
enum row_interface {
	ANY_INTERFACE,
	THIS_INTERFACE,
	OTHER_INTERFACE,
};

#define SECOND 1000LL
#define NEVER  (-1LL)

/* A grant for the row's packet; times in milliseconds, relative to now. */
struct row_grant {
	bool present;
	long long age; /* since the last packet; negative: that lies in the future */
	long long idle, grace;
	long long deadline;  /* from now; 0 has come, NEVER does not */
	unsigned int length; /* prefix length of 128; 0: 128 */
	const char *source;  /* not the packet's */
	enum row_interface interface;
	uint16_t port;	    /* not the packet's */
	uint8_t protocol;   /* not the packet's */
	enum row_last last; /* what must become of last_mono_ns */
};

/* A VLAN on an interface, whose own interface is given in the same way. */
struct row_vlan {
	enum row_interface on, is;
	uint16_t tpid;
	uint16_t vid;
};

struct row {
	const char *name;
	struct shape shape;
	enum spale_reason reason;
	unsigned int only;
	struct row_grant grants[2];
	unsigned int lengths[SPALE_MASKS]; /* prefix lengths in use; none: 128 */
	const char *allowed;		   /* an always-allowed prefix */
	bool list_unflagged;		   /* which the settings say is not there */
	unsigned int flags;		   /* besides the usual ones: enum spale_setting_flag */
	struct row_vlan vlans[2];	   /* what map "vlans" holds */
	uint16_t metadata_tag;		   /* TPID of a VLAN tag in the skb's metadata */
	bool asks;			   /* whom the frame is for */
	const uint8_t *station;		   /* what map "stations" holds */
};

/* The gates that rows run on. */
struct bench {
	Gate tc, xdp, bare;	/* bare: TC, no link headers */
	int modes;		/* 2, or 1 where XDP is left out */
	uint32_t first, second; /* interfaces; frames arrive on the first */
};

extern const struct row parse_rows[];
extern const size_t parse_row_count;
extern const struct row bounds_rows[];
extern const size_t bounds_row_count;
extern const struct row decide_rows[];
extern const size_t decide_row_count;
extern const struct row host_rows[];
extern const size_t host_row_count;
extern const struct row knock_rows[];
extern const size_t knock_row_count;

void rows_run(struct bench *bench, const struct row *rows, size_t count);

/* Sequences. Each calls check() for what it finds. */
void bounds_run(struct bench *bench);  /* packets that end anywhere, headers far behind */
void policy_run(struct bench *bench);  /* sets of ports, time, segments */
void sockets_run(struct bench *bench); /* what the host's sockets keep */
void knocks_run(struct bench *bench);  /* repetitions, limits, the ring */
void events_run(struct bench *bench);  /* denied attempts: which, when, how often */
void devices_run(struct bench *bench); /* frames from real devices */

/* Puts a grant for a packet of SHAPE, as rows have it; returns its last_mono_ns. */
uint64_t row_put_grant(Gate *gate, const struct bench *bench, const struct row_grant *grant,
		       const struct shape *shape, enum spale_family family);

/* Settings in which these prefix lengths are in use. */
void row_set_lengths(struct spale_settings *settings, enum spale_family family,
		     const unsigned int lengths[SPALE_MASKS]);

/* Payloads of format 1: from an enrolled client (rows_run() enrolls it), and from a stranger. */
extern const uint8_t knock_payload[97];
extern const uint8_t knock_stranger[97];
extern const uint8_t knock_long[1200]; /* begins as knock_payload */

/* Counts a result and names it if it failed; the rest is printf's. Returns OK. */
bool check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
