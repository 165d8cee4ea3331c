/* SPDX-License-Identifier: MIT */
/*
 * Which interface the frames of a VLAN belong to, as the map "vlans" has it.
 */
#pragma once

#include <stddef.h>

#include "enforce/netlink.h"

/*
 * Makes the map hold exactly the VLANs among COUNT INTERFACES. Where there are more than
 * SPALE_VLANS_MAX, the packet path takes the rest for unknown, and what they bring for our own.
 * Returns 0 or a negative errno.
 */
int vlans_update(int map, const NetlinkInterface *interfaces, size_t count);
