/* SPDX-License-Identifier: MIT */
#include "enforce/attach-clsact.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_sched.h>
#include <string.h>
#include <unistd.h>

#include "util/process.h"

/* Before every other filter. */
#define FILTER_PRIORITY 1

/*
 * A filter's handle is the process id of who made it, and has this bit for one that comes before an
 * earlier one of the same process. No process id is as high (PID_MAX_LIMIT of Linux is 1 << 22).
 */
#define HANDLE_LATER (1U << 30)

#define INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define EGRESS	TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

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

static pid_t owner_of(const NetlinkFilter *filter)
{
	return (pid_t)(filter->handle & ~HANDLE_LATER);
}

/*
 * The filter of a service that was stopped stays, and its process id may be anybody's now. So only
 * a process that shows that it is a spaled counts: an interface that nobody guards must not be left
 * alone for the sake of one that is mistaken for its guard. The other mistake does not open it.
 */
static bool owner_is_alive(const NetlinkFilter *filter)
{
	return process_is_twin(owner_of(filter));
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

int attach_clsact_end(Enforcer *report, const Attachment *attachment)
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

/*
 * Refuses an interface that a living spaled holds. *RET_HANDLE: for our filter; *RET_OWN: the first
 * filter has it, which is to be replaced where it stands.
 */
static int clsact_check(Enforcer *report, const NetlinkInterface *interface, uint32_t *ret_handle,
			bool *ret_own)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	uint32_t handle = (uint32_t)getpid();
	const NetlinkFilter *first;
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
					     "%d, filter of preference %u)",
					     interface->name, (int)owner_of(&filters[i]),
					     filters[i].priority);
		if (filter_is_ours(&filters[i], (uint32_t)getpid()))
			handle |= HANDLE_LATER;
	}
	first = first_filter(filters, count);
	*ret_own = first && filter_is_spale(first) && owner_of(first) == getpid() &&
		   filter_is_ours(first, first->handle);
	*ret_handle = *ret_own ? first->handle : handle;
	return 0;
}

static int attach_filter(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			 Attachment *ret_attachment)
{
	int ifindex = (int)interface->ifindex;
	uint32_t handle = 0;
	bool own = false;

	int error = clsact_check(report, interface, &handle, &own);
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

		attach_clsact_end(&ignored, &attachment);
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

int attach_clsact_lasting(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			  Attachment *ret_attachment)
{
	return attach_filter(report, program_fd, interface, ret_attachment);
}

int attach_clsact_clear(Enforcer *report, const NetlinkInterface *interface)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	size_t count = 0;
	int error = netlink_filters(interface->ifindex, INGRESS, &filters, &count);

	for (size_t i = 0; error == 0 && i < count; i++) {
		if (!filter_is_spale(&filters[i]) || owner_is_alive(&filters[i]))
			continue;
		error = filter_delete(interface->ifindex, filters[i].priority, filters[i].handle);
		if (is_gone(error))
			error = 0;
	}
	return error < 0 ? enforcer_fail(report, error, "%s: cannot remove the filter: %s",
					 interface->name, strerror(-error))
			 : 0;
}

bool attach_clsact_is_alive(const Attachment *attachment)
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

bool attach_clsact_is_first(const Attachment *attachment)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	const NetlinkFilter *first;
	size_t count = 0;

	if (netlink_filters(attachment->ifindex, INGRESS, &filters, &count) < 0)
		return true;
	first = first_filter(filters, count);
	return !first || filter_is_ours(first, attachment->handle);
}
