/* SPDX-License-Identifier: MIT */
#include "bus/signals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus/arguments.h"
#include "bus/objects.h"
#include "bus/paths.h"
#include "bus/subscribers.h"
#include "daemon/journal.h"
#include "util/parse.h"

/* What changes within this time is told at once. */
#define GATHER_USEC (100 * 1000ULL)

/* Signals a second that strangers can cause. */
#define STRANGE_MAX 20

/* Properties of the manager that change together. */
enum {
	CHANGED_GRANTS = 1 << 0,
	CHANGED_CLIENTS = 1 << 1,
	CHANGED_INTERFACES = 1 << 2,
	CHANGED_POLICY = 1 << 3,
	CHANGED_RELOAD = 1 << 4,
	CHANGED_MIRROR = 1 << 5,
};

static const struct {
	int changed;
	const char *name;
} manager_properties[] = {
	{CHANGED_GRANTS, "GrantCount"},
	{CHANGED_GRANTS, "GrantsTruncated"},
	{CHANGED_CLIENTS, "ClientCount"},
	{CHANGED_INTERFACES, "Interfaces"},
	{CHANGED_INTERFACES, "UncoveredInterfaces"},
	{CHANGED_POLICY, "KnockPorts"},
	{CHANGED_POLICY, "ProtectedPorts"},
	{CHANGED_POLICY, "LogOnly"},
	{CHANGED_POLICY, "TrialUntil"},
	{CHANGED_POLICY, "TrialUnconfirmed"},
	{CHANGED_POLICY, "DefaultIdle"},
	{CHANGED_POLICY, "DefaultGrace"},
	{CHANGED_POLICY, "MaxLifetime"},
	{CHANGED_RELOAD, "ReloadFailed"},
	{CHANGED_RELOAD, "KnockProblem"},
	{CHANGED_MIRROR, "NftablesState"},
};

struct Signals {
	BusContext *context;
	ManagerObserver observer;
	sd_event_source *timer;
	int changed;		 /* to be told when the timer comes */
	bool was_outdated;	 /* as ReloadFailed was last told */
	uint64_t second_mono_ns; /* begin of the second that is counted */
	unsigned strange;
};

/* ---- what is put together ------------------------------------------------------------------ */

/* Announces grants that had to wait until others went. */
static void publish_more(BusContext *context)
{
	const GrantTable *grants = manager_grants(context->manager);
	char path[PATHS_TEXT_MAX];

	if (context->published.grant_count == grant_table_count(grants))
		return;
	for (size_t i = 0; i < grant_table_count(grants) &&
			   context->published.grant_count < SPALE_BUS_GRANT_OBJECTS_MAX;
	     i++) {
		uint64_t id = grant_table_get(grants, i)->id;

		if (published_add(&context->published, id))
			objects_tell_added(context, &grant_object_type, paths_of_grant(id, path));
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	Signals *signals = userdata;
	const char *names[ARRAY_SIZE(manager_properties)];
	size_t count = 0;

	(void)source;
	(void)usec;
	if (signals->changed & CHANGED_GRANTS)
		publish_more(signals->context);
	for (size_t i = 0; i < ARRAY_SIZE(manager_properties); i++)
		if (signals->changed & manager_properties[i].changed)
			names[count++] = manager_properties[i].name;
	signals->changed = 0;
	objects_tell_changed(signals->context, &manager_object_type, SPALE_BUS_PATH, names, count);
	return 0;
}

static void note(Signals *signals, int changed)
{
	if (signals->changed == 0 &&
	    (sd_event_source_set_time_relative(signals->timer, GATHER_USEC) < 0 ||
	     sd_event_source_set_enabled(signals->timer, SD_EVENT_ONESHOT) < 0))
		return;
	signals->changed |= changed;
}

/* Whether one more signal that a stranger caused is sent in this second. */
static bool may_tell_strange(Signals *signals)
{
	uint64_t now_mono_ns = clock_system.mono_ns(NULL);

	if (!subscribers_exist(signals->context))
		return false;
	if (now_mono_ns - signals->second_mono_ns >= NSEC_PER_SEC) {
		signals->second_mono_ns = now_mono_ns;
		signals->strange = 0;
	}
	return signals->strange++ < STRANGE_MAX;
}

/* ---- grants -------------------------------------------------------------------------------- */

static int new_signal(const BusContext *context, const char *member, sd_bus_message **ret_signal)
{
	return subscribers_new_signal(context, SPALE_BUS_PATH, SPALE_BUS_MANAGER, member,
				      ret_signal);
}

/* Object, client, source and ports of GRANT. */
static int append_grant(sd_bus_message *signal, const Grant *grant)
{
	char path[PATHS_TEXT_MAX], source[ADDRESS_TEXT_MAX];
	int r;

	r = sd_bus_message_append(signal, "oss", paths_of_grant(grant->id, path), grant->client,
				  prefix_format(&grant->source, source));
	return r < 0 ? r : arguments_append_ports(signal, &grant->ports);
}

static void on_grant_added(void *userdata, const Grant *grant)
{
	Signals *signals = userdata;
	BusContext *context = signals->context;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	char path[PATHS_TEXT_MAX];
	int r;

	note(signals, CHANGED_GRANTS);
	if (published_add(&context->published, grant->id))
		objects_tell_added(context, &grant_object_type, paths_of_grant(grant->id, path));
	if (!subscribers_exist(context))
		return;
	r = new_signal(context, "GrantAdded", &signal);
	if (r >= 0)
		r = append_grant(signal, grant);
	if (r >= 0)
		r = sd_bus_message_append(signal, "t",
					  context_real_usec(context, grant->deadline_mono_ns));
	subscribers_send(context, signal, r);
}

static void on_grant_changed(void *userdata, const Grant *grant)
{
	Signals *signals = userdata;
	char path[PATHS_TEXT_MAX];

	/* Those that were not announced are followed by ListGrants. */
	if (published_has(&signals->context->published, grant->id))
		objects_tell_changed(signals->context, &grant_object_type,
				     paths_of_grant(grant->id, path), NULL, 0);
}

static const char *end_name(GrantEnd end)
{
	switch (end) {
	case GRANT_EXPIRED:
		return "expired";
	case GRANT_REVOKED:
		return "revoked";
	case GRANT_CLOSED:
		return "closed";
	case GRANT_REPLACED:
		return "replaced";
	}
	return "";
}

static void on_grant_removed(void *userdata, const Grant *grant, GrantEnd end)
{
	Signals *signals = userdata;
	BusContext *context = signals->context;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	char path[PATHS_TEXT_MAX];
	int r;

	note(signals, CHANGED_GRANTS);
	if (published_remove(&context->published, grant->id))
		objects_tell_removed(context, &grant_object_type, paths_of_grant(grant->id, path));
	if (!subscribers_exist(context))
		return;
	r = new_signal(context, "GrantRemoved", &signal);
	if (r >= 0)
		r = append_grant(signal, grant);
	if (r >= 0)
		r = sd_bus_message_append(signal, "s", end_name(end));
	subscribers_send(context, signal, r);
}

/* ---- knocks and packets -------------------------------------------------------------------- */

static void on_knock_accepted(void *userdata, const char *client, const Address *source,
			      const PortList *ports)
{
	const Signals *signals = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	char address[ADDRESS_TEXT_MAX];
	int r;

	if (!subscribers_exist(signals->context))
		return;
	r = new_signal(signals->context, "KnockAccepted", &signal);
	if (r >= 0)
		r = sd_bus_message_append(signal, "ss", client, address_format(source, address));
	if (r >= 0)
		r = arguments_append_ports(signal, ports);
	subscribers_send(signals->context, signal, r);
}

static void on_knock_refused(void *userdata, const char *client, const Address *source,
			     Refusal refusal)
{
	Signals *signals = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	char address[ADDRESS_TEXT_MAX];
	int r;

	if (!may_tell_strange(signals))
		return;
	r = new_signal(signals->context, "KnockRefused", &signal);
	if (r >= 0)
		r = sd_bus_message_append(signal, "sss", client ?: "",
					  address_format(source, address), refusal_name(refusal));
	subscribers_send(signals->context, signal, r);
}

static void on_access_denied(void *userdata, const struct spale_event *event)
{
	Signals *signals = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	char text[ADDRESS_TEXT_MAX];
	Address address;
	int r;

	if (!may_tell_strange(signals))
		return;
	memcpy(address.bytes, event->source, sizeof(address.bytes));
	r = new_signal(signals->context, "AccessDenied", &signal);
	if (r >= 0)
		r = sd_bus_message_append(signal, "ssqt", address_format(&address, text),
					  port_protocol_name(event->protocol) ?: "", event->port,
					  event->count);
	subscribers_send(signals->context, signal, r);
}

/* ---- clients ------------------------------------------------------------------------------- */

static void on_client_added(void *userdata, const Client *client)
{
	Signals *signals = userdata;
	char path[PATHS_TEXT_MAX];

	note(signals, CHANGED_CLIENTS);
	objects_tell_added(signals->context, &client_object_type,
			   paths_of_client(client->name, path));
}

static void on_client_changed(void *userdata, const Client *client)
{
	Signals *signals = userdata;
	char path[PATHS_TEXT_MAX];

	objects_tell_changed(signals->context, &client_object_type,
			     paths_of_client(client->name, path), NULL, 0);
}

static void on_client_removed(void *userdata, const char *name)
{
	Signals *signals = userdata;
	char path[PATHS_TEXT_MAX];

	note(signals, CHANGED_CLIENTS);
	objects_tell_removed(signals->context, &client_object_type, paths_of_client(name, path));
}

/* ---- interfaces, policy -------------------------------------------------------------------- */

static PublishedInterface as_published(const Interface *interface)
{
	const char *problem = interface->problem ?: "";
	PublishedInterface published = {
		.ifindex = interface->ifindex,
		.state = interface->state,
		.problem = hash_table_hash(problem, strlen(problem)),
	};

	memcpy(published.name, interface->name, sizeof(published.name));
	return published;
}

static const PublishedInterface *find_interface(const PublishedInterface *items, size_t count,
						const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(items[i].name, name) == 0)
			return &items[i];
	return NULL;
}

static void on_interfaces_changed(void *userdata)
{
	Signals *signals = userdata;
	Published *published = &signals->context->published;
	const Interfaces *interfaces = manager_interfaces(signals->context->manager);
	PublishedInterface now[INTERFACES_MAX];
	char path[PATHS_TEXT_MAX];

	for (size_t i = 0; i < interfaces->count; i++)
		now[i] = as_published(&interfaces->items[i]);
	for (size_t i = 0; i < published->interface_count; i++) {
		const char *name = published->interfaces[i].name;

		if (!find_interface(now, interfaces->count, name))
			objects_tell_removed(signals->context, &interface_object_type,
					     paths_of_interface(name, path));
	}
	for (size_t i = 0; i < interfaces->count; i++) {
		const PublishedInterface *before = find_interface(
			published->interfaces, published->interface_count, now[i].name);

		paths_of_interface(now[i].name, path);
		if (!before)
			objects_tell_added(signals->context, &interface_object_type, path);
		else if (memcmp(before, &now[i], sizeof(now[i])) != 0)
			objects_tell_changed(signals->context, &interface_object_type, path, NULL,
					     0);
	}
	memcpy(published->interfaces, now, sizeof(now[0]) * interfaces->count);
	published->interface_count = interfaces->count;
	note(signals, CHANGED_INTERFACES);
}

static void on_policy_changed(void *userdata)
{
	note(userdata, CHANGED_POLICY);
}

static void on_mirror_changed(void *userdata)
{
	note(userdata, CHANGED_MIRROR);
}

static void on_reloaded(void *userdata, bool failed)
{
	Signals *signals = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	if (signals->was_outdated != failed)
		note(signals, CHANGED_RELOAD);
	signals->was_outdated = failed;
	if (failed || !subscribers_exist(signals->context))
		return;
	r = new_signal(signals->context, "Reloaded", &signal);
	subscribers_send(signals->context, signal, r);
}

/* ---- life ---------------------------------------------------------------------------------- */

int signals_new(BusContext *context, Signals **ret_signals)
{
	_cleanup_(signals_freep) Signals *signals = calloc(1, sizeof(*signals));
	int r;

	if (!signals)
		return -ENOMEM;
	signals->context = context;
	signals->was_outdated = manager_is_outdated(context->manager);
	r = sd_event_add_time_relative(context->event, &signals->timer, CLOCK_MONOTONIC, 0, 0,
				       on_timer, signals);
	if (r >= 0)
		r = sd_event_source_set_enabled(signals->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(signals->timer, SD_EVENT_PRIORITY_IDLE);
	if (r < 0)
		return r;
	signals->observer = (ManagerObserver){
		.grant_added = on_grant_added,
		.grant_changed = on_grant_changed,
		.grant_removed = on_grant_removed,
		.knock_accepted = on_knock_accepted,
		.knock_refused = on_knock_refused,
		.access_denied = on_access_denied,
		.client_added = on_client_added,
		.client_changed = on_client_changed,
		.client_removed = on_client_removed,
		.interfaces_changed = on_interfaces_changed,
		.policy_changed = on_policy_changed,
		.reloaded = on_reloaded,
		.userdata = signals,
	};
	publish_more(context);
	on_interfaces_changed(signals);
	r = manager_observe(context->manager, &signals->observer);
	if (r < 0)
		return r;
	mirror_set_observer(context->hooks->mirror, on_mirror_changed, signals);
	*ret_signals = TAKE_PTR(signals);
	return 0;
}

void signals_free(Signals *signals)
{
	if (!signals)
		return;
	mirror_set_observer(signals->context->hooks->mirror, NULL, NULL);
	manager_ignore(signals->context->manager, &signals->observer);
	sd_event_source_disable_unref(signals->timer);
	free(signals);
}
