/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/answers.h"
#include "bus/arguments.h"
#include "bus/errors.h"
#include "bus/objects.h"
#include "bus/paths.h"
#include "bus/requests.h"
#include "keys/fingerprint.h"
#include "keys/pem.h"

/* ---- methods ------------------------------------------------------------------------------- */

static int no_such_client(sd_bus_error *ret_error)
{
	return errors_set(ret_error, -ENOKEY, "there is no such client");
}

/* The name of the client that CALL is for. */
static int read_name(sd_bus_message *call, char name[static PATHS_TEXT_MAX],
		     sd_bus_error *ret_error)
{
	int r = paths_read_name(sd_bus_message_get_path(call), SPALE_BUS_CLIENT_PREFIX, name);

	return r < 0 || !name_is_valid(name) ? no_such_client(ret_error) : 0;
}

/* Changes the client that CALL is for, and answers. */
static int change(BusContext *context, sd_bus_message *call, const ClientSetting *settings,
		  size_t count, sd_bus_error *ret_error)
{
	_cleanup_free_ char *error = NULL;
	char name[PATHS_TEXT_MAX];
	int r = read_name(call, name, ret_error);

	if (r < 0)
		return r;
	r = manager_set_client(context->manager, name, settings, count,
			       context_caller(context, call), &error);
	return answers_give(context, call, r, error, NULL);
}

static int on_enable(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	return change(userdata, call, &(ClientSetting){"Enabled", "yes"}, 1, ret_error);
}

static int on_disable(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	return change(userdata, call, &(ClientSetting){"Enabled", "no"}, 1, ret_error);
}

static int on_set(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	_cleanup_client_settings_ ClientSettings settings = {.count = 0};
	int r = requests_read_settings(call, false, &settings, ret_error);

	return r < 0 ? r : change(userdata, call, settings.items, settings.count, ret_error);
}

static int on_remove(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	char name[PATHS_TEXT_MAX];
	int r = read_name(call, name, ret_error);

	if (r < 0)
		return r;
	r = manager_remove_client(context->manager, name, context_caller(context, call), &error);
	return answers_give(context, call, r, error, NULL);
}

/* ---- properties ---------------------------------------------------------------------------- */

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Client *client = context->view.client;
	char text[PEM_TEXT_MAX > ADDRESS_TEXT_MAX ? PEM_TEXT_MAX : ADDRESS_TEXT_MAX] = "";
	ClientActivity activity;
	int r = 0;

	(void)bus, (void)path, (void)interface, (void)ret_error;
	if (strcmp(property, "Name") == 0)
		return sd_bus_message_append(reply, "s", client->name);
	if (strcmp(property, "RequireSourceMatch") == 0)
		return sd_bus_message_append(reply, "s", client->needs_no_match ? "no" : "auto");
	if (strcmp(property, "PublicKey") == 0) {
		r = pem_format_public(&client->key, text);
	} else if (strcmp(property, "Fingerprint") == 0) {
		r = fingerprint_format(&client->key, text);
	} else if (strcmp(property, "LastSource") == 0) {
		activity = manager_client_activity(context->manager, client);
		if (activity.last_knock_real_usec > 0)
			address_format(&activity.last_source, text);
	} else {
		r = -EINVAL;
	}
	return r < 0 ? r : sd_bus_message_append(reply, "s", text);
}

static int get_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Client *client = context->view.client;

	(void)bus, (void)path, (void)interface, (void)ret_error;
	/* No format that is taken has a preshared key. */
	return sd_bus_message_append(reply, "b",
				     strcmp(property, "Enabled") == 0 ? (int)client->enabled : 0);
}

static int get_ports(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return arguments_append_ports(reply, &context->view.client->ports);
}

/* A duration or a time, by the property's name. */
static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Config *config = manager_config(context->manager);
	const Client *client = context->view.client;
	const ClientActivity activity = manager_client_activity(context->manager, client);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"Idle", arguments_seconds(client->has_idle ? client->idle_ns : config->idle_ns)},
		{"Grace",
		 arguments_seconds(client->has_grace ? client->grace_ns : config->grace_ns)},
		{"Lifetime", arguments_seconds(client->has_lifetime ? client->lifetime_ns
								    : config->lifetime_ns)},
		{"NotBefore", client->not_before_real_usec},
		{"NotAfter", client->not_after_real_usec},
		{"LastKnock", activity.last_knock_real_usec},
		{"Accepted", activity.accepted},
		{"Refused", activity.refused},
	};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, property) == 0)
			return sd_bus_message_append(reply, "t", rows[i].value);
	return -EINVAL;
}

static int get_sources(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const PrefixList *sources = &context->view.client->allowed_sources;
	char text[ADDRESS_TEXT_MAX];
	int r;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	r = sd_bus_message_open_container(reply, 'a', "s");
	for (size_t i = 0; r >= 0 && i < sources->count; i++)
		r = sd_bus_message_append(reply, "s", prefix_format(&sources->items[i], text));
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("PublicKey", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Fingerprint", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Enabled", "b", get_bool, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Ports", "a(sqq)", get_ports, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Idle", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Grace", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Lifetime", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("NotBefore", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("NotAfter", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("AllowedSources", "as", get_sources, 0,
			SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("RequireSourceMatch", "s", get_text, 0,
			SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("HasPresharedKey", "b", get_bool, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("LastKnock", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("LastSource", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Accepted", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Refused", "t", get_number, 0, 0),
	SD_BUS_METHOD("Enable", NULL, NULL, on_enable, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Disable", NULL, NULL, on_disable, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Remove", NULL, NULL, on_remove, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Set", "a{sv}", SD_BUS_PARAM(settings), NULL, , on_set,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* ---- objects ------------------------------------------------------------------------------- */

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata,
		void **ret_found, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	char name[PATHS_TEXT_MAX];

	(void)bus, (void)interface;
	if (paths_read_name(path, SPALE_BUS_CLIENT_PREFIX, name) < 0)
		return 0;
	context->view.client = client_set_by_name(manager_clients(context->manager), name);
	if (!context->view.client)
		return no_such_client(ret_error);
	*ret_found = context;
	return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const ClientSet *clients = manager_clients(context->manager);
	size_t count = client_set_count(clients);
	char **nodes = calloc(count + 1, sizeof(*nodes));
	char path[PATHS_TEXT_MAX];

	(void)bus, (void)prefix, (void)ret_error;
	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		nodes[i] = strdup(paths_of_client(client_set_get(clients, i)->name, path));
		if (!nodes[i]) {
			objects_free_nodes(nodes);
			return -ENOMEM;
		}
	}
	*ret_nodes = nodes;
	return 0;
}

const ObjectType client_object_type = {SPALE_BUS_CLIENT, SPALE_BUS_CLIENT_PREFIX, vtable, find,
				       enumerate};
