/* SPDX-License-Identifier: MIT */
#include "enforce/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * From linux/bpf.h of Linux 6.6, which Debian 12's headers are older than: BPF_TCX_INGRESS and
 * BPF_F_BEFORE (relative to nothing: at the head of the chain).
 */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_BEFORE  (1U << 3)

/* The kernel's limit on programs in one tcx chain (BPF_MPROG_MAX). */
#define TCX_CHAIN_MAX 64

/* Before every other filter. */
#define FILTER_PRIORITY 1

#define INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define EGRESS	TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

/* Room for "program NAME (id ID)". */
#define PROGRAM_TEXT_MAX 64

static int program_info(int fd, struct bpf_prog_info *ret_info)
{
	__u32 size = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	return bpf_obj_get_info_by_fd(fd, ret_info, &size) < 0 ? -errno : 0;
}

/* Only CAP_SYS_ADMIN may learn of a program by its id; the service has to do without the name. */
static int program_info_by_id(uint32_t id, struct bpf_prog_info *ret_info)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);

	return fd < 0 ? -errno : program_info(fd, ret_info);
}

/* Who a program is, as well as we may know. */
static const char *program_text(uint32_t id, char text[static PROGRAM_TEXT_MAX])
{
	struct bpf_prog_info info;

	if (program_info_by_id(id, &info) == 0 && info.name[0])
		snprintf(text, PROGRAM_TEXT_MAX, "program %s (id %u)", info.name, id);
	else
		snprintf(text, PROGRAM_TEXT_MAX, "the program with id %u", id);
	return text;
}

int attach_header_kind(Enforcer *report, const NetlinkInterface *interface, Mode mode,
		       enum spale_header_kind *ret_kind)
{
	bool ethernet = false;

	switch (interface->hardware_type) {
	case ARPHRD_ETHER:
		*ret_kind = SPALE_HEADER_ETHERNET;
		return 0;
	case ARPHRD_LOOPBACK:
		ethernet = true;
		break;
	case ARPHRD_NONE:
	case ARPHRD_PPP:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		break;
	default:
		return enforcer_fail(report, -ENOTSUP,
				     "%s: cannot protect a device of this kind (hardware type %u)",
				     interface->name, interface->hardware_type);
	}
	if (mode == MODE_XDP)
		return enforcer_fail(report, -ENOTSUP,
				     "%s: Mode=xdp works on Ethernet devices only, and this is "
				     "none; Mode=tc works there",
				     interface->name);
	*ret_kind = ethernet ? SPALE_HEADER_ETHERNET : SPALE_HEADER_NONE;
	return 0;
}

/* ---- tcx --------------------------------------------------------------------------------- */

/* The programs of the chain in their order. Returns how many, or -EINVAL: no tcx in this kernel. */
static int tcx_chain(uint32_t ifindex, uint32_t ids[static TCX_CHAIN_MAX])
{
	LIBBPF_OPTS(bpf_prog_query_opts, options, .prog_ids = ids, .prog_cnt = TCX_CHAIN_MAX);

	if (bpf_prog_query_opts((int)ifindex, TCX_INGRESS, &options) < 0)
		return errno == ENOENT ? 0 : -errno;
	return (int)options.prog_cnt;
}

int attach_tcx(Enforcer *report, int program_fd, const NetlinkInterface *interface,
	       Attachment *ret_attachment)
{
	uint32_t ids[TCX_CHAIN_MAX];
	char text[PROGRAM_TEXT_MAX];
	struct bpf_prog_info info;

	int count = tcx_chain(interface->ifindex, ids);
	if (count < 0)
		return enforcer_fail(report, count, "%s: cannot list its tcx programs: %s",
				     interface->name, strerror(-count));
	for (int i = 0; i < count; i++)
		if (program_info_by_id(ids[i], &info) == 0 &&
		    strcmp(info.name, ATTACH_TC_PROGRAM) == 0)
			return enforcer_fail(report, -EBUSY,
					     "%s is protected by another spaled already (%s)",
					     interface->name, program_text(ids[i], text));

	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = TCX_BEFORE);
	_cleanup_close_ int link_fd =
		bpf_link_create(program_fd, (int)interface->ifindex, TCX_INGRESS, &options);
	if (link_fd < 0)
		return enforcer_fail(report, -errno, "%s: cannot attach the TC program: %s",
				     interface->name, strerror(errno));

	int error = program_info(program_fd, &info);
	count = error < 0 ? error : tcx_chain(interface->ifindex, ids);
	if (count < 0)
		return enforcer_fail(report, count, "%s: cannot verify the order of programs: %s",
				     interface->name, strerror(-count));
	if (count == 0 || ids[0] != info.id)
		return enforcer_fail(report, -EBUSY,
				     "%s: %s stands before spale and could pass what spale drops",
				     interface->name,
				     count ? program_text(ids[0], text) : "something");

	*ret_attachment = (Attachment){
		.kind = ATTACHMENT_TCX, .ifindex = interface->ifindex, .link_fd = TAKE_FD(link_fd)};
	return 0;
}

/* ---- clsact ------------------------------------------------------------------------------ */

/*
 * A clsact filter outlives whoever attached it, and has no descriptor. So ours only finds the
 * program in an array, the gate, whose descriptor we have: with the last descriptor the kernel
 * empties the array, and everything passes. (A pinned one would never be emptied.)
 */

/* Makes the filter's program, which jumps into GATE_FD if there is something to jump to. */
static int load_hop(int gate_fd)
{
	const struct bpf_insn code[] = {
		/* r2 = gate; r3 = 0; tail_call(r1 = context, r2, r3) */
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = gate_fd},
		{.code = 0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		/* return TC_ACT_UNSPEC */
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, ATTACH_TC_PROGRAM, "GPL", code,
			       ARRAY_SIZE(code), NULL);

	return fd < 0 ? -errno : fd;
}

static int make_gate(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "spale_gate", sizeof(uint32_t),
				sizeof(uint32_t), 1, NULL);

	return fd < 0 ? -errno : fd;
}

/*
 * So that the next spaled can tell what a killed one left behind from what a living one holds, our
 * handle is our process id.
 */

static bool filter_is_spale(const NetlinkFilter *filter)
{
	/* libbpf writes "NAME:[ID]", other loaders "NAME" or the file's name. */
	return filter->handle && strncmp(filter->program_name, ATTACH_TC_PROGRAM ":[",
					 strlen(ATTACH_TC_PROGRAM ":[")) == 0;
}

static bool filter_is_ours(const NetlinkFilter *filter, uint32_t handle)
{
	return filter->chain == 0 && filter->priority == FILTER_PRIORITY &&
	       filter->handle == handle;
}

/* A process that we may not signal is alive too. In another pid namespace nobody can tell. */
static bool owner_is_alive(const NetlinkFilter *filter)
{
	pid_t pid = (pid_t)filter->handle;

	return pid > 0 && pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM);
}

static int filter_delete(uint32_t ifindex, uint32_t priority, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = handle, .priority = priority);

	return bpf_tc_detach(&hook, &options);
}

/* Takes away the clsact qdisc, unless somebody has filters there. */
static int qdisc_delete(uint32_t ifindex)
{
	static const uint32_t parents[] = {INGRESS, EGRESS};
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		_cleanup_free_ NetlinkFilter *filters = NULL;
		size_t count;
		int error = netlink_filters(ifindex, parents[i], &filters, &count);

		if (error < 0)
			return error;
		if (count > 0)
			return 0;
	}
	return bpf_tc_hook_destroy(&hook);
}

/* Whether ERROR says that what was to be removed is gone anyway, alone or with its interface. */
static bool is_gone(int error)
{
	return error == -ENOENT || error == -ENODEV || error == -EINVAL;
}

static int clsact_end(Enforcer *report, const Attachment *attachment)
{
	int error = filter_delete(attachment->ifindex, FILTER_PRIORITY, attachment->handle);

	if (error < 0 && !is_gone(error))
		return enforcer_fail(report, error, "cannot remove the filter: %s",
				     strerror(-error));
	if (attachment->made_qdisc && (error == 0 || error == -ENOENT)) {
		error = qdisc_delete(attachment->ifindex);
		if (error < 0 && !is_gone(error))
			return enforcer_fail(report, error, "cannot remove the qdisc: %s",
					     strerror(-error));
	}
	return 0;
}

/* The filter that is asked first, or NULL. */
static const NetlinkFilter *first_filter(const NetlinkFilter *filters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (filters[i].chain == 0 && filters[i].handle)
			return &filters[i];
	return NULL;
}

static int refuse_second_place(Enforcer *report, const NetlinkInterface *interface,
			       const NetlinkFilter *first)
{
	return enforcer_fail(report, -EBUSY,
			     "%s: a filter of somebody else (%s%s%s, preference %u) stands before "
			     "spale and could pass what spale drops",
			     interface->name, first->kind, first->program_name[0] ? " " : "",
			     first->program_name, first->priority);
}

/*
 * Checks that our filter is asked first, then removes what killed ones left: they stood guard
 * until now, so that there is no gap.
 */
static int clsact_settle(Enforcer *report, const NetlinkInterface *interface, uint32_t handle)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	size_t count = 0;
	int error = netlink_filters(interface->ifindex, INGRESS, &filters, &count);
	const NetlinkFilter *first = first_filter(filters, count);

	if (error == 0 && !first)
		error = -ENOENT;
	if (error < 0)
		return enforcer_fail(report, error, "%s: cannot verify the order of filters: %s",
				     interface->name, strerror(-error));
	if (!filter_is_ours(first, handle))
		return refuse_second_place(report, interface, first);
	for (size_t i = 0; i < count; i++) {
		if (!filter_is_spale(&filters[i]) || filter_is_ours(&filters[i], handle))
			continue;
		error = filter_delete(interface->ifindex, filters[i].priority, filters[i].handle);
		if (error < 0 && !is_gone(error))
			return enforcer_fail(report, error,
					     "%s: cannot remove the filter of a killed spaled: %s",
					     interface->name, strerror(-error));
	}
	return 0;
}

/* Says why our filter could not be added: most likely another kind of filter has our place. */
static int clsact_refused(Enforcer *report, const NetlinkInterface *interface, int error)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	size_t count = 0;

	if (netlink_filters(interface->ifindex, INGRESS, &filters, &count) == 0) {
		const NetlinkFilter *first = first_filter(filters, count);

		if (first && first->priority <= FILTER_PRIORITY)
			return refuse_second_place(report, interface, first);
	}
	return enforcer_fail(report, error, "%s: cannot attach the TC filter: %s", interface->name,
			     strerror(-error));
}

/* Refuses an interface that a living spaled holds. *RET_OWN: a filter has our handle already. */
static int clsact_check(Enforcer *report, const NetlinkInterface *interface, uint32_t handle,
			bool *ret_own)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	bool own = false;
	size_t count;
	int error = netlink_filters(interface->ifindex, INGRESS, &filters, &count);

	if (error < 0)
		return enforcer_fail(report, error, "%s: cannot list its filters: %s",
				     interface->name, strerror(-error));
	for (size_t i = 0; i < count; i++) {
		if (!filter_is_spale(&filters[i]))
			continue;
		if (owner_is_alive(&filters[i]))
			return enforcer_fail(report, -EBUSY,
					     "%s is protected by another spaled already (process "
					     "%u, filter of preference %u)",
					     interface->name, filters[i].handle,
					     filters[i].priority);
		own = own || filter_is_ours(&filters[i], handle);
	}
	*ret_own = own;
	return 0;
}

static int attach_filter(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			 Attachment *ret_attachment)
{
	int ifindex = (int)interface->ifindex;
	uint32_t handle = (uint32_t)getpid();
	bool own = false;

	int error = clsact_check(report, interface, handle, &own);
	if (error < 0)
		return error;

	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	error = bpf_tc_hook_create(&hook);
	if (error < 0 && error != -EEXIST)
		return enforcer_fail(report, error, "%s: cannot make the clsact qdisc: %s",
				     interface->name, strerror(-error));

	Attachment attachment = {.kind = ATTACHMENT_CLSACT,
				 .ifindex = interface->ifindex,
				 .link_fd = -1,
				 .gate_fd = -1,
				 .handle = handle,
				 .made_qdisc = error == 0};
	/* Somebody who had our process id was killed here: one step from his program to ours. */
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .handle = handle,
		    .priority = FILTER_PRIORITY, .flags = own ? BPF_TC_F_REPLACE : 0);
	error = bpf_tc_attach(&hook, &options);
	error = error < 0 ? clsact_refused(report, interface, error)
			  : clsact_settle(report, interface, handle);
	if (error < 0) {
		Enforcer ignored = {0};

		clsact_end(&ignored, &attachment);
		return error;
	}
	*ret_attachment = attachment;
	return 0;
}

int attach_clsact_again(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			int gate_fd, Attachment *ret_attachment)
{
	const uint32_t zero = 0;
	_cleanup_close_ int hop_fd = load_hop(gate_fd);
	_cleanup_close_ int kept_fd = fcntl(gate_fd, F_DUPFD_CLOEXEC, 3);
	int error = 0;

	if (hop_fd < 0)
		error = hop_fd;
	else if (kept_fd < 0 || bpf_map_update_elem(gate_fd, &zero, &program_fd, BPF_ANY) < 0)
		error = -errno;
	if (error < 0)
		return enforcer_fail(report, error, "%s: cannot make the TC filter: %s",
				     interface->name, strerror(-error));
	error = attach_filter(report, hop_fd, interface, ret_attachment);
	if (error == 0)
		ret_attachment->gate_fd = TAKE_FD(kept_fd);
	return error;
}

int attach_clsact(Enforcer *report, int program_fd, const NetlinkInterface *interface,
		  Attachment *ret_attachment)
{
	_cleanup_close_ int gate_fd = make_gate();

	if (gate_fd < 0)
		return enforcer_fail(report, gate_fd, "%s: cannot make the TC filter: %s",
				     interface->name, strerror(-gate_fd));
	return attach_clsact_again(report, program_fd, interface, gate_fd, ret_attachment);
}

/* ---- XDP --------------------------------------------------------------------------------- */

static int xdp_busy(Enforcer *report, const NetlinkInterface *interface)
{
	char text[PROGRAM_TEXT_MAX];
	NetlinkInterface now;

	if (netlink_interface_by_index(interface->ifindex, &now) < 0 || now.xdp_program_id == 0)
		return enforcer_fail(report, -EBUSY, "%s: its XDP hook is in use", interface->name);
	return enforcer_fail(report, -EBUSY, "%s: its XDP hook is held by %s", interface->name,
			     program_text(now.xdp_program_id, text));
}

int attach_xdp(Enforcer *report, int program_fd, const NetlinkInterface *interface,
	       Attachment *ret_attachment)
{
	static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
	_cleanup_close_ int link_fd = -1;

	for (size_t i = 0; i < ARRAY_SIZE(modes) && link_fd < 0; i++) {
		LIBBPF_OPTS(bpf_link_create_opts, options, .flags = modes[i]);

		link_fd = bpf_link_create(program_fd, (int)interface->ifindex, BPF_XDP, &options);
		if (link_fd < 0 && (errno == EBUSY || errno == EEXIST))
			return xdp_busy(report, interface);
	}
	if (link_fd < 0)
		return enforcer_fail(report, -errno, "%s: cannot attach the XDP program: %s",
				     interface->name, strerror(errno));

	*ret_attachment = (Attachment){
		.kind = ATTACHMENT_XDP, .ifindex = interface->ifindex, .link_fd = TAKE_FD(link_fd)};
	return 0;
}

/* ---- all --------------------------------------------------------------------------------- */

int attach_begin(Enforcer *report, int program_fd, const NetlinkInterface *interface, Mode mode,
		 Attachment *ret_attachment)
{
	uint32_t ids[TCX_CHAIN_MAX];

	switch (mode) {
	case MODE_XDP:
		return attach_xdp(report, program_fd, interface, ret_attachment);
	case MODE_TC:
		if (tcx_chain(interface->ifindex, ids) == -EINVAL)
			return attach_clsact(report, program_fd, interface, ret_attachment);
		return attach_tcx(report, program_fd, interface, ret_attachment);
	}
	return enforcer_fail(report, -EINVAL, "%s: unknown mode", interface->name);
}

int attach_end(Enforcer *report, Attachment *attachment)
{
	int error = 0;

	switch (attachment->kind) {
	case ATTACHMENT_NONE:
		break;
	case ATTACHMENT_TCX:
	case ATTACHMENT_XDP:
		/* Unless somebody keeps the link, it goes with our descriptor. */
		closep(&attachment->link_fd);
		break;
	case ATTACHMENT_CLSACT:
		error = clsact_end(report, attachment);
		if (error == 0)
			closep(&attachment->gate_fd);
		break;
	}
	if (error == 0)
		*attachment = (Attachment){0};
	return error;
}

void attach_leave(Attachment *attachment)
{
	if (attachment->kind == ATTACHMENT_CLSACT)
		closep(&attachment->gate_fd);
	else if (attachment->kind != ATTACHMENT_NONE)
		closep(&attachment->link_fd);
	*attachment = (Attachment){0};
}

int attach_inherit(int link_fd, Attachment *ret_attachment)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &size) < 0)
		return -errno;
	/* A tcx link's ifindex (0 once the interface is gone) lies where an XDP link has it. */
	if (info.xdp.ifindex == 0)
		return -ENODEV;
	*ret_attachment = (Attachment){
		.kind = info.type == BPF_LINK_TYPE_XDP ? ATTACHMENT_XDP : ATTACHMENT_TCX,
		.ifindex = info.xdp.ifindex,
		.link_fd = link_fd,
	};
	return 0;
}

static bool link_is_alive(int link_fd, uint32_t ifindex)
{
	Attachment attachment;

	return attach_inherit(link_fd, &attachment) == 0 && attachment.ifindex == ifindex;
}

static bool filter_is_alive(const Attachment *attachment)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	size_t count = 0;

	if (netlink_filters(attachment->ifindex, INGRESS, &filters, &count) < 0)
		return true;
	for (size_t i = 0; i < count; i++)
		if (filter_is_ours(&filters[i], attachment->handle))
			return true;
	return false;
}

bool attach_is_alive(const Attachment *attachment)
{
	switch (attachment->kind) {
	case ATTACHMENT_NONE:
		return false;
	case ATTACHMENT_TCX:
	case ATTACHMENT_XDP:
		return link_is_alive(attachment->link_fd, attachment->ifindex);
	case ATTACHMENT_CLSACT:
		return filter_is_alive(attachment);
	}
	return false;
}
