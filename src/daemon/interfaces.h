/* SPDX-License-Identifier: MIT */
/*
 * Which interfaces Interfaces= means at the moment, and which ones are attached.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include <spale/bpf-abi.h>

#include "enforce/enforcer.h"
#include "policy/config.h"

typedef struct InterfaceList {
	struct Interface {
		char name[IF_NAMESIZE];
		unsigned index; /* 0: there is none of this name */
	} items[SPALE_SLOTS];
	size_t count;
} InterfaceList;

/*
 * The interfaces that WANTED means: names, whether they exist or not, and for each glob(7) pattern
 * the existing ones that it matches, the loopback interface excepted, which has to be named. Each
 * once. A pattern that matches nothing is warned about. Returns 0, -ENODEV (no interface can have
 * this name), -E2BIG or -ENOMEM, logged.
 */
int interfaces_resolve(const StringList *wanted, InterfaceList *ret_list);

/* The position of NAME in LIST, or LIST->count. */
size_t interfaces_find(const InterfaceList *list, const char *name);

/* Attaches to all of WANTED that is not ATTACHED yet. All or, with an error logged, none. */
int interfaces_attach(InterfaceList *attached, Enforcer *enforcer, const InterfaceList *wanted,
		      Mode mode);

/* Detaches from all of ATTACHED that is not WANTED. */
void interfaces_detach_others(InterfaceList *attached, Enforcer *enforcer,
			      const InterfaceList *wanted);

/* Lets go of interfaces that went, or whose name another one has now. */
void interfaces_detach_lost(InterfaceList *attached, Enforcer *enforcer);
