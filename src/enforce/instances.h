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

/* One attached interface; its place in the array is its slot. */
typedef struct Instance {
	char name[IFNAMSIZ];
	Attachment attachment;
} Instance;

typedef struct Instances {
	Enforcer *report;
	const ProgramMaps *program_maps; /* borrowed */
	int counters;			 /* the map, borrowed */
	Instance items[SPALE_SLOTS];
} Instances;

/* Detaches everything. */
void instances_done(Instances *self);

int instances_attach(Instances *self, const char *name, Mode mode);
int instances_detach(Instances *self, const char *name);
int instances_counters(const Instances *self, const char *name,
		       struct spale_counters *ret_counters);
int instances_interfaces(Instances *self, EnforcerInterface **ret_interfaces, size_t *ret_count);
