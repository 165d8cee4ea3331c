/* SPDX-License-Identifier: MIT */
#include "bus/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <spale/bus-names.h>

#include "bus/answers.h"
#include "bus/context.h"
#include "bus/filter.h"
#include "bus/managed-objects.h"
#include "bus/objects.h"
#include "bus/signals.h"
#include "daemon/journal.h"
#include "util/parse.h"

/* The bus may come later than we do, and go: it is tried again, ever more seldom. */
#define RETRY_MIN_USEC (250 * 1000ULL)
#define RETRY_MAX_USEC (8 * USEC_PER_SEC)

#define SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"

#define DBUS_NAME  "org.freedesktop.DBus"
#define DBUS_PATH  "/org/freedesktop/DBus"
#define DBUS_LOCAL "org.freedesktop.DBus.Local"

struct Bus {
	BusContext context;
	sd_event_source *timer; /* does what can be done between two messages only */
	Filter *filter;
	ManagedObjects *objects;
	uint64_t retry_usec;
	bool has_name;
	bool said; /* in the journal, that it cannot be joined */
};

/* ---- leaving ------------------------------------------------------------------------------- */

/* Lets go of the bus. Not to be called while it is calling us. */
static void leave(Bus *bus)
{
	filter_free(bus->filter);
	bus->filter = NULL;
	managed_objects_free(bus->objects);
	bus->objects = NULL;
	answers_free(bus->context.answers);
	bus->context.answers = NULL;
	callers_free(bus->context.callers);
	bus->context.callers = NULL;
	if (bus->context.bus) {
		(void)sd_bus_detach_event(bus->context.bus);
		bus->context.bus = sd_bus_close_unref(bus->context.bus);
	}
	bus->has_name = false;
}

/* Has the timer leave the bus, and try again. */
static void schedule(Bus *bus)
{
	if (sd_event_source_set_time_relative(bus->timer, bus->retry_usec) < 0 ||
	    sd_event_source_set_enabled(bus->timer, SD_EVENT_ONESHOT) < 0)
		journal_line(LOG_LEVEL_ERROR, "the system bus is not tried again: no memory");
	bus->retry_usec *= 2;
	if (bus->retry_usec > RETRY_MAX_USEC)
		bus->retry_usec = RETRY_MAX_USEC;
}

/* What went wrong, once until it is well again. */
static void fail(Bus *bus, const char *what, const char *why)
{
	if (!bus->said)
		journal_line(LOG_LEVEL_WARNING, "%s: %s; it is tried again", what, why);
	bus->said = true;
	schedule(bus);
}

/* ---- joining ------------------------------------------------------------------------------- */

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	Bus *bus = userdata;
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	uint32_t answer;

	(void)ret_error;
	if (error) {
		fail(bus, "the name " SPALE_BUS_NAME " cannot be had on the system bus",
		     error->message ?: error->name);
		return 1;
	}
	if (sd_bus_message_read(reply, "u", &answer) < 0 || (answer != 1 && answer != 4)) {
		fail(bus, "the name " SPALE_BUS_NAME " cannot be had on the system bus",
		     "somebody else has it");
		return 1;
	}
	bus->has_name = true;
	bus->said = false;
	bus->retry_usec = RETRY_MIN_USEC;
	journal_line(LOG_LEVEL_DEBUG, "on the system bus as " SPALE_BUS_NAME);
	return 1;
}

static int on_lost(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
	Bus *bus = userdata;

	(void)signal;
	(void)ret_error;
	if (bus->has_name)
		fail(bus, "the system bus", "it went away, or gave our name to somebody else");
	else
		fail(bus, "the system bus", "it does not take us");
	return 0;
}

static void on_caller_known(Caller *caller, void *userdata)
{
	const Bus *bus = userdata;

	filter_caller_known(bus->filter, caller);
}

static void on_caller_gone(Caller *caller, void *userdata)
{
	const Bus *bus = userdata;

	filter_caller_gone(bus->filter, caller);
}

/*
 * As sd_bus_open_system(3), but that nobody hands us descriptors, which would stay open while
 * polkit thinks about the calls that bring them: the bus refuses such calls.
 */
static int connect_bus(Bus *bus)
{
	const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS") ?: SYSTEM_BUS;
	sd_bus **connection = &bus->context.bus;
	int r;

	r = sd_bus_new(connection);
	if (r >= 0)
		r = sd_bus_set_description(*connection, "spale");
	if (r >= 0)
		r = sd_bus_set_address(*connection, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(*connection, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(*connection, false);
	if (r >= 0)
		r = sd_bus_start(*connection);
	if (r >= 0)
		r = sd_bus_attach_event(*connection, bus->context.event, SD_EVENT_PRIORITY_IDLE);
	return r < 0 ? r : 0;
}

static int add_objects(Bus *bus)
{
	static const ObjectType *const types[] = {&manager_object_type, &grant_object_type,
						  &client_object_type, &interface_object_type};
	int r = sd_bus_add_object_manager(bus->context.bus, NULL, SPALE_BUS_PATH);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(types); i++)
		r = objects_add(&bus->context, types[i]);
	return r;
}

/* A call that is authorised. */
static int on_passed(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	Bus *bus = userdata;
	int r = objects_check(&bus->context, sd_bus_message_get_path(call), ret_error);

	return r < 0 ? r : managed_objects_take(call, bus->objects, ret_error);
}

static int watch(Bus *bus)
{
	sd_bus *connection = bus->context.bus;
	int r;

	r = sd_bus_match_signal_async(connection, NULL, DBUS_LOCAL, NULL, DBUS_LOCAL,
				      "Disconnected", on_lost, NULL, bus);
	if (r >= 0)
		r = sd_bus_add_match_async(connection, NULL,
					   "type='signal',sender='" DBUS_NAME "',path='" DBUS_PATH
					   "',interface='" DBUS_NAME
					   "',member='NameLost',arg0='" SPALE_BUS_NAME "'",
					   on_lost, NULL, bus);
	return r;
}

/* The filter stands before the name is asked for: nobody calls past it. */
static int join(Bus *bus)
{
	const CallersEvents events = {on_caller_known, on_caller_gone, bus};
	int r;

	r = connect_bus(bus);
	if (r >= 0)
		r = callers_new(bus->context.bus, &events, &bus->context.callers);
	if (r >= 0)
		r = filter_new(bus->context.bus, bus->context.manager, bus->context.callers,
			       &bus->filter);
	if (r >= 0)
		r = managed_objects_new(&bus->context, &bus->objects);
	if (r >= 0)
		r = answers_new(&bus->context, &bus->context.answers);
	if (r >= 0)
		filter_set_passed(bus->filter, on_passed, bus);
	if (r >= 0)
		r = watch(bus);
	if (r >= 0)
		r = add_objects(bus);
	if (r >= 0)
		r = sd_bus_request_name_async(bus->context.bus, NULL, SPALE_BUS_NAME, 0, on_name,
					      bus);
	return r;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	Bus *bus = userdata;
	int r;

	(void)source;
	(void)usec;
	leave(bus);
	r = join(bus);
	if (r < 0) {
		leave(bus);
		fail(bus, "the system bus cannot be joined", strerror(-r));
	}
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

int bus_new(sd_event *event, Manager *manager, const ServiceHooks *hooks, Bus **ret_bus)
{
	_cleanup_(bus_freep) Bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->context.event = sd_event_ref(event);
	bus->context.manager = manager;
	bus->context.hooks = hooks;
	bus->retry_usec = RETRY_MIN_USEC;
	r = published_init(&bus->context.published);
	if (r >= 0)
		r = signals_new(&bus->context, &bus->context.signals);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &bus->timer, CLOCK_MONOTONIC, 0, 0, on_timer,
					       bus);
	if (r >= 0)
		r = sd_event_source_set_priority(bus->timer, SD_EVENT_PRIORITY_IDLE);
	if (r < 0)
		return r;
	*ret_bus = TAKE_PTR(bus);
	return 0;
}

void bus_free(Bus *bus)
{
	if (!bus)
		return;
	leave(bus);
	sd_event_source_disable_unref(bus->timer);
	signals_free(bus->context.signals);
	published_done(&bus->context.published);
	sd_event_unref(bus->context.event);
	free(bus);
}

static int start(sd_event *event, Manager *manager, const ServiceHooks *hooks, void **ret_part)
{
	Bus *bus;
	int r = bus_new(event, manager, hooks, &bus);

	if (r == 0)
		*ret_part = bus;
	return r;
}

static void stop(void *part)
{
	bus_free(part);
}

const ServicePart bus_service_part = {start, stop};
