/* SPDX-License-Identifier: MIT */
#include "bus/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/errors.h"
#include "util/parse.h"
#include "util/utf8.h"

/* As sd-bus nests types at most. */
#define DEPTH_MAX 64

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP,
				    IPPROTO_UDPLITE};

int arguments_read_text(sd_bus_message *call, size_t max, const char **ret_text,
			sd_bus_error *ret_error)
{
	const char *text;
	int r = sd_bus_message_read_basic(call, 's', &text);

	if (r <= 0)
		return errors_set(ret_error, -EINVAL, "a text is missing");
	if (strlen(text) > max)
		return errors_setf(ret_error, -EINVAL, "a text is longer than %zu characters", max);
	*ret_text = text;
	return 0;
}

int arguments_read_prefix(sd_bus_message *call, Prefix *ret_prefix, sd_bus_error *ret_error)
{
	const char *text;
	int r = arguments_read_text(call, ARGUMENTS_TEXT_MAX, &text, ret_error);

	if (r < 0)
		return r;
	if (prefix_parse(text, ret_prefix) < 0)
		return errors_setf(ret_error, -EADDRNOTAVAIL,
				   "\"%s\" is no address or prefix such as 192.0.2.7 or "
				   "2001:db8::/64",
				   text);
	return 0;
}

/* Adds a range for PROTOCOL, which may be "". */
static int add_range(PortList *list, const char *protocol, uint16_t first, uint16_t last)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		bool both = protocols[i] == IPPROTO_TCP || protocols[i] == IPPROTO_UDP;
		int r;

		if (protocol[0] ? strcmp(protocol, port_protocol_name(protocols[i])) != 0 : !both)
			continue;
		known = true;
		r = port_list_add(list, (PortRange){protocols[i], first, last});
		if (r < 0)
			return r;
	}
	return known ? 0 : -EINVAL;
}

int arguments_read_ports(sd_bus_message *call, PortList *ret_ports, sd_bus_error *ret_error)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	const char *protocol;
	uint16_t first, last;
	size_t count = 0;
	int r;

	r = sd_bus_message_enter_container(call, 'a', "(sqq)");
	if (r <= 0)
		return errors_set(ret_error, -EINVAL, "ports are missing");
	while ((r = sd_bus_message_read(call, "(sqq)", &protocol, &first, &last)) > 0) {
		/* Those that become one with others cost time, too. */
		if (++count > PORT_LIST_MAX)
			return errors_setf(ret_error, -E2BIG, "more than %d ranges of ports",
					   PORT_LIST_MAX);
		r = add_range(&ports, protocol, first, last);
		if (r == -EINVAL)
			return errors_setf(ret_error, -ERANGE,
					   "ports %" PRIu16 " to %" PRIu16
					   " of protocol \"%.20s\": it takes tcp, udp, sctp, dccp, "
					   "udplite or nothing, and ports from 1 to 65535",
					   first, last, protocol);
		if (r < 0)
			return errors_set(ret_error, r, NULL);
	}
	if (r == 0)
		r = sd_bus_message_exit_container(call);
	if (r < 0)
		return errors_set(ret_error, -EINVAL, "ports are not of the form a(sqq)");
	*ret_ports = ports;
	ports = PORT_LIST_NULL;
	return 0;
}

int arguments_read_seconds(sd_bus_message *call, uint64_t *ret_ns, sd_bus_error *ret_error)
{
	uint64_t seconds;

	if (sd_bus_message_read_basic(call, 't', &seconds) <= 0)
		return errors_set(ret_error, -EINVAL, "a number of seconds is missing");
	if (seconds == SPALE_BUS_INFINITY) {
		*ret_ns = DURATION_INFINITY;
		return 0;
	}
	if (seconds > (uint64_t)INT64_MAX / NSEC_PER_SEC)
		return errors_setf(ret_error, -EINVAL,
				   "%" PRIu64 " seconds are too many, and not infinity", seconds);
	*ret_ns = seconds * NSEC_PER_SEC;
	return 0;
}

/* ---- options ------------------------------------------------------------------------------- */

static int read_option(sd_bus_message *call, const ArgumentOption *options, size_t count,
		       uint64_t *seen, void *object, sd_bus_error *ret_error)
{
	const ArgumentOption *option = NULL;
	const char *name, *signature;
	char type;
	int r;

	r = arguments_read_text(call, ARGUMENTS_TEXT_MAX, &name, ret_error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count && !option; i++)
		if (strcmp(options[i].name, name) == 0)
			option = &options[i];
	if (!option)
		return errors_setf(ret_error, -EINVAL, "there is no option \"%s\"", name);
	if (*seen & 1ULL << (option - options))
		return errors_setf(ret_error, -EINVAL, "option \"%s\" is given twice", name);
	*seen |= 1ULL << (option - options);
	r = sd_bus_message_peek_type(call, &type, &signature);
	if (r <= 0 || type != 'v' || strcmp(signature, option->signature) != 0)
		return errors_setf(ret_error, -EINVAL, "option \"%s\" is of type %s", name,
				   option->signature);
	r = sd_bus_message_enter_container(call, 'v', option->signature);
	if (r < 0)
		return errors_set(ret_error, -EINVAL, NULL);
	r = option->read(call, object, option, ret_error);
	if (r < 0)
		return r;
	if (option->present)
		*(bool *)((char *)object + option->present) = true;
	r = sd_bus_message_exit_container(call);
	return r < 0 ? errors_set(ret_error, -EINVAL, NULL) : 0;
}

int arguments_read_options(sd_bus_message *call, const ArgumentOption *options, size_t count,
			   void *object, sd_bus_error *ret_error)
{
	uint64_t seen = 0;
	int r;

	if (sd_bus_message_enter_container(call, 'a', "{sv}") <= 0)
		return errors_set(ret_error, -EINVAL, "options are missing");
	while ((r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
		r = read_option(call, options, count, &seen, object, ret_error);
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(call);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = sd_bus_message_exit_container(call);
	return r < 0 ? errors_set(ret_error, -EINVAL, "options are not of the form a{sv}") : 0;
}

int arguments_option_bool(sd_bus_message *call, void *object, const ArgumentOption *option,
			  sd_bus_error *ret_error)
{
	int value, r = sd_bus_message_read_basic(call, 'b', &value);

	if (r <= 0)
		return errors_set(ret_error, -EINVAL, NULL);
	*(bool *)((char *)object + option->offset) = value;
	return 0;
}

int arguments_option_text(sd_bus_message *call, void *object, const ArgumentOption *option,
			  sd_bus_error *ret_error)
{
	return arguments_read_text(call, ARGUMENTS_TEXT_MAX,
				   (const char **)((char *)object + option->offset), ret_error);
}

int arguments_option_seconds(sd_bus_message *call, void *object, const ArgumentOption *option,
			     sd_bus_error *ret_error)
{
	return arguments_read_seconds(call, (uint64_t *)((char *)object + option->offset),
				      ret_error);
}

/* ---- what is told -------------------------------------------------------------------------- */

uint64_t arguments_seconds(uint64_t ns)
{
	if (ns == DURATION_INFINITY)
		return SPALE_BUS_INFINITY;
	return ns / NSEC_PER_SEC + (ns % NSEC_PER_SEC != 0);
}

int arguments_append_ports(sd_bus_message *message, const PortList *list)
{
	int r = sd_bus_message_open_container(message, 'a', "(sqq)");

	port_list_foreach (range, list) {
		if (r < 0)
			break;
		r = sd_bus_message_append(message, "(sqq)", port_protocol_name(range->protocol),
					  range->first, range->last);
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

int arguments_append_numbers(sd_bus_message *message, const PortList *list)
{
	int r = sd_bus_message_open_container(message, 'a', "q");

	port_list_foreach (range, list) {
		for (uint32_t port = range->first; r >= 0 && port <= range->last; port++)
			r = sd_bus_message_append(message, "q", (uint16_t)port);
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

int arguments_append_text(sd_bus_message *message, const char *text)
{
	_cleanup_free_ char *escaped = utf8_escape(text);

	if (!escaped)
		return -ENOMEM;
	return sd_bus_message_append_basic(message, 's', escaped);
}

int arguments_append_count(sd_bus_message *message, const char *name, uint64_t count)
{
	return sd_bus_message_append(message, "{st}", name, count);
}

/* ---- size ---------------------------------------------------------------------------------- */

/* Enters or leaves a container, or measures the value that is next. 0: all is measured. */
static int measure_next(sd_bus_message *call, unsigned *depth, size_t *size)
{
	const char *contents;
	char type;
	int r = sd_bus_message_peek_type(call, &type, &contents);

	if (r < 0)
		return r;
	if (r == 0) {
		if (*depth == 0)
			return 0;
		--*depth;
		r = sd_bus_message_exit_container(call);
		return r < 0 ? r : 1;
	}
	*size += sizeof(uint64_t);
	if (contents) {
		if (++*depth > DEPTH_MAX)
			return -EBADMSG;
		r = sd_bus_message_enter_container(call, type, contents);
		return r < 0 ? r : 1;
	}
	if (strchr("sog", type)) {
		const char *text;

		r = sd_bus_message_read_basic(call, type, &text);
		if (r >= 0)
			*size += strlen(text);
	} else {
		r = sd_bus_message_skip(call, (char[]){type, '\0'});
	}
	return r < 0 ? r : 1;
}

int arguments_measure(sd_bus_message *call, size_t max, size_t *ret_size)
{
	unsigned depth = 0;
	size_t size = 0;
	int r = 1;

	while (r > 0 && size <= max)
		r = measure_next(call, &depth, &size);
	if (sd_bus_message_rewind(call, true) < 0 && r >= 0)
		r = -EBADMSG;
	if (r < 0)
		return r;
	*ret_size = size <= max ? size : max + 1;
	return 0;
}
