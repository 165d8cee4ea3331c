/* SPDX-License-Identifier: MIT */
/*
 * A hash table of nodes that lie in the objects they find: inserting allocates nothing that it
 * needs, so it cannot fail half-way. The caller brings the hash, compares keys and owns objects.
 *
 * Not for keys that strangers choose freely: the hash has no secret.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct HashNode {
	struct HashNode *next;
	uint64_t hash;
} HashNode;

typedef struct HashTable {
	HashNode **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
} HashTable;

/* The object of type TYPE whose member MEMBER is NODE. */
#define HASH_OBJECT(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* The hash of SIZE bytes, for the functions below. Not seeded: the same at every start. */
uint64_t hash_table_hash(const void *data, size_t size);

/* Returns 0 or -ENOMEM. */
int hash_table_init(HashTable *table);

/* Releases the table; what its nodes lie in is the caller's. */
void hash_table_done(HashTable *table);

/* Adds NODE. More room is made as the table grows; where there is no memory it merely gets slower.
 */
void hash_table_insert(HashTable *table, HashNode *node, uint64_t hash);

/* Takes NODE, which is in TABLE, out of it. */
void hash_table_remove(HashTable *table, HashNode *node);

/* The first node with this hash and the next one behind NODE with the same hash; NULL: none. */
HashNode *hash_table_first(const HashTable *table, uint64_t hash);
HashNode *hash_table_next(const HashNode *node);
