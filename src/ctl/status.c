/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/objects.h"
#include "ctl/verbs.h"

/* What the packets' reasons and the knocks' refusals come to. */
static const Column status_columns[] = {
	{"State", "state", COLUMN_GOOD_BAD},
	{"Version", "version", 0},
	{"Mode", "mode", 0},
	{"Interfaces", "interfaces", 0},
	{"Not covered", "uncovered_interfaces", 0},
	{"Protected ports", "protected_ports", 0},
	{"Knock ports", "knock_ports", 0},
	{"Trial ends", "trial_until", COLUMN_ABSOLUTE},
	{"Grants", "grant_count", 0},
	{"Clients", "client_count", 0},
	{"Knocks accepted", "knocks_accepted", 0},
	{"Knocks refused", "knocks_refused_count", 0},
	{"Idle, by default", "default_idle", 0},
	{"Grace, by default", "default_grace", 0},
	{"Longest lifetime", "max_lifetime", 0},
	{"Nftables", "nftables_state", COLUMN_GOOD_BAD},
	{"Problem", "problems", 0},
};

/* Names of the interfaces instead of their objects. */
static int name_interfaces(Record *record)
{
	const Value *paths = record_get(record, "interfaces");
	_cleanup_value_ Value names = {.kind = VALUE_LIST};
	int r = 0;

	for (size_t i = 0; paths->kind == VALUE_LIST && i < paths->list.count && r >= 0; i++) {
		_cleanup_free_ char *name = NULL;

		r = sd_bus_path_decode(paths->list.items[i].text, SPALE_BUS_INTERFACE_PREFIX,
				       &name);
		if (r >= 0)
			r = value_add_item(&names, r > 0 ? name : paths->list.items[i].text, 0);
	}
	return r < 0 ? r : record_set(record, "interfaces", value_take(&names));
}

/* Interfaces that spaled has no program at, in sentences. */
static int add_unprotected(const RecordList *interfaces, Value *problems)
{
	for (size_t i = 0; i < interfaces->count; i++) {
		const char *name = record_get_text(interfaces->records[i], "name");
		const char *state = record_get_text(interfaces->records[i], "state");
		const char *why = record_get_text(interfaces->records[i], "problem");
		_cleanup_free_ char *text = NULL;
		int r;

		if (strcmp(state, "attached") == 0)
			continue;
		if (strcmp(state, "missing") == 0)
			r = asprintf(&text, "there is no interface %s (yet)", name);
		else
			r = asprintf(&text, "%s is not protected: %s", name, *why ? why : state);
		if (r < 0) {
			text = NULL;
			return -ENOMEM;
		}
		r = value_add_item(problems, text, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_problems(Record *record, const RecordList *interfaces)
{
	static const struct {
		const char *field, *problem;
	} states[] = {
		{"reload_failed",
		 "the configuration's files are unusable, and what they said before is in force: "
		 "'journalctl -u spaled' says why"},
		{"trial_unconfirmed",
		 "a trial is over and nobody has confirmed it, so nothing is dropped: "
		 "'spalectl trial' begins another, 'spalectl log-only off' enforces"},
	};
	const char *deafness = record_get_text(record, "knock_problem");
	_cleanup_value_ Value problems = {.kind = VALUE_LIST};
	_cleanup_free_ char *text = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(states) && r >= 0; i++) {
		const Value *is = record_get(record, states[i].field);

		if (is->kind == VALUE_BOOL && is->boolean)
			r = value_add_item(&problems, states[i].problem, 0);
	}
	if (r >= 0 && *deafness) {
		if (asprintf(&text, "no knock can be taken: %s", deafness) < 0)
			text = NULL;
		r = text ? value_add_item(&problems, text, 0) : -ENOMEM;
	}
	if (r >= 0)
		r = add_unprotected(interfaces, &problems);
	return r < 0 ? r : record_set(record, "problems", value_take(&problems));
}

/* What follows from several properties. */
static int add_conclusions(Record *record)
{
	const Value *log_only = record_get(record, "log_only");
	const Value *trial = record_get(record, "trial_until");
	const char *state = log_only->kind == VALUE_BOOL && log_only->boolean ? "log-only"
			    : trial->kind == VALUE_TIME && trial->number      ? "trial"
									      : "enforcing";
	uint64_t refused = value_sum(record_get(record, "knocks_refused"));
	int r = record_set_text(record, "state", state);

	if (r >= 0)
		r = record_set_number(record, "knocks_refused_count", refused);
	return r < 0 ? r : name_interfaces(record);
}

/* One text of all problems. */
static int join_problems(Record *record)
{
	const Value *problems = record_get(record, "problems");
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f;

	if (problems->kind != VALUE_LIST)
		return 0;
	f = open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < problems->list.count; i++)
		fprintf(f, "%s%s", i ? "; " : "", problems->list.items[i].text);
	return fclose(f) == 0 ? record_set_text(record, "problems", text) : -ENOMEM;
}

/* What is zero or empty most of the time is not worth a line; what a word means is. */
static int explain(Record *record)
{
	static const struct {
		const char *state, *means;
	} states[] = {
		{"log-only", "log-only: counts what it would drop, and drops nothing"},
		{"trial", "trial: enforces until it ends, or 'spalectl confirm' is called"},
	};
	static const char *const fields[] = {"uncovered_interfaces", "trial_until", "problems"};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const Value *value = record_get(record, fields[i]);
		int r = 0;

		if ((value->kind == VALUE_LIST && value->list.count == 0) ||
		    (value->kind == VALUE_TIME && value->number == 0))
			r = record_set(record, fields[i], (Value){0});
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		int r = 0;

		if (strcmp(record_get_text(record, "state"), states[i].state) == 0)
			r = record_set_text(record, "state", states[i].means);
		if (r < 0)
			return r;
	}
	return join_problems(record);
}

ExitCode verb_status(const Options *options)
{
	_cleanup_record_list_ RecordList interfaces = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	_cleanup_record_ Record record = {0};
	ExitCode code;
	int r;

	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = objects_manager(bus, &record);
	if (code == EXIT_CODE_DONE)
		code = objects_interfaces(bus, &interfaces);
	if (code != EXIT_CODE_DONE)
		return code;
	r = add_problems(&record, &interfaces);
	if (r >= 0)
		r = add_conclusions(&record);
	if (r >= 0 && !options->output.json)
		r = explain(&record);
	if (r < 0)
		return bus_filled(r);
	r = output_record(&options->output, status_columns, ARRAY_SIZE(status_columns), &record);
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

/* A row for each reason; nothing is said of what never was, unless ALL. */
static int add_rows(RecordList *list, const char *kind, const Value *numbers, bool all)
{
	for (size_t i = 0; numbers->kind == VALUE_NUMBERS && i < numbers->list.count; i++) {
		_cleanup_record_ Record row = {0};
		int r;

		if (!all && numbers->list.items[i].number == 0)
			continue;
		r = record_set_text(&row, "kind", kind);
		if (r >= 0)
			r = record_set_text(&row, "reason", numbers->list.items[i].text);
		if (r >= 0)
			r = record_set_number(&row, "count", numbers->list.items[i].number);
		if (r >= 0)
			r = record_list_add(list, &row);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Those of one interface, or of all. */
static ExitCode read_counters(sd_bus *bus, const Options *options, RecordList *list)
{
	const char *interface = options->values[OPTION_INTERFACE];
	bool all = options_has(options, OPTION_ALL) || options->output.json;
	_cleanup_record_ Record record = {0};
	ExitCode code;
	int r;

	code = interface ? objects_interface(bus, interface, &record)
			 : objects_manager(bus, &record);
	if (code != EXIT_CODE_DONE)
		return code;
	r = add_rows(list, "packets", record_get(&record, "counters"), all);
	if (r >= 0)
		r = add_rows(list, "would-drop", record_get(&record, "would_drop"), all);
	if (r >= 0 && !interface) {
		_cleanup_value_ Value accepted = {.kind = VALUE_NUMBERS};

		r = value_add_item(&accepted, "accepted",
				   record_get(&record, "knocks_accepted")->number);
		if (r >= 0)
			r = add_rows(list, "knocks", &accepted, all);
	}
	if (r >= 0)
		r = add_rows(list, "knocks", record_get(&record, "knocks_refused"), all);
	return bus_filled(r);
}

ExitCode verb_counters(const Options *options)
{
	static const Column columns[] = {
		{"OF", "kind", 0}, {"REASON", "reason", 0}, {"COUNT", "count", COLUMN_RIGHT}};
	_cleanup_record_list_ RecordList list = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code = bus_open(options->ask, &bus);

	if (code == EXIT_CODE_DONE)
		code = read_counters(bus, options, &list);
	if (code != EXIT_CODE_DONE)
		return code;
	return output_list(&options->output, columns, ARRAY_SIZE(columns), &list, "counters") < 0
		       ? EXIT_CODE_FAILED
		       : EXIT_CODE_DONE;
}
