/* SPDX-License-Identifier: MIT */
/*
 * What the daemon keeps on disk, in its state directory: for each client key, and for all of them
 * together, the replay floor, the time at or below which nothing is accepted (spale-protocol(7),
 * "Replay").
 *
 * One file for each key under replay/, named after the key in hexadecimal, and replay/all; each
 * a line "FORMAT FLOOR" for each format, replaced atomically and synced. The directory is locked
 * while it is open. Logs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/cleanup.h"
#include "util/secret.h"

typedef struct State State;

/*
 * Opens DIRECTORY, making it (mode 0700) and replay/ in it where they are missing. *RET_FRESH: no
 * floor for all clients is on record, so nobody knows what was accepted before.
 * Returns 0, -EBUSY (another process has it), -EPERM (everybody may write there) or another
 * negative errno; *RET_ERROR says it in a sentence, which the caller frees.
 */
int state_open(const char *directory, State **ret_state, bool *ret_fresh, char **ret_error);

/*
 * A state that cannot be used, for PROBLEM (a sentence, taken over; NULL: no memory): it is read
 * and written with -EROFS, and its directory is -1. Returns 0 or -ENOMEM.
 */
int state_new_unusable(char *problem, State **ret_state);

/* Why nothing can be read or written, the state's; NULL: it can. */
const char *state_problem(const State *state);

void state_free(State *state);
DEFINE_CLEANUP(State, state_free)
#define _cleanup_state_ _cleanup_(state_freep)

/* The directory itself, for what else is kept in it. It stays the state's. -1: it is unusable. */
int state_directory_fd(const State *state);

/*
 * Opens the directory clients in it, making it where it is missing. The caller closes it. A
 * descriptor or a negative errno.
 */
int state_open_clients(State *state);

/* Makes it all belong to UID and GID, for a daemon that is about to become them. 0 or an errno. */
int state_give(State *state, uid_t uid, gid_t gid);

/*
 * The recorded floor of KEY (NULL: of all clients) for FORMAT. -ENOENT: none, -EBADMSG: damaged, or
 * what read(2) says: then nobody knows what was accepted.
 */
int state_floor(State *state, const PublicKey *key, unsigned format, uint64_t *ret_floor);

/* Records it, on disk when this returns 0. */
int state_set_floor(State *state, const PublicKey *key, unsigned format, uint64_t floor);
