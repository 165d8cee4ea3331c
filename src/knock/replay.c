/* SPDX-License-Identifier: MIT */
#include "knock/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Entries to begin with: most clients knock rarely. */
#define REPLAY_ENTRIES_FIRST 8

void replay_done(Replay *replay)
{
	free(replay->entries);
	*replay = (Replay){0};
}

void replay_raise_floor(Replay *replay, uint64_t time)
{
	if (replay->floor_set && replay->floor >= time)
		return;
	replay->floor = time;
	replay->floor_set = true;
}

/* Forgets what the window has left behind; the floor stands in for it from now on. */
static void forget_below(Replay *replay, uint64_t oldest)
{
	size_t kept = 0;

	for (size_t i = 0; i < replay->count; i++) {
		if (replay->entries[i].time < oldest)
			replay_raise_floor(replay, replay->entries[i].time);
		else
			replay->entries[kept++] = replay->entries[i];
	}
	replay->count = kept;
}

static bool is_remembered(const Replay *replay, const ReplayEntry *entry)
{
	for (size_t i = 0; i < replay->count; i++) {
		const ReplayEntry *known = &replay->entries[i];

		if (known->time == entry->time &&
		    memcmp(known->nonce, entry->nonce, sizeof(known->nonce)) == 0)
			return true;
	}
	return false;
}

Refusal replay_check(Replay *replay, uint64_t oldest, const ReplayEntry *entry)
{
	forget_below(replay, oldest);

	if (entry->time < oldest)
		return REFUSAL_CLOCK;
	if (replay->floor_set && entry->time <= replay->floor)
		return REFUSAL_FLOOR;
	if (is_remembered(replay, entry))
		return REFUSAL_REPLAYED;
	if (replay->count >= REPLAY_ENTRIES_MAX)
		return REFUSAL_REPLAY_FULL;
	return REFUSAL_NONE;
}

int replay_add(Replay *replay, const ReplayEntry *entry)
{
	if (replay->count >= REPLAY_ENTRIES_MAX)
		return -ENOBUFS;
	if (replay->count == replay->allocated) {
		size_t allocated = replay->allocated ? 2 * replay->allocated : REPLAY_ENTRIES_FIRST;
		ReplayEntry *entries =
			reallocarray(replay->entries, allocated, sizeof(*replay->entries));

		if (!entries)
			return -ENOMEM;
		replay->entries = entries;
		replay->allocated = allocated;
	}

	replay->entries[replay->count++] = *entry;
	if (!replay->highest_set || entry->time > replay->highest)
		replay->highest = entry->time;
	replay->highest_set = true;
	return 0;
}
