/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/arguments.h"
#include "bus/counters.h"
#include "bus/methods.h"
#include "bus/objects.h"
#include "bus/paths.h"
#include "bus/signals.h"
#include "daemon/manager-requests.h"

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const struct {
		const char *name, *value;
	} rows[] = {
		{"Version", SPALE_VERSION},
		{"Mode", config_mode_name(manager_config(context->manager)->mode)},
		{"NftablesState", mirror_state(context->hooks->mirror)},
		{"KnockProblem", manager_deafness(context->manager) ?: ""},
	};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, property) == 0)
			return arguments_append_text(reply, rows[i].value);
	return -EINVAL;
}

static int get_ports(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Config *config = manager_config(context->manager);

	(void)bus, (void)path, (void)interface, (void)ret_error;
	return strcmp(property, "KnockPorts") == 0
		       ? arguments_append_numbers(reply, &config->knock_ports)
		       : arguments_append_ports(reply, &config->protected_ports);
}

static int get_interfaces(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *userdata,
			  sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Interfaces *interfaces = manager_interfaces(context->manager);
	char text[PATHS_TEXT_MAX];
	int r = sd_bus_message_open_container(reply, 'a', "o");

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	for (size_t i = 0; r >= 0 && i < interfaces->count; i++)
		r = sd_bus_message_append(reply, "o",
					  paths_of_interface(interfaces->items[i].name, text));
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_uncovered(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Interfaces *interfaces = manager_interfaces(context->manager);
	int r = sd_bus_message_open_container(reply, 'a', "s");

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	for (size_t i = 0; r >= 0 && i < interfaces->uncovered_count; i++)
		r = arguments_append_text(reply, interfaces->uncovered_names[i]);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	size_t grants = grant_table_count(manager_grants(context->manager));
	const struct {
		const char *name;
		bool value;
	} rows[] = {
		{"LogOnly", manager_config(context->manager)->log_only},
		{"TrialUnconfirmed", manager_trial_is_over(context->manager)},
		{"GrantsTruncated", grants > SPALE_BUS_GRANT_OBJECTS_MAX},
		{"ReloadFailed", manager_is_outdated(context->manager)},
	};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, property) == 0)
			return sd_bus_message_append(reply, "b", (int)rows[i].value);
	return -EINVAL;
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Config *config = manager_config(context->manager);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"TrialUntil", manager_trial_until_real_usec(context->manager)},
		{"DefaultIdle", arguments_seconds(config->idle_ns)},
		{"DefaultGrace", arguments_seconds(config->grace_ns)},
		{"MaxLifetime", arguments_seconds(config->lifetime_ns)},
		{"KnocksAccepted", manager_accepted(context->manager)},
	};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, property) == 0)
			return sd_bus_message_append(reply, "t", rows[i].value);
	return -EINVAL;
}

static int get_count(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	size_t count = strcmp(property, "GrantCount") == 0
			       ? grant_table_count(manager_grants(context->manager))
			       : client_set_count(manager_clients(context->manager));

	(void)bus, (void)path, (void)interface, (void)ret_error;
	return sd_bus_message_append(reply, "u", (uint32_t)count);
}

static int get_refused(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	int r = sd_bus_message_open_container(reply, 'a', "{st}");

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	for (Refusal refusal = REFUSAL_NONE + 1; r >= 0 && refusal < REFUSAL_COUNT; refusal++)
		r = arguments_append_count(reply, refusal_name(refusal),
					   manager_refused(context->manager, refusal));
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_counters(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Interfaces *interfaces = manager_interfaces(context->manager);
	struct spale_counters counters = {0};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	for (size_t i = 0; i < interfaces->count; i++)
		counters_add(context, &interfaces->items[i], &counters);
	return counters_append(reply, property, &counters);
}

#define PROPERTY(name, signature, get, flags) SD_BUS_PROPERTY(name, signature, get, 0, flags)
#define CONST				      SD_BUS_VTABLE_PROPERTY_CONST
#define EMITS				      SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define UNPRIVILEGED			      SD_BUS_VTABLE_UNPRIVILEGED /* polkit decides */

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	PROPERTY("Version", "s", get_text, CONST),
	PROPERTY("Mode", "s", get_text, CONST),
	PROPERTY("KnockPorts", "aq", get_ports, EMITS),
	PROPERTY("ProtectedPorts", "a(sqq)", get_ports, EMITS),
	PROPERTY("Interfaces", "ao", get_interfaces, EMITS),
	PROPERTY("UncoveredInterfaces", "as", get_uncovered, EMITS),
	SD_BUS_WRITABLE_PROPERTY("LogOnly", "b", get_bool, methods_write_log_only, 0,
				 EMITS | UNPRIVILEGED),
	PROPERTY("TrialUntil", "t", get_number, EMITS),
	PROPERTY("TrialUnconfirmed", "b", get_bool, EMITS),
	PROPERTY("DefaultIdle", "t", get_number, EMITS),
	PROPERTY("DefaultGrace", "t", get_number, EMITS),
	PROPERTY("MaxLifetime", "t", get_number, EMITS),
	PROPERTY("GrantCount", "u", get_count, EMITS),
	PROPERTY("GrantsTruncated", "b", get_bool, EMITS),
	PROPERTY("ClientCount", "u", get_count, EMITS),
	PROPERTY("ReloadFailed", "b", get_bool, EMITS),
	PROPERTY("KnockProblem", "s", get_text, EMITS),
	PROPERTY("NftablesState", "s", get_text, EMITS),
	PROPERTY("KnocksAccepted", "t", get_number, 0),
	PROPERTY("KnocksRefused", "a{st}", get_refused, 0),
	PROPERTY("Counters", "a{st}", get_counters, 0),
	PROPERTY("WouldDrop", "a{st}", get_counters, 0),

	SD_BUS_METHOD_WITH_ARGS("AddGrant",
				SD_BUS_ARGS("s", source, "a(sqq)", ports, "a{sv}", options),
				SD_BUS_RESULT("o", grant), methods_add_grant, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RevokeGrant", SD_BUS_ARGS("s", source, "a(sqq)", ports),
				SD_BUS_RESULT("u", revoked), methods_revoke_grant, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RevokeClient", SD_BUS_ARGS("s", name), SD_BUS_RESULT("u", revoked),
				methods_revoke_client, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RevokeAll", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", revoked),
				methods_revoke_all, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListGrants", SD_BUS_ARGS("a{sv}", filter, "u", offset, "u", limit),
				SD_BUS_RESULT("u", total, "a(ossa(sqq)tttttssst)", rows),
				methods_list_grants, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListAlwaysAllowed", SD_BUS_NO_ARGS,
				SD_BUS_RESULT("a(sb)", prefixes), methods_list_allowed,
				UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("AddAlwaysAllowed", SD_BUS_ARGS("s", prefix, "a{sv}", options),
				SD_BUS_NO_RESULT, methods_add_allowed, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RemoveAlwaysAllowed", SD_BUS_ARGS("s", prefix, "a{sv}", options),
				SD_BUS_NO_RESULT, methods_remove_allowed, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetProtectedPorts", SD_BUS_ARGS("a(sqq)", ports, "a{sv}", options),
				SD_BUS_NO_RESULT, methods_set_ports, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetLogOnly", SD_BUS_ARGS("b", log_only, "a{sv}", options),
				SD_BUS_NO_RESULT, methods_set_log_only, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Trial", SD_BUS_ARGS("t", seconds), SD_BUS_RESULT("t", until),
				methods_trial, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Confirm", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, methods_confirm,
				UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("EnrollClient",
				SD_BUS_ARGS("s", name, "s", public_key, "a{sv}", options),
				SD_BUS_RESULT("o", client), methods_enroll_client, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RemoveClient", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT,
				methods_remove_client, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListRateLimited", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(st)", sources),
				methods_list_limited, UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, methods_reload,
				UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, methods_subscribe,
				UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
				methods_unsubscribe, UNPRIVILEGED),

	SD_BUS_SIGNAL_WITH_ARGS(
		"GrantAdded",
		SD_BUS_ARGS("o", grant, "s", client, "s", address, "a(sqq)", ports, "t", until), 0),
	SD_BUS_SIGNAL_WITH_ARGS(
		"GrantRemoved",
		SD_BUS_ARGS("o", grant, "s", client, "s", address, "a(sqq)", ports, "s", reason),
		0),
	SD_BUS_SIGNAL_WITH_ARGS("KnockAccepted",
				SD_BUS_ARGS("s", client, "s", address, "a(sqq)", ports), 0),
	SD_BUS_SIGNAL_WITH_ARGS("KnockRefused", SD_BUS_ARGS("s", client, "s", address, "s", reason),
				0),
	SD_BUS_SIGNAL_WITH_ARGS("AccessDenied",
				SD_BUS_ARGS("s", address, "s", protocol, "q", port, "t", count), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Reloaded", SD_BUS_NO_ARGS, 0),
	SD_BUS_SIGNAL_WITH_ARGS("SubscriptionLost", SD_BUS_NO_ARGS, 0),
	SD_BUS_VTABLE_END,
};

const ObjectType manager_object_type = {SPALE_BUS_MANAGER, SPALE_BUS_PATH, vtable, NULL, NULL};
