/* SPDX-License-Identifier: MIT */
#include "bus/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/subscribers.h"

#define DBUS_PROPERTIES	    "org.freedesktop.DBus.Properties"
#define DBUS_OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

/* What every object has besides its own: sd-bus lists them, so they come and go with it. */
static const char *const common_interfaces[] = {
	"org.freedesktop.DBus.Peer",
	"org.freedesktop.DBus.Introspectable",
	DBUS_PROPERTIES,
};

int objects_add(BusContext *context, const ObjectType *type)
{
	int r;

	if (!type->find)
		return sd_bus_add_object_vtable(context->bus, NULL, type->prefix, type->interface,
						type->vtable, context);
	r = sd_bus_add_fallback_vtable(context->bus, NULL, type->prefix, type->interface,
				       type->vtable, type->find, context);
	return r < 0 ? r
		     : sd_bus_add_node_enumerator(context->bus, NULL, type->prefix, type->enumerate,
						  context);
}

int objects_check(BusContext *context, const char *path, sd_bus_error *ret_error)
{
	static const ObjectType *const types[] = {&grant_object_type, &client_object_type,
						  &interface_object_type};
	void *found;
	int r = 0;

	/* Paths of another type, or of none, are sd-bus's business. */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(types); i++)
		r = types[i]->find(context->bus, path, types[i]->interface, context, &found,
				   ret_error);
	return r < 0 ? r : 0;
}

void objects_free_nodes(char **nodes)
{
	for (size_t i = 0; nodes[i]; i++)
		free(nodes[i]);
	free(nodes);
}

/* Whether a property of these flags is among NAMES, or among those that are told. */
static bool is_wanted(const sd_bus_vtable *row, const char *const *names, size_t count)
{
	if (!names)
		return row->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;
	for (size_t i = 0; i < count; i++)
		if (strcmp(row->x.property.member, names[i]) == 0)
			return true;
	return false;
}

/* Appends "a{sv}" with properties of the object in view. ALL: with silent and constant ones. */
static int append_properties(BusContext *context, sd_bus_message *message, const ObjectType *type,
			     const char *path, bool all, const char *const *names, size_t count)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	for (const sd_bus_vtable *row = type->vtable; r >= 0 && row->type != _SD_BUS_VTABLE_END;
	     row++) {
		_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

		if ((row->type != _SD_BUS_VTABLE_PROPERTY &&
		     row->type != _SD_BUS_VTABLE_WRITABLE_PROPERTY) ||
		    (!all && !is_wanted(row, names, count)))
			continue;
		r = sd_bus_message_open_container(message, 'e', "sv");
		if (r >= 0)
			r = sd_bus_message_append_basic(message, 's', row->x.property.member);
		if (r >= 0)
			r = sd_bus_message_open_container(message, 'v', row->x.property.signature);
		if (r >= 0)
			r = row->x.property.get(context->bus, path, type->interface,
						row->x.property.member, message, context, &error);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* Has the getters show the object of PATH. -ENOENT: there is none. */
static int look_at(BusContext *context, const ObjectType *type, const char *path)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	void *found;
	int r;

	if (!type->find)
		return 0;
	r = type->find(context->bus, path, type->interface, context, &found, &error);
	return r == 0 ? -ENOENT : r;
}

/* Appends "a{sa{sv}}" with all that the object in view has. */
static int append_interfaces(BusContext *context, sd_bus_message *message, const ObjectType *type,
			     const char *path)
{
	int r = sd_bus_message_open_container(message, 'a', "{sa{sv}}");

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(common_interfaces); i++)
		r = sd_bus_message_append(message, "{sa{sv}}", common_interfaces[i], 0);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'e', "sa{sv}");
	if (r >= 0)
		r = sd_bus_message_append_basic(message, 's', type->interface);
	if (r >= 0)
		r = append_properties(context, message, type, path, true, NULL, 0);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r;
}

int objects_append_managed(BusContext *context, sd_bus_message *message, const ObjectType *type,
			   const char *path)
{
	int r;

	if (look_at(context, type, path) < 0)
		return 0;
	r = sd_bus_message_open_container(message, 'e', "oa{sa{sv}}");
	if (r >= 0)
		r = sd_bus_message_append_basic(message, 'o', path);
	if (r >= 0)
		r = append_interfaces(context, message, type, path);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

void objects_tell_added(BusContext *context, const ObjectType *type, const char *path)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	if (!subscribers_exist(context) || look_at(context, type, path) < 0)
		return;
	r = subscribers_new_signal(context, SPALE_BUS_PATH, DBUS_OBJECT_MANAGER, "InterfacesAdded",
				   &signal);
	if (r >= 0)
		r = sd_bus_message_append_basic(signal, 'o', path);
	if (r >= 0)
		r = append_interfaces(context, signal, type, path);
	subscribers_send(context, signal, r);
}

void objects_tell_removed(BusContext *context, const ObjectType *type, const char *path)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	if (!subscribers_exist(context))
		return;
	r = subscribers_new_signal(context, SPALE_BUS_PATH, DBUS_OBJECT_MANAGER,
				   "InterfacesRemoved", &signal);
	if (r >= 0)
		r = sd_bus_message_append(signal, "oas", path, 4, common_interfaces[0],
					  common_interfaces[1], common_interfaces[2],
					  type->interface);
	subscribers_send(context, signal, r);
}

void objects_tell_changed(BusContext *context, const ObjectType *type, const char *path,
			  const char *const *names, size_t count)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	if (!subscribers_exist(context) || look_at(context, type, path) < 0)
		return;
	r = subscribers_new_signal(context, path, DBUS_PROPERTIES, "PropertiesChanged", &signal);
	if (r >= 0)
		r = sd_bus_message_append_basic(signal, 's', type->interface);
	if (r >= 0)
		r = append_properties(context, signal, type, path, false, names, count);
	if (r >= 0)
		r = sd_bus_message_append(signal, "as", 0);
	subscribers_send(context, signal, r);
}
