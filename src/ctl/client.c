/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/client.h"
#include "ctl/objects.h"
#include "ctl/report.h"
#include "ctl/verbs.h"
#include "util/name.h"

static const Column client_columns[] = {
	{"Name", "name", 0},
	{"Enabled", "enabled", 0},
	{"Fingerprint", "fingerprint", 0},
	{"Ports", "ports", 0},
	{"Idle", "idle", 0},
	{"Grace", "grace", 0},
	{"Lifetime", "lifetime", 0},
	{"Not before", "not_before", COLUMN_ABSOLUTE},
	{"Not after", "not_after", COLUMN_ABSOLUTE},
	{"Allowed sources", "allowed_sources", 0},
	{"Source match", "require_source_match", 0},
	{"Pre-shared key", "has_preshared_key", 0},
	{"Last knock", "last_knock", COLUMN_ABSOLUTE},
	{"From", "last_source", 0},
	{"Accepted", "accepted", 0},
	{"Refused", "refused", 0},
};

int client_check_name(const char *name)
{
	if (name_is_valid(name))
		return 0;
	report_error("'%s' cannot be the name of a client: it takes up to %d letters, digits, '_', "
		     "'-' and '.', and does not begin with '.'",
		     name, NAME_LENGTH_MAX);
	return -EINVAL;
}

static int append_ports(sd_bus_message *message, const char *name, const char *text)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;

	if (options_ports("--ports", text, &ports) < 0)
		return -EDOM;
	return bus_append_option_ports(message, name, &ports);
}

static int append_duration(sd_bus_message *message, const char *name, const char *text)
{
	bool may_be_none = strcmp(name, "Grace") == 0;
	uint64_t seconds;

	if ((may_be_none ? options_duration_or_none : options_duration)(name, text, &seconds) < 0)
		return -EDOM;
	return bus_append_option_u64(message, name, seconds);
}

/* "0" and "infinity" take a date back. */
static int append_date(sd_bus_message *message, const char *name, const char *text)
{
	uint64_t usec = 0;

	if (strcmp(text, "infinity") == 0)
		usec = UINT64_MAX;
	else if (strcmp(text, "0") != 0 && options_timestamp(name, text, &usec) < 0)
		return -EDOM;
	return bus_append_option_u64(message, name, usec);
}

static int append_text(sd_bus_message *message, const char *name, const char *text)
{
	return bus_append_option_text(message, name, text);
}

static int append_sources(sd_bus_message *message, const char *name, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *item;
	int r;

	if (!copy)
		return -ENOMEM;
	r = sd_bus_message_open_container(message, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", name);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "as");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "s");
	while (r >= 0 && (item = strsep(&rest, ", \t"))) {
		_cleanup_free_ char *prefix = NULL;

		if (!*item)
			continue;
		r = options_prefix("--allowed-sources", item, &prefix) < 0
			    ? -EDOM
			    : sd_bus_message_append(message, "s", prefix);
	}
	for (int i = 0; i < 3 && r >= 0; i++)
		r = sd_bus_message_close_container(message);
	return r;
}

/* Options, and the settings of org.spale1.Client that they are. */
static const struct {
	OptionId id;
	const char *name;
	int (*append)(sd_bus_message *message, const char *name, const char *text);
} settings[] = {
	{OPTION_PORTS, "Ports", append_ports},
	{OPTION_IDLE, "Idle", append_duration},
	{OPTION_GRACE, "Grace", append_duration},
	{OPTION_LIFETIME, "Lifetime", append_duration},
	{OPTION_NOT_BEFORE, "NotBefore", append_date},
	{OPTION_NOT_AFTER, "NotAfter", append_date},
	{OPTION_ALLOWED_SOURCES, "AllowedSources", append_sources},
	{OPTION_REQUIRE_SOURCE_MATCH, "RequireSourceMatch", append_text},
};

bool client_has_settings(const Options *options)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		if (options_has(options, settings[i].id))
			return true;
	}
	return false;
}

ExitCode client_append_settings(sd_bus_message *message, const Options *options)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	for (size_t i = 0; i < ARRAY_SIZE(settings) && r >= 0; i++) {
		const char *text = options->values[settings[i].id];

		if (text)
			r = settings[i].append(message, settings[i].name, text);
	}
	if (r >= 0 && options_has(options, OPTION_DISABLED))
		r = bus_append_option_bool(message, "Enabled", false);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r == -EDOM ? EXIT_CODE_USAGE : bus_filled(r);
}

/*
 * Calls MEMBER of the client that OPTIONS names, with their settings or with nothing. Who does not
 * exist is told from who may not be seen: then there is somebody like him perhaps.
 */
static ExitCode call_client(sd_bus *bus, const Options *options, const char *member,
			    bool with_settings)
{
	_cleanup_message_ sd_bus_message *message = NULL;
	_cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *path = objects_client_path(options->arguments[0]);
	ExitCode code;
	int r;

	if (!path)
		return bus_filled(-ENOMEM);
	code = bus_prepare(bus, path, SPALE_BUS_CLIENT, member, &message);
	if (code == EXIT_CODE_DONE && with_settings)
		code = client_append_settings(message, options);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_call(bus, message, 0, &error, NULL);
	if (r < 0 && objects_is_missing_client(&error))
		return objects_no_such_client(bus, options->arguments[0]);
	return r < 0 ? bus_report(&error, r) : EXIT_CODE_DONE;
}

/* Calls MEMBER of a client, with settings or with nothing, and says what that did. */
static ExitCode change(const Options *options, const char *member, bool with_settings,
		       const char *did)
{
	const char *name = options->arguments[0];
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code;
	int r;

	if (client_check_name(name) < 0)
		return EXIT_CODE_USAGE;
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = call_client(bus, options, member, with_settings);
	if (code != EXIT_CODE_DONE)
		return code;
	r = record_set_text(&record, "name", name);
	if (r >= 0)
		r = output_done(&options->output, &record, "Client %s %s.", name, did);
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

ExitCode verb_client_remove(const Options *options)
{
	return change(options, "Remove", false, "is removed, and its grants are ended");
}

ExitCode verb_client_enable(const Options *options)
{
	return change(options, "Enable", false, "may knock");
}

ExitCode verb_client_disable(const Options *options)
{
	return change(options, "Disable", false,
		      "may not knock any more, and its grants are ended");
}

ExitCode verb_client_show(const Options *options)
{
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code;

	if (client_check_name(options->arguments[0]) < 0)
		return EXIT_CODE_USAGE;
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = objects_client(bus, options->arguments[0], &record);
	if (code != EXIT_CODE_DONE)
		return code;
	return output_record(&options->output, client_columns, ARRAY_SIZE(client_columns),
			     &record) < 0
		       ? EXIT_CODE_FAILED
		       : EXIT_CODE_DONE;
}

ExitCode verb_client_set(const Options *options)
{
	if (client_check_name(options->arguments[0]) < 0)
		return EXIT_CODE_USAGE;
	if (!client_has_settings(options)) {
		report_error("'client set' wants something to set: 'spalectl client --help' shows "
			     "what can be");
		return EXIT_CODE_USAGE;
	}
	return change(options, "Set", true, "is changed");
}
