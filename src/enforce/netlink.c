/* SPDX-License-Identifier: MIT */
#include "enforce/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "enforce/netlink-socket.h"
#include "util/cleanup.h"

/* A list that changed while it was read is read again, at most so often. */
#define DUMP_TRIES 5

/* A string that is not one stays empty. */
static void copy_string(const struct nlattr *attribute, char *to, size_t size)
{
	if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		snprintf(to, size, "%s", mnl_attr_get_str(attribute));
}

/* ---- interfaces -------------------------------------------------------------------------- */

/* Asks for a list. ON_ROW appends to what RESET empties, for a list may be read several times. */
static int list(struct nlmsghdr *request, mnl_cb_t on_row, void (*reset)(void *rows), void *rows)
{
	int error = -EINTR;

	for (int tries = 0; error == -EINTR && tries < DUMP_TRIES; tries++) {
		reset(rows);
		error = netlink_socket_ask(NETLINK_ROUTE, request, on_row, rows);
	}
	return error;
}

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

static void read_vlan(const struct nlattr *nest, NetlinkInterface *interface)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		if (mnl_attr_validate(attribute, MNL_TYPE_U16) < 0)
			continue;
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_VLAN_ID:
			interface->vlan_id = mnl_attr_get_u16(attribute);
			break;
		case IFLA_VLAN_PROTOCOL:
			interface->vlan_protocol = ntohs(mnl_attr_get_u16(attribute));
			break;
		}
	}
}

/* *SLAVE_KIND: what kind of master it is a port of. */
static void read_kind(const struct nlattr *nest, NetlinkInterface *interface,
		      char slave_kind[static IFNAMSIZ])
{
	const struct nlattr *attribute, *data = NULL;

	mnl_attr_for_each_nested(attribute, nest)
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_INFO_KIND:
			copy_string(attribute, interface->kind, sizeof(interface->kind));
			break;
		case IFLA_INFO_SLAVE_KIND:
			copy_string(attribute, slave_kind, IFNAMSIZ);
			break;
		case IFLA_INFO_DATA:
			data = attribute;
			break;
		}
	}
	/* What the data hold depends on the kind. */
	if (data && strcmp(interface->kind, "vlan") == 0)
		read_vlan(data, interface);
}

static bool copy_station(const struct nlattr *attribute, uint8_t station[static ETH_ALEN])
{
	if (mnl_attr_get_payload_len(attribute) != ETH_ALEN)
		return false;
	memcpy(station, mnl_attr_get_payload(attribute), ETH_ALEN);
	return true;
}

static void read_interface(const struct nlmsghdr *message, NetlinkInterface *ret_interface)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	bool is_elsewhere = false;
	char slave_kind[IFNAMSIZ] = "";
	NetlinkInterface interface = {
		.ifindex = (uint32_t)info->ifi_index,
		.hardware_type = info->ifi_type,
		.is_up = info->ifi_flags & IFF_UP,
		.is_loopback = info->ifi_flags & IFF_LOOPBACK,
	};

	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_IFNAME:
			copy_string(attribute, interface.name, sizeof(interface.name));
			break;
		case IFLA_XDP:
			read_xdp(attribute, &interface);
			break;
		case IFLA_LINKINFO:
			read_kind(attribute, &interface, slave_kind);
			break;
		case IFLA_LINK:
			if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
				interface.lower_ifindex = mnl_attr_get_u32(attribute);
			break;
		case IFLA_LINK_NETNSID:
			is_elsewhere = true;
			break;
		/* Whoever made it so; the flag tells of administrators only. */
		case IFLA_PROMISCUITY:
			if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
				interface.is_promiscuous = mnl_attr_get_u32(attribute) > 0;
			break;
		case IFLA_ADDRESS:
			interface.has_station = info->ifi_type == ARPHRD_ETHER &&
						copy_station(attribute, interface.station);
			break;
		}
	}
	if (is_elsewhere)
		interface.lower_ifindex = 0;
	interface.is_bridge_port = strcmp(slave_kind, "bridge") == 0;
	interface.is_port = slave_kind[0] && strcmp(slave_kind, "vrf") != 0;
	*ret_interface = interface;
}

static bool is_interface(const struct nlmsghdr *message)
{
	return message->nlmsg_type == RTM_NEWLINK &&
	       mnl_nlmsg_get_payload_len(message) >= sizeof(struct ifinfomsg);
}

static int on_interface(const struct nlmsghdr *message, void *userdata)
{
	if (!is_interface(message))
		return netlink_socket_error(-EPROTO);
	read_interface(message, userdata);
	return MNL_CB_OK;
}

static struct ifinfomsg *put_link_request(struct nlmsghdr *request, uint16_t flags)
{
	struct ifinfomsg *info;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return info;
}

static int get_interface(uint32_t ifindex, const char *name, NetlinkInterface *ret_interface)
{
	char buffer[512];
	NetlinkInterface interface = {0};
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	put_link_request(request, NLM_F_ACK)->ifi_index = (int)ifindex;
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);

	int error = netlink_socket_ask(NETLINK_ROUTE, request, on_interface, &interface);
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

typedef struct InterfaceRows {
	NetlinkInterface *interfaces;
	size_t count;
} InterfaceRows;

static void interface_rows_reset(void *userdata)
{
	InterfaceRows *rows = userdata;

	free(rows->interfaces);
	*rows = (InterfaceRows){0};
}

static void interface_rows_done(InterfaceRows *rows)
{
	interface_rows_reset(rows);
}

static int on_interface_row(const struct nlmsghdr *message, void *userdata)
{
	InterfaceRows *rows = userdata;
	NetlinkInterface *interfaces;

	if (!is_interface(message))
		return netlink_socket_error(-EPROTO);
	interfaces = reallocarray(rows->interfaces, rows->count + 1, sizeof(*interfaces));
	if (!interfaces)
		return netlink_socket_error(-ENOMEM);
	rows->interfaces = interfaces;
	read_interface(message, &interfaces[rows->count++]);
	return MNL_CB_OK;
}

static int on_address_row(const struct nlmsghdr *message, void *userdata)
{
	InterfaceRows *rows = userdata;
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != RTM_NEWADDR ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return netlink_socket_error(-EPROTO);
	for (size_t i = 0; i < rows->count; i++)
		if (rows->interfaces[i].ifindex == info->ifa_index)
			rows->interfaces[i].has_addresses = true;
	return MNL_CB_OK;
}

/* An address that is gone when the list is read again makes no difference worth a name. */
static void keep_rows(void *userdata)
{
	(void)userdata;
}

int netlink_interfaces(NetlinkInterface **ret_interfaces, size_t *ret_count)
{
	_cleanup_(interface_rows_done) InterfaceRows rows = {0};
	char buffer[128];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int error;

	put_link_request(request, NLM_F_DUMP);
	error = list(request, on_interface_row, interface_rows_reset, &rows);
	if (error < 0)
		return error;
	request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
	error = list(request, on_address_row, keep_rows, &rows);
	if (error < 0)
		return error;
	*ret_interfaces = TAKE_PTR(rows.interfaces);
	*ret_count = rows.count;
	return 0;
}

/* ---- stations ---------------------------------------------------------------------------- */

typedef struct StationRows {
	NetlinkStation *stations;
	size_t count;
} StationRows;

static void station_rows_reset(void *userdata)
{
	StationRows *rows = userdata;

	free(rows->stations);
	*rows = (StationRows){0};
}

static void station_rows_done(StationRows *rows)
{
	station_rows_reset(rows);
}

/*
 * Permanent is what is here, whoever wrote it; what was learned and what is static lives elsewhere,
 * and so does what a tunnel has a destination for (NDA_NH_ID: a group of them).
 */
static int on_station_row(const struct nlmsghdr *message, void *userdata)
{
	StationRows *rows = userdata;
	const struct ndmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	bool has_address = false, is_remote = false;
	NetlinkStation station, *stations;

	if (message->nlmsg_type != RTM_NEWNEIGH ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return netlink_socket_error(-EPROTO);
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attribute)) {
		case NDA_LLADDR:
			has_address = copy_station(attribute, station.address);
			break;
		case NDA_DST:
		case NDA_NH_ID:
			is_remote = true;
			break;
		}
	}
	if (!(info->ndm_state & NUD_PERMANENT) || !has_address || is_remote)
		return MNL_CB_OK;
	stations = reallocarray(rows->stations, rows->count + 1, sizeof(*stations));
	if (!stations)
		return netlink_socket_error(-ENOMEM);
	rows->stations = stations;
	stations[rows->count++] = station;
	return MNL_CB_OK;
}

int netlink_stations(NetlinkStation **ret_stations, size_t *ret_count)
{
	_cleanup_(station_rows_done) StationRows rows = {0};
	char buffer[128];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int error;

	request->nlmsg_type = RTM_GETNEIGH;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct ndmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ndm_family = AF_BRIDGE;

	error = list(request, on_station_row, station_rows_reset, &rows);
	if (error < 0)
		return error;
	*ret_stations = TAKE_PTR(rows.stations);
	*ret_count = rows.count;
	return 0;
}

/* ---- changes ----------------------------------------------------------------------------- */

/* Messages that one call reads at most, so that the event loop gets to its other work too. */
#define CHANGES_AT_ONCE 1024

int netlink_watch(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* What one datagram says; only the kernel can send to the groups. */
static int read_changes(const char *datagram, size_t size)
{
	int left = (int)size, changed = 0;

	for (const struct nlmsghdr *message = (const void *)datagram; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		switch (message->nlmsg_type) {
		case RTM_NEWLINK:
		case RTM_DELLINK:
			changed |= NETLINK_CHANGED_LINKS;
			break;
		case RTM_NEWADDR:
		case RTM_DELADDR:
			changed |= NETLINK_CHANGED_ADDRESSES;
			break;
		}
	}
	return changed;
}

int netlink_watch_consume(int fd)
{
	char datagram[NETLINK_SOCKET_ANSWER_MAX];
	int changed = 0;

	for (int i = 0; i < CHANGES_AT_ONCE; i++) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof(from);
		ssize_t size = recvfrom(fd, datagram, sizeof(datagram), MSG_DONTWAIT,
					(struct sockaddr *)&from, &from_size);

		if (size >= 0)
			/* Other processes may send here too, and mean nothing. */
			changed |= from.nl_pid == 0 ? read_changes(datagram, (size_t)size) : 0;
		else if (errno == ENOBUFS)
			changed = NETLINK_CHANGED_LINKS | NETLINK_CHANGED_ADDRESSES;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return -errno;
	}
	return changed;
}

/* ---- filters ----------------------------------------------------------------------------- */

typedef struct FilterList {
	NetlinkFilter *filters;
	size_t count;
} FilterList;

static void filter_list_reset(void *userdata)
{
	FilterList *filters = userdata;

	free(filters->filters);
	*filters = (FilterList){0};
}

static void filter_list_done(FilterList *filters)
{
	filter_list_reset(filters);
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
	FilterList *rows = userdata;
	const struct tcmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute, *options = NULL;

	if (message->nlmsg_type != RTM_NEWTFILTER ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return netlink_socket_error(-EPROTO);

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

	NetlinkFilter *filters = reallocarray(rows->filters, rows->count + 1, sizeof(*filters));
	if (!filters)
		return netlink_socket_error(-ENOMEM);
	rows->filters = filters;
	filters[rows->count++] = filter;
	return MNL_CB_OK;
}

int netlink_filters(uint32_t ifindex, uint32_t parent, NetlinkFilter **ret_filters,
		    size_t *ret_count)
{
	_cleanup_(filter_list_done) FilterList filters = {0};
	char buffer[128];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int error;

	request->nlmsg_type = RTM_GETTFILTER;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct tcmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->tcm_family = AF_UNSPEC;
	info->tcm_ifindex = (int)ifindex;
	info->tcm_parent = parent;

	error = list(request, on_filter, filter_list_reset, &filters);
	if (error < 0)
		return error;
	*ret_filters = TAKE_PTR(filters.filters);
	*ret_count = filters.count;
	return 0;
}
