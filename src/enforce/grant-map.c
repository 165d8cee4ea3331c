/* SPDX-License-Identifier: MIT */
#include "enforce/grant-map.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enforce/key-set.h"

/* An entry as it was before a change. */
typedef struct Undo {
	bool existed;
	struct spale_grant value;
} Undo;

/* There are CHANGE more entries of KEY's length, which in what others left may be none at all. */
static void count_use(GrantMap *map, const struct spale_grant_key *key, int change)
{
	if (key->prefix_length <= 128)
		map->use.entries[kernel_policy_family(key)][key->prefix_length] += (uint32_t)change;
}

static int get_entry(GrantMap *map, const struct spale_grant_key *key, Undo *ret_entry)
{
	*ret_entry = (Undo){0};
	if (bpf_map_lookup_elem(map->fd, key, &ret_entry->value) == 0)
		ret_entry->existed = true;
	else if (errno != ENOENT)
		return -errno;
	return 0;
}

/*
 * Writes an entry over BEFORE. The kernel may have noted a packet since VALUE was made: time does
 * not go back. (A packet noted between our reading and writing is lost; the next one, at most
 * SPALE_LAST_STEP_NS later, is noted again.) It counts on in COUNTER.
 */
static int put_entry(GrantMap *map, const struct spale_grant_key *key,
		     const struct spale_grant *value, const Undo *before, uint32_t counter)
{
	struct spale_grant grant = *value;

	grant.counter = counter;
	if (before->existed && grant.last_mono_ns < before->value.last_mono_ns)
		grant.last_mono_ns = before->value.last_mono_ns;
	if (bpf_map_update_elem(map->fd, key, &grant, BPF_ANY) < 0)
		return -errno;
	count_use(map, key, !before->existed);
	return 0;
}

static int delete_entry(GrantMap *map, const struct spale_grant_key *key, const Undo *before)
{
	if (bpf_map_delete_elem(map->fd, key) < 0 && errno != ENOENT)
		return -errno;
	count_use(map, key, -before->existed);
	return 0;
}

static int put_new_entry(GrantMap *map, const EntryChange *change, const Undo *before)
{
	uint32_t counter = grant_counters_take(&map->counters);
	int error = put_entry(map, &change->key, &change->value, before, counter);

	if (error < 0)
		grant_counters_return(&map->counters, counter);
	return error;
}

/* The counters of entries that go stay taken: it may have to come back. */
static int apply_one(GrantMap *map, const EntryChange *change, Undo *ret_undo)
{
	int error = get_entry(map, &change->key, ret_undo);

	if (error < 0)
		return error;
	if (!change->put)
		return delete_entry(map, &change->key, ret_undo);
	if (ret_undo->existed)
		return put_entry(map, &change->key, &change->value, ret_undo,
				 ret_undo->value.counter);
	return put_new_entry(map, change, ret_undo);
}

static void return_counter(GrantMap *map, const Undo *gone)
{
	if (gone->existed)
		grant_counters_return(&map->counters, gone->value.counter);
}

static void take_back(GrantMap *map, const EntryChange *change, const Undo *undo)
{
	Undo now;

	if (get_entry(map, &change->key, &now) < 0)
		now = (Undo){.existed = change->put, .value.counter = SPALE_NO_COUNTER};
	if (undo->existed) {
		put_entry(map, &change->key, &undo->value, &now, undo->value.counter);
	} else if (delete_entry(map, &change->key, &now) == 0) {
		return_counter(map, &now);
	}
}

/* A mask that no grant needs any more costs a lookup for each denied packet. */
static void drop_unused_masks(GrantMap *map, KernelPolicy *policy)
{
	const __u32 zero = 0;
	struct spale_settings settings = kernel_policy_settings(policy, &map->use);

	if (memcmp(&settings, &policy->settings, sizeof(settings)) != 0 &&
	    bpf_map_update_elem(map->settings, &zero, &settings, BPF_ANY) == 0)
		policy->settings = settings;
}

/* Has the kernel look for grants of the prefix lengths that CHANGES put, too. */
static int add_masks(GrantMap *map, KernelPolicy *policy, const EntryChanges *changes)
{
	const __u32 zero = 0;
	PrefixUse use = map->use;
	struct spale_settings settings;
	bool any = false;

	for (size_t i = 0; i < changes->count; i++) {
		const struct spale_grant_key *key = &changes->items[i].key;

		if (key->prefix_length < 1 || key->prefix_length > 128)
			return enforcer_fail(map->report, -EINVAL,
					     "no grant can have a prefix of %u bits",
					     key->prefix_length);
		if (!changes->items[i].put || kernel_policy_has_mask(policy, key))
			continue;
		use.entries[kernel_policy_family(key)][key->prefix_length]++;
		any = true;
	}
	if (!any)
		return 0;
	if (kernel_policy_add_masks(policy, &use, &settings) < 0)
		return enforcer_fail(map->report, -E2BIG,
				     "grants can have two prefix lengths in a family at a time, "
				     "and others are in use");
	if (bpf_map_update_elem(map->settings, &zero, &settings, BPF_ANY) < 0)
		return enforcer_fail(map->report, -errno,
				     "the kernel does not take the prefix length: %s",
				     strerror(errno));
	policy->settings = settings;
	return 0;
}

static int apply_failed(GrantMap *map, KernelPolicy *policy, int error)
{
	drop_unused_masks(map, policy);
	if (error == -E2BIG || error == -ENOSPC)
		return enforcer_fail(map->report, -ENOSPC,
				     "the kernel's table of %d grants is full", SPALE_GRANTS_MAX);
	return enforcer_fail(map->report, error, "the kernel does not take the grant: %s",
			     strerror(-error));
}

int grant_map_apply(GrantMap *map, KernelPolicy *policy, const EntryChanges *changes)
{
	_cleanup_free_ Undo *undo = NULL;
	int error;

	if (changes->count == 0)
		return 0;
	error = add_masks(map, policy, changes);
	if (error < 0)
		return error;
	undo = calloc(changes->count, sizeof(*undo));
	if (!undo)
		return enforcer_fail(map->report, -ENOMEM, "out of memory");

	for (size_t i = 0; i < changes->count; i++) {
		error = apply_one(map, &changes->items[i], &undo[i]);
		if (error == 0)
			continue;
		while (i-- > 0)
			take_back(map, &changes->items[i], &undo[i]);
		return apply_failed(map, policy, error);
	}
	for (size_t i = 0; i < changes->count; i++)
		if (!changes->items[i].put)
			return_counter(map, &undo[i]);
	drop_unused_masks(map, policy);
	return 0;
}

static int delete_key(GrantMap *map, const struct spale_grant_key *key)
{
	Undo before;
	int error = get_entry(map, key, &before);

	if (error == 0)
		error = delete_entry(map, key, &before);
	if (error == 0)
		return_counter(map, &before);
	return error;
}

int grant_map_sync(GrantMap *map, KernelPolicy *policy, const EntryChanges *wanted)
{
	_cleanup_key_set_ KeySet there = {.key_size = sizeof(struct spale_grant_key)};
	_cleanup_key_set_ KeySet keys = {.key_size = sizeof(struct spale_grant_key)};
	int error = grant_map_apply(map, policy, wanted);

	if (error < 0)
		return error;
	error = key_set_read(map->fd, &there);
	for (size_t i = 0; error == 0 && i < wanted->count; i++)
		error = key_set_add(&keys, &wanted->items[i].key);
	key_set_sort(&keys);
	for (size_t i = 0; error == 0 && i < there.count; i++) {
		const void *key = there.keys + i * there.key_size;

		if (!key_set_has(&keys, key))
			error = delete_key(map, key);
	}
	if (error < 0)
		return enforcer_fail(map->report, error,
				     "cannot clear up the grants in the kernel: %s",
				     strerror(-error));
	drop_unused_masks(map, policy);
	return 0;
}

static int find_entry(GrantMap *map, const struct spale_grant_key *key,
		      struct spale_grant *ret_value)
{
	Undo entry;
	int error = get_entry(map, key, &entry);

	if (error < 0)
		return enforcer_fail(map->report, error, "cannot read a grant from the kernel: %s",
				     strerror(-error));
	if (!entry.existed)
		return enforcer_fail(map->report, -ENOENT, "the kernel has no such grant");
	*ret_value = entry.value;
	return 0;
}

int grant_map_last_seen(GrantMap *map, const struct spale_grant_key *key, uint64_t *ret_mono_ns)
{
	struct spale_grant entry = {0};
	int error = find_entry(map, key, &entry);

	if (error == 0)
		*ret_mono_ns = entry.last_mono_ns;
	return error;
}

int grant_map_packets(GrantMap *map, const struct spale_grant_key *key, uint64_t *ret_packets)
{
	struct spale_grant entry = {0};
	int error = find_entry(map, key, &entry);

	if (error < 0)
		return error;
	error = grant_counters_read(&map->counters, entry.counter, ret_packets);
	if (error == -ENODATA)
		return enforcer_fail(map->report, error,
				     "the kernel counts in %d entries of grants only",
				     SPALE_GRANT_COUNTERS);
	if (error < 0)
		return enforcer_fail(map->report, error, "cannot read a grant's packets: %s",
				     strerror(-error));
	return 0;
}

int grant_map_read(GrantMap *map)
{
	_cleanup_key_set_ KeySet grants = {.key_size = sizeof(struct spale_grant_key)};
	int error = key_set_read(map->fd, &grants);
	Undo entry;

	if (error < 0)
		return error;
	for (size_t i = 0; i < grants.count; i++) {
		const struct spale_grant_key *key =
			(const void *)(grants.keys + i * grants.key_size);

		error = get_entry(map, key, &entry);
		if (error < 0)
			return error;
		count_use(map, key, 1);
		if (entry.existed)
			grant_counters_keep(&map->counters, entry.value.counter);
	}
	return 0;
}
