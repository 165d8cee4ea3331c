/* SPDX-License-Identifier: MIT */
/*
 * Programs on interfaces of kernels without tcx (before 6.6): a filter of the clsact qdisc.
 *
 * Such a filter outlives whoever attached it, and has no descriptor. So it only finds the program
 * in an array, the gate, whose descriptor we have: with the last descriptor the kernel empties the
 * array, and everything passes. A pinned array would never be emptied, so none may be pinned:
 * whoever wants the filter to last has the program itself as the filter.
 *
 * So that the next spaled can tell what a killed one left behind from what a living one holds, a
 * filter's handle is its owner's process id (and a bit). What one process attaches again takes the
 * place of its earlier filter, and comes first.
 */
#pragma once

#include "enforce/attach.h"

/* Attaches a filter that jumps through a gate to the program. */
int attach_clsact(Enforcer *report, int program_fd, const NetlinkInterface *interface,
		  Attachment *ret_attachment);

/*
 * Takes over the filter of an earlier daemon, of which somebody has kept GATE_FD, in steps that
 * leave the interface guarded. The attachment has a copy of the descriptor.
 */
int attach_clsact_again(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			int gate_fd, Attachment *ret_attachment);

/*
 * Has the program itself as the filter, in the place of those that spaleds who are gone have left.
 */
int attach_clsact_lasting(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			  Attachment *ret_attachment);

/* Removes the filters that spaleds who are gone have left. Returns 0 or a negative errno. */
int attach_clsact_clear(Enforcer *report, const NetlinkInterface *interface);

/* Removes filter and qdisc; attach_end() does the rest. */
int attach_clsact_end(Enforcer *report, const Attachment *attachment);

/* Whether our filter is still there. */
bool attach_clsact_is_alive(const Attachment *attachment);

/* Whether it is asked before the filters of others. */
bool attach_clsact_is_first(const Attachment *attachment);
