/* SPDX-License-Identifier: MIT */
#include "bus/actions.h"

#include <errno.h>
#include <string.h>

#include <spale/bus-names.h>

#include "util/cleanup.h"

#define DBUS_PROPERTIES	    "org.freedesktop.DBus.Properties"
#define DBUS_INTROSPECTABLE "org.freedesktop.DBus.Introspectable"
#define DBUS_OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define DBUS_PEER	    "org.freedesktop.DBus.Peer"

#define CALL(interface, member, signature, action, examine)                                        \
	{                                                                                          \
		ACTION_CALL, interface, member, signature, ACTION_##action, examine                \
	}
#define GET(interface, member, signature)                                                          \
	{                                                                                          \
		ACTION_GET, interface, member, signature, ACTION_INSPECT, NULL                     \
	}
#define SET(interface, member, signature, action)                                                  \
	{                                                                                          \
		ACTION_SET, interface, member, signature, ACTION_##action, NULL                    \
	}

/* clang-format off */
static const ActionRow rows[] = {
	CALL(DBUS_PEER, "Ping", "", FREE, NULL),
	CALL(DBUS_PEER, "GetMachineId", "", FREE, NULL),
	CALL(DBUS_INTROSPECTABLE, "Introspect", "", INSPECT, NULL),
	CALL(DBUS_OBJECT_MANAGER, "GetManagedObjects", "", INSPECT, NULL),
	CALL(DBUS_PROPERTIES, "GetAll", "s", INSPECT, NULL),

	CALL(SPALE_BUS_MANAGER, "AddGrant", "sa(sqq)a{sv}", GRANT, examine_add_grant),
	CALL(SPALE_BUS_MANAGER, "RevokeGrant", "sa(sqq)", REVOKE, examine_revoke_grant),
	CALL(SPALE_BUS_MANAGER, "RevokeClient", "s", REVOKE, examine_name),
	CALL(SPALE_BUS_MANAGER, "RevokeAll", "", REVOKE, NULL),
	CALL(SPALE_BUS_MANAGER, "ListGrants", "a{sv}uu", INSPECT, NULL),
	CALL(SPALE_BUS_MANAGER, "ListAlwaysAllowed", "", INSPECT, NULL),
	CALL(SPALE_BUS_MANAGER, "AddAlwaysAllowed", "sa{sv}", MANAGE_POLICY, examine_prefix),
	CALL(SPALE_BUS_MANAGER, "RemoveAlwaysAllowed", "sa{sv}", MANAGE_POLICY, examine_prefix),
	CALL(SPALE_BUS_MANAGER, "SetProtectedPorts", "a(sqq)a{sv}", MANAGE_POLICY, examine_ports),
	CALL(SPALE_BUS_MANAGER, "SetLogOnly", "ba{sv}", MANAGE_POLICY, examine_log_only),
	CALL(SPALE_BUS_MANAGER, "Trial", "t", MANAGE_POLICY, NULL),
	CALL(SPALE_BUS_MANAGER, "Confirm", "", MANAGE_POLICY, NULL),
	CALL(SPALE_BUS_MANAGER, "EnrollClient", "ssa{sv}", MANAGE_CLIENTS, examine_enroll),
	CALL(SPALE_BUS_MANAGER, "RemoveClient", "s", MANAGE_CLIENTS, examine_name),
	CALL(SPALE_BUS_MANAGER, "ListRateLimited", "", INSPECT, NULL),
	CALL(SPALE_BUS_MANAGER, "Reload", "", MANAGE_POLICY, NULL),
	CALL(SPALE_BUS_MANAGER, "Subscribe", "", INSPECT, NULL),
	CALL(SPALE_BUS_MANAGER, "Unsubscribe", "", INSPECT, NULL),
	GET(SPALE_BUS_MANAGER, "Version", "s"),
	GET(SPALE_BUS_MANAGER, "Mode", "s"),
	GET(SPALE_BUS_MANAGER, "KnockPorts", "aq"),
	GET(SPALE_BUS_MANAGER, "ProtectedPorts", "a(sqq)"),
	GET(SPALE_BUS_MANAGER, "Interfaces", "ao"),
	GET(SPALE_BUS_MANAGER, "UncoveredInterfaces", "as"),
	GET(SPALE_BUS_MANAGER, "LogOnly", "b"),
	SET(SPALE_BUS_MANAGER, "LogOnly", "b", MANAGE_POLICY),
	GET(SPALE_BUS_MANAGER, "TrialUntil", "t"),
	GET(SPALE_BUS_MANAGER, "TrialUnconfirmed", "b"),
	GET(SPALE_BUS_MANAGER, "DefaultIdle", "t"),
	GET(SPALE_BUS_MANAGER, "DefaultGrace", "t"),
	GET(SPALE_BUS_MANAGER, "MaxLifetime", "t"),
	GET(SPALE_BUS_MANAGER, "GrantCount", "u"),
	GET(SPALE_BUS_MANAGER, "GrantsTruncated", "b"),
	GET(SPALE_BUS_MANAGER, "ClientCount", "u"),
	GET(SPALE_BUS_MANAGER, "ReloadFailed", "b"),
	GET(SPALE_BUS_MANAGER, "KnockProblem", "s"),
	GET(SPALE_BUS_MANAGER, "NftablesState", "s"),
	GET(SPALE_BUS_MANAGER, "KnocksAccepted", "t"),
	GET(SPALE_BUS_MANAGER, "KnocksRefused", "a{st}"),
	GET(SPALE_BUS_MANAGER, "Counters", "a{st}"),
	GET(SPALE_BUS_MANAGER, "WouldDrop", "a{st}"),

	CALL(SPALE_BUS_GRANT, "Revoke", "", REVOKE, NULL),
	CALL(SPALE_BUS_GRANT, "Extend", "t", GRANT, examine_extend),
	GET(SPALE_BUS_GRANT, "Client", "s"),
	GET(SPALE_BUS_GRANT, "Source", "(su)"),
	GET(SPALE_BUS_GRANT, "Ports", "a(sqq)"),
	GET(SPALE_BUS_GRANT, "Created", "t"),
	GET(SPALE_BUS_GRANT, "LastSeen", "t"),
	GET(SPALE_BUS_GRANT, "IdleUntil", "t"),
	GET(SPALE_BUS_GRANT, "GraceUntil", "t"),
	GET(SPALE_BUS_GRANT, "Deadline", "t"),
	GET(SPALE_BUS_GRANT, "State", "s"),
	GET(SPALE_BUS_GRANT, "Origin", "s"),
	GET(SPALE_BUS_GRANT, "Interface", "s"),
	GET(SPALE_BUS_GRANT, "Packets", "t"),

	CALL(SPALE_BUS_CLIENT, "Enable", "", MANAGE_CLIENTS, examine_client),
	CALL(SPALE_BUS_CLIENT, "Disable", "", REVOKE, examine_client),
	CALL(SPALE_BUS_CLIENT, "Remove", "", MANAGE_CLIENTS, examine_client),
	CALL(SPALE_BUS_CLIENT, "Set", "a{sv}", MANAGE_CLIENTS, examine_set_client),
	GET(SPALE_BUS_CLIENT, "Name", "s"),
	GET(SPALE_BUS_CLIENT, "PublicKey", "s"),
	GET(SPALE_BUS_CLIENT, "Fingerprint", "s"),
	GET(SPALE_BUS_CLIENT, "Enabled", "b"),
	GET(SPALE_BUS_CLIENT, "Ports", "a(sqq)"),
	GET(SPALE_BUS_CLIENT, "Idle", "t"),
	GET(SPALE_BUS_CLIENT, "Grace", "t"),
	GET(SPALE_BUS_CLIENT, "Lifetime", "t"),
	GET(SPALE_BUS_CLIENT, "NotBefore", "t"),
	GET(SPALE_BUS_CLIENT, "NotAfter", "t"),
	GET(SPALE_BUS_CLIENT, "AllowedSources", "as"),
	GET(SPALE_BUS_CLIENT, "RequireSourceMatch", "s"),
	GET(SPALE_BUS_CLIENT, "HasPresharedKey", "b"),
	GET(SPALE_BUS_CLIENT, "LastKnock", "t"),
	GET(SPALE_BUS_CLIENT, "LastSource", "s"),
	GET(SPALE_BUS_CLIENT, "Accepted", "t"),
	GET(SPALE_BUS_CLIENT, "Refused", "t"),

	GET(SPALE_BUS_INTERFACE, "Name", "s"),
	GET(SPALE_BUS_INTERFACE, "Index", "u"),
	GET(SPALE_BUS_INTERFACE, "State", "s"),
	GET(SPALE_BUS_INTERFACE, "Problem", "s"),
	GET(SPALE_BUS_INTERFACE, "Mode", "s"),
	GET(SPALE_BUS_INTERFACE, "Counters", "a{st}"),
	GET(SPALE_BUS_INTERFACE, "WouldDrop", "a{st}"),
};
/* clang-format on */

const char *actions_name(Action action)
{
	switch (action) {
	case ACTION_FREE:
		return NULL;
	case ACTION_INSPECT:
		return SPALE_ACTION_INSPECT;
	case ACTION_GRANT:
		return SPALE_ACTION_GRANT;
	case ACTION_REVOKE:
		return SPALE_ACTION_REVOKE;
	case ACTION_MANAGE_CLIENTS:
		return SPALE_ACTION_MANAGE_CLIENTS;
	case ACTION_MANAGE_POLICY:
		return SPALE_ACTION_MANAGE_POLICY;
	}
	return NULL;
}

const ActionRow *actions_get(size_t index)
{
	return index < ARRAY_SIZE(rows) ? &rows[index] : NULL;
}

const ActionRow *actions_find(ActionKind kind, const char *interface, const char *member)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].kind == kind && strcmp(rows[i].interface, interface) == 0 &&
		    strcmp(rows[i].member, member) == 0)
			return &rows[i];
	return NULL;
}

/* The row of the property that CALL, with these arguments, is about. */
static const ActionRow *judge_property(sd_bus_message *call, ActionKind kind, const char *arguments,
				       sd_bus_error *ret_error)
{
	const char *interface, *member, *contents = NULL;
	const ActionRow *row;
	char type;
	int r;

	if (!sd_bus_message_has_signature(call, arguments)) {
		(void)sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS, "wrong arguments");
		return NULL;
	}
	r = sd_bus_message_read(call, "ss", &interface, &member);
	if (r >= 0 && kind == ACTION_SET)
		r = sd_bus_message_peek_type(call, &type, &contents);
	row = r >= 0 ? actions_find(kind, interface, member) : NULL;
	if (!row)
		(void)sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED,
				       "there is no such property for this");
	else if (contents && strcmp(contents, row->signature) != 0) {
		(void)sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS, "%s is of type %s",
					row->member, row->signature);
		row = NULL;
	}
	(void)sd_bus_message_rewind(call, true);
	return row;
}

const ActionRow *actions_judge(sd_bus_message *call, sd_bus_error *ret_error)
{
	const char *interface = sd_bus_message_get_interface(call) ?: "";
	const char *member = sd_bus_message_get_member(call) ?: "";
	const ActionRow *row;

	if (strcmp(interface, DBUS_PROPERTIES) == 0) {
		if (strcmp(member, "Get") == 0)
			return judge_property(call, ACTION_GET, "ss", ret_error);
		if (strcmp(member, "Set") == 0)
			return judge_property(call, ACTION_SET, "ssv", ret_error);
	}
	row = actions_find(ACTION_CALL, interface, member);
	if (!row) {
		(void)sd_bus_error_set(ret_error, SD_BUS_ERROR_UNKNOWN_METHOD,
				       "there is no such method");
		return NULL;
	}
	if (!sd_bus_message_has_signature(call, row->signature)) {
		(void)sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS,
					"%s takes arguments of type \"%s\"", row->member,
					row->signature);
		return NULL;
	}
	return row;
}
