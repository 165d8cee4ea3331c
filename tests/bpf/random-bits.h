/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that are the same for the same seed, everywhere: splitmix64.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Random {
	uint64_t state;
} Random;

/* Any 64 bits. */
static inline uint64_t random_bits(Random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* 0 to COUNT - 1. */
static inline size_t random_below(Random *random, size_t count)
{
	return (size_t)(random_bits(random) % count);
}

/* True so many times in a hundred. */
static inline bool random_percent(Random *random, unsigned percent)
{
	return random_bits(random) % 100 < percent;
}

static inline void random_fill(Random *random, void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)bytes)[i] = (uint8_t)random_bits(random);
}
