/* SPDX-License-Identifier: MIT */
#include "daemon/ephemeral-ports.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/journal.h"
#include "util/file.h"
#include "util/parse.h"

#define SYSCTLS "/proc/sys/net/ipv4/"

/* The kernel's own range. */
#define DEFAULT_FIRST 32768
#define DEFAULT_LAST  60999

static void read_range(const char *text, uint32_t *ret_first, uint32_t *ret_last)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = NULL, *first = copy ? strtok_r(copy, " \t\n", &rest) : NULL;
	char *last = first ? strtok_r(NULL, " \t\n", &rest) : NULL;

	if (last && parse_u32(first, 1, UINT16_MAX, ret_first) == 0 &&
	    parse_u32(last, 1, UINT16_MAX, ret_last) == 0)
		return;
	*ret_first = DEFAULT_FIRST;
	*ret_last = DEFAULT_LAST;
}

static int read_reserved(const char *text, PortList *list)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = NULL;

	if (!copy)
		return -ENOMEM;
	for (char *item = strtok_r(copy, ",\n", &rest); item; item = strtok_r(NULL, ",\n", &rest))
		if (port_list_add_text(list, item) == -ENOMEM)
			return -ENOMEM;
	return 0;
}

int ephemeral_ports_find(const PortList *ports, const char *range, const char *reserved,
			 PortRange *ret_port)
{
	_cleanup_port_list_ PortList left_out = PORT_LIST_NULL;
	uint32_t first, last;
	int r = read_reserved(reserved, &left_out);

	if (r < 0)
		return r;
	read_range(range, &first, &last);
	port_list_foreach (protected, ports) {
		uint32_t port = protected->first > first ? protected->first : first;

		for (; port <= protected->last && port <= last; port++) {
			if (port_list_contains(&left_out, IPPROTO_TCP, (uint16_t)port))
				continue;
			*ret_port =
				(PortRange){protected->protocol, (uint16_t)port, (uint16_t)port};
			return 0;
		}
	}
	return -ENOENT;
}

/* The text of a setting; NULL: it cannot be read. */
static char *read_sysctl(const char *path)
{
	char *text = NULL;
	size_t size;

	return file_read(AT_FDCWD, path, FILE_SIZE_MAX, &text, &size) == 0 ? text : NULL;
}

void ephemeral_ports_warn(const PortList *ports)
{
	_cleanup_free_ char *range = read_sysctl(SYSCTLS "ip_local_port_range");
	_cleanup_free_ char *reserved = read_sysctl(SYSCTLS "ip_local_reserved_ports");
	char text[PORT_RANGE_TEXT_MAX];
	PortRange port;

	/* A sandbox may hide them; what is reserved is not guessed at then. */
	if (!range || !reserved || ephemeral_ports_find(ports, range, reserved, &port) < 0)
		return;
	journal_line(
		LOG_LEVEL_WARNING,
		"[Protect] Ports= has %s (and perhaps others) in net.ipv4.ip_local_port_range: "
		"replies to what this host itself sends from there, unconnected, are dropped; "
		"add it to net.ipv4.ip_local_reserved_ports",
		port_range_format(&port, text));
}
