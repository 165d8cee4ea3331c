/* SPDX-License-Identifier: MIT */
/*
 * Which interfaces Interfaces= means: names, and patterns as in glob(7), which never mean the
 * loopback interface.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "enforce/enforcer.h"
#include "policy/config.h"

/* Whether WANTED is no name but a pattern. */
bool interfaces_wanted_is_pattern(const char *wanted);

/* Whether CONFIG has the very NAME. */
bool interfaces_wanted_by_name(const Config *config, const char *name);

/* Whether CONFIG means INTERFACE, by its name or a pattern. */
bool interfaces_wanted(const Config *config, const EnforcerInterface *interface);

/*
 * Says in the journal which patterns mean none of the COUNT interfaces that are PRESENT. Returns 0
 * or, logged, -ENODEV: a name that no interface can have.
 */
int interfaces_wanted_check(const Config *config, const EnforcerInterface *present, size_t count);
