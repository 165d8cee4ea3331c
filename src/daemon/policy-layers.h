/* SPDX-License-Identifier: MIT */
/*
 * What the configuration is made of: the files as they were read last, what was changed over D-Bus
 * for good (policy.conf in the state directory, read after them), and what was changed until reload
 * or restart. A change is made to these texts and judged by the configuration's own grammar; what
 * the files say meanwhile is not looked at.
 *
 * Also the last good configuration: what was in force, for a start at which the files are unusable.
 *
 * Computes and keeps; puts nothing into force. Logs nothing.
 */
#pragma once

#include "daemon/config-files.h"
#include "util/address.h"
#include "util/ports.h"

typedef struct PolicyLayers PolicyLayers;

/* What is to change; NULL and false: stays. Exactly one of them. */
typedef struct PolicyChange {
	const PortList *ports;	/* Ports= */
	const Prefix *allow;	/* one more prefix of AlwaysAllow= */
	const Prefix *disallow; /* one less; conversations from there end */
	bool has_log_only;
	bool log_only;
	bool permanent; /* kept in the state directory; else until reload or restart */
} PolicyChange;

/* What a change would lead to: nothing has changed yet. */
typedef struct PolicyProposal {
	struct PolicyLayer *temporary;
	char *permanent; /* what policy.conf is to say; NULL: nothing */
	size_t permanent_size;
	bool writes;	 /* it is to say something else than now */
	Config *lasting; /* what would be in force after a restart */
	Config *config;	 /* what would be in force now */
} PolicyProposal;

void policy_proposal_done(PolicyProposal *proposal);
#define _cleanup_policy_proposal_ _cleanup_(policy_proposal_done)

/*
 * Reads the files of OPTIONS (borrowed, until the layers are freed) and the state directory's
 * policy.conf. *RET_CONFIG is what they say, *RET_BUILDER, where given, knows the origins.
 * Returns 0, -EINVAL (see DIAGNOSTICS) or -ENOMEM.
 */
int policy_layers_load(const Options *options, Diagnostics *diagnostics, PolicyLayers **ret_layers,
		       Config **ret_config, ConfigBuilder **ret_builder);

/*
 * The same from what policy_layers_save_good() wrote last. -ENOENT: there is none; -EINVAL: it
 * cannot be used. What was read like this can be changed until a reload, but not for good.
 */
int policy_layers_load_good(const Options *options, Diagnostics *diagnostics,
			    PolicyLayers **ret_layers, Config **ret_config);

void policy_layers_free(PolicyLayers *layers);
DEFINE_CLEANUP(PolicyLayers, policy_layers_free)
#define _cleanup_policy_layers_ _cleanup_(policy_layers_freep)

/*
 * What CHANGE would lead to. Returns 0, -EADDRNOTAVAIL (a prefix to disallow that is not allowed),
 * -E2BIG, -EACCES (the command line says otherwise), -EROFS (nothing can be changed for good at
 * the moment), -EINVAL or -ENOMEM; *RET_ERROR is a sentence then.
 */
int policy_layers_propose(const PolicyLayers *layers, const PolicyChange *change,
			  PolicyProposal *ret_proposal, char **ret_error);

/*
 * Writes policy.conf of DIR_FD as PROPOSAL has it, or (PROPOSAL NULL) as LAYERS have it. Returns as
 * kept_file_write() does.
 */
int policy_layers_write(const PolicyLayers *layers, const PolicyProposal *proposal, int dir_fd,
			const char **ret_why);

/* PROPOSAL counts from now on; its config is left to the caller. */
void policy_layers_commit(PolicyLayers *layers, PolicyProposal *proposal);

/* What will be in force after a restart; the layers'. */
const Config *policy_layers_lasting(const PolicyLayers *layers);

/*
 * Writes what will be in force after a restart as the last good configuration. Returns as
 * kept_file_write() does; a last good one stays as it is.
 */
int policy_layers_save_good(const PolicyLayers *layers, int dir_fd, const char **ret_why);
