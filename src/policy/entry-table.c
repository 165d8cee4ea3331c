/* SPDX-License-Identifier: MIT */
#include "policy/entry-table.h"

#include <errno.h>
#include <string.h>

void entry_changes_done(EntryChanges *changes)
{
	free(changes->items);
	*changes = (EntryChanges){0};
}

int entry_changes_reserve(EntryChanges *changes, size_t more)
{
	size_t room = changes->allocated ? changes->allocated : 16;
	EntryChange *items;

	while (room - changes->count < more)
		room *= 2;
	if (room <= changes->allocated)
		return 0;
	items = reallocarray(changes->items, room, sizeof(*items));
	if (!items)
		return -ENOMEM;
	changes->items = items;
	changes->allocated = room;
	return 0;
}

void entry_changes_put(EntryChanges *changes, const Entry *entry)
{
	if (changes)
		changes->items[changes->count++] =
			(EntryChange){.put = true, .key = entry->key, .value = entry->value};
}

void entry_changes_remove(EntryChanges *changes, const struct spale_grant_key *key)
{
	if (changes)
		changes->items[changes->count++] = (EntryChange){.key = *key};
}

static uint64_t subtract_saturated(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

struct spale_grant entry_table_value(const Grant *grant)
{
	return (struct spale_grant){
		.last_mono_ns = grant->last_mono_ns,
		.idle_ns = grant->idle_ns,
		.grace_ns = grant->grace_ns,
		.deadline_mono_ns = grant->deadline_mono_ns,
	};
}

static struct spale_grant most_generous(const struct spale_grant *a, const struct spale_grant *b)
{
	return (struct spale_grant){
		.last_mono_ns = larger(a->last_mono_ns, b->last_mono_ns),
		.idle_ns = larger(a->idle_ns, b->idle_ns),
		.grace_ns = larger(a->grace_ns, b->grace_ns),
		.deadline_mono_ns = larger(a->deadline_mono_ns, b->deadline_mono_ns),
	};
}

static bool is_as_generous(const struct spale_grant *a, const struct spale_grant *b)
{
	return a->last_mono_ns >= b->last_mono_ns && a->idle_ns >= b->idle_ns &&
	       a->grace_ns >= b->grace_ns && a->deadline_mono_ns >= b->deadline_mono_ns;
}

/*
 * Sets the value of ENTRY. Once the owners looked at are as generous as BOUND, which no owner
 * exceeds, the others need not be asked: the newest come first, so that this is so nearly always
 * at once, however many share the entry.
 */
static void entry_refresh(Entry *entry, const struct spale_grant *bound)
{
	struct spale_grant value = {0};

	for (const Link *link = entry->owners; link; link = link->next) {
		const struct spale_grant own = entry_table_value(link->grant);

		value = most_generous(&value, &own);
		if (is_as_generous(&value, bound))
			break;
	}
	entry->value = value;
}

struct spale_grant_key entry_table_key(const Prefix *source, uint32_t ifindex, uint8_t protocol,
				       uint16_t port)
{
	struct spale_grant_key key = {
		.ifindex = ifindex,
		.port = port,
		.protocol = protocol,
		.prefix_length = source->length,
	};

	memcpy(key.source, source->address.bytes, sizeof(key.source));
	return key;
}

Entry *entry_table_find(const HashTable *entries, const struct spale_grant_key *key)
{
	HashNode *node = hash_table_first(entries, hash_table_hash(key, sizeof(*key)));

	for (; node; node = hash_table_next(node)) {
		Entry *entry = HASH_OBJECT(node, Entry, node);

		if (memcmp(&entry->key, key, sizeof(*key)) == 0)
			return entry;
	}
	return NULL;
}

void entry_table_insert(HashTable *entries, Entry *entry)
{
	hash_table_insert(entries, &entry->node, hash_table_hash(&entry->key, sizeof(entry->key)));
}

void entry_table_done(HashTable *entries)
{
	for (size_t i = 0; i < entries->bucket_count; i++) {
		while (entries->buckets[i]) {
			Entry *entry = HASH_OBJECT(entries->buckets[i], Entry, node);

			hash_table_remove(entries, &entry->node);
			free(entry);
		}
	}
	hash_table_done(entries);
}

static void link_attach(Link *link)
{
	Entry *entry = link->entry;

	link->previous = NULL;
	link->next = entry->owners;
	if (entry->owners)
		entry->owners->previous = link;
	entry->owners = link;
	if (entry->noted_mono_ns > link->grant->last_mono_ns)
		entry->noted_mono_ns = link->grant->last_mono_ns;
}

static void link_detach(Link *link)
{
	if (link->previous)
		link->previous->next = link->next;
	else
		link->entry->owners = link->next;
	if (link->next)
		link->next->previous = link->previous;
}

void entry_table_attach(Link *links, size_t count, EntryChanges *changes)
{
	for (size_t i = 0; i < count; i++) {
		Entry *entry = links[i].entry;
		const struct spale_grant own = entry_table_value(links[i].grant);
		const struct spale_grant bound = most_generous(&entry->value, &own);

		link_attach(&links[i]);
		entry_refresh(entry, &bound);
		entry_changes_put(changes, entry);
	}
}

void entry_table_release(HashTable *entries, Link *links, size_t count, EntryChanges *changes)
{
	for (size_t i = 0; i < count; i++)
		link_detach(&links[i]);
	/* An entry that is left changes only where it becomes less generous. */
	for (size_t i = 0; i < count; i++) {
		Entry *entry = links[i].entry;
		const struct spale_grant before = entry->value;

		if (!entry->owners)
			continue;
		entry_refresh(entry, &before);
		if (memcmp(&entry->value, &before, sizeof(before)) != 0)
			entry_changes_put(changes, entry);
	}
	for (size_t i = 0; i < count; i++) {
		Entry *entry = links[i].entry;

		if (entry->owners)
			continue;
		entry_changes_remove(changes, &entry->key);
		hash_table_remove(entries, &entry->node);
		free(entry);
	}
}

void entry_table_note_last(Entry *entry, uint64_t last_mono_ns)
{
	if (last_mono_ns <= entry->noted_mono_ns)
		return;
	entry->noted_mono_ns = last_mono_ns;
	entry->value.last_mono_ns = larger(entry->value.last_mono_ns, last_mono_ns);
	for (Link *link = entry->owners; link; link = link->next)
		link->grant->last_mono_ns = larger(link->grant->last_mono_ns, last_mono_ns);
}

static void shift_duration(__u64 *ns, uint64_t delta_ns)
{
	if (*ns != SPALE_NEVER_NS)
		*ns = subtract_saturated(*ns, delta_ns);
}

/* A last packet cannot lie before zero; what is missing there goes off what follows it. */
struct spale_grant entry_table_shift_value(struct spale_grant value, uint64_t delta_ns)
{
	uint64_t missing_ns = subtract_saturated(delta_ns, value.last_mono_ns);

	value.last_mono_ns = subtract_saturated(value.last_mono_ns, delta_ns);
	shift_duration(&value.idle_ns, missing_ns);
	shift_duration(&value.grace_ns, missing_ns);
	shift_duration(&value.deadline_mono_ns, delta_ns);
	return value;
}

void entry_table_shift(HashTable *entries, uint64_t delta_ns)
{
	for (size_t i = 0; i < entries->bucket_count; i++) {
		for (HashNode *node = entries->buckets[i]; node; node = node->next) {
			Entry *entry = HASH_OBJECT(node, Entry, node);

			entry->value = entry_table_shift_value(entry->value, delta_ns);
			entry->noted_mono_ns = subtract_saturated(entry->noted_mono_ns, delta_ns);
		}
	}
}
