/* SPDX-License-Identifier: MIT */
#include "enforce/nftables-watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"

/* Messages that one call reads at most, so that the event loop gets to its other work too. */
#define CHANGES_AT_ONCE 1024

/* Room for what has not been read; when it is full the kernel says so. */
#define WATCH_ROOM (1 << 20)

/*
 * Whoever made a change is the sender of what tells of it (nlmsg_pid), the same in all messages of
 * a datagram, for that is of one transaction at most.
 */
static int leave_out(int fd, uint32_t port_id)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port_id), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

int nftables_watch_open(uint32_t port_id)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1 << (NFNLGRP_NFTABLES - 1),
	};
	const int room = WATCH_ROOM;
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

	if (fd < 0 || leave_out(fd, port_id) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return TAKE_FD(fd);
}

/* Which attributes of a message name its table and set (0: it has none); whether it is of a kind
 * that matters. */
static bool find_kind(const struct nlmsghdr *message, uint16_t *ret_table, uint16_t *ret_set)
{
	switch (message->nlmsg_type & 0xff) {
	case NFT_MSG_NEWTABLE:
	case NFT_MSG_DELTABLE:
		*ret_table = NFTA_TABLE_NAME;
		*ret_set = 0;
		return true;
	case NFT_MSG_NEWSET:
	case NFT_MSG_DELSET:
		*ret_table = NFTA_SET_TABLE;
		*ret_set = NFTA_SET_NAME;
		return true;
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM:
		*ret_table = NFTA_SET_ELEM_LIST_TABLE;
		*ret_set = NFTA_SET_ELEM_LIST_SET;
		return true;
	}
	return false;
}

/* Whether MESSAGE is about one of NAMES. */
static bool is_about(const struct nlmsghdr *message, const NftablesName *names, size_t count)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	const char *table = NULL, *set = NULL;
	const struct nlattr *attribute;
	uint16_t table_type, set_type;

	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
	    !find_kind(message, &table_type, &set_type))
		return false;
	mnl_attr_for_each(attribute, message, sizeof(*header))
	{
		uint16_t type = mnl_attr_get_type(attribute);

		if ((type != table_type && (set_type == 0 || type != set_type)) ||
		    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0)
			continue;
		if (type == table_type)
			table = mnl_attr_get_str(attribute);
		else
			set = mnl_attr_get_str(attribute);
	}
	for (size_t i = 0; table && i < count; i++)
		if (header->nfgen_family == names[i].family && strcmp(table, names[i].table) == 0 &&
		    (set_type == 0 || (set && strcmp(set, names[i].set) == 0)))
			return true;
	return false;
}

int nftables_watch_consume(int fd, const NftablesName *names, size_t count)
{
	char datagram[32768];
	bool any = false;

	for (int i = 0; i < CHANGES_AT_ONCE; i++) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof(from);
		ssize_t size = recvfrom(fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC,
					(struct sockaddr *)&from, &from_size);

		if (size < 0 && errno == EAGAIN)
			break;
		if (size < 0 && errno != EINTR && errno != ENOBUFS)
			return -errno;
		if (size < 0) {
			any = any || errno == ENOBUFS;
			continue;
		}
		/* Other processes may send here too, and mean nothing. */
		if (from.nl_pid != 0)
			continue;
		any = any || (size_t)size > sizeof(datagram);
		int left = (size_t)size > sizeof(datagram) ? 0 : (int)size;
		for (const struct nlmsghdr *message = (const void *)datagram;
		     !any && mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			any = is_about(message, names, count);
	}
	return any;
}
