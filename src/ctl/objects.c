/* SPDX-License-Identifier: MIT */
#include "ctl/objects.h"

#include <errno.h>
#include <string.h>

#include "ctl/report.h"
#include "ctl/text.h"

static const BusProperty manager_properties[] = {
	{"Version", "version", VALUE_TEXT},
	{"Mode", "mode", VALUE_TEXT},
	{"LogOnly", "log_only", VALUE_BOOL},
	{"TrialUntil", "trial_until", VALUE_TIME},
	{"TrialUnconfirmed", "trial_unconfirmed", VALUE_BOOL},
	{"KnockPorts", "knock_ports", VALUE_PORTS},
	{"ProtectedPorts", "protected_ports", VALUE_PORTS},
	{"Interfaces", "interfaces", VALUE_LIST},
	{"UncoveredInterfaces", "uncovered_interfaces", VALUE_LIST},
	{"DefaultIdle", "default_idle", VALUE_DURATION},
	{"DefaultGrace", "default_grace", VALUE_DURATION},
	{"MaxLifetime", "max_lifetime", VALUE_DURATION},
	{"GrantCount", "grant_count", VALUE_NUMBER},
	{"GrantsTruncated", "grants_truncated", VALUE_BOOL},
	{"ClientCount", "client_count", VALUE_NUMBER},
	{"ReloadFailed", "reload_failed", VALUE_BOOL},
	{"KnockProblem", "knock_problem", VALUE_TEXT},
	{"NftablesState", "nftables_state", VALUE_TEXT},
	{"KnocksAccepted", "knocks_accepted", VALUE_NUMBER},
	{"KnocksRefused", "knocks_refused", VALUE_NUMBERS},
	{"Counters", "counters", VALUE_NUMBERS},
	{"WouldDrop", "would_drop", VALUE_NUMBERS},
};

static const BusProperty interface_properties[] = {
	{"Name", "name", VALUE_TEXT},
	{"Index", "index", VALUE_NUMBER},
	{"State", "state", VALUE_TEXT},
	{"Problem", "problem", VALUE_TEXT},
	{"Mode", "mode", VALUE_TEXT},
	{"Counters", "counters", VALUE_NUMBERS},
	{"WouldDrop", "would_drop", VALUE_NUMBERS},
};

static const BusProperty client_properties[] = {
	{"Name", "name", VALUE_TEXT},
	{"Enabled", "enabled", VALUE_BOOL},
	{"PublicKey", "public_key", VALUE_TEXT},
	{"Fingerprint", "fingerprint", VALUE_TEXT},
	{"Ports", "ports", VALUE_PORTS},
	{"Idle", "idle", VALUE_DURATION},
	{"Grace", "grace", VALUE_DURATION},
	{"Lifetime", "lifetime", VALUE_DURATION},
	{"NotBefore", "not_before", VALUE_TIME},
	{"NotAfter", "not_after", VALUE_TIME},
	{"AllowedSources", "allowed_sources", VALUE_LIST},
	{"RequireSourceMatch", "require_source_match", VALUE_TEXT},
	{"HasPresharedKey", "has_preshared_key", VALUE_BOOL},
	{"LastKnock", "last_knock", VALUE_TIME},
	{"LastSource", "last_source", VALUE_TEXT},
	{"Accepted", "accepted", VALUE_NUMBER},
	{"Refused", "refused", VALUE_NUMBER},
};

/* The members of a row of ListGrants, in their order. */
static const BusProperty grant_members[] = {
	{"object", "object", VALUE_TEXT},	  {"client", "client", VALUE_TEXT},
	{"source", "source", VALUE_TEXT},	  {"ports", "ports", VALUE_PORTS},
	{"created", "created", VALUE_TIME},	  {"last-seen", "last_seen", VALUE_TIME},
	{"idle-until", "idle_until", VALUE_TIME}, {"grace-until", "grace_until", VALUE_TIME},
	{"deadline", "deadline", VALUE_TIME},	  {"state", "state", VALUE_TEXT},
	{"origin", "origin", VALUE_TEXT},	  {"interface", "interface", VALUE_TEXT},
	{"packets", "packets", VALUE_NUMBER},
};

#define GRANT_ROW "ossa(sqq)tttttssst"

ExitCode objects_manager(sd_bus *bus, Record *record)
{
	return bus_get_all(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, manager_properties,
			   ARRAY_SIZE(manager_properties), record);
}

static char *encode(const char *prefix, const char *name)
{
	char *path = NULL;

	return sd_bus_path_encode(prefix, name, &path) < 0 ? NULL : path;
}

char *objects_client_path(const char *name)
{
	return encode(SPALE_BUS_CLIENT_PREFIX, name);
}

ExitCode objects_interface(sd_bus *bus, const char *name, Record *record)
{
	_cleanup_free_ char *path = encode(SPALE_BUS_INTERFACE_PREFIX, name);

	if (!path)
		return bus_filled(-ENOMEM);
	return bus_get_all(bus, path, SPALE_BUS_INTERFACE, interface_properties,
			   ARRAY_SIZE(interface_properties), record);
}

ExitCode objects_interfaces(sd_bus *bus, RecordList *list)
{
	_cleanup_record_ Record manager = {0};
	ExitCode code = objects_manager(bus, &manager);
	const Value *paths = record_get(&manager, "interfaces");

	if (code != EXIT_CODE_DONE)
		return code;
	for (size_t i = 0; paths->kind == VALUE_LIST && i < paths->list.count; i++) {
		_cleanup_record_ Record record = {0};
		int r;

		code = bus_get_all(bus, paths->list.items[i].text, SPALE_BUS_INTERFACE,
				   interface_properties, ARRAY_SIZE(interface_properties), &record);
		/* One may go meanwhile. */
		if (code == EXIT_CODE_NOT_FOUND)
			continue;
		if (code != EXIT_CODE_DONE)
			return code;
		r = record_list_add(list, &record);
		if (r < 0)
			return bus_filled(r);
	}
	return EXIT_CODE_DONE;
}

/* Reads the interfaces of one object, a{sa{sv}}, of which a client's goes to LIST. */
static int read_object(sd_bus_message *message, RecordList *list)
{
	int r = sd_bus_message_enter_container(message, 'a', "{sa{sv}}");

	while (r >= 0) {
		_cleanup_record_ Record record = {0};
		const char *interface;

		r = sd_bus_message_enter_container(message, 'e', "sa{sv}");
		if (r <= 0)
			break;
		r = sd_bus_message_read(message, "s", &interface);
		if (r > 0 && strcmp(interface, SPALE_BUS_CLIENT) == 0) {
			r = bus_read_properties(message, client_properties,
						ARRAY_SIZE(client_properties), &record);
			if (r >= 0)
				r = record_list_add(list, &record);
		} else if (r > 0) {
			r = sd_bus_message_skip(message, "a{sv}");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

ExitCode objects_clients(sd_bus *bus, RecordList *list)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	ExitCode code;
	int r;

	code = bus_call(bus, SPALE_BUS_PATH, "org.freedesktop.DBus.ObjectManager",
			"GetManagedObjects", &reply, NULL);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");
	while (r >= 0) {
		r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}");
		if (r <= 0)
			break;
		r = sd_bus_message_skip(reply, "o");
		if (r >= 0)
			r = read_object(reply, list);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	if (r < 0)
		return bus_filled(r);
	record_list_sort(list, "name");
	return EXIT_CODE_DONE;
}

bool objects_is_missing_client(const sd_bus_error *error)
{
	return sd_bus_error_has_name(error, "org.spale1.Error.NoSuchClient") ||
	       sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT);
}

ExitCode objects_no_such_client(sd_bus *bus, const char *name)
{
	_cleanup_record_list_ RecordList list = {0};
	size_t best_distance = 3;
	const char *best = NULL;

	if (objects_clients(bus, &list) != EXIT_CODE_DONE)
		return EXIT_CODE_NOT_FOUND;
	for (size_t i = 0; i < list.count; i++) {
		const char *other = record_get_text(list.records[i], "name");
		size_t distance = text_distance(name, other, best_distance);

		if (distance < best_distance) {
			best = other;
			best_distance = distance;
		}
	}
	if (best)
		report_error("no client is named '%s': did you mean '%s'?", name, best);
	else
		report_error("no client is named '%s': 'spalectl list clients' shows all", name);
	return EXIT_CODE_NOT_FOUND;
}

ExitCode objects_client(sd_bus *bus, const char *name, Record *record)
{
	_cleanup_free_ char *path = objects_client_path(name);
	_cleanup_message_ sd_bus_message *message = NULL, *reply = NULL;
	_cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	ExitCode code;
	int r;

	if (!path)
		return bus_filled(-ENOMEM);
	code = bus_prepare(bus, path, "org.freedesktop.DBus.Properties", "GetAll", &message);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_append(message, "s", SPALE_BUS_CLIENT);
	if (r < 0)
		return bus_filled(r);
	r = sd_bus_call(bus, message, 0, &error, &reply);
	if (r < 0 && objects_is_missing_client(&error))
		return objects_no_such_client(bus, name);
	if (r < 0)
		return bus_report(&error, r);
	return bus_filled(bus_read_properties(reply, client_properties,
					      ARRAY_SIZE(client_properties), record));
}

static int append_filter(sd_bus_message *message, const GrantFilter *filter)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	if (r >= 0 && filter->client)
		r = bus_append_option_text(message, "client", filter->client);
	if (r >= 0 && filter->source)
		r = bus_append_option_text(message, "source", filter->source);
	if (r >= 0 && filter->origin)
		r = bus_append_option_text(message, "origin", filter->origin);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int read_grant(sd_bus_message *message, RecordList *list)
{
	_cleanup_record_ Record record = {0};
	const char *id;
	int r = record_set(&record, "id", (Value){0});

	for (size_t i = 0; i < ARRAY_SIZE(grant_members) && r >= 0; i++)
		r = bus_read_field(message, grant_members[i].field, grant_members[i].kind, &record);
	if (r < 0)
		return r;
	id = strrchr(record_get_text(&record, "object"), '/');
	r = record_set_text(&record, "id", id ? id + 1 : "");
	return r < 0 ? r : record_list_add(list, &record);
}

/* Reads one answer of ListGrants; *RET_COUNT is how many rows it had. */
static int read_page(sd_bus_message *reply, RecordList *list, size_t *ret_count)
{
	size_t count = 0;
	uint32_t total;
	int r;

	r = sd_bus_message_read(reply, "u", &total);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(" GRANT_ROW ")");
	while (r >= 0) {
		r = sd_bus_message_enter_container(reply, 'r', GRANT_ROW);
		if (r <= 0)
			break;
		r = read_grant(reply, list);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
		count++;
	}
	*ret_count = count;
	return r;
}

ExitCode objects_grants(sd_bus *bus, const GrantFilter *filter, RecordList *list)
{
	size_t count = SPALE_BUS_ROWS_MAX;
	uint32_t offset = 0;

	/* Grants that come and go between two pages may be missed or seen twice. */
	while (count == SPALE_BUS_ROWS_MAX) {
		_cleanup_message_ sd_bus_message *message = NULL, *reply = NULL;
		ExitCode code =
			bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "ListGrants", &message);
		int r;

		if (code != EXIT_CODE_DONE)
			return code;
		r = append_filter(message, filter);
		if (r >= 0)
			r = sd_bus_message_append(message, "uu", offset,
						  (uint32_t)SPALE_BUS_ROWS_MAX);
		if (r < 0)
			return bus_filled(r);
		code = bus_send(bus, message, &reply);
		if (code != EXIT_CODE_DONE)
			return code;
		r = read_page(reply, list, &count);
		if (r < 0)
			return bus_filled(r);
		offset += (uint32_t)count;
	}
	return EXIT_CODE_DONE;
}
