/* SPDX-License-Identifier: MIT */
#include "policy/grant-slots.h"

#include <errno.h>
#include <string.h>

void slot_free(Slot *slot)
{
	if (!slot)
		return;
	grant_copy_done(&slot->grant);
	free(slot->links);
	free(slot);
}

/*
 * A client has GRANTS_PER_CLIENT_MAX grants at most, so that all of them can be looked at; an
 * administrator's is found by its source, for there may be GRANTS_MAX of them.
 */
static uint64_t hash_holder(GrantOrigin origin, const PublicKey *key, const Prefix *source,
			    uint32_t ifindex)
{
	uint8_t bytes[sizeof(source->address) + 1 + sizeof(ifindex)];

	if (origin == GRANT_ORIGIN_KNOCK)
		return hash_table_hash(key, sizeof(*key));
	memcpy(bytes, &source->address, sizeof(source->address));
	bytes[sizeof(source->address)] = source->length;
	memcpy(bytes + sizeof(source->address) + 1, &ifindex, sizeof(ifindex));
	return hash_table_hash(bytes, sizeof(bytes));
}

static uint64_t hash_slot(const Slot *slot)
{
	return hash_holder(slot->grant.origin, &slot->grant.key, &slot->grant.source,
			   slot->grant.ifindex);
}

static uint64_t hash_id(uint64_t id)
{
	return hash_table_hash(&id, sizeof(id));
}

Slot *grant_slots_find(const GrantTable *table, uint64_t id)
{
	HashNode *node = hash_table_first(&table->by_id, hash_id(id));

	for (; node; node = hash_table_next(node)) {
		Slot *slot = HASH_OBJECT(node, Slot, by_id);

		if (slot->grant.id == id)
			return slot;
	}
	return NULL;
}

static bool is_older(const Grant *a, const Grant *b)
{
	if (a->created_mono_ns != b->created_mono_ns)
		return a->created_mono_ns < b->created_mono_ns;
	return a->id < b->id;
}

static bool has_source(const Grant *grant, const Decision *decision)
{
	return grant->ifindex == decision->ifindex &&
	       prefix_compare(&grant->source, &decision->source) == 0;
}

Holdings grant_slots_holdings(const GrantTable *table, const Client *client,
			      const Decision *decision)
{
	static const PublicKey nobody = {{0}};
	const PublicKey *key = client ? &client->key : &nobody;
	uint64_t hash = hash_holder(decision->origin, key, &decision->source, decision->ifindex);
	HashNode *node = hash_table_first(&table->by_holder, hash);
	Holdings holdings = {0};

	for (; node; node = hash_table_next(node)) {
		Slot *slot = HASH_OBJECT(node, Slot, by_holder);
		const Grant *grant = &slot->grant;

		if (grant->origin != decision->origin ||
		    memcmp(&grant->key, key, sizeof(*key)) != 0)
			continue;
		if (has_source(grant, decision))
			holdings.same_source = slot;
		if (!client)
			continue;
		holdings.count++;
		if (!holdings.oldest || is_older(grant, &holdings.oldest->grant))
			holdings.oldest = slot;
	}
	return holdings;
}

int grant_slots_reserve(GrantTable *table)
{
	size_t room = table->room ? table->room * 2 : 64;
	Slot **slots;

	if (table->count < table->room)
		return 0;
	slots = reallocarray(table->slots, room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	table->slots = slots;
	table->room = room;
	return 0;
}

void grant_slots_insert(GrantTable *table, Slot *slot)
{
	slot->index = table->count;
	table->slots[table->count++] = slot;
	hash_table_insert(&table->by_id, &slot->by_id, hash_id(slot->grant.id));
	hash_table_insert(&table->by_holder, &slot->by_holder, hash_slot(slot));
}

void grant_slots_remove(GrantTable *table, Slot *slot, EntryChanges *changes)
{
	entry_table_release(&table->entries, slot->links, slot->link_count, changes);
	hash_table_remove(&table->by_id, &slot->by_id);
	hash_table_remove(&table->by_holder, &slot->by_holder);
	table->count--;
	table->slots[slot->index] = table->slots[table->count];
	table->slots[slot->index]->index = slot->index;
	slot_free(slot);
}
