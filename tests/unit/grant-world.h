/* SPDX-License-Identifier: MIT */
/* A grant table and a kernel that follows it, for the tests of the table. */
#pragma once

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "policy/grant-table.h"
#include "util/cleanup.h"
#include "util/parse.h"

/*
 * A kernel that does as it is told, and at whose side a table can be compared: entries in no
 * order, as few as a test needs.
 */
typedef struct Kernel {
	EntryChange *entries;
	size_t count;
	size_t room;
} Kernel;

static inline void kernel_done(Kernel *kernel)
{
	free(kernel->entries);
}

#define _cleanup_kernel_ _cleanup_(kernel_done)

static inline EntryChange *kernel_find(const Kernel *kernel, const struct spale_grant_key *key)
{
	for (size_t i = 0; i < kernel->count; i++) {
		if (memcmp(&kernel->entries[i].key, key, sizeof(*key)) == 0)
			return &kernel->entries[i];
	}
	return NULL;
}

/* Does what CHANGES say, which have to make sense: puts first, and nothing removed that is not
 * there. */
static inline void kernel_apply(Kernel *kernel, const EntryChanges *changes)
{
	bool removing = false;

	for (size_t i = 0; i < changes->count; i++) {
		const EntryChange *change = &changes->items[i];
		EntryChange *entry = kernel_find(kernel, &change->key);

		if (!change->put) {
			removing = true;
			assert_non_null(entry);
			*entry = kernel->entries[--kernel->count];
			continue;
		}
		assert_false(removing);
		if (!entry) {
			if (kernel->count == kernel->room) {
				kernel->room = kernel->room ? kernel->room * 2 : 16;
				kernel->entries = reallocarray(kernel->entries, kernel->room,
							       sizeof(*kernel->entries));
				assert_non_null(kernel->entries);
			}
			entry = &kernel->entries[kernel->count++];
		}
		*entry = *change;
	}
}

/* The table believes that the kernel has what it has. */
static inline void assert_projected(const Kernel *kernel, const GrantTable *table)
{
	_cleanup_entry_changes_ EntryChanges all = {0};

	assert_int_equal(grant_table_project(table, &all), 0);
	assert_int_equal(all.count, kernel->count);
	assert_int_equal(all.count, grant_table_entries(table));
	for (size_t i = 0; i < all.count; i++) {
		const EntryChange *entry = kernel_find(kernel, &all.items[i].key);

		assert_true(all.items[i].put);
		assert_non_null(entry);
		assert_memory_equal(&entry->value, &all.items[i].value, sizeof(entry->value));
	}
}

/* A table with the kernel that follows it. */
typedef struct World {
	GrantTable *table;
	Kernel kernel;
	EntryChanges changes; /* of the last step */
} World;

static inline void world_done(World *world)
{
	grant_table_free(world->table);
	kernel_done(&world->kernel);
	entry_changes_done(&world->changes);
}

#define _cleanup_world_ _cleanup_(world_done)

static inline World world_new(void)
{
	World world = {.table = grant_table_new()};

	assert_non_null(world.table);
	return world;
}

static inline Client client_of(uint32_t number)
{
	Client client = {.enabled = true};

	snprintf(client.name, sizeof(client.name), "c%u", number);
	memcpy(client.key.bytes + 7, &number, sizeof(number));
	return client;
}

static inline Prefix prefix_of(const char *text)
{
	Prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix;
}

#define TIMES                                                                                      \
	(Decision)                                                                                 \
	{                                                                                          \
		.idle_ns = 60, .grace_ns = 300, .lifetime_ns = 1000                                \
	}

/* Like a knock of client NUMBER, of which a Decision came with TIMES. */
static inline const Grant *knock_with(World *world, uint32_t number, const char *source,
				      const char *ports, uint64_t now, Decision decision)
{
	Client client = client_of(number);
	char copy[128], *rest = copy, *item;
	const Grant *grant = NULL;

	snprintf(copy, sizeof(copy), "%s", ports);
	while ((item = strsep(&rest, " ")))
		assert_int_equal(port_list_add_text(&decision.ports, item), 0);
	decision.source = prefix_of(source);
	entry_changes_done(&world->changes);
	assert_int_equal(
		grant_table_add(world->table, &client, &decision, now, &world->changes, &grant), 0);
	decision_done(&decision);
	kernel_apply(&world->kernel, &world->changes);
	assert_projected(&world->kernel, world->table);
	return grant;
}

static inline const Grant *knock(World *world, uint32_t number, const char *source,
				 const char *ports, uint64_t now)
{
	return knock_with(world, number, source, ports, now, TIMES);
}

static inline void end(World *world, uint64_t id)
{
	entry_changes_done(&world->changes);
	assert_int_equal(grant_table_remove(world->table, id, &world->changes), 0);
	kernel_apply(&world->kernel, &world->changes);
	assert_projected(&world->kernel, world->table);
}

static inline struct spale_grant_key key_of(const char *source, uint8_t protocol, uint16_t port)
{
	const Prefix prefix = prefix_of(source);
	struct spale_grant_key key = {
		.port = port, .protocol = protocol, .prefix_length = prefix.length};

	memcpy(key.source, prefix.address.bytes, sizeof(key.source));
	return key;
}

static inline void assert_entry(const World *world, const char *source, uint16_t port,
				uint64_t last, uint64_t idle, uint64_t grace, uint64_t deadline)
{
	const struct spale_grant_key key = key_of(source, IPPROTO_TCP, port);
	const EntryChange *entry = kernel_find(&world->kernel, &key);

	assert_non_null(entry);
	assert_int_equal(entry->value.last_mono_ns, last);
	assert_int_equal(entry->value.idle_ns, idle);
	assert_int_equal(entry->value.grace_ns, grace);
	assert_int_equal(entry->value.deadline_mono_ns, deadline);
}

static inline void assert_no_entry(const World *world, const char *source, uint16_t port)
{
	const struct spale_grant_key key = key_of(source, IPPROTO_TCP, port);

	assert_null(kernel_find(&world->kernel, &key));
}

static inline void note(World *world, const char *source, uint16_t port, uint64_t last)
{
	const struct spale_grant_key key = key_of(source, IPPROTO_TCP, port);
	EntryChange *entry = kernel_find(&world->kernel, &key);

	if (entry && entry->value.last_mono_ns < last)
		entry->value.last_mono_ns = last;
	grant_table_note_last(world->table, &key, last);
}
