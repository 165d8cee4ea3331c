/* SPDX-License-Identifier: MIT */
/*
 * Waiting with what an earlier daemon enforces, when this one cannot go on: it stays in force, for
 * the service manager keeps it, and nobody knocks.
 */
#pragma once

#include "daemon/fd-store.h"
#include "daemon/setup.h"

/*
 * Tells the service manager and the journal WHY, and waits. At each reload everything is read anew;
 * once that is usable, *RET_SETUP is set. NULL: only the end is waited for. Returns 0, -ECANCELED
 * (told to end) or another negative errno.
 */
int standstill(const char *why, const Options *options, Setup *ret_setup);

/*
 * Reads everything. In the service (STORE; NULL: by hand), what was in force last is taken where
 * that is unusable, or else what an earlier daemon enforces stays until it can be read. Returns 0,
 * -EINVAL (unusable), -ECANCELED (told to end) or another negative errno.
 */
int standstill_load(const Options *options, const FdStore *store, Setup *ret_setup);
