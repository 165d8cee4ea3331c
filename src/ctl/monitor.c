/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/json.h"
#include "ctl/report.h"
#include "ctl/text.h"
#include "ctl/verbs.h"

/* An argument of a signal. */
typedef struct Argument {
	const char *field;
	ValueKind kind;
} Argument;

#define ARGUMENTS_MAX 5

/* The last one, until it is subscribed to them anew. */
#define SUBSCRIPTION_LOST "SubscriptionLost"

/* Signals of the manager, what they say, and how that reads. */
static const struct {
	const char *name;
	const char *event;
	Argument arguments[ARGUMENTS_MAX];
} events[] = {
	{"GrantAdded",
	 "grant added",
	 {{"grant", VALUE_TEXT},
	  {"client", VALUE_TEXT},
	  {"address", VALUE_TEXT},
	  {"ports", VALUE_PORTS},
	  {"until", VALUE_TIME}}},
	{"GrantRemoved",
	 "grant removed",
	 {{"grant", VALUE_TEXT},
	  {"client", VALUE_TEXT},
	  {"address", VALUE_TEXT},
	  {"ports", VALUE_PORTS},
	  {"reason", VALUE_TEXT}}},
	{"KnockAccepted",
	 "knock accepted",
	 {{"client", VALUE_TEXT}, {"address", VALUE_TEXT}, {"ports", VALUE_PORTS}}},
	{"KnockRefused",
	 "knock refused",
	 {{"client", VALUE_TEXT}, {"address", VALUE_TEXT}, {"reason", VALUE_TEXT}}},
	{"AccessDenied",
	 "access denied",
	 {{"address", VALUE_TEXT},
	  {"protocol", VALUE_TEXT},
	  {"port", VALUE_NUMBER},
	  {"count", VALUE_NUMBER}}},
	{"Reloaded", "reloaded", {{NULL, VALUE_NONE}}},
	{SUBSCRIPTION_LOST, "events lost", {{NULL, VALUE_NONE}}},
};

typedef struct Monitor {
	const Options *options;
	ExitCode code;
	bool done;
	bool is_deaf; /* not subscribed, and there is somebody to ask */
} Monitor;

/* One event: a line for people, an object on a line for programs. */
static int show(const Options *options, const Record *record)
{
	TableStyle style = output_style(&options->output);
	char time[TEXT_TIME_MAX];

	if (options->output.json) {
		_cleanup_free_ char *json = json_format(record, false);

		if (!json)
			return -ENOMEM;
		puts(json);
		return output_flush();
	}
	text_absolute(style.now_real_usec, time);
	/* Date and zone are the reader's own. */
	printf("%.8s  %-14s", strlen(time) > 11 ? time + 11 : time,
	       record_get_text(record, "event"));
	for (size_t i = 0; i < record->count; i++) {
		const Field *field = &record->fields[i];
		_cleanup_free_ char *text = table_format(&style, &field->value, 0);

		if (!text)
			return -ENOMEM;
		if (strcmp(field->name, "event") == 0 || strcmp(field->name, "time") == 0 ||
		    strcmp(field->name, "grant") == 0 || strcmp(text, "-") == 0)
			continue;
		printf("  %s %s", field->name, text);
	}
	putchar('\n');
	return output_flush();
}

static int begin(Monitor *monitor, const char *event, Record *record)
{
	TableStyle style = output_style(&monitor->options->output);
	int r = record_set_text(record, "event", event);

	return r < 0 ? r
		     : record_set(record, "time",
				  (Value){.kind = VALUE_TIME, .number = style.now_real_usec});
}

static void end(Monitor *monitor, ExitCode code)
{
	monitor->code = code;
	monitor->done = true;
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
	_cleanup_record_ Record record = {0};
	Monitor *monitor = userdata;
	size_t i = 0;
	int r;

	(void)ret_error;
	while (i < ARRAY_SIZE(events) &&
	       !sd_bus_message_is_signal(message, SPALE_BUS_MANAGER, events[i].name))
		i++;
	if (i == ARRAY_SIZE(events))
		return 0;
	r = begin(monitor, events[i].event, &record);
	for (size_t j = 0; j < ARGUMENTS_MAX && events[i].arguments[j].field && r >= 0; j++)
		r = bus_read_field(message, events[i].arguments[j].field,
				   events[i].arguments[j].kind, &record);
	if (r < 0)
		end(monitor, bus_filled(r));
	else if (show(monitor->options, &record) < 0)
		end(monitor, EXIT_CODE_FAILED);
	if (strcmp(events[i].name, SUBSCRIPTION_LOST) == 0)
		monitor->is_deaf = true;
	return 0;
}

/* spaled ended, or is there again: then it has to be asked anew. */
static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
	_cleanup_record_ Record record = {0};
	const char *name, *old_owner, *new_owner;
	Monitor *monitor = userdata;
	int r;

	(void)ret_error;
	r = sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner);
	if (r < 0)
		return 0;
	r = begin(monitor, *new_owner ? "spaled started" : "spaled ended", &record);
	if (r < 0 || show(monitor->options, &record) < 0)
		end(monitor, EXIT_CODE_FAILED);
	monitor->is_deaf = *new_owner;
	return 0;
}

/* Where spaled ends meanwhile, its next start is waited for. */
static ExitCode subscribe(sd_bus *bus, Monitor *monitor)
{
	_cleanup_message_ sd_bus_message *message = NULL;
	_cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	ExitCode code = bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "Subscribe", &message);
	int r;

	if (code != EXIT_CODE_DONE)
		return code;
	monitor->is_deaf = false;
	r = sd_bus_call(bus, message, 0, &error, NULL);
	if (r < 0 && (sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
		      sd_bus_error_has_name(&error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
		      sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY)))
		return EXIT_CODE_DONE;
	return r < 0 ? bus_report(&error, r) : EXIT_CODE_DONE;
}

static ExitCode listen_to(sd_bus *bus, Monitor *monitor)
{
	int r = sd_bus_match_signal(bus, NULL, SPALE_BUS_NAME, SPALE_BUS_PATH, SPALE_BUS_MANAGER,
				    NULL, on_signal, monitor);

	if (r >= 0)
		r = sd_bus_add_match(bus, NULL,
				     "type='signal',sender='org.freedesktop.DBus',"
				     "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
				     "arg0='" SPALE_BUS_NAME "'",
				     on_owner, monitor);
	if (r < 0)
		return bus_filled(r);
	return bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "Subscribe", NULL, NULL);
}

ExitCode verb_monitor(const Options *options)
{
	Monitor monitor = {.options = options};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code = bus_open(options->ask, &bus);

	if (code == EXIT_CODE_DONE)
		code = listen_to(bus, &monitor);
	if (code != EXIT_CODE_DONE)
		return code;
	if (!options->output.json && !options->output.no_legend)
		puts("What happens is shown until it is interrupted (Ctrl-C).");
	if (output_flush() < 0)
		return EXIT_CODE_FAILED;
	while (!monitor.done) {
		int r = sd_bus_process(bus, NULL);

		if (r == 0 && monitor.is_deaf) {
			code = subscribe(bus, &monitor);
			if (code != EXIT_CODE_DONE)
				return code;
			continue;
		}
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
		if (r < 0 && r != -EINTR)
			return bus_report(NULL, r);
	}
	return monitor.code;
}
