/* SPDX-License-Identifier: MIT */
/*
 * Which interfaces Interfaces= means, and what became of each: attached, waited for because it is
 * not there, or tried again because it cannot be attached. Interfaces come and go and change their
 * names; this follows them.
 *
 * Says in the journal what is attached and lost, once what cannot be attached, and which interfaces
 * nobody covers though packets for this host may come through them.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

#include "enforce/enforcer.h"
#include "policy/config.h"

typedef enum InterfaceState {
	INTERFACE_ATTACHED,
	INTERFACE_MISSING, /* named, and there is none of this name */
	INTERFACE_FAILING, /* cannot be attached */
} InterfaceState;

typedef struct Interface {
	char name[IF_NAMESIZE];
	uint32_t ifindex; /* 0: MISSING */
	InterfaceState state;
	bool is_fresh;		 /* by the change that is being made */
	uint64_t behind_mono_ns; /* when somebody's program last came before ours; 0: never */
	unsigned fights;	 /* times that it did so, in a row */

	/* FAILING */
	bool was_up;
	unsigned failures;
	uint64_t retry_mono_ns;
	char *problem; /* a sentence */
} Interface;

/* As many as can be attached, and as can be named. */
#define INTERFACES_MAX (SPALE_SLOTS + CONFIG_INTERFACES_MAX)

/* Names of uncovered interfaces that are kept. */
#define INTERFACES_UNCOVERED_MAX 256

typedef struct Interfaces {
	Enforcer *enforcer; /* borrowed */
	Interface items[INTERFACES_MAX];
	size_t count;
	bool has_changed; /* what is listed or uncovered: for the manager, which resets it */
	bool told_full;
	uint64_t again_mono_ns; /* when to look again, having failed to */
	uint64_t look_mono_ns;	/* when to look for uncovered ones and for stations */
	char *uncovered;	/* as the journal was told; NULL: none */
	char uncovered_names[INTERFACES_UNCOVERED_MAX][IF_NAMESIZE];
	size_t uncovered_count;
} Interfaces;

/* What has to be so, or the change fails as a whole. */
enum {
	INTERFACES_MUST_EXIST = 1 << 0,	 /* named ones that were not missing before */
	INTERFACES_MUST_ATTACH = 1 << 1, /* those that did not fail before */
};

void interfaces_init(Interfaces *self, Enforcer *enforcer);
void interfaces_done(Interfaces *self);

/*
 * Has exactly those interfaces attached that CONFIG means: names, and for each glob(7) pattern what
 * it matches, the loopback interface excepted, which has to be named. New ones are attached before
 * others are detached. MUST: what is not to be waited for. Returns 0 or, logged and with what was
 * attached before still attached, a negative errno.
 */
int interfaces_set(Interfaces *self, const Config *config, unsigned must, uint64_t now_mono_ns);

/* Follows what happened meanwhile (enforcer_consume_changes()): CHANGED are its flags. */
void interfaces_follow(Interfaces *self, const Config *config, int changed, uint64_t now_mono_ns);

/* Does what is due, tries again what failed. Returns when to call again. */
uint64_t interfaces_run(Interfaces *self, const Config *config, uint64_t now_mono_ns);

/* How many are in STATE. */
size_t interfaces_count(const Interfaces *self, InterfaceState state);
