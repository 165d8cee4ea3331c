/* SPDX-License-Identifier: MIT */
/*
 * The grant table: the truth about who may reach what. Kernel maps (and later nftables sets) are
 * projections of it.
 *
 * A grant belongs to one client and one source and opens one or more ports. What the kernel holds
 * is one entry for each (source, protocol, port), the most generous of all live grants that
 * cover it (several clients behind one address share entries). Changes to entries are handed to
 * the caller, who passes them to the enforcer; if that fails, the caller takes the grant back.
 *
 * Pure: the caller brings the time (nanoseconds of CLOCK_MONOTONIC).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

#include "policy/client.h"
#include "policy/decide.h"

/* Most grants of one client; the oldest yields. Most grants altogether. */
#define GRANTS_PER_CLIENT_MAX 16
#define GRANTS_MAX	      131072

typedef struct Grant {
	uint64_t id; /* never reused in the life of a table */
	GrantOrigin origin;
	char client[CLIENT_NAME_MAX + 1]; /* empty: an administrator's */
	PublicKey key; /* the client's: a replaced key ends its grants; else zero */
	Prefix source;
	Address address; /* within source: where its last knock came from (Decision.address) */
	uint32_t ifindex;
	PortList ports;
	bool has_asked; /* as in Decision */
	PortList asked;
	uint64_t created_mono_ns;
	int64_t renewed_mono_ns; /* last knock, from which the deadline counts; can be below zero */
	uint64_t last_mono_ns; /* last known packet of any of its entries, at first its creation */
	uint64_t idle_ns, grace_ns, lifetime_ns;
	uint64_t deadline_mono_ns; /* SPALE_NEVER_NS: none */
	uint64_t renewals; /* how often it was made, so that who means it as it was can tell */
	bool is_condemned; /* grant_table_condemn() */
} Grant;

/*
 * A copy of GRANT that outlives it, to be ended with grant_copy_done(). Without memory it lacks the
 * ports.
 */
Grant grant_copy(const Grant *grant);
void grant_copy_done(Grant *copy);
#define _cleanup_grant_copy_ _cleanup_(grant_copy_done)

/* What cannot be decided anew of a grant. */
typedef struct GrantPast {
	uint64_t id;
	uint64_t created_mono_ns;
	int64_t renewed_mono_ns;
} GrantPast;

/* One entry that the kernel is to have (put) or not to have any more (!put). */
typedef struct EntryChange {
	bool put;
	struct spale_grant_key key;
	struct spale_grant value; /* with put only */
} EntryChange;

typedef struct EntryChanges {
	EntryChange *items;
	size_t count;
	size_t allocated;
} EntryChanges;

void entry_changes_done(EntryChanges *changes);
#define _cleanup_entry_changes_ _cleanup_(entry_changes_done)

typedef struct GrantTable GrantTable;

GrantTable *grant_table_new(void);
void grant_table_free(GrantTable *table);
DEFINE_CLEANUP(GrantTable, grant_table_free)
#define _cleanup_grant_table_ _cleanup_(grant_table_freep)

/*
 * Makes the grant of CLIENT for DECISION, or renews the one that it has for that source (its last
 * packet is now, its deadline counts from now, its ports are the new ones). At
 * GRANTS_PER_CLIENT_MAX the client's oldest grant (by creation) is removed first. Administrators'
 * grants have no client (NULL): one for each source and origin.
 * *RET_CHANGES gets what the kernel has to change, removals last; *RET_GRANT the grant, which the
 * table owns. Entries of grants that go are put again where others share them: bring their last
 * packets up to date first (grant_table_note_last()).
 * Returns 0, -EINVAL (no ports, or more than GRANT_PORTS_MAX), -ENOSPC (GRANTS_MAX, or more than
 * SPALE_GRANTS_MAX entries at any moment of the change) or -ENOMEM; the table is unchanged then.
 */
int grant_table_add(GrantTable *table, const Client *client, const Decision *decision,
		    uint64_t now_mono_ns, EntryChanges *ret_changes, const Grant **ret_grant);

/* Highest number that a grant was given; those up to LAST are given to none any more. */
uint64_t grant_table_last_number(const GrantTable *table);
void grant_table_skip_numbers(GrantTable *table, uint64_t last);

/* The grant that grant_table_add() would renew, and the one that would yield. NULL: none. */
const Grant *grant_table_same(const GrantTable *table, const Client *client,
			      const Decision *decision);
const Grant *grant_table_yielding(const GrantTable *table, const Client *client,
				  const Decision *decision);

/*
 * Puts back a grant of an earlier daemon, with the number and the times that it had. Its last
 * packet is its last knock; the kernel's entries may know of a later one (grant_table_note_last()).
 * What the kernel is to have is not told: project the table when all are back. Same returns;
 * -EEXIST: there is a grant of this number, or one of the client for that source.
 */
int grant_table_restore(GrantTable *table, const Client *client, const Decision *decision,
			const GrantPast *past);

/*
 * Changes source, ports, times and deadline of an existing grant to those of DECISION without
 * renewing it (a reload: last packet and creation stay; the deadline becomes last renewal +
 * lifetime). Same returns; -ENOENT: no such grant.
 */
int grant_table_redecide(GrantTable *table, uint64_t id, const Decision *decision,
			 EntryChanges *ret_changes);

/* Renews a grant as it is, for a lifetime from NOW. Same returns. */
int grant_table_extend(GrantTable *table, uint64_t id, uint64_t now_mono_ns, uint64_t lifetime_ns,
		       EntryChanges *ret_changes);

/*
 * Takes PORTS from a grant, for good: they are not among those that it asked for any more. At least
 * one has to be left (-EINVAL). Otherwise as grant_table_redecide().
 */
int grant_table_narrow(GrantTable *table, uint64_t id, const PortList *ports,
		       EntryChanges *ret_changes);

/* Marks the grant ID, which is about to be removed. A renewal takes the mark away. */
void grant_table_condemn(GrantTable *table, uint64_t id);

/*
 * Removes a grant. Entries that others share stay, as generous as what is left. Returns 0, -ENOENT
 * or -ENOMEM; the table is unchanged then.
 */
int grant_table_remove(GrantTable *table, uint64_t id, EntryChanges *ret_changes);

/*
 * The same for who has no memory left for changes: it cannot fail, and nobody hears what the kernel
 * is to change. Project the table then. No such grant is fine.
 */
void grant_table_drop(GrantTable *table, uint64_t id);

/* Notes that the kernel saw a packet of this entry at LAST. Unknown entries are ignored. */
void grant_table_note_last(GrantTable *table, const struct spale_grant_key *key,
			   uint64_t last_mono_ns);

/* From when on GRANT is over if it is not used: min(deadline, last + max(idle, grace)). */
uint64_t grant_end_mono_ns(const Grant *grant);

/* The earliest grant_end_mono_ns() of all, SPALE_NEVER_NS if there is none. */
uint64_t grant_table_next_end_mono_ns(const GrantTable *table);

/*
 * Moves all times back by DELTA: what a suspend did not count, for the clock stood still. Where a
 * last packet would lie before the clock's zero, idle and grace become shorter by as much, until
 * the grant is renewed or decided again.
 */
void grant_table_shift(GrantTable *table, uint64_t delta_ns);

/* Grants, and the entries that they make in the kernel. What is not there is NULL. */
size_t grant_table_count(const GrantTable *table);
size_t grant_table_entries(const GrantTable *table);
const Grant *grant_table_get(const GrantTable *table, size_t index);
const Grant *grant_table_by_id(const GrantTable *table, uint64_t id);

/* Whether any grant covers a packet of this source to this port; IFINDEX is 0 but for link-local.
 */
bool grant_table_covers(const GrantTable *table, const Address *source, uint32_t ifindex,
			uint8_t protocol, uint16_t port);

/* Appends a put change for every entry that the kernel is to have. Returns 0 or -ENOMEM. */
int grant_table_project(const GrantTable *table, EntryChanges *changes);

/*
 * The same for the entries that KEYS name, with a removal for each that there is not: for who told
 * the kernel of them, and was not heard.
 */
int grant_table_project_some(const GrantTable *table, const EntryChanges *keys,
			     EntryChanges *changes);

/* Appends the keys of the entries of one grant as changes without values. Returns 0 or -ENOMEM. */
int grant_entries(const Grant *grant, EntryChanges *changes);
