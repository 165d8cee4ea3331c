/* SPDX-License-Identifier: MIT */
#include "enforce/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"

/* An interface with many virtual functions does not fit into a page. */
#define ANSWER_SIZE 32768

/* A list that changed while it was read is read again, at most so often. */
#define DUMP_TRIES 5

static void mnl_socket_closep(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

#define _cleanup_mnl_socket_ _cleanup_(mnl_socket_closep)

/* Sends REQUEST and hands every answer to CALLBACK until the kernel says that this was all. */
static int transact(struct nlmsghdr *request, mnl_cb_t callback, void *userdata)
{
	_cleanup_mnl_socket_ struct mnl_socket *socket = NULL;
	_cleanup_free_ char *answer = malloc(ANSWER_SIZE);

	if (!answer)
		return -ENOMEM;
	socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	request->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;

	int result = MNL_CB_OK;
	while (result > MNL_CB_STOP) {
		ssize_t size = mnl_socket_recvfrom(socket, answer, ANSWER_SIZE);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return -errno;
		result = mnl_cb_run(answer, (size_t)size, request->nlmsg_seq,
				    mnl_socket_get_portid(socket), callback, userdata);
	}
	return result < 0 ? -errno : 0;
}

/* What a callback for mnl_cb_run() returns to report ERROR (a negative errno). */
static int mnl_error(int error)
{
	errno = -error;
	return MNL_CB_ERROR;
}

/* A string that is not one stays empty. */
static void copy_string(const struct nlattr *attribute, char *to, size_t size)
{
	if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		snprintf(to, size, "%s", mnl_attr_get_str(attribute));
}

/* ---- interfaces -------------------------------------------------------------------------- */

/* An interface may have a native and a generic program at a time (then PROG_ID says nothing). */
static void read_xdp(const struct nlattr *nest, NetlinkInterface *interface)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_XDP_PROG_ID:
		case IFLA_XDP_DRV_PROG_ID:
		case IFLA_XDP_SKB_PROG_ID:
		case IFLA_XDP_HW_PROG_ID:
			if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0 &&
			    interface->xdp_program_id == 0)
				interface->xdp_program_id = mnl_attr_get_u32(attribute);
			break;
		}
	}
}

static int on_interface(const struct nlmsghdr *message, void *userdata)
{
	NetlinkInterface *interface = userdata;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return mnl_error(-EPROTO);
	interface->ifindex = (uint32_t)info->ifi_index;
	interface->hardware_type = info->ifi_type;
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_IFNAME:
			copy_string(attribute, interface->name, sizeof(interface->name));
			break;
		case IFLA_XDP:
			read_xdp(attribute, interface);
			break;
		}
	}
	return MNL_CB_OK;
}

static int get_interface(uint32_t ifindex, const char *name, NetlinkInterface *ret_interface)
{
	char buffer[512];
	NetlinkInterface interface = {0};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_index = (int)ifindex;
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);

	int error = transact(request, on_interface, &interface);
	if (error < 0)
		return error;
	if (interface.ifindex == 0)
		return -ENODEV;
	*ret_interface = interface;
	return 0;
}

int netlink_interface_by_name(const char *name, NetlinkInterface *ret_interface)
{
	if (name[0] == '\0' || strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	return get_interface(0, name, ret_interface);
}

int netlink_interface_by_index(uint32_t ifindex, NetlinkInterface *ret_interface)
{
	if (ifindex == 0 || ifindex > INT32_MAX)
		return -ENODEV;
	return get_interface(ifindex, NULL, ret_interface);
}

/* ---- filters ----------------------------------------------------------------------------- */

typedef struct FilterList {
	NetlinkFilter *filters;
	size_t count;
} FilterList;

static void filter_list_done(FilterList *list)
{
	free(list->filters);
	*list = (FilterList){0};
}

static void read_bpf_options(const struct nlattr *nest, NetlinkFilter *filter)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		switch (mnl_attr_get_type(attribute)) {
		case TCA_BPF_ID:
			if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
				filter->program_id = mnl_attr_get_u32(attribute);
			break;
		case TCA_BPF_NAME:
			copy_string(attribute, filter->program_name, sizeof(filter->program_name));
			break;
		}
	}
}

static int on_filter(const struct nlmsghdr *message, void *userdata)
{
	FilterList *list = userdata;
	const struct tcmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute, *options = NULL;

	if (message->nlmsg_type != RTM_NEWTFILTER ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return mnl_error(-EPROTO);

	/* The priority is the upper half of tcm_info, the protocol its lower one. */
	NetlinkFilter filter = {.handle = info->tcm_handle,
				.priority = TC_H_MAJ(info->tcm_info) >> 16};
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attribute)) {
		case TCA_KIND:
			copy_string(attribute, filter.kind, sizeof(filter.kind));
			break;
		case TCA_CHAIN:
			if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
				filter.chain = mnl_attr_get_u32(attribute);
			break;
		case TCA_OPTIONS:
			options = attribute;
			break;
		}
	}
	/* What the options hold depends on the kind. */
	if (options && strcmp(filter.kind, "bpf") == 0)
		read_bpf_options(options, &filter);

	NetlinkFilter *filters = reallocarray(list->filters, list->count + 1, sizeof(*filters));
	if (!filters)
		return mnl_error(-ENOMEM);
	list->filters = filters;
	filters[list->count++] = filter;
	return MNL_CB_OK;
}

int netlink_filters(uint32_t ifindex, uint32_t parent, NetlinkFilter **ret_filters,
		    size_t *ret_count)
{
	_cleanup_(filter_list_done) FilterList list = {0};
	int error = -EINTR;

	for (int tries = 0; error == -EINTR && tries < DUMP_TRIES; tries++) {
		char buffer[128];
		struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

		request->nlmsg_type = RTM_GETTFILTER;
		request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		struct tcmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
		info->tcm_family = AF_UNSPEC;
		info->tcm_ifindex = (int)ifindex;
		info->tcm_parent = parent;

		filter_list_done(&list);
		error = transact(request, on_filter, &list);
	}
	if (error < 0)
		return error;
	*ret_filters = TAKE_PTR(list.filters);
	*ret_count = list.count;
	return 0;
}
