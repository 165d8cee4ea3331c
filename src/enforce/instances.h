/* SPDX-License-Identifier: MIT */
/*
 * The instances of the program: one for each attached interface, with a slot of its own in the map
 * of counters.
 *
 * The calls are those of enforcer.h. Failures are told through the enforcer in "report".
 */
#pragma once

#include "enforce/attach.h"
#include "enforce/enforcer.h"
#include "enforce/program.h"
#include "enforce/stations.h"

/* One attached interface; its place in the array is its slot. */
typedef struct Instance {
	char name[IFNAMSIZ];
	Mode mode;
	Attachment attachment;
} Instance;

typedef struct Instances {
	Enforcer *report;
	const ProgramMaps *program_maps; /* borrowed */
	const EnforcerStore *store;	 /* borrowed; NULL: nobody keeps links */
	int counters;			 /* the map, borrowed */
	Stations stations;
	Instance items[SPALE_SLOTS];
} Instances;

/*
 * Takes over what the store has kept: each interface gets our program in one step in place of the
 * earlier one. Links of interfaces that vanished are given up. Returns 0 or a negative errno, with
 * every interface still guarded by the one program or the other.
 */
int instances_adopt(Instances *self);

/* Detaches everything that nobody keeps. */
void instances_done(Instances *self);

/*
 * An interface that is attached in another mode, or behind somebody else's program, is attached in
 * both until this one is done.
 */
int instances_attach(Instances *self, const char *name, Mode mode);
int instances_detach(Instances *self, const char *name);
int instances_counters(const Instances *self, const char *name,
		       struct spale_counters *ret_counters);
bool instances_are_intact(const Instances *self);
int instances_interfaces(Instances *self, EnforcerInterface **ret_interfaces, size_t *ret_count);
