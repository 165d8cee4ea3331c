/* SPDX-License-Identifier: MIT */
/*
 * Puts a loaded program on an interface and takes it off again. Never replaces somebody else's
 * program, never removes what it did not put there.
 *
 * Failures are told through the enforcer that is passed as REPORT (enforcer_fail()).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "enforce/enforcer.h"
#include "enforce/netlink.h"

/* The TC program's name, by which one spaled knows another's. */
#define ATTACH_TC_PROGRAM "spale_tc"

typedef enum AttachmentKind {
	ATTACHMENT_NONE,
	ATTACHMENT_TCX,
	ATTACHMENT_CLSACT,
	ATTACHMENT_XDP,
} AttachmentKind;

/* One program on one interface. All zero: none. Ends with attach_end(). */
typedef struct Attachment {
	AttachmentKind kind;
	uint32_t ifindex;
	int link_fd;	 /* TCX and XDP */
	int gate_fd;	 /* CLSACT: array that our filter finds the program in; -1: it is it */
	uint32_t handle; /* CLSACT: of our filter */
	bool made_qdisc; /* CLSACT: the qdisc was not there before us */
} Attachment;

/*
 * How packets of this interface begin. Returns 0 or -ENOTSUP: a kind of device whose packets
 * nobody here can read, or MODE cannot be had there.
 */
int attach_header_kind(Enforcer *report, const NetlinkInterface *interface, Mode mode,
		       enum spale_header_kind *ret_kind);

/*
 * Refuses (-EBUSY) an interface that another spaled protects, as far as that can be told: for where
 * nothing of this process is attached in this MODE. What cannot be shared tells it by itself.
 */
int attach_check(Enforcer *report, const NetlinkInterface *interface, Mode mode);

/*
 * Attaches: MODE_TC by tcx where the kernel has it, else by clsact; MODE_XDP natively where the
 * driver can, else generically. Returns 0, -EBUSY (somebody holds the hook, or stands before us)
 * or what the kernel said.
 */
int attach_begin(Enforcer *report, int program_fd, const NetlinkInterface *interface, Mode mode,
		 Attachment *ret_attachment);

/*
 * The same for good: it outlives us without anybody's descriptor where it is a clsact filter, and
 * where it is a link as soon as that is pinned.
 */
int attach_begin_lasting(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			 Mode mode, Attachment *ret_attachment);

/* The ways of attach_begin() one by one; the third is attach_clsact(). */
int attach_tcx(Enforcer *report, int program_fd, const NetlinkInterface *interface,
	       Attachment *ret_attachment);
int attach_xdp(Enforcer *report, int program_fd, const NetlinkInterface *interface,
	       Attachment *ret_attachment);

/* Lets go of it without detaching: whoever keeps its descriptor has it now. */
void attach_leave(Attachment *attachment);

/* What a link that somebody kept is, for who takes its descriptor over with *RET_ATTACHMENT.
 * -ENODEV: its interface went. */
int attach_inherit(int link_fd, Attachment *ret_attachment);

/*
 * Detaches, and removes the qdisc if it was made for us and nobody else uses it. An interface
 * that has vanished meanwhile took everything along: fine. *ATTACHMENT is none afterwards.
 * Returns 0 or, with the program still there, a negative errno.
 */
int attach_end(Enforcer *report, Attachment *attachment);

/* Whether the program is still there, as far as can be told: it goes with its interface. */
bool attach_is_alive(const Attachment *attachment);

/*
 * Whether nobody's program is asked before ours, as far as that can be told: it could pass what
 * ours drops. Nobody has two in one XDP hook.
 */
bool attach_is_first(const Attachment *attachment);
