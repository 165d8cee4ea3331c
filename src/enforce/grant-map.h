/* SPDX-License-Identifier: MIT */
/*
 * The kernel's map of grants: changes to it, the prefix lengths that it is looked up by, and what
 * its entries count in.
 */
#pragma once

#include "enforce/grant-counters.h"
#include "enforce/kernel-policy.h"

typedef struct GrantMap {
	Enforcer *report; /* told what fails; borrowed */
	int fd;		  /* of the map; borrowed, like the settings' */
	int settings;
	PrefixUse use;
	GrantCounters counters;
} GrantMap;

/* enforcer_apply() and enforcer_sync(). POLICY: in force; its settings follow the lengths in use.
 */
int grant_map_apply(GrantMap *map, KernelPolicy *policy, const EntryChanges *changes);
int grant_map_sync(GrantMap *map, KernelPolicy *policy, const EntryChanges *wanted);

/* enforcer_last_seen() */
int grant_map_last_seen(GrantMap *map, const struct spale_grant_key *key, uint64_t *ret_mono_ns);

/* enforcer_packets() */
int grant_map_packets(GrantMap *map, const struct spale_grant_key *key, uint64_t *ret_packets);

/* Learns what an earlier daemon has put there. Returns 0 or a negative errno. */
int grant_map_read(GrantMap *map);
