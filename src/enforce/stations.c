/* SPDX-License-Identifier: MIT */
#include "enforce/stations.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enforce/key-set.h"
#include "util/cleanup.h"

static int set_asking(Stations *self, uint32_t slot, bool asks)
{
	const uint32_t value = asks;

	if (bpf_map_update_elem(self->asking, &slot, &value, BPF_ANY) < 0)
		return -errno;
	self->asks[slot] = asks;
	return 0;
}

int stations_clear(Stations *self, uint32_t slot)
{
	return set_asking(self, slot, false);
}

/* ---- what is wanted ---------------------------------------------------------------------- */

static bool is_macvlan_on(const NetlinkInterface *child, uint32_t ifindex)
{
	return child->lower_ifindex == ifindex &&
	       (strcmp(child->kind, "macvlan") == 0 || strcmp(child->kind, "macvtap") == 0);
}

/* Whether frames for other stations reach the interface as a matter of course. */
static bool hears_others(uint32_t ifindex, const NetlinkInterface *interfaces, size_t count)
{
	bool has_station = false, hears = false;

	for (size_t i = 0; i < count; i++) {
		const NetlinkInterface *interface = &interfaces[i];

		if (interface->ifindex == ifindex) {
			has_station = interface->has_station;
			hears |= interface->is_bridge_port || interface->is_promiscuous;
		}
		hears |= is_macvlan_on(interface, ifindex);
	}
	return has_station && hears;
}

static int add_station(KeySet *set, const uint8_t address[static 6])
{
	struct spale_station key = {0};

	memcpy(key.address, address, sizeof(key.address));
	return key_set_add(set, &key);
}

/* Fills an empty set with everybody who is of this host. */
static int find_stations(const NetlinkInterface *interfaces, size_t count, KeySet *set)
{
	_cleanup_free_ NetlinkStation *others = NULL;
	size_t other_count = 0;
	int error = netlink_stations(&others, &other_count);

	for (size_t i = 0; error == 0 && i < count; i++)
		if (interfaces[i].has_station)
			error = add_station(set, interfaces[i].station);
	for (size_t i = 0; error == 0 && i < other_count; i++)
		error = add_station(set, others[i].address);
	if (error == 0)
		key_set_sort(set);
	return error == 0 && set->count > SPALE_STATIONS_MAX ? -E2BIG : error;
}

/* ---- what is written --------------------------------------------------------------------- */

/* Those that begin to ask do so once all of WANTED is in the map. */
static int write_all(Stations *self, const bool asks[static SPALE_SLOTS], const KeySet *wanted)
{
	_cleanup_key_set_ KeySet there = {.key_size = sizeof(struct spale_station)};
	int error = key_set_read(self->stations, &there);

	/* Old ones go first only where both do not fit: then nobody asks meanwhile. */
	if (error == 0 && there.count + wanted->count > SPALE_STATIONS_MAX) {
		for (uint32_t slot = 0; error == 0 && slot < SPALE_SLOTS; slot++)
			error = stations_clear(self, slot);
		if (error == 0)
			error = key_set_delete_old(self->stations, &there, wanted);
	}
	if (error == 0)
		error = key_set_put_new(self->stations, &there, wanted);
	for (uint32_t slot = 0; error == 0 && slot < SPALE_SLOTS; slot++)
		error = set_asking(self, slot, asks[slot]);
	return error < 0 ? error : key_set_delete_old(self->stations, &there, wanted);
}

int stations_update(Stations *self, const uint32_t ifindexes[static SPALE_SLOTS],
		    const NetlinkInterface *interfaces, size_t count)
{
	_cleanup_key_set_ KeySet wanted = {.key_size = sizeof(struct spale_station)};
	bool asks[SPALE_SLOTS] = {0}, anybody = false;
	int error = 0;

	for (uint32_t slot = 0; slot < SPALE_SLOTS; slot++) {
		asks[slot] = ifindexes[slot] && hears_others(ifindexes[slot], interfaces, count);
		anybody |= asks[slot];
		if (!asks[slot] && (error = stations_clear(self, slot)) < 0)
			return error;
	}
	if (anybody)
		error = find_stations(interfaces, count, &wanted);
	if (error == 0)
		error = write_all(self, asks, &wanted);
	if (error == 0)
		return 0;

	error = 0;
	for (uint32_t slot = 0; slot < SPALE_SLOTS; slot++) {
		int failure = stations_clear(self, slot);

		error = failure < 0 ? failure : error;
	}
	return error;
}
