/* SPDX-License-Identifier: MIT */
/*
 * Hears what others change in nftables. For nftables.c.
 */
#pragma once

#include "enforce/nftables-query.h"

/*
 * A socket, not blocking, that is told of all changes but those made by the socket of number
 * PORT_ID. A descriptor that the caller closes, or a negative errno.
 */
int nftables_watch_open(uint32_t port_id);

/*
 * Reads what FD was told, a part of it at a time. Returns whether it is about the table and sets of
 * COUNT NAMES, or may be, for more happened than could be told; or a negative errno.
 */
int nftables_watch_consume(int fd, const NftablesName *names, size_t count);
