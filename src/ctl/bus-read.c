/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"

static int read_number(sd_bus_message *message, char type, uint64_t *ret_number)
{
	uint16_t small;
	uint32_t middle;
	int r;

	switch (type) {
	case 'q':
		r = sd_bus_message_read(message, "q", &small);
		*ret_number = r > 0 ? small : 0;
		return r;
	case 'u':
		r = sd_bus_message_read(message, "u", &middle);
		*ret_number = r > 0 ? middle : 0;
		return r;
	case 't':
		return sd_bus_message_read(message, "t", ret_number);
	}
	return -EBADMSG;
}

static int add_range(PortList *ports, const char *protocol, uint16_t first, uint16_t last)
{
	char text[PORT_RANGE_TEXT_MAX];

	/* The one reader of ports knows the protocols. */
	snprintf(text, sizeof(text), "%u-%u/%.7s", first, last, protocol);
	return port_list_add_text(ports, text) < 0 ? -EBADMSG : 0;
}

/* a(sqq), or aq: UDP ports. */
static int read_ports(sd_bus_message *message, const char *contents, PortList *ports)
{
	bool is_udp = strcmp(contents, "q") == 0;
	int r = sd_bus_message_enter_container(message, 'a', is_udp ? "q" : "(sqq)");

	while (r >= 0) {
		const char *protocol = "udp";
		uint16_t first, last;

		r = is_udp ? sd_bus_message_read(message, "q", &first)
			   : sd_bus_message_read(message, "(sqq)", &protocol, &first, &last);
		if (r <= 0)
			break;
		r = add_range(ports, protocol, first, is_udp ? first : last);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_list(sd_bus_message *message, const char *contents, Value *value)
{
	int r = sd_bus_message_enter_container(message, 'a', contents);

	while (r >= 0) {
		const char *text;

		r = sd_bus_message_read_basic(message, contents[0], &text);
		if (r <= 0)
			break;
		r = value_add_item(value, text, 0);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_numbers(sd_bus_message *message, Value *value)
{
	int r = sd_bus_message_enter_container(message, 'a', "{st}");

	while (r >= 0) {
		const char *name;
		uint64_t number;

		r = sd_bus_message_read(message, "{st}", &name, &number);
		if (r <= 0)
			break;
		r = value_add_item(value, name, number);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

/* A text, a path, or (su): an address and the length of its prefix. */
static int read_text(sd_bus_message *message, char type, Value *value)
{
	const char *text;
	uint32_t length;
	int r;

	if (type != 'r') {
		if (type != 's' && type != 'o')
			return -EBADMSG;
		r = sd_bus_message_read_basic(message, type, &text);
		value->text = r > 0 ? strdup(text) : NULL;
	} else {
		r = sd_bus_message_read(message, "(su)", &text, &length);
		if (r > 0 && length == (strchr(text, ':') ? 128 : 32))
			value->text = strdup(text);
		else if (r > 0 && asprintf(&value->text, "%s/%u", text, length) < 0)
			value->text = NULL;
	}
	if (r >= 0 && !value->text) {
		value->kind = VALUE_NONE;
		return r == 0 ? -ENXIO : -ENOMEM;
	}
	return r;
}

int bus_read_value(sd_bus_message *message, ValueKind kind, Value *ret_value)
{
	_cleanup_value_ Value value = {.kind = kind};
	const char *contents;
	int r, boolean = 0;
	char type;

	r = sd_bus_message_peek_type(message, &type, &contents);
	if (r == 0)
		r = -ENXIO;
	if (r < 0) {
		value.kind = VALUE_NONE;
		return r;
	}
	switch (kind) {
	case VALUE_NONE:
		break;
	case VALUE_TEXT:
		r = read_text(message, type, &value);
		break;
	case VALUE_NUMBER:
	case VALUE_TIME:
	case VALUE_DURATION:
		r = read_number(message, type, &value.number);
		break;
	case VALUE_BOOL:
		r = sd_bus_message_read(message, "b", &boolean);
		value.boolean = boolean;
		break;
	case VALUE_PORTS:
		r = type == 'a' ? read_ports(message, contents, &value.ports) : -EBADMSG;
		break;
	case VALUE_LIST:
		r = type == 'a' && (*contents == 's' || *contents == 'o') && !contents[1]
			    ? read_list(message, contents, &value)
			    : -EBADMSG;
		break;
	case VALUE_NUMBERS:
		r = read_numbers(message, &value);
		break;
	}
	if (r < 0)
		return r;
	*ret_value = value_take(&value);
	return 0;
}

int bus_read_field(sd_bus_message *message, const char *field, ValueKind kind, Record *record)
{
	Value value;
	int r = bus_read_value(message, kind, &value);

	return r < 0 ? r : record_set(record, field, value);
}

static int read_property(sd_bus_message *message, const BusProperty properties[], size_t count,
			 Record *record)
{
	const BusProperty *property = NULL;
	const char *name, *contents;
	char type;
	int r;

	r = sd_bus_message_read(message, "s", &name);
	for (size_t i = 0; r > 0 && i < count; i++) {
		if (strcmp(properties[i].name, name) == 0)
			property = &properties[i];
	}
	if (r < 0)
		return r;
	if (!property)
		return sd_bus_message_skip(message, "v");
	r = sd_bus_message_peek_type(message, &type, &contents);
	if (r <= 0 || type != 'v')
		return r < 0 ? r : -EBADMSG;
	r = sd_bus_message_enter_container(message, 'v', contents);
	if (r >= 0)
		r = bus_read_field(message, property->field, property->kind, record);
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

int bus_read_properties(sd_bus_message *message, const BusProperty properties[], size_t count,
			Record *record)
{
	int r = 0;

	/* The fields in their order, whatever the order on the bus. */
	for (size_t i = 0; i < count && r >= 0; i++)
		r = record_set(record, properties[i].field, (Value){0});
	if (r >= 0)
		r = sd_bus_message_enter_container(message, 'a', "{sv}");
	while (r >= 0) {
		r = sd_bus_message_enter_container(message, 'e', "sv");
		if (r <= 0)
			break;
		r = read_property(message, properties, count, record);
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}
