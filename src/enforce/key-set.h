/* SPDX-License-Identifier: MIT */
/*
 * Sets of keys of one size, kept sorted, and their projection into a kernel map whose values say
 * no more than that the key is there (__u32 1).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

typedef struct KeySet {
	size_t key_size;
	uint8_t *keys; /* count * key_size bytes */
	size_t count;
	size_t allocated;
} KeySet;

void key_set_done(KeySet *set);
#define _cleanup_key_set_ _cleanup_(key_set_done)

/* Appends a copy of KEY (key_size bytes); key_set_sort() must follow the last. 0 or -ENOMEM. */
int key_set_add(KeySet *set, const void *key);

/* Sorts, and drops what is there twice. */
void key_set_sort(KeySet *set);

/* Whether KEY is in a sorted set. */
bool key_set_has(const KeySet *set, const void *key);

/* Fills an empty set with what is in the map. Returns 0 or a negative errno. */
int key_set_read(int map_fd, KeySet *set);

/* Puts into the map what TO has and FROM has not. Returns 0 or a negative errno. */
int key_set_put_new(int map_fd, const KeySet *from, const KeySet *to);

/* Deletes from the map what FROM has and TO has not; gone already is fine. Same returns. */
int key_set_delete_old(int map_fd, const KeySet *from, const KeySet *to);
