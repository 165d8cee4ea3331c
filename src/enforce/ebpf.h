/* SPDX-License-Identifier: MIT */
/*
 * The eBPF enforcer: loads the programs, fills their maps, attaches them. libbpf's only door.
 *
 * One program instance for each interface (its counter slot and header kind are set before it is
 * loaded), one set of maps for all. TC: tcx link at the head of the chain (kernel 6.6), else a
 * clsact filter. XDP: native link, else generic.
 */
#pragma once

#include "enforce/enforcer.h"

/*
 * Takes over what STORE (NULL: none; borrowed) has kept, and replaces the programs of links that it
 * has; what an earlier daemon enforced stays in force until the first enforcer_set_policy(). What
 * was not kept is made, and kept from then on. -ESTALE: kept by a spaled that this one cannot take
 * over from. Creates the maps; attaches nothing. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON. On
 * failure *RET_ERROR is a sentence for people, freed by the caller.
 */
int ebpf_enforcer_new(const EnforcerStore *store, Enforcer **ret_enforcer, char **ret_error);
