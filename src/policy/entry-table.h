/* SPDX-License-Identifier: MIT */
/*
 * The entries of the grant table: what the kernel has, each owned by one or more grants. Inside of
 * grant-table.c and entry-table.c; everybody else sees policy/grant-table.h only.
 *
 * An entry is the most generous of what its owners grant, and goes with the last of them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "policy/grant-table.h"
#include "policy/hash-table.h"

typedef struct Entry {
	HashNode node;
	struct spale_grant_key key;
	struct spale_grant value;
	struct Link *owners;	/* the newest first */
	uint64_t noted_mono_ns; /* no owner's last packet is older than this */
} Entry;

/* That a grant owns an entry. Links of one grant lie in an array that the grant table owns. */
typedef struct Link {
	Entry *entry;
	Grant *grant;
	struct Link *next; /* of the same entry */
	struct Link *previous;
} Link;

/* The key of the entry of a source for one port. */
struct spale_grant_key entry_table_key(const Prefix *source, uint32_t ifindex, uint8_t protocol,
				       uint16_t port);

/* The entry of KEY, or NULL. */
Entry *entry_table_find(const HashTable *entries, const struct spale_grant_key *key);

/* Adds an entry from malloc(3), which the table owns from now on. */
void entry_table_insert(HashTable *entries, Entry *entry);

/* Frees all entries, which nobody may own any more, and the table. */
void entry_table_done(HashTable *entries);

/*
 * Makes the grants of COUNT LINKS owners of the entries that these name, or, where the grant is an
 * owner already, takes over its new times. Adds a put to CHANGES for each.
 */
void entry_table_attach(Link *links, size_t count, EntryChanges *changes);

/*
 * Ends the ownership of COUNT LINKS. Adds puts to CHANGES (NULL: nobody wants to know) for entries
 * that become less generous, and behind them removals of those without any owner left.
 */
void entry_table_release(HashTable *entries, Link *links, size_t count, EntryChanges *changes);

/* Notes the last packet of an entry, for it and for its owners. */
void entry_table_note_last(Entry *entry, uint64_t last_mono_ns);

/* VALUE with its times moved back by DELTA (grant_table_shift()). */
struct spale_grant entry_table_shift_value(struct spale_grant value, uint64_t delta_ns);
void entry_table_shift(HashTable *entries, uint64_t delta_ns);

/* Times of a grant in the kernel's form. */
struct spale_grant entry_table_value(const Grant *grant);

/* Makes room for MORE changes. Returns 0 or -ENOMEM. */
int entry_changes_reserve(EntryChanges *changes, size_t more);

/* Adds a change, for which there is room, to CHANGES, which may be NULL. */
void entry_changes_put(EntryChanges *changes, const Entry *entry);
void entry_changes_remove(EntryChanges *changes, const struct spale_grant_key *key);
