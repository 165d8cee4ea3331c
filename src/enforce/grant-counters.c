/* SPDX-License-Identifier: MIT */
#include "enforce/grant-counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "util/cleanup.h"

#define WORDS ARRAY_SIZE(((GrantCounters *)NULL)->used)

/* A buffer for one element of the map, all 0; the caller frees it. */
static uint64_t *new_element(int *ret_cpus)
{
	int cpus = libbpf_num_possible_cpus();

	*ret_cpus = cpus;
	return cpus > 0 ? calloc((size_t)cpus, sizeof(uint64_t)) : NULL;
}

/*
 * Goes round, so that one is not used again at once: a CPU may still be counting a packet of the
 * grant that had it.
 */
static uint32_t find_free(const GrantCounters *counters)
{
	uint32_t first = counters->next % SPALE_GRANT_COUNTERS;
	uint64_t wanted = ~0ULL << first % 64;

	/* The first word twice: its end, and at last its beginning. */
	for (size_t i = 0; i <= WORDS; i++) {
		size_t word = (first / 64 + i) % WORDS;
		uint64_t free_bits = ~counters->used[word] & wanted;

		if (free_bits)
			return (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(free_bits);
		wanted = ~0ULL;
	}
	return SPALE_NO_COUNTER;
}

uint32_t grant_counters_take(GrantCounters *counters)
{
	uint32_t counter = find_free(counters);
	_cleanup_free_ uint64_t *zero = NULL;
	int cpus;

	if (counter == SPALE_NO_COUNTER)
		return counter;
	zero = new_element(&cpus);
	if (!zero || bpf_map_update_elem(counters->fd, &counter, zero, BPF_ANY) < 0)
		return SPALE_NO_COUNTER;
	grant_counters_keep(counters, counter);
	counters->next = counter + 1;
	return counter;
}

void grant_counters_keep(GrantCounters *counters, uint32_t counter)
{
	if (counter < SPALE_GRANT_COUNTERS)
		counters->used[counter / 64] |= 1ULL << counter % 64;
}

void grant_counters_return(GrantCounters *counters, uint32_t counter)
{
	if (counter < SPALE_GRANT_COUNTERS)
		counters->used[counter / 64] &= ~(1ULL << counter % 64);
}

int grant_counters_read(const GrantCounters *counters, uint32_t counter, uint64_t *ret_packets)
{
	_cleanup_free_ uint64_t *each = NULL;
	uint64_t sum = 0;
	int cpus;

	if (counter >= SPALE_GRANT_COUNTERS)
		return -ENODATA;
	each = new_element(&cpus);
	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(counters->fd, &counter, each) < 0)
		return -errno;
	for (int cpu = 0; cpu < cpus; cpu++)
		sum += each[cpu];
	*ret_packets = sum;
	return 0;
}
