/* SPDX-License-Identifier: MIT */
/*
 * What the kernel is to have of the grant table, and what of it the kernel has not taken yet.
 */
#pragma once

#include "enforce/enforcer.h"
#include "policy/grant-table.h"

typedef struct Projection {
	Enforcer *enforcer;   /* borrowed */
	EntryChanges pending; /* what the kernel refused; goes before everything else */

	/* Nobody knows any more what the kernel has: all of GRANTS (borrowed) goes before that. */
	const GrantTable *grants;
	bool is_lost;
} Projection;

void projection_done(Projection *projection);

/* Tries again what the kernel refused before. Nothing new may be granted while this fails. */
int projection_retry(Projection *projection);

/* Whether the kernel has yet to take something. */
bool projection_is_behind(const Projection *projection);

/* There was no memory to say what the kernel is to change: it is told of everything again. */
void projection_lose(Projection *projection);

/* Changes that the table can take back. Returns 0 or a negative errno: nothing has changed then. */
int projection_apply(Projection *projection, const EntryChanges *changes);

/* Changes that have to be. What the kernel refuses is logged and tried again until it is done. */
void projection_apply_surely(Projection *projection, const EntryChanges *changes);

/* Puts a copy of all of FROM behind TO. Returns 0 or -ENOMEM. */
int projection_append(EntryChanges *to, const EntryChanges *from);

/*
 * How many packets the kernel has let through by GRANT, and by others that share an entry with it.
 * PROJECTION_UNCOUNTED: nobody knows, for not all of its entries are counted.
 */
#define PROJECTION_UNCOUNTED UINT64_MAX
uint64_t projection_packets(Projection *projection, const Grant *grant);

/* Notes in TABLE when the kernel last saw a packet of GRANT, which is in it. */
void projection_pull_last(Projection *projection, GrantTable *table, const Grant *grant);
