/* SPDX-License-Identifier: MIT */
/*
 * Records in maps that no program reads: what the daemon keeps in the kernel for the one that comes
 * after it. Failures are told through REPORT (enforcer_fail()).
 */
#pragma once

#include "enforce/enforcer.h"

/* Over an older one of the same key. */
int records_put(Enforcer *report, int map_fd, const void *key, const void *value);

/* Gone already is fine. */
int records_delete(Enforcer *report, int map_fd, const void *key);

/* Calls CALLBACK for each record; it may not change any. */
int records_walk(Enforcer *report, int map_fd, EnforcerRecord callback, void *userdata);
