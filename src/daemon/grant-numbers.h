/* SPDX-License-Identifier: MIT */
/*
 * Numbers of grants, which are not used again: who remembers one must never meet another grant
 * under it, be it after a restart. They are reserved in the state directory, some at a time, so
 * that a crash leaves out a few and repeats none.
 */
#pragma once

#include "daemon/state.h"
#include "policy/grant-table.h"

typedef struct GrantNumbers {
	State *state;	   /* borrowed */
	uint64_t reserved; /* up to this one */
	bool told;	   /* that they cannot be reserved */
} GrantNumbers;

/*
 * Has TABLE go on behind all numbers that were ever reserved. What cannot be read is logged, and
 * the numbers begin at 1 then.
 */
void grant_numbers_begin(GrantNumbers *self, State *state, GrantTable *table);

/*
 * Reserves what TABLE needs for one more grant. A disk that takes nothing is logged once and keeps
 * nobody out.
 */
void grant_numbers_reserve(GrantNumbers *self, const GrantTable *table);
