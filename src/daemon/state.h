/* SPDX-License-Identifier: MIT */
/*
 * What the daemon keeps on disk, in its state directory: for each client key the replay floor, the
 * highest time that was accepted from it (spale-protocol(7), "Replay").
 *
 * One file for each key under replay/, named after the key in hexadecimal, replaced atomically
 * and synced before a grant is made. A damaged file counts as missing and is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/secret.h"

typedef struct State State;

/*
 * Opens DIRECTORY, making it (mode 0700) and replay/ in it where they are missing. *RET_FRESH: replay/ was not there, so nobody
 * knows what was accepted before. Returns 0 or a negative errno; *RET_ERROR says it in a sentence.
 */
int state_open(const char *directory, State **ret_state, bool *ret_fresh, char **ret_error);
void state_free(State *state);
DEFINE_CLEANUP(State, state_free)
#define _cleanup_state_ _cleanup_(state_freep)

/* The recorded floor of KEY for FORMAT. -ENOENT: none, -EBADMSG: damaged, or what read(2) says. */
int state_floor(State *state, const PublicKey *key, unsigned format, uint64_t *ret_floor);

/* Records it, on disk when this returns 0. */
int state_set_floor(State *state, const PublicKey *key, unsigned format, uint64_t floor);
