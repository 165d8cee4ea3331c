/* SPDX-License-Identifier: MIT */
/*
 * The kernel's map of grants: changes to it, and the prefix lengths that it is looked up by.
 */
#pragma once

#include "enforce/kernel-policy.h"

typedef struct GrantMap {
	Enforcer *report; /* told what fails; borrowed */
	int fd;		  /* of the map; borrowed, like the settings' */
	int settings;
	PrefixUse use;
} GrantMap;

/* enforcer_apply() and enforcer_sync(). POLICY: in force; its settings follow the lengths in use.
 */
int grant_map_apply(GrantMap *map, KernelPolicy *policy, const EntryChanges *changes);
int grant_map_sync(GrantMap *map, KernelPolicy *policy, const EntryChanges *wanted);

/* enforcer_last_seen() */
int grant_map_last_seen(GrantMap *map, const struct spale_grant_key *key, uint64_t *ret_mono_ns);

/* Learns what an earlier daemon has put there. Returns 0 or a negative errno. */
int grant_map_read(GrantMap *map);
