/* SPDX-License-Identifier: MIT */
/*
 * What an earlier daemon always allowed, and this one does not any more if the files were changed
 * meanwhile.
 */
#pragma once

#include "daemon/options.h"
#include "enforce/enforcer.h"
#include "policy/config.h"

/*
 * What ENFORCER took over, as enforcer_policy() has it, to be asked for before it gets a policy.
 * With OPTIONS (NULL: by hand, when none is kept) only what the last good configuration allows too:
 * a crash ends what was allowed until a restart, but no conversation. NULL: unknown, logged.
 */
Config *policy_before(Enforcer *enforcer, const Options *options);
