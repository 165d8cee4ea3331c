/* SPDX-License-Identifier: MIT */
/*
 * Replay memory: what was accepted is remembered, exactly, until its window has passed.
 *
 * One Replay for each client. Entries are (time, nonce): time is the format's own (format 1: the
 * time step), nonce its 12 bytes. Nothing is overwritten: when the memory is full, the client's
 * knocks are refused until entries fall out of the window. The floor is the time at or below which
 * nothing is accepted; forgetting an entry raises it to that entry's time, so that a clock
 * that is set back re-admits nothing.
 *
 * Pure: the caller brings the time and keeps the floor on disk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/wire.h>

#include "policy/refusal.h"

/* Most entries of one client; at 24 bytes each, 1.5 MiB for 64 clients that are all full. */
#define REPLAY_ENTRIES_MAX 1024

typedef struct ReplayEntry {
	uint64_t time;
	uint8_t nonce[SPALE_FORMAT1_NONCE_SIZE];
} ReplayEntry;

typedef struct Replay {
	ReplayEntry *entries; /* grown as needed up to REPLAY_ENTRIES_MAX */
	size_t count;
	size_t allocated;
	uint64_t floor; /* times at or below are refused, if floor_set */
	bool floor_set;
	uint64_t highest; /* highest accepted time, if highest_set */
	bool highest_set;
} Replay;

void replay_done(Replay *replay);

/* Raises the floor to TIME; a lower one than there is changes nothing. */
void replay_raise_floor(Replay *replay, uint64_t time);

/*
 * Whether (time, nonce) may be accepted now: REFUSAL_NONE, REFUSAL_CLOCK (below OLDEST),
 * REFUSAL_FLOOR, REFUSAL_REPLAYED or REFUSAL_REPLAY_FULL. OLDEST is the lowest time that the window
 * still takes: entries below it are forgotten first.
 */
Refusal replay_check(Replay *replay, uint64_t oldest, const ReplayEntry *entry);

/* Remembers an entry that replay_check() let through. Returns 0, -ENOMEM or -ENOBUFS (full). */
int replay_add(Replay *replay, const ReplayEntry *entry);
