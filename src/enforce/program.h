/* SPDX-License-Identifier: MIT */
/*
 * The embedded eBPF programs: their maps, made once, and program instances that share them.
 *
 * Failures are told through the enforcer that is passed as REPORT (enforcer_fail()). libbpf
 * itself never prints: its last word on a refused program becomes part of that sentence.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enforce/enforcer.h"

typedef struct ProgramMaps ProgramMaps;

/*
 * Takes the maps that STORE (NULL: none) has kept, and makes the others, empty, and has it keep
 * them. Returns 0, -ESTALE (kept by a spaled whose maps are others; STORE still has them) or a
 * negative errno.
 */
int program_maps_new(Enforcer *report, const EnforcerStore *store, ProgramMaps **ret_maps);
void program_maps_free(ProgramMaps *maps);
DEFINE_CLEANUP(ProgramMaps, program_maps_free)
#define _cleanup_program_maps_ _cleanup_(program_maps_freep)

/* Whether they come from an earlier daemon. */
bool program_maps_are_inherited(const ProgramMaps *maps);

/* Descriptor of the map NAME, owned by MAPS, or -ENOENT. */
int program_maps_fd(const ProgramMaps *maps, const char *name);

/* Whether programs have to do with the fine clock here: Linux before 5.11. */
bool program_needs_fine_clock(void);

/*
 * Loads an instance of the program for MODE, which counts in SLOT and expects packets that begin
 * with HEADER_KIND. Returns its descriptor, which the caller closes, or a negative errno.
 */
int program_load(Enforcer *report, const ProgramMaps *maps, Mode mode, uint32_t slot,
		 enum spale_header_kind header_kind);
