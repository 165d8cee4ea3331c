/* SPDX-License-Identifier: MIT */
/*
 * A loaded program with its maps, run on one frame at a time by BPF_PROG_TEST_RUN.
 *
 * Whatever the kernel refuses ends the test program: there is nothing left to test then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

#include "packet.h"

/* Not 0, so that a program which counts in the wrong slot is found out. */
#define GATE_SLOT 5

/* Where grants count, for the same reason. */
#define GATE_GRANT_COUNTER 9

typedef struct Gate {
	const char *name;
	void *skeleton;
	struct bpf_object *object;
	struct ring_buffer *reader;
	unsigned int records; /* knocks handed up since gate_reset(), and the last of them */
	struct spale_knock record;
	struct ring_buffer *event_reader;
	unsigned int events_told; /* events since gate_reset(), and the last of them */
	struct spale_event event;
	int program;
	struct tag_tc *tagger; /* TC: pushes a tag, then runs the program */
	bool xdp;
	uint32_t ifindex; /* that frames arrive on; lo at first */
	int ports, settings, grants, allow4, allow6, clients, knock_addrs, vlans, asking, stations;
	int seen, buckets, totals, knocks, attempts, events, counters, grant_packets;
} Gate;

/* What a frame came to. */
typedef struct Outcome {
	bool passed;
	struct spale_counters counted; /* what moved in the gate's slot */
	uint64_t granted;	       /* what moved in GATE_GRANT_COUNTER */
	bool changed;		       /* the frame is not what it was */
} Outcome;

/* Whether this kernel takes the XDP program: from Linux 5.18 on. */
bool gate_has_xdp(void);

/* Loads the program for TC (with or without link headers) or XDP. */
void gate_open(Gate *gate, const char *name, bool xdp, enum spale_header_kind kind);
void gate_close(Gate *gate);

/*
 * Empties all maps and sets the usual policy: PROTECTED_PORT in all five protocols, KNOCK_PORT and
 * SHARED_PORT for knocks (the latter protected for UDP, too), no limits, every address takes
 * knocks.
 */
#define KNOCK_PORT  62201
#define SHARED_PORT 443
void gate_reset(Gate *gate);

/* The settings that gate_reset() makes, for whoever wants them a little different. */
struct spale_settings gate_settings(void);
void gate_set_settings(Gate *gate, const struct spale_settings *settings);

void gate_set_port(Gate *gate, enum spale_port_set set, uint16_t port);
void gate_put(int map, const void *key, const void *value);
void gate_empty(int map, size_t key_size);

/* Whether the gate asks whom a frame is for, and who is of this host. */
void gate_set_asking(Gate *gate, bool asks);
void gate_put_station(Gate *gate, const uint8_t address[6]);

/* Whether no slot and no grant's counter but the gate's own was ever counted in. */
bool gate_is_tidy(Gate *gate);

/* Takes what lies in the ring buffers: counts it in gate->records and gate->events_told. */
void gate_drain(Gate *gate);

/*
 * Runs the program on the frame once. For TC also with a count of segments, or with a VLAN tag in
 * the skb's metadata (its TPID; 0: none).
 */
Outcome gate_run(Gate *gate, const struct packet *packet);
Outcome gate_run_segments(Gate *gate, const struct packet *packet, uint32_t segments);
Outcome gate_run_tagged(Gate *gate, const struct packet *packet, uint16_t tag);

/* What moved in the gate's slot since BEFORE was read, whoever ran the program. */
void gate_counters(Gate *gate, struct spale_counters *ret_counters);
struct spale_counters gate_counted(Gate *gate, const struct spale_counters *before);

/* What was counted in one grant's counter, on all CPUs. */
uint64_t gate_granted(Gate *gate, uint32_t counter);

/* Runs the program without looking at what comes of it, which several threads may do at a time. */
void gate_shoot(const Gate *gate, const struct packet *packet);

/*
 * Whether exactly this happened: the verdict, COUNT in the one counter of REASON, and in a grant's
 * counter if it was a grant that let the frame pass; nothing else.
 */
bool outcome_is(const Outcome *outcome, enum spale_reason reason, bool log_only, uint64_t count);

/* What did happen, for people; valid until the next call. */
const char *outcome_text(const Outcome *outcome);

const char *reason_text(enum spale_reason reason);

/* The clock of the packet path. */
uint64_t clock_mono_ns(void);

/* The latest that it can be for a program: where it has the fine clock only, that is ahead. */
uint64_t clock_latest_ns(void);
