/* SPDX-License-Identifier: MIT */
/*
 * The part of a configuration that the packet path needs, in the form in which the kernel's maps
 * hold it, and the step from one policy to another while packets flow.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

#include "enforce/enforcer.h"
#include "enforce/key-set.h"
#include "policy/config.h"

typedef struct KernelPolicy {
	struct spale_ports ports;
	struct spale_settings settings;		/* abi 0: no policy yet */
	uint8_t prefix_lengths[SPALE_FAMILIES]; /* of new grants, of 128 bits */
	KeySet allow4, allow6;
	KeySet knock_addresses;
} KernelPolicy;

/* How many entries of grants the kernel holds, for each prefix length. */
typedef struct PrefixUse {
	uint32_t entries[SPALE_FAMILIES][129];
} PrefixUse;

/* Where a policy goes. */
typedef struct PolicyMaps {
	struct spale_ports *ports; /* the map's own memory */
	int settings;
	int allow4, allow6;
	int knock_addresses;
} PolicyMaps;

/* The policy that protects nothing and takes no knocks. NULL: no memory. */
KernelPolicy *kernel_policy_new(void);
void kernel_policy_free(KernelPolicy *policy);
DEFINE_CLEANUP(KernelPolicy, kernel_policy_free)
#define _cleanup_kernel_policy_ _cleanup_(kernel_policy_freep)

/*
 * What CONFIG says. Prefix lengths of grants that still live (USE) stay in force besides the
 * configured one. Returns 0 or, told through REPORT, -EINVAL (what no kernel map can hold), -E2BIG
 * (too many addresses or prefixes), -EBUSY (more than two prefix lengths) or -ENOMEM.
 */
int kernel_policy_make(Enforcer *report, const Config *config, const PrefixUse *use,
		       KernelPolicy **ret_policy);

/* What an earlier daemon put into the maps. Returns 0 or a negative errno. */
int kernel_policy_read(const PolicyMaps *maps, KernelPolicy **ret_policy);

/*
 * The protected ports and always-allowed prefixes of POLICY, in a configuration that has nothing
 * else. Returns 0, -E2BIG (more ranges of ports than a configuration can have) or -ENOMEM.
 */
int kernel_policy_tell(const KernelPolicy *policy, Config **ret_config);

/* SETTINGS of POLICY with the masks that USE asks for at this moment, and no others. */
struct spale_settings kernel_policy_settings(const KernelPolicy *policy, const PrefixUse *use);

/*
 * The same with masks for all of USE, which is to be: -EBUSY where they are too many. *RET_SETTINGS
 * is untouched then.
 */
int kernel_policy_add_masks(const KernelPolicy *policy, const PrefixUse *use,
			    struct spale_settings *ret_settings);

/*
 * Leads the maps from one policy to another. A port that both protect is protected at every moment,
 * a prefix that both allow is allowed. Returns 0 or, half-way, a negative errno.
 */
int kernel_policy_step(const PolicyMaps *maps, const KernelPolicy *from, const KernelPolicy *to);

/*
 * The way back of a step that failed, as far as it can be gone. Makes room first: Linux 5.10
 * refuses even what is there already to a list that is full.
 */
void kernel_policy_take_back(const PolicyMaps *maps, const KernelPolicy *from,
			     const KernelPolicy *to);

/* Whether KEY's family and prefix length are in force. */
bool kernel_policy_has_mask(const KernelPolicy *policy, const struct spale_grant_key *key);

/* The family of a grant's source. */
enum spale_family kernel_policy_family(const struct spale_grant_key *key);
