/* SPDX-License-Identifier: MIT */
#include "enforce/vlans.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>

#include <spale/bpf-abi.h>

static bool is_vlan(const NetlinkInterface *interface)
{
	return interface->vlan_id && interface->lower_ifindex;
}

static struct spale_vlan_key key_of(const NetlinkInterface *interface)
{
	return (struct spale_vlan_key){
		.ifindex = interface->lower_ifindex,
		.tag = (uint32_t)interface->vlan_protocol << 16 | interface->vlan_id,
	};
}

static bool is_wanted(const struct spale_vlan_key *key, const NetlinkInterface *interfaces,
		      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct spale_vlan_key wanted = key_of(&interfaces[i]);

		if (is_vlan(&interfaces[i]) && wanted.ifindex == key->ifindex &&
		    wanted.tag == key->tag)
			return true;
	}
	return false;
}

/* Where a key was deleted the map is walked on from the one before it. */
static int delete_old(int map, const NetlinkInterface *interfaces, size_t count)
{
	struct spale_vlan_key key, before;
	bool has_before = false;

	while (bpf_map_get_next_key(map, has_before ? &before : NULL, &key) == 0) {
		if (is_wanted(&key, interfaces, count)) {
			before = key;
			has_before = true;
		} else if (bpf_map_delete_elem(map, &key) < 0 && errno != ENOENT) {
			return -errno;
		}
	}
	return errno == ENOENT ? 0 : -errno;
}

int vlans_update(int map, const NetlinkInterface *interfaces, size_t count)
{
	int error = delete_old(map, interfaces, count);

	for (size_t i = 0; error == 0 && i < count; i++) {
		const struct spale_vlan_key key = key_of(&interfaces[i]);
		const __u32 ifindex = interfaces[i].ifindex;

		if (is_vlan(&interfaces[i]) &&
		    bpf_map_update_elem(map, &key, &ifindex, BPF_ANY) < 0 && errno != E2BIG)
			error = -errno;
	}
	return error;
}
