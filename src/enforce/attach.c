/* SPDX-License-Identifier: MIT */
#include "enforce/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enforce/attach-clsact.h"

/*
 * From linux/bpf.h of Linux 6.6, which Debian 12's headers are older than: BPF_TCX_INGRESS and
 * BPF_F_BEFORE (relative to nothing: at the head of the chain).
 */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_BEFORE  (1U << 3)

/* The kernel's limit on programs in one tcx chain (BPF_MPROG_MAX). */
#define TCX_CHAIN_MAX 64

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

int attach_check(Enforcer *report, const NetlinkInterface *interface, Mode mode)
{
	uint32_t ids[TCX_CHAIN_MAX];
	char text[PROGRAM_TEXT_MAX];
	struct bpf_prog_info info;

	int count = mode == MODE_TC ? tcx_chain(interface->ifindex, ids) : 0;
	if (count == -EINVAL)
		return 0;
	if (count < 0)
		return enforcer_fail(report, count, "%s: cannot list its tcx programs: %s",
				     interface->name, strerror(-count));
	for (int i = 0; i < count; i++)
		if (program_info_by_id(ids[i], &info) == 0 &&
		    strcmp(info.name, ATTACH_TC_PROGRAM) == 0)
			return enforcer_fail(report, -EBUSY,
					     "%s is protected by another spaled already (%s)",
					     interface->name, program_text(ids[i], text));
	return 0;
}

int attach_tcx(Enforcer *report, int program_fd, const NetlinkInterface *interface,
	       Attachment *ret_attachment)
{
	uint32_t ids[TCX_CHAIN_MAX];
	char text[PROGRAM_TEXT_MAX];
	struct bpf_prog_info info;

	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = TCX_BEFORE);
	_cleanup_close_ int link_fd =
		bpf_link_create(program_fd, (int)interface->ifindex, TCX_INGRESS, &options);
	if (link_fd < 0)
		return enforcer_fail(report, -errno, "%s: cannot attach the TC program: %s",
				     interface->name, strerror(errno));

	int error = program_info(program_fd, &info);
	int count = error < 0 ? error : tcx_chain(interface->ifindex, ids);
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

int attach_begin_lasting(Enforcer *report, int program_fd, const NetlinkInterface *interface,
			 Mode mode, Attachment *ret_attachment)
{
	uint32_t ids[TCX_CHAIN_MAX];

	if (mode == MODE_TC && tcx_chain(interface->ifindex, ids) == -EINVAL)
		return attach_clsact_lasting(report, program_fd, interface, ret_attachment);
	return attach_begin(report, program_fd, interface, mode, ret_attachment);
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
		error = attach_clsact_end(report, attachment);
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

static int link_info(int link_fd, struct bpf_link_info *ret_info)
{
	__u32 size = sizeof(*ret_info);

	memset(ret_info, 0, sizeof(*ret_info));
	return bpf_obj_get_info_by_fd(link_fd, ret_info, &size) < 0 ? -errno : 0;
}

int attach_inherit(int link_fd, Attachment *ret_attachment)
{
	struct bpf_link_info info;
	int error = link_info(link_fd, &info);

	if (error < 0)
		return error;
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

/* Whoever cannot be asked is not dead: who is taken for that is detached. */
static bool link_is_alive(int link_fd, uint32_t ifindex)
{
	Attachment attachment;
	int error = attach_inherit(link_fd, &attachment);

	return error == 0 ? attachment.ifindex == ifindex : error != -ENODEV;
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
		return attach_clsact_is_alive(attachment);
	}
	return false;
}

static bool link_is_first(int link_fd, uint32_t ifindex)
{
	uint32_t ids[TCX_CHAIN_MAX];
	struct bpf_link_info info;

	if (link_info(link_fd, &info) < 0 || tcx_chain(ifindex, ids) < 1)
		return true;
	return ids[0] == info.prog_id;
}

bool attach_is_first(const Attachment *attachment)
{
	switch (attachment->kind) {
	case ATTACHMENT_NONE:
	case ATTACHMENT_XDP:
		break;
	case ATTACHMENT_TCX:
		return link_is_first(attachment->link_fd, attachment->ifindex);
	case ATTACHMENT_CLSACT:
		return attach_clsact_is_first(attachment);
	}
	return true;
}
