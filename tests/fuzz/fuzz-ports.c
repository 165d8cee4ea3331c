/* SPDX-License-Identifier: MIT */
/*
 * Ports: lists stay sorted and without overlaps, agree with a plain table of all ports, and are
 * written so that they read the same. Input: items separated by blanks; those behind the first
 * newline make a second list.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "fuzz.h"
#include "util/ports.h"

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP,
				    IPPROTO_UDPLITE};

static void check_sorted(const PortList *list)
{
	const PortRange *before = NULL;

	FUZZ_CHECK(list->count <= PORT_LIST_MAX);
	port_list_foreach (range, list) {
		FUZZ_CHECK(range->first >= 1 && range->first <= range->last);
		FUZZ_CHECK(port_protocol_name(range->protocol));
		/* Ranges that touch are one. */
		if (before && before->protocol == range->protocol)
			FUZZ_CHECK(before->last + 1 < range->first);
		before = range;
	}
}

static void check_item(PortList *list, const char *item)
{
	_cleanup_port_list_ PortList before = PORT_LIST_NULL;
	int r;

	FUZZ_CHECK(port_list_copy(list, &before) == 0);
	r = port_list_add_text(list, item);
	FUZZ_CHECK(r == 0 || r == -EINVAL || r == -E2BIG);
	if (r < 0)
		FUZZ_CHECK(port_list_equal(list, &before));
	else
		FUZZ_CHECK(list->count > 0 && port_list_ports(list) >= port_list_ports(&before));
	check_sorted(list);
}

static void check_text(const PortList *list)
{
	_cleanup_free_ char *text = port_list_format(list);
	_cleanup_port_list_ PortList again = PORT_LIST_NULL;
	char *save = NULL;

	FUZZ_CHECK(text);
	for (char *item = strtok_r(text, " ", &save); item; item = strtok_r(NULL, " ", &save))
		FUZZ_CHECK(port_list_add_text(&again, item) == 0);
	FUZZ_CHECK(port_list_equal(list, &again));
}

/* Port by port: the intersection holds what both hold. */
static void check_intersection(const PortList *a, const PortList *b)
{
	_cleanup_port_list_ PortList both = PORT_LIST_NULL;
	size_t ports = 0;
	int r;

	r = port_list_intersect(a, b, &both);
	FUZZ_CHECK(r == 0 || r == -E2BIG);
	if (r < 0)
		return;
	check_sorted(&both);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		for (unsigned port = 0; port <= UINT16_MAX; port += port < 256 ? 1 : 127) {
			bool in_a = port_list_contains(a, protocols[i], (uint16_t)port);
			bool in_b = port_list_contains(b, protocols[i], (uint16_t)port);

			FUZZ_CHECK(port_list_contains(&both, protocols[i], (uint16_t)port) ==
				   (in_a && in_b));
		}
	port_list_foreach (range, &both)
		ports += (size_t)(range->last - range->first) + 1;
	FUZZ_CHECK(port_list_ports(&both) == ports);
}

static void check_line(PortList *list, char *line)
{
	char *save = NULL;

	for (char *item = strtok_r(line, " ", &save); item; item = strtok_r(NULL, " ", &save))
		check_item(list, item);
	check_text(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = fuzz_text(data, size);
	_cleanup_port_list_ PortList first = PORT_LIST_NULL, second = PORT_LIST_NULL;
	char *rest = text;

	check_line(&first, strsep(&rest, "\n"));
	if (rest)
		check_line(&second, strsep(&rest, "\n"));
	check_intersection(&first, &second);
	return 0;
}
