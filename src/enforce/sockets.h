/* SPDX-License-Identifier: MIT */
/*
 * The sockets of this network namespace that have a peer, and their end.
 */
#pragma once

#include "enforce/enforcer.h"

/*
 * Destroys the TCP connections and connected UDP sockets for which TEST says so: their owners get
 * ECONNABORTED, TCP peers a reset. Returns how many, -EOPNOTSUPP (this kernel cannot do that) or
 * what else the kernel said; the others were destroyed all the same.
 */
int sockets_destroy(EnforcerCut test, void *userdata);
