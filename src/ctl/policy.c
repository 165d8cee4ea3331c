/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/report.h"
#include "ctl/text.h"
#include "ctl/verbs.h"
#include "util/parse.h"

/* Appends the options that these calls have. */
static int append_permanent(sd_bus_message *message, const Options *options)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	if (r >= 0 && options_has(options, OPTION_PERMANENT))
		r = bus_append_option_bool(message, "permanent", true);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* What was done, for as long as it is so. */
static ExitCode done(const Options *options, Record *record, const char *what)
{
	bool permanent = options_has(options, OPTION_PERMANENT);
	int r = record_set_bool(record, "permanent", permanent);

	if (r >= 0)
		r = output_done(&options->output, record, "%s%s.", what,
				permanent ? "" : ", until the next reload or restart");
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

static ExitCode change_allowed(const Options *options, const char *member, const char *text)
{
	_cleanup_message_ sd_bus_message *message = NULL;
	_cleanup_free_ char *prefix = NULL, *what = NULL;
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code;
	int r;

	if (options_prefix("prefix", options->arguments[0], &prefix) < 0)
		return EXIT_CODE_USAGE;
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, member, &message);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_append(message, "s", prefix);
	if (r >= 0)
		r = append_permanent(message, options);
	code = r < 0 ? bus_filled(r) : bus_send(bus, message, NULL);
	if (code != EXIT_CODE_DONE)
		return code;
	if (record_set_text(&record, "prefix", prefix) < 0 ||
	    asprintf(&what, "%s %s", prefix, text) < 0) {
		what = NULL;
		return bus_filled(-ENOMEM);
	}
	return done(options, &record, what);
}

ExitCode verb_allow(const Options *options)
{
	return change_allowed(options, "AddAlwaysAllowed", "needs no knock");
}

ExitCode verb_disallow(const Options *options)
{
	return change_allowed(options, "RemoveAlwaysAllowed", "needs a knock");
}

ExitCode verb_protect(const Options *options)
{
	_cleanup_message_ sd_bus_message *message = NULL;
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	_cleanup_free_ char *text = NULL, *what = NULL;
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	_cleanup_value_ Value value = {.kind = VALUE_PORTS};
	ExitCode code;
	int r;

	for (size_t i = 0; i < options->count; i++) {
		if (options_some_ports("port", options->arguments[i], &ports) < 0)
			return EXIT_CODE_USAGE;
	}
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "SetProtectedPorts",
				   &message);
	if (code != EXIT_CODE_DONE)
		return code;
	r = bus_append_ports(message, &ports);
	if (r >= 0)
		r = append_permanent(message, options);
	code = r < 0 ? bus_filled(r) : bus_send(bus, message, NULL);
	if (code != EXIT_CODE_DONE)
		return code;
	text = text_ports(&ports);
	r = port_list_copy(&ports, &value.ports);
	if (r >= 0)
		r = record_set(&record, "protected_ports", value_take(&value));
	if (r < 0 || !text || asprintf(&what, "Protected now: %s", text) < 0) {
		what = NULL;
		return bus_filled(-ENOMEM);
	}
	return done(options, &record, what);
}

static ExitCode set_log_only(sd_bus *bus, const Options *options, bool log_only)
{
	_cleanup_message_ sd_bus_message *message = NULL;
	ExitCode code = bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "SetLogOnly", &message);
	int r;

	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_append(message, "b", (int)log_only);
	if (r >= 0)
		r = append_permanent(message, options);
	return r < 0 ? bus_filled(r) : bus_send(bus, message, NULL);
}

ExitCode verb_log_only(const Options *options)
{
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	bool log_only;
	ExitCode code;
	int r;

	if (parse_bool(options->arguments[0], &log_only) < 0) {
		report_error("'log-only' takes on or off, not '%s'", options->arguments[0]);
		return EXIT_CODE_USAGE;
	}
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = set_log_only(bus, options, log_only);
	if (code != EXIT_CODE_DONE)
		return code;
	r = record_set_bool(&record, "log_only", log_only);
	if (r < 0)
		return bus_filled(r);
	return done(options, &record,
		    log_only ? "Nothing is dropped any more: it is only counted"
			     : "The protected ports are closed to everybody who has not knocked");
}

ExitCode verb_trial(const Options *options)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	char duration[TEXT_TIME_MAX], absolute[TEXT_TIME_MAX];
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	uint64_t seconds;
	ExitCode code;
	int r;

	if (options_trial("the time", options->arguments[0], &seconds) < 0)
		return EXIT_CODE_USAGE;
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "Trial", &reply, "t",
				seconds);
	if (code != EXIT_CODE_DONE)
		return code;
	r = bus_read_field(reply, "trial_until", VALUE_TIME, &record);
	if (r < 0)
		return bus_filled(r);
	r = output_done(&options->output, &record,
			"Enforcing, for a trial: it drops nothing any more in %s, at %s, unless "
			"'spalectl confirm' is called before.",
			text_duration(seconds, duration),
			text_absolute(record_get(&record, "trial_until")->number, absolute));
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

/* A call without arguments, and what it did. */
static ExitCode call_simple(const Options *options, const char *member, const char *text)
{
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code = bus_open(options->ask, &bus);

	if (code == EXIT_CODE_DONE)
		code = bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, member, NULL, NULL);
	if (code != EXIT_CODE_DONE)
		return code;
	return output_done(&options->output, &record, "%s", text) < 0 ? EXIT_CODE_FAILED
								      : EXIT_CODE_DONE;
}

ExitCode verb_confirm(const Options *options)
{
	return call_simple(options, "Confirm", "Confirmed: it goes on enforcing.");
}

ExitCode verb_reload(const Options *options)
{
	return call_simple(options, "Reload", "Reloaded.");
}
