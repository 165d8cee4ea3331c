/* SPDX-License-Identifier: MIT */
#include "policy/grant-table.h"

#include <errno.h>
#include <string.h>

#include "policy/grant-slots.h"
#include "util/parse.h"

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? SPALE_NEVER_NS : sum;
}

static uint64_t subtract_saturated(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

Grant grant_copy(const Grant *grant)
{
	Grant copy = *grant;

	copy.ports = PORT_LIST_NULL;
	copy.asked = PORT_LIST_NULL;
	(void)port_list_copy(&grant->ports, &copy.ports);
	(void)port_list_copy(&grant->asked, &copy.asked);
	return copy;
}

void grant_copy_done(Grant *copy)
{
	port_list_done(&copy->ports);
	port_list_done(&copy->asked);
}

GrantTable *grant_table_new(void)
{
	_cleanup_grant_table_ GrantTable *table = calloc(1, sizeof(*table));

	if (!table || hash_table_init(&table->by_id) < 0 ||
	    hash_table_init(&table->by_holder) < 0 || hash_table_init(&table->entries) < 0)
		return NULL;
	return TAKE_PTR(table);
}

uint64_t grant_table_last_number(const GrantTable *table)
{
	return table->last_id;
}

void grant_table_skip_numbers(GrantTable *table, uint64_t last)
{
	if (table->last_id < last)
		table->last_id = last;
}

void grant_table_free(GrantTable *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		slot_free(table->slots[i]);
	free(table->slots);
	entry_table_done(&table->entries);
	hash_table_done(&table->by_id);
	hash_table_done(&table->by_holder);
	free(table);
}

/* ---- changing a grant -------------------------------------------------------------------- */

/* All that a change needs, acquired before anything is touched. */
typedef struct Plan {
	PortList ports, asked;
	Link *links; /* not attached yet; their entries are those in the table or fresh ones */
	size_t count;
	Entry **fresh;
	size_t fresh_count;
	EntryChanges changes;
} Plan;

static void plan_done(Plan *plan)
{
	port_list_done(&plan->ports);
	port_list_done(&plan->asked);
	free(plan->links);
	for (size_t i = 0; i < plan->fresh_count; i++)
		free(plan->fresh[i]);
	free(plan->fresh);
	entry_changes_done(&plan->changes);
}

#define _cleanup_plan_ _cleanup_(plan_done)

/* One more link, to the entry of KEY. Returns 0 or -ENOMEM. */
static int plan_link(Plan *plan, const GrantTable *table, Slot *slot,
		     const struct spale_grant_key *key)
{
	Entry *entry = entry_table_find(&table->entries, key);

	if (!entry) {
		_cleanup_free_ Entry *fresh = calloc(1, sizeof(*fresh));

		if (!fresh)
			return -ENOMEM;
		fresh->key = *key;
		entry = fresh;
		plan->fresh[plan->fresh_count++] = TAKE_PTR(fresh);
	}
	plan->links[plan->count++] = (Link){.entry = entry, .grant = &slot->grant};
	return 0;
}

/*
 * Prepares that SLOT has the source and ports of DECISION, with room for CHANGES more changes than
 * that takes. Returns 0, -EINVAL, -ENOSPC or -ENOMEM.
 */
static int plan_grant(Plan *plan, const GrantTable *table, Slot *slot, const Decision *decision,
		      size_t changes)
{
	size_t ports = port_list_ports(&decision->ports);
	int r;

	if (ports < 1 || ports > GRANT_PORTS_MAX)
		return -EINVAL;
	plan->links = calloc(ports, sizeof(*plan->links));
	plan->fresh = calloc(ports, sizeof(*plan->fresh));
	if (!plan->links || !plan->fresh)
		return -ENOMEM;
	r = port_list_copy(&decision->ports, &plan->ports);
	if (r == 0)
		r = port_list_copy(&decision->asked, &plan->asked);
	if (r < 0)
		return r;
	port_list_foreach (range, &decision->ports) {
		for (uint32_t port = range->first; port <= range->last; port++) {
			const struct spale_grant_key key =
				entry_table_key(&decision->source, decision->ifindex,
						range->protocol, (uint16_t)port);

			r = plan_link(plan, table, slot, &key);
			if (r < 0)
				return r;
		}
	}
	/* The kernel gets new entries before it loses old ones, so it needs room for both. */
	if (table->entries.count + plan->fresh_count > SPALE_GRANTS_MAX)
		return -ENOSPC;
	return entry_changes_reserve(&plan->changes, ports + slot->link_count + changes);
}

/*
 * Gives SLOT what was planned, with the times that its grant has by now, and collects what the
 * kernel has to change. Nothing can fail here.
 */
static void commit_plan(Plan *plan, GrantTable *table, Slot *slot, const Decision *decision)
{
	_cleanup_free_ Link *old_links = TAKE_PTR(slot->links);
	size_t old_count = slot->link_count;

	for (size_t i = 0; i < plan->fresh_count; i++)
		entry_table_insert(&table->entries, plan->fresh[i]);
	plan->fresh_count = 0;
	grant_copy_done(&slot->grant);
	slot->grant.ports = plan->ports;
	slot->grant.asked = plan->asked;
	slot->grant.has_asked = decision->has_asked;
	plan->ports = PORT_LIST_NULL;
	plan->asked = PORT_LIST_NULL;
	slot->grant.source = decision->source;
	slot->grant.address = decision->address;
	slot->grant.ifindex = decision->ifindex;
	slot->links = TAKE_PTR(plan->links);
	slot->link_count = plan->count;

	entry_table_attach(slot->links, slot->link_count, &plan->changes);
	entry_table_release(&table->entries, old_links, old_count, &plan->changes);
}

static void take_changes(Plan *plan, EntryChanges *ret_changes)
{
	*ret_changes = plan->changes;
	plan->changes = (EntryChanges){0};
}

/* When a grant ends in any case, LIFETIME after its last knock. */
static uint64_t deadline(int64_t renewed_mono_ns, uint64_t lifetime_ns)
{
	if (lifetime_ns == DURATION_INFINITY)
		return SPALE_NEVER_NS;
	if (renewed_mono_ns < 0)
		return subtract_saturated(lifetime_ns, 0 - (uint64_t)renewed_mono_ns);
	return add_saturated((uint64_t)renewed_mono_ns, lifetime_ns);
}

static void set_times(Grant *grant, const Decision *decision)
{
	grant->idle_ns = decision->idle_ns;
	grant->grace_ns = decision->grace_ns;
	grant->lifetime_ns = decision->lifetime_ns;
	grant->deadline_mono_ns = deadline(grant->renewed_mono_ns, decision->lifetime_ns);
}

const Grant *grant_table_same(const GrantTable *table, const Client *client,
			      const Decision *decision)
{
	const Slot *slot = grant_slots_holdings(table, client, decision).same_source;

	return slot ? &slot->grant : NULL;
}

/* What has to go for a new grant of one who has HOLDINGS. */
static Slot *find_victim(const Holdings *holdings)
{
	if (holdings->same_source || holdings->count < GRANTS_PER_CLIENT_MAX)
		return NULL;
	return holdings->oldest;
}

const Grant *grant_table_yielding(const GrantTable *table, const Client *client,
				  const Decision *decision)
{
	const Holdings holdings = grant_slots_holdings(table, client, decision);
	const Slot *victim = find_victim(&holdings);

	return victim ? &victim->grant : NULL;
}

int grant_table_add(GrantTable *table, const Client *client, const Decision *decision,
		    uint64_t now_mono_ns, EntryChanges *ret_changes, const Grant **ret_grant)
{
	Holdings holdings = grant_slots_holdings(table, client, decision);
	_cleanup_plan_ Plan plan = {0};
	_cleanup_slot_ Slot *fresh = NULL;
	Slot *slot = holdings.same_source;
	Slot *victim = find_victim(&holdings);
	int r;

	if (!slot) {
		fresh = calloc(1, sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		slot = fresh;
		if (!victim && table->count >= GRANTS_MAX)
			return -ENOSPC;
	}
	r = grant_slots_reserve(table);
	if (r < 0)
		return r;
	r = plan_grant(&plan, table, slot, decision, victim ? victim->link_count : 0);
	if (r < 0)
		return r;

	if (fresh) {
		slot->grant.id = ++table->last_id;
		slot->grant.origin = decision->origin;
		slot->grant.created_mono_ns = now_mono_ns;
		slot->grant.source = decision->source;
		slot->grant.ifindex = decision->ifindex;
		if (client)
			slot->grant.key = client->key;
		grant_slots_insert(table, TAKE_PTR(fresh));
	}
	if (client)
		memcpy(slot->grant.client, client->name, sizeof(slot->grant.client));
	slot->grant.renewed_mono_ns = (int64_t)now_mono_ns;
	slot->grant.last_mono_ns = now_mono_ns;
	slot->grant.renewals++;
	slot->grant.is_condemned = false;
	set_times(&slot->grant, decision);
	commit_plan(&plan, table, slot, decision);
	if (victim)
		grant_slots_remove(table, victim, &plan.changes);
	take_changes(&plan, ret_changes);
	*ret_grant = &slot->grant;
	return 0;
}

int grant_table_restore(GrantTable *table, const Client *client, const Decision *decision,
			const GrantPast *past)
{
	Holdings holdings = grant_slots_holdings(table, client, decision);
	_cleanup_entry_changes_ EntryChanges changes = {0};
	uint64_t last_id = table->last_id;
	uint64_t renewed_mono_ns = past->renewed_mono_ns > 0 ? (uint64_t)past->renewed_mono_ns : 0;
	Decision left = *decision;
	const Grant *added;
	Slot *slot;
	int r;

	if (holdings.same_source || grant_slots_find(table, past->id))
		return -EEXIST;
	/* It counts from zero at the earliest, to the same end. */
	if (past->renewed_mono_ns < 0)
		left.lifetime_ns = deadline(past->renewed_mono_ns, decision->lifetime_ns);
	/* It gets the number behind the last one. */
	table->last_id = past->id - 1;
	r = grant_table_add(table, client, &left, renewed_mono_ns, &changes, &added);
	table->last_id = last_id > table->last_id ? last_id : table->last_id;
	if (r < 0)
		return r;
	slot = grant_slots_find(table, past->id);
	slot->grant.created_mono_ns = past->created_mono_ns;
	slot->grant.renewed_mono_ns = past->renewed_mono_ns;
	set_times(&slot->grant, decision);
	return 0;
}

int grant_table_redecide(GrantTable *table, uint64_t id, const Decision *decision,
			 EntryChanges *ret_changes)
{
	_cleanup_plan_ Plan plan = {0};
	Slot *slot = grant_slots_find(table, id);
	int r;

	if (!slot)
		return -ENOENT;
	r = plan_grant(&plan, table, slot, decision, 0);
	if (r < 0)
		return r;
	set_times(&slot->grant, decision);
	commit_plan(&plan, table, slot, decision);
	take_changes(&plan, ret_changes);
	return 0;
}

/* What GRANT is now, as it was decided; the lists stay the grant's. */
static Decision decided(const Grant *grant)
{
	return (Decision){
		.origin = grant->origin,
		.source = grant->source,
		.address = grant->address,
		.ifindex = grant->ifindex,
		.ports = grant->ports,
		.has_asked = grant->has_asked,
		.asked = grant->asked,
		.idle_ns = grant->idle_ns,
		.grace_ns = grant->grace_ns,
		.lifetime_ns = grant->lifetime_ns,
	};
}

int grant_table_extend(GrantTable *table, uint64_t id, uint64_t now_mono_ns, uint64_t lifetime_ns,
		       EntryChanges *ret_changes)
{
	_cleanup_plan_ Plan plan = {0};
	Slot *slot = grant_slots_find(table, id);
	Decision decision;
	int r;

	if (!slot)
		return -ENOENT;
	decision = decided(&slot->grant);
	decision.lifetime_ns = lifetime_ns;
	r = plan_grant(&plan, table, slot, &decision, 0);
	if (r < 0)
		return r;
	slot->grant.renewed_mono_ns = (int64_t)now_mono_ns;
	slot->grant.last_mono_ns = now_mono_ns;
	set_times(&slot->grant, &decision);
	commit_plan(&plan, table, slot, &decision);
	take_changes(&plan, ret_changes);
	return 0;
}

int grant_table_narrow(GrantTable *table, uint64_t id, const PortList *ports,
		       EntryChanges *ret_changes)
{
	_cleanup_port_list_ PortList left = PORT_LIST_NULL, asked = PORT_LIST_NULL;
	const Slot *slot = grant_slots_find(table, id);
	Decision decision;
	int r;

	if (!slot)
		return -ENOENT;
	decision = decided(&slot->grant);
	r = port_list_subtract(&slot->grant.ports, ports, &left);
	if (r == 0)
		r = port_list_subtract(slot->grant.has_asked ? &slot->grant.asked
							     : &slot->grant.ports,
				       ports, &asked);
	if (r < 0)
		return r;
	decision.ports = left;
	decision.has_asked = true;
	decision.asked = asked;
	return grant_table_redecide(table, id, &decision, ret_changes);
}

void grant_table_condemn(GrantTable *table, uint64_t id)
{
	Slot *slot = grant_slots_find(table, id);

	if (slot)
		slot->grant.is_condemned = true;
}

int grant_table_remove(GrantTable *table, uint64_t id, EntryChanges *ret_changes)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	Slot *slot = grant_slots_find(table, id);
	int r;

	if (!slot)
		return -ENOENT;
	r = entry_changes_reserve(&changes, slot->link_count);
	if (r < 0)
		return r;
	grant_slots_remove(table, slot, &changes);
	*ret_changes = changes;
	changes = (EntryChanges){0};
	return 0;
}

void grant_table_drop(GrantTable *table, uint64_t id)
{
	Slot *slot = grant_slots_find(table, id);

	if (slot)
		grant_slots_remove(table, slot, NULL);
}

/* ---- time -------------------------------------------------------------------------------- */

void grant_table_note_last(GrantTable *table, const struct spale_grant_key *key,
			   uint64_t last_mono_ns)
{
	Entry *entry = entry_table_find(&table->entries, key);

	if (entry)
		entry_table_note_last(entry, last_mono_ns);
}

uint64_t grant_end_mono_ns(const Grant *grant)
{
	uint64_t quiet_ns = grant->idle_ns > grant->grace_ns ? grant->idle_ns : grant->grace_ns;
	uint64_t end = add_saturated(grant->last_mono_ns, quiet_ns);

	return end < grant->deadline_mono_ns ? end : grant->deadline_mono_ns;
}

uint64_t grant_table_next_end_mono_ns(const GrantTable *table)
{
	uint64_t next = SPALE_NEVER_NS;

	for (size_t i = 0; i < table->count; i++) {
		uint64_t end = grant_end_mono_ns(&table->slots[i]->grant);

		if (end < next)
			next = end;
	}
	return next;
}

static void shift_grant(Grant *grant, uint64_t delta_ns)
{
	const struct spale_grant value =
		entry_table_shift_value(entry_table_value(grant), delta_ns);

	grant->last_mono_ns = value.last_mono_ns;
	grant->idle_ns = value.idle_ns;
	grant->grace_ns = value.grace_ns;
	grant->deadline_mono_ns = value.deadline_mono_ns;
	grant->created_mono_ns = subtract_saturated(grant->created_mono_ns, delta_ns);
	if (__builtin_sub_overflow(grant->renewed_mono_ns, delta_ns, &grant->renewed_mono_ns))
		grant->renewed_mono_ns = INT64_MIN;
}

void grant_table_shift(GrantTable *table, uint64_t delta_ns)
{
	for (size_t i = 0; i < table->count; i++)
		shift_grant(&table->slots[i]->grant, delta_ns);
	entry_table_shift(&table->entries, delta_ns);
}

/* ---- what is there ----------------------------------------------------------------------- */

size_t grant_table_count(const GrantTable *table)
{
	return table->count;
}

size_t grant_table_entries(const GrantTable *table)
{
	return table->entries.count;
}

const Grant *grant_table_get(const GrantTable *table, size_t index)
{
	return &table->slots[index]->grant;
}

const Grant *grant_table_by_id(const GrantTable *table, uint64_t id)
{
	const Slot *slot = grant_slots_find(table, id);

	return slot ? &slot->grant : NULL;
}

bool grant_table_covers(const GrantTable *table, const Address *source, uint32_t ifindex,
			uint8_t protocol, uint16_t port)
{
	for (unsigned length = 128; length > 0; length--) {
		const Prefix prefix = {address_mask(source, (uint8_t)length), (uint8_t)length};
		const struct spale_grant_key key =
			entry_table_key(&prefix, ifindex, protocol, port);

		if (entry_table_find(&table->entries, &key))
			return true;
	}
	return false;
}

int grant_table_project(const GrantTable *table, EntryChanges *changes)
{
	int r;

	r = entry_changes_reserve(changes, table->entries.count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < table->entries.bucket_count; i++) {
		for (HashNode *node = table->entries.buckets[i]; node; node = node->next)
			entry_changes_put(changes, HASH_OBJECT(node, Entry, node));
	}
	return 0;
}

int grant_table_project_some(const GrantTable *table, const EntryChanges *keys,
			     EntryChanges *changes)
{
	int r;

	r = entry_changes_reserve(changes, keys->count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < keys->count; i++) {
		const Entry *entry = entry_table_find(&table->entries, &keys->items[i].key);

		if (entry)
			entry_changes_put(changes, entry);
		else
			entry_changes_remove(changes, &keys->items[i].key);
	}
	return 0;
}

int grant_entries(const Grant *grant, EntryChanges *changes)
{
	int r;

	r = entry_changes_reserve(changes, port_list_ports(&grant->ports));
	if (r < 0)
		return r;
	port_list_foreach (range, &grant->ports) {
		for (uint32_t port = range->first; port <= range->last; port++) {
			const struct spale_grant_key key = entry_table_key(
				&grant->source, grant->ifindex, range->protocol, (uint16_t)port);

			entry_changes_remove(changes, &key);
		}
	}
	return 0;
}
