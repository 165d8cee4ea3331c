/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/objects.h"
#include "ctl/report.h"
#include "ctl/verbs.h"

static const Column grant_columns[] = {
	{"ID", "id", COLUMN_RIGHT},
	{"SOURCE", "source", 0},
	{"PORTS", "ports", 0},
	{"CLIENT", "client", 0},
	{"STATE", "state", COLUMN_GOOD_BAD},
	{"PACKETS", "packets", COLUMN_RIGHT},
	{"SEEN", "last_seen", 0},
	{"IDLE", "idle_until", 0},
	{"ENDS", "deadline", 0},
};

static const Column client_columns[] = {
	{"NAME", "name", 0},
	{"ENABLED", "enabled", 0},
	{"PORTS", "ports", 0},
	{"LAST KNOCK", "last_knock", 0},
	{"FROM", "last_source", 0},
	{"ACCEPTED", "accepted", COLUMN_RIGHT},
	{"REFUSED", "refused", COLUMN_RIGHT},
};

static const Column interface_columns[] = {
	{"NAME", "name", 0},
	{"STATE", "state", COLUMN_GOOD_BAD},
	{"MODE", "mode", 0},
	{"DROPPED", "dropped", COLUMN_RIGHT},
	{"WOULD DROP", "would_drop_count", COLUMN_RIGHT},
	{"PROBLEM", "problem", 0},
};

static const Column allowed_columns[] = {{"PREFIX", "prefix", 0}, {"PERMANENT", "permanent", 0}};

static const Column limited_columns[] = {{"SOURCE", "source", 0}, {"UNTIL", "until", 0}};

static const Column port_columns[] = {{"PORT", "port", 0}, {"PROTOCOL", "protocol", 0}};

/* A link-local source with its interface, as it is written: "fe80::1%eth0". */
static int add_zone(Record *record)
{
	const char *source = record_get_text(record, "source");
	const char *interface = record_get_text(record, "interface");
	size_t length = strcspn(source, "/");
	_cleanup_free_ char *text = NULL;

	if (!*interface)
		return 0;
	if (asprintf(&text, "%.*s%%%s%s", (int)length, source, interface, source + length) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return record_set_text(record, "source", text);
}

static ExitCode list_grants(sd_bus *bus, const Options *options, RecordList *list)
{
	const GrantFilter filter = {
		.client = options->values[OPTION_CLIENT],
		.source = options->values[OPTION_SOURCE],
		.origin = options->values[OPTION_ORIGIN],
	};

	ExitCode code = objects_grants(bus, &filter, list);

	for (size_t i = 0; code == EXIT_CODE_DONE && i < list->count; i++)
		code = bus_filled(add_zone(list->records[i]));
	return code;
}

static ExitCode list_clients(sd_bus *bus, const Options *options, RecordList *list)
{
	(void)options;
	return objects_clients(bus, list);
}

/* Of the packets' reasons, those that dropped. */
static uint64_t count_dropped(const Value *counters)
{
	static const char *const drops[] = {"denied",	    "grant-ended", "bad-header",
					    "truncated",    "vlan-depth",  "header-depth",
					    "mapped-source"};
	uint64_t sum = 0;

	for (size_t i = 0; counters->kind == VALUE_NUMBERS && i < counters->list.count; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(drops); j++) {
			if (strcmp(counters->list.items[i].text, drops[j]) == 0)
				sum += counters->list.items[i].number;
		}
	}
	return sum;
}

static ExitCode list_interfaces(sd_bus *bus, const Options *options, RecordList *list)
{
	ExitCode code = objects_interfaces(bus, list);

	(void)options;
	for (size_t i = 0; code == EXIT_CODE_DONE && i < list->count; i++) {
		Record *record = list->records[i];
		int r = record_set_number(record, "dropped",
					  count_dropped(record_get(record, "counters")));

		if (r >= 0)
			r = record_set_number(record, "would_drop_count",
					      value_sum(record_get(record, "would_drop")));
		code = bus_filled(r);
	}
	return code;
}

static ExitCode list_ports(sd_bus *bus, const Options *options, RecordList *list)
{
	_cleanup_record_ Record manager = {0};
	ExitCode code = objects_manager(bus, &manager);
	const Value *value = record_get(&manager, "protected_ports");

	(void)options;
	if (code != EXIT_CODE_DONE || value->kind != VALUE_PORTS)
		return code;
	port_list_foreach (range, &value->ports) {
		_cleanup_record_ Record record = {0};
		char text[PORT_RANGE_TEXT_MAX], *slash;
		int r;

		port_range_format(range, text);
		slash = strchrnul(text, '/');
		*slash = '\0';
		r = record_set_text(&record, "port", text);
		if (r >= 0)
			r = record_set_text(&record, "protocol",
					    port_protocol_name(range->protocol));
		if (r >= 0)
			r = record_set_number(&record, "first", range->first);
		if (r >= 0)
			r = record_set_number(&record, "last", range->last);
		if (r >= 0)
			r = record_list_add(list, &record);
		if (r < 0)
			return bus_filled(r);
	}
	return EXIT_CODE_DONE;
}

/* Reads an array of structures of two into records with these fields. */
static int read_pairs(sd_bus_message *reply, const char *contents, const char *first,
		      const char *second, RecordList *list)
{
	ValueKind kind = contents[1] == 'b' ? VALUE_BOOL : VALUE_TIME;
	char type[8];
	int r;

	snprintf(type, sizeof(type), "(%s)", contents);
	r = sd_bus_message_enter_container(reply, 'a', type);
	while (r >= 0) {
		_cleanup_record_ Record record = {0};

		r = sd_bus_message_enter_container(reply, 'r', contents);
		if (r <= 0)
			break;
		r = bus_read_field(reply, first, VALUE_TEXT, &record);
		if (r >= 0)
			r = bus_read_field(reply, second, kind, &record);
		if (r >= 0)
			r = record_list_add(list, &record);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	return r;
}

static ExitCode list_allowed(sd_bus *bus, const Options *options, RecordList *list)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	ExitCode code =
		bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "ListAlwaysAllowed", &reply, NULL);

	(void)options;
	if (code != EXIT_CODE_DONE)
		return code;
	return bus_filled(read_pairs(reply, "sb", "prefix", "permanent", list));
}

static ExitCode list_limited(sd_bus *bus, const Options *options, RecordList *list)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	ExitCode code =
		bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "ListRateLimited", &reply, NULL);

	(void)options;
	if (code != EXIT_CODE_DONE)
		return code;
	return bus_filled(read_pairs(reply, "st", "source", "until", list));
}

/* What can be listed. */
static const struct {
	const char *name;
	ExitCode (*read)(sd_bus *bus, const Options *options, RecordList *list);
	const Column *columns;
	size_t count;
	const char *what; /* for the last line */
} lists[] = {
	{"grants", list_grants, grant_columns, ARRAY_SIZE(grant_columns), "grants"},
	{"clients", list_clients, client_columns, ARRAY_SIZE(client_columns), "clients"},
	{"allowed", list_allowed, allowed_columns, ARRAY_SIZE(allowed_columns), "networks"},
	{"ports", list_ports, port_columns, ARRAY_SIZE(port_columns), "protected ports"},
	{"interfaces", list_interfaces, interface_columns, ARRAY_SIZE(interface_columns),
	 "interfaces"},
	{"limited", list_limited, limited_columns, ARRAY_SIZE(limited_columns), "limited sources"},
};

ExitCode verb_list(const Options *options)
{
	_cleanup_record_list_ RecordList list = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	const char *name = options->arguments[0];
	ExitCode code;
	size_t i = 0;

	while (i < ARRAY_SIZE(lists) && strcmp(lists[i].name, name) != 0)
		i++;
	if (i == ARRAY_SIZE(lists)) {
		report_error("'%s' cannot be listed: grants, clients, allowed, ports, interfaces "
			     "and limited can",
			     name);
		return EXIT_CODE_USAGE;
	}
	if (lists[i].read != list_grants &&
	    (options_has(options, OPTION_CLIENT) || options_has(options, OPTION_SOURCE) ||
	     options_has(options, OPTION_ORIGIN))) {
		report_error("--client, --source and --origin belong to 'list grants'");
		return EXIT_CODE_USAGE;
	}
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = lists[i].read(bus, options, &list);
	if (code != EXIT_CODE_DONE)
		return code;
	return output_list(&options->output, lists[i].columns, lists[i].count, &list,
			   lists[i].what) < 0
		       ? EXIT_CODE_FAILED
		       : EXIT_CODE_DONE;
}
