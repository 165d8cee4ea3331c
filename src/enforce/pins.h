/* SPDX-License-Identifier: MIT */
/*
 * Kernel objects pinned in a BPF file system, which then outlive every process. An EnforcerStore,
 * in one of two uses: pins of our own (Pin=), and those that another loader made by the names of
 * the objects' maps (External=), which are only read.
 *
 * The directory is trusted: what others could write to is refused.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "enforce/enforcer.h"
#include "util/cleanup.h"

typedef struct Pins Pins;

/*
 * Uses DIRECTORY, which is made if its parent is there. What is put goes to NEXT (NULL: none;
 * borrowed) too, and what NEXT has is taken first. Until pins_hold(), what was not there before
 * goes with the enforcer. Returns 0 or a negative errno with *RET_ERROR, a sentence that the caller
 * frees.
 */
int pins_new(const char *directory, const EnforcerStore *next, Pins **ret_pins, char **ret_error);

/* Uses what another loader pinned in DIRECTORY. Same returns. */
int pins_new_foreign(const char *directory, Pins **ret_pins, char **ret_error);

/* After the enforcer. Removes the pins if they are to be let go. */
void pins_free(Pins *pins);
DEFINE_CLEANUP(Pins, pins_free)
#define _cleanup_pins_ _cleanup_(pins_freep)

/* Owned by PINS; NULL if that is. */
const EnforcerStore *pins_for_enforcer(const Pins *pins);

/* Whether what is pinned outlives the enforcer from now on. NULL is fine; foreign pins always stay.
 */
void pins_hold(Pins *pins, bool hold);

/* Gives the directory to a user, who can pin in it even where he may not reach it. 0 or -errno. */
int pins_give(const Pins *pins, uid_t uid, gid_t gid);

/*
 * Removes everything that spaleds who are gone have pinned in DIRECTORY, and what they attached:
 * opens the ports. Returns 0, also where there is nothing, or a negative errno with *RET_ERROR.
 */
int pins_remove(const char *directory, char **ret_error);
