/* SPDX-License-Identifier: MIT */
/*
 * Which interfaces ask whom a frame is for, and who is of this host, as the maps "asking" and
 * "stations" have it.
 *
 * Every device of this network namespace counts as being of this host, not only what is stacked on
 * the interface: a switch of another kind (Open vSwitch) or a pair of veths leads frames to devices
 * that nothing shows to be above it. Whatever cannot be found out or does not fit leaves nobody
 * asking: then every frame is judged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

#include "enforce/netlink.h"

typedef struct Stations {
	int asking, stations; /* the maps, borrowed */
	bool asks[SPALE_SLOTS];
} Stations;

/*
 * Brings the maps up to date with COUNT INTERFACES, all that there are, and with what else takes
 * frames for this host. IFINDEXES: the interface of each slot, 0: none. Returns 0 or, where not
 * even "nobody asks" could be written, a negative errno.
 */
int stations_update(Stations *self, const uint32_t ifindexes[static SPALE_SLOTS],
		    const NetlinkInterface *interfaces, size_t count);

/* Has SLOT not ask, before another interface gets it. Returns 0 or a negative errno. */
int stations_clear(Stations *self, uint32_t slot);
