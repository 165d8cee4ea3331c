/* SPDX-License-Identifier: MIT */
/*
 * Where the grant table has its grants, and how it finds them. Inside of grant-table.c and
 * grant-slots.c; everybody else sees policy/grant-table.h only.
 */
#pragma once

#include "policy/entry-table.h"
#include "policy/grant-table.h"
#include "policy/hash-table.h"

typedef struct Slot {
	Grant grant;
	HashNode by_id;
	HashNode by_holder;
	size_t index; /* in slots */
	Link *links;
	size_t link_count;
} Slot;

struct GrantTable {
	Slot **slots;
	size_t count;
	size_t room;
	uint64_t last_id;
	HashTable by_id;
	HashTable by_holder; /* by whose they are (hash_holder()) */
	HashTable entries;
};

void slot_free(Slot *slot);
DEFINE_CLEANUP(Slot, slot_free)
#define _cleanup_slot_ _cleanup_(slot_freep)

/* What a client (or administrators) has: its grant for this source, how many, and the oldest. */
typedef struct Holdings {
	Slot *same_source;
	Slot *oldest;
	size_t count; /* a client's */
} Holdings;

/* CLIENT: NULL for administrators, who have but one grant for a source and origin. */
Holdings grant_slots_holdings(const GrantTable *table, const Client *client,
			      const Decision *decision);

/* The slot of the grant of this number, or NULL. */
Slot *grant_slots_find(const GrantTable *table, uint64_t id);

/* Makes room for one more. Returns 0 or -ENOMEM. */
int grant_slots_reserve(GrantTable *table);

/* Takes over SLOT, whose number, origin, key, source and interface are set. There is room. */
void grant_slots_insert(GrantTable *table, Slot *slot);

/* Removes and frees SLOT. There is room in CHANGES (NULL: nobody wants to know) for all its links.
 */
void grant_slots_remove(GrantTable *table, Slot *slot, EntryChanges *changes);
