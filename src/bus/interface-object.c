/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bpf-abi.h>
#include <spale/bus-names.h>

#include "bus/arguments.h"
#include "bus/counters.h"
#include "bus/errors.h"
#include "bus/objects.h"
#include "bus/paths.h"

/* ---- properties ---------------------------------------------------------------------------- */

static const char *state_name(InterfaceState state)
{
	switch (state) {
	case INTERFACE_ATTACHED:
		return "attached";
	case INTERFACE_MISSING:
		return "missing";
	case INTERFACE_FAILING:
		return "failing";
	}
	return "";
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Interface *shown = context->view.interface;
	const struct {
		const char *name, *value;
	} rows[] = {
		{"Name", shown->name},
		{"State", state_name(shown->state)},
		{"Problem", shown->problem ?: ""},
		{"Mode", config_mode_name(manager_config(context->manager)->mode)},
	};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, property) == 0)
			return arguments_append_text(reply, rows[i].value);
	return -EINVAL;
}

static int get_index(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return sd_bus_message_append(reply, "u", context->view.interface->ifindex);
}

static int get_counters(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	struct spale_counters counters = {0};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	counters_add(context, context->view.interface, &counters);
	return counters_append(reply, property, &counters);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Index", "u", get_index, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Problem", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Mode", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Counters", "a{st}", get_counters, 0, 0),
	SD_BUS_PROPERTY("WouldDrop", "a{st}", get_counters, 0, 0),
	SD_BUS_VTABLE_END,
};

/* ---- objects ------------------------------------------------------------------------------- */

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata,
		void **ret_found, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	const Interfaces *interfaces = manager_interfaces(context->manager);
	char name[PATHS_TEXT_MAX];

	(void)bus, (void)interface;
	if (paths_read_name(path, SPALE_BUS_INTERFACE_PREFIX, name) < 0)
		return 0;
	for (size_t i = 0; i < interfaces->count; i++) {
		if (strcmp(interfaces->items[i].name, name) != 0)
			continue;
		context->view.interface = &interfaces->items[i];
		*ret_found = context;
		return 1;
	}
	return errors_set(ret_error, -ENODEV, "there is no such interface");
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Interfaces *interfaces = manager_interfaces(context->manager);
	char **nodes = calloc(interfaces->count + 1, sizeof(*nodes));
	char path[PATHS_TEXT_MAX];

	(void)bus, (void)prefix, (void)ret_error;
	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < interfaces->count; i++) {
		nodes[i] = strdup(paths_of_interface(interfaces->items[i].name, path));
		if (!nodes[i]) {
			objects_free_nodes(nodes);
			return -ENOMEM;
		}
	}
	*ret_nodes = nodes;
	return 0;
}

const ObjectType interface_object_type = {SPALE_BUS_INTERFACE, SPALE_BUS_INTERFACE_PREFIX, vtable,
					  find, enumerate};
