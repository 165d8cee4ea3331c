/* SPDX-License-Identifier: MIT */
#include "bus/grant-object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/answers.h"
#include "bus/arguments.h"
#include "bus/errors.h"
#include "bus/objects.h"
#include "bus/paths.h"
#include "bus/requests.h"
#include "util/parse.h"

const Grant *grant_object_look(BusContext *context, uint64_t id)
{
	const Grant *grant = grant_table_by_id(manager_grants(context->manager), id);

	if (grant)
		manager_refresh_grant(context->manager, grant);
	return grant;
}

static uint64_t add(uint64_t mono_ns, uint64_t ns)
{
	return ns > SPALE_NEVER_NS - mono_ns ? SPALE_NEVER_NS : mono_ns + ns;
}

GrantTimes grant_object_times(BusContext *context, const Grant *grant)
{
	uint64_t idle_mono_ns = add(grant->last_mono_ns, grant->idle_ns);

	return (GrantTimes){
		.created = context_real_usec(context, grant->created_mono_ns),
		.last_seen = context_real_usec(context, grant->last_mono_ns),
		.idle_until = context_real_usec(context, idle_mono_ns),
		.grace_until =
			context_real_usec(context, add(grant->last_mono_ns, grant->grace_ns)),
		.deadline = context_real_usec(context, grant->deadline_mono_ns),
		.state = clock_system.mono_ns(NULL) < idle_mono_ns ? "active" : "grace",
	};
}

const char *grant_object_origin(const Grant *grant)
{
	switch (grant->origin) {
	case GRANT_ORIGIN_KNOCK:
		return "knock";
	case GRANT_ORIGIN_ADMINISTRATOR:
		return "administrator";
	case GRANT_ORIGIN_ALWAYS:
		return "always";
	}
	return "";
}

const char *grant_object_interface(const Grant *grant, char text[static IF_NAMESIZE])
{
	*text = '\0';
	if (grant->ifindex && !if_indextoname(grant->ifindex, text))
		snprintf(text, IF_NAMESIZE, "%u", grant->ifindex);
	return text;
}

/* ---- methods ------------------------------------------------------------------------------- */

/* The number of the grant that CALL is for. -ENOENT: none of ours. */
static int read_id(sd_bus_message *call, uint64_t *ret_id, sd_bus_error *ret_error)
{
	int r = paths_read_id(sd_bus_message_get_path(call), ret_id);

	return r < 0 ? errors_set(ret_error, r, "there is no such grant") : 0;
}

static int on_revoke(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	uint64_t id;
	int r;

	r = read_id(call, &id, ret_error);
	if (r < 0)
		return r;
	r = manager_revoke_grant(context->manager, id, context_caller(context, call), &error);
	return answers_give(context, call, r, error, NULL);
}

static int on_extend(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	uint64_t id, lifetime_ns;
	int r;

	r = arguments_read_seconds(call, &lifetime_ns, ret_error);
	if (r == 0)
		r = read_id(call, &id, ret_error);
	if (r < 0)
		return r;
	r = manager_extend_grant(context->manager, id, lifetime_ns, context_caller(context, call),
				 &error);
	r = context_done(context, r, error, ret_error);
	return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

/* ---- properties ---------------------------------------------------------------------------- */

static int get_client(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return sd_bus_message_append_basic(reply, 's', context->view.grant->client);
}

static int get_source(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Prefix *source = &context->view.grant->source;
	uint32_t base = address_is_ipv4(&source->address) ? ADDRESS_IPV4_BITS : 0;
	char text[ADDRESS_TEXT_MAX];

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return sd_bus_message_append(reply, "(su)", address_format(&source->address, text),
				     source->length - base);
}

static int get_ports(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return arguments_append_ports(reply, &context->view.grant->ports);
}

/* One of GrantTimes, by the property's name. */
static int get_time(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	const GrantTimes times = grant_object_times(context, context->view.grant);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"Created", times.created},	 {"LastSeen", times.last_seen},
		{"IdleUntil", times.idle_until}, {"GraceUntil", times.grace_until},
		{"Deadline", times.deadline},
	};

	(void)bus, (void)path, (void)interface, (void)ret_error;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, property) == 0)
			return sd_bus_message_append(reply, "t", rows[i].value);
	return -EINVAL;
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return sd_bus_message_append(reply, "s",
				     grant_object_times(context, context->view.grant).state);
}

static int get_origin(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return sd_bus_message_append(reply, "s", grant_object_origin(context->view.grant));
}

static int get_interface(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	char text[IF_NAMESIZE];

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return arguments_append_text(reply, grant_object_interface(context->view.grant, text));
}

static int get_packets(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;

	(void)bus, (void)path, (void)interface, (void)property, (void)ret_error;
	return sd_bus_message_append(reply, "t",
				     manager_grant_packets(context->manager, context->view.grant));
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Client", "s", get_client, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Source", "(su)", get_source, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Ports", "a(sqq)", get_ports, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Created", "t", get_time, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("LastSeen", "t", get_time, 0, 0),
	SD_BUS_PROPERTY("IdleUntil", "t", get_time, 0, 0),
	SD_BUS_PROPERTY("GraceUntil", "t", get_time, 0, 0),
	SD_BUS_PROPERTY("Deadline", "t", get_time, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("State", "s", get_state, 0, 0),
	SD_BUS_PROPERTY("Origin", "s", get_origin, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Interface", "s", get_interface, 0, 0),
	SD_BUS_PROPERTY("Packets", "t", get_packets, 0, 0),
	SD_BUS_METHOD("Revoke", NULL, NULL, on_revoke, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_NAMES("Extend", "t", SD_BUS_PARAM(seconds), NULL, , on_extend,
				 SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* ---- objects ------------------------------------------------------------------------------- */

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata,
		void **ret_found, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	uint64_t id;

	(void)bus, (void)interface;
	if (paths_read_id(path, &id) < 0)
		return 0;
	context->view.grant = grant_object_look(context, id);
	if (!context->view.grant)
		return errors_set(ret_error, -ENOENT, "there is no such grant");
	*ret_found = context;
	return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const Published *published = &context->published;
	char **nodes = calloc(published->grant_count + 1, sizeof(*nodes));
	char path[PATHS_TEXT_MAX];

	(void)bus, (void)prefix, (void)ret_error;
	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < published->grant_count; i++) {
		nodes[i] = strdup(paths_of_grant(published->grants[i]->id, path));
		if (!nodes[i]) {
			objects_free_nodes(nodes);
			return -ENOMEM;
		}
	}
	*ret_nodes = nodes;
	return 0;
}

const ObjectType grant_object_type = {SPALE_BUS_GRANT, SPALE_BUS_GRANT_PREFIX, vtable, find,
				      enumerate};
