/* SPDX-License-Identifier: MIT */
#include "policy/hash-table.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS_AT_FIRST 64

/* FNV-1a, and a final mix, for its low bits alone select the bucket. */
uint64_t hash_table_hash(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash ^ hash >> 32;
}

int hash_table_init(HashTable *table)
{
	HashNode **buckets = calloc(BUCKETS_AT_FIRST, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	*table = (HashTable){.buckets = buckets, .bucket_count = BUCKETS_AT_FIRST};
	return 0;
}

void hash_table_done(HashTable *table)
{
	free(table->buckets);
	*table = (HashTable){0};
}

static HashNode **bucket_of(const HashTable *table, uint64_t hash)
{
	return &table->buckets[hash & (table->bucket_count - 1)];
}

static void grow(HashTable *table)
{
	HashTable larger = {.bucket_count = table->bucket_count * 2, .count = table->count};

	larger.buckets = calloc(larger.bucket_count, sizeof(*larger.buckets));
	if (!larger.buckets)
		return;
	for (size_t i = 0; i < table->bucket_count; i++) {
		HashNode *node = table->buckets[i];

		while (node) {
			HashNode *next = node->next;
			HashNode **bucket = bucket_of(&larger, node->hash);

			node->next = *bucket;
			*bucket = node;
			node = next;
		}
	}
	free(table->buckets);
	*table = larger;
}

void hash_table_insert(HashTable *table, HashNode *node, uint64_t hash)
{
	HashNode **bucket;

	if (table->count >= table->bucket_count)
		grow(table);
	bucket = bucket_of(table, hash);
	*node = (HashNode){.next = *bucket, .hash = hash};
	*bucket = node;
	table->count++;
}

void hash_table_remove(HashTable *table, HashNode *node)
{
	HashNode **place = bucket_of(table, node->hash);

	while (*place != node)
		place = &(*place)->next;
	*place = node->next;
	table->count--;
}

static HashNode *with_hash(HashNode *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

HashNode *hash_table_first(const HashTable *table, uint64_t hash)
{
	return with_hash(*bucket_of(table, hash), hash);
}

HashNode *hash_table_next(const HashNode *node)
{
	return with_hash(node->next, node->hash);
}
