/* SPDX-License-Identifier: MIT */
#include "util/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/parse.h"

static const struct {
	uint8_t protocol;
	const char *name;
} protocols[] = {
	{IPPROTO_TCP, "tcp"},	{IPPROTO_UDP, "udp"},	      {IPPROTO_SCTP, "sctp"},
	{IPPROTO_DCCP, "dccp"}, {IPPROTO_UDPLITE, "udplite"},
};

/*
 * Protocol and port as one number: the order of a list. Port 0 does not exist, so the last port of
 * one protocol and the first of the next are not neighbours.
 */
static uint32_t order(uint8_t protocol, uint16_t port)
{
	return (uint32_t)protocol << 16 | port;
}

static uint32_t order_first(const PortRange *range)
{
	return order(range->protocol, range->first);
}

static uint32_t order_last(const PortRange *range)
{
	return order(range->protocol, range->last);
}

void port_list_done(PortList *list)
{
	free(list->ranges);
	*list = PORT_LIST_NULL;
}

const char *port_protocol_name(uint8_t protocol)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (protocols[i].protocol == protocol)
			return protocols[i].name;
	}
	return NULL;
}

/* Reads the SIZE characters at TEXT, one port. */
static int parse_port(const char *text, size_t size, uint16_t *ret_port)
{
	char digits[sizeof("65535")];
	uint32_t port;

	if (size >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, size);
	digits[size] = '\0';
	if (parse_u32(digits, 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

/* Reads "PORT" or "PORT-PORT" in the SIZE characters at TEXT. */
static int parse_range(const char *text, size_t size, PortRange *ret_range)
{
	const char *dash = memchr(text, '-', size);
	size_t first_size = dash ? (size_t)(dash - text) : size;
	PortRange range = {0};

	if (parse_port(text, first_size, &range.first) < 0)
		return -EINVAL;
	range.last = range.first;
	if (dash && parse_port(dash + 1, size - first_size - 1, &range.last) < 0)
		return -EINVAL;
	if (range.last < range.first)
		return -EINVAL;
	*ret_range = range;
	return 0;
}

static int parse_protocol(const char *text, uint8_t *ret_protocol)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (strcasecmp(text, protocols[i].name) == 0) {
			*ret_protocol = protocols[i].protocol;
			return 0;
		}
	}
	return -EINVAL;
}

int port_list_add_text(PortList *list, const char *text)
{
	_cleanup_port_list_ PortList result = PORT_LIST_NULL;
	const char *slash = strchr(text, '/');
	PortRange range, udp;
	int r;

	r = parse_range(text, slash ? (size_t)(slash - text) : strlen(text), &range);
	if (r < 0)
		return r;
	if (slash) {
		r = parse_protocol(slash + 1, &range.protocol);
		return r < 0 ? r : port_list_add(list, range);
	}

	/* Two ranges: both are added to a copy, so that a failure leaves neither. */
	udp = range;
	udp.protocol = IPPROTO_UDP;
	range.protocol = IPPROTO_TCP;
	r = port_list_copy(list, &result);
	if (r >= 0)
		r = port_list_add(&result, range);
	if (r >= 0)
		r = port_list_add(&result, udp);
	if (r < 0)
		return r;
	port_list_done(list);
	*list = result;
	result = PORT_LIST_NULL;
	return 0;
}

int port_list_add(PortList *list, PortRange range)
{
	size_t from = 0, to;

	if (!port_protocol_name(range.protocol) || range.first < 1 || range.last < range.first)
		return -EINVAL;

	/* [from, to): the ranges that overlap or adjoin the new one, which become one with it. */
	while (from < list->count && order_last(&list->ranges[from]) + 1 < order_first(&range))
		from++;
	to = from;
	while (to < list->count && order_first(&list->ranges[to]) <= order_last(&range) + 1)
		to++;

	if (from == to) {
		PortRange *ranges;

		if (list->count >= PORT_LIST_MAX)
			return -E2BIG;
		ranges = reallocarray(list->ranges, list->count + 1, sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		list->ranges = ranges;
	} else {
		if (list->ranges[from].first < range.first)
			range.first = list->ranges[from].first;
		if (list->ranges[to - 1].last > range.last)
			range.last = list->ranges[to - 1].last;
	}
	memmove(list->ranges + from + 1, list->ranges + to,
		(list->count - to) * sizeof(*list->ranges));
	list->ranges[from] = range;
	list->count = list->count - (to - from) + 1;
	return 0;
}

int port_list_intersect(const PortList *a, const PortList *b, PortList *ret_list)
{
	_cleanup_port_list_ PortList result = PORT_LIST_NULL;
	size_t i = 0, j = 0;

	while (i < a->count && j < b->count) {
		const PortRange *x = &a->ranges[i], *y = &b->ranges[j];
		const PortRange *later = order_first(x) > order_first(y) ? x : y;
		const PortRange *sooner = order_last(x) < order_last(y) ? x : y;

		if (order_first(later) <= order_last(sooner)) {
			int r = port_list_add(&result, (PortRange){.protocol = later->protocol,
								   .first = later->first,
								   .last = sooner->last});

			if (r < 0)
				return r;
		}
		if (sooner == x)
			i++;
		else
			j++;
	}

	*ret_list = result;
	result = PORT_LIST_NULL;
	return 0;
}

/* Adds to LIST what is left of RANGE without the ports of B. */
static int add_rest(PortList *list, PortRange range, const PortList *b)
{
	int r;

	port_list_foreach (taken, b) {
		if (taken->protocol != range.protocol || taken->last < range.first)
			continue;
		if (taken->first > range.last)
			break;
		if (taken->first > range.first) {
			r = port_list_add(list, (PortRange){range.protocol, range.first,
							    (uint16_t)(taken->first - 1)});
			if (r < 0)
				return r;
		}
		if (taken->last >= range.last)
			return 0;
		range.first = (uint16_t)(taken->last + 1);
	}
	return port_list_add(list, range);
}

int port_list_subtract(const PortList *a, const PortList *b, PortList *ret_list)
{
	_cleanup_port_list_ PortList result = PORT_LIST_NULL;
	int r;

	port_list_foreach (range, a) {
		r = add_rest(&result, *range, b);
		if (r < 0)
			return r;
	}
	*ret_list = result;
	result = PORT_LIST_NULL;
	return 0;
}

int port_list_copy(const PortList *list, PortList *ret_list)
{
	PortRange *ranges = NULL;

	if (list->count > 0) {
		ranges = reallocarray(NULL, list->count, sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		memcpy(ranges, list->ranges, list->count * sizeof(*ranges));
	}
	*ret_list = (PortList){.ranges = ranges, .count = list->count};
	return 0;
}

bool port_list_equal(const PortList *a, const PortList *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (order_first(&a->ranges[i]) != order_first(&b->ranges[i]) ||
		    a->ranges[i].last != b->ranges[i].last)
			return false;
	}
	return true;
}

bool port_list_contains(const PortList *list, uint8_t protocol, uint16_t port)
{
	port_list_foreach (range, list) {
		if (range->protocol == protocol && range->first <= port && port <= range->last)
			return true;
	}
	return false;
}

size_t port_list_ports(const PortList *list)
{
	size_t ports = 0;

	port_list_foreach (range, list)
		ports += (size_t)(range->last - range->first) + 1;
	return ports;
}

const char *port_range_format(const PortRange *range, char text[static PORT_RANGE_TEXT_MAX])
{
	const char *name = port_protocol_name(range->protocol);

	if (range->first == range->last)
		snprintf(text, PORT_RANGE_TEXT_MAX, "%u/%s", range->first, name);
	else
		snprintf(text, PORT_RANGE_TEXT_MAX, "%u-%u/%s", range->first, range->last, name);
	return text;
}

char *port_list_format(const PortList *list)
{
	char *text = malloc(list->count * PORT_RANGE_TEXT_MAX + 1);
	char *end = text;

	if (!text)
		return NULL;
	*end = '\0';
	port_list_foreach (range, list) {
		if (end > text)
			*end++ = ' ';
		end += strlen(port_range_format(range, end));
	}
	return text;
}
