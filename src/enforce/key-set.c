/* SPDX-License-Identifier: MIT */
#include "enforce/key-set.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void key_set_done(KeySet *set)
{
	free(set->keys);
	set->keys = NULL;
	set->count = set->allocated = 0;
}

static const uint8_t *key_at(const KeySet *set, size_t index)
{
	return set->keys + index * set->key_size;
}

int key_set_add(KeySet *set, const void *key)
{
	if (set->count == set->allocated) {
		size_t allocated = set->allocated ? set->allocated * 2 : 16;
		uint8_t *keys = reallocarray(set->keys, allocated, set->key_size);

		if (!keys)
			return -ENOMEM;
		set->keys = keys;
		set->allocated = allocated;
	}
	memcpy(set->keys + set->count * set->key_size, key, set->key_size);
	set->count++;
	return 0;
}

static int compare(const void *a, const void *b, void *key_size)
{
	return memcmp(a, b, *(const size_t *)key_size);
}

void key_set_sort(KeySet *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort_r(set->keys, set->count, set->key_size, compare, &set->key_size);
	for (size_t i = 1; i < set->count; i++)
		if (memcmp(key_at(set, kept), key_at(set, i), set->key_size) != 0 && ++kept != i)
			memcpy(set->keys + kept * set->key_size, key_at(set, i), set->key_size);
	set->count = kept + 1;
}

bool key_set_has(const KeySet *set, const void *key)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(key_at(set, middle), key, set->key_size);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Calls FUNCTION for each key that A has and B has not, until one fails. */
static int for_each_missing(int map_fd, const KeySet *a, const KeySet *b,
			    int (*function)(int map_fd, const void *key))
{
	size_t j = 0;

	for (size_t i = 0; i < a->count; i++) {
		int order = 1;

		while (j < b->count &&
		       (order = memcmp(key_at(b, j), key_at(a, i), a->key_size)) < 0)
			j++;
		if (j < b->count && order == 0)
			continue;

		int error = function(map_fd, key_at(a, i));
		if (error < 0)
			return error;
	}
	return 0;
}

static int put_one(int map_fd, const void *key)
{
	const uint32_t there = 1;

	return bpf_map_update_elem(map_fd, key, &there, BPF_ANY) < 0 ? -errno : 0;
}

static int delete_one(int map_fd, const void *key)
{
	return bpf_map_delete_elem(map_fd, key) < 0 && errno != ENOENT ? -errno : 0;
}

int key_set_put_new(int map_fd, const KeySet *from, const KeySet *to)
{
	return for_each_missing(map_fd, to, from, put_one);
}

int key_set_delete_old(int map_fd, const KeySet *from, const KeySet *to)
{
	return for_each_missing(map_fd, from, to, delete_one);
}

int key_set_read(int map_fd, KeySet *set)
{
	_cleanup_free_ uint8_t *key = malloc(set->key_size);
	const void *before = NULL;
	int error = key ? 0 : -ENOMEM;

	while (error == 0 && bpf_map_get_next_key(map_fd, before, key) == 0) {
		before = key;
		error = key_set_add(set, key);
	}
	if (error == 0 && errno != ENOENT)
		error = -errno;
	if (error == 0)
		key_set_sort(set);
	return error;
}
