/* SPDX-License-Identifier: MIT */
#include "bus/methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/answers.h"
#include "bus/arguments.h"
#include "bus/context.h"
#include "bus/errors.h"
#include "bus/grant-object.h"
#include "bus/paths.h"
#include "bus/requests.h"

int methods_add_grant(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_add_grant_call_ AddGrantCall add = {0};
	_cleanup_free_ char *error = NULL;
	char path[PATHS_TEXT_MAX];
	uint64_t id;
	int r;

	r = requests_read_add_grant(call, &add, ret_error);
	if (r < 0)
		return r;
	add.request.ports = &add.ports;
	r = manager_add_grant(context->manager, &add.request, context_caller(context, call), &id,
			      &error);
	r = context_done(context, r, error, ret_error);
	return r < 0 ? r : sd_bus_reply_method_return(call, "o", paths_of_grant(id, path));
}

int methods_revoke_grant(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	_cleanup_free_ char *error = NULL;
	Prefix source;
	size_t count = 0;
	int r;

	r = arguments_read_prefix(call, &source, ret_error);
	if (r == 0)
		r = arguments_read_ports(call, &ports, ret_error);
	if (r < 0)
		return r;
	r = manager_revoke_grants(context->manager, &source, &ports, context_caller(context, call),
				  &count, &error);
	return answers_give(context, call, r, error, "u", (uint32_t)count);
}

int methods_revoke_client(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	const char *name;
	size_t count = 0;
	int r;

	r = requests_read_name(call, &name, ret_error);
	if (r < 0)
		return r;
	r = manager_revoke_client(context->manager, name, context_caller(context, call), &count,
				  &error);
	return answers_give(context, call, r, error, "u", (uint32_t)count);
}

int methods_revoke_all(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	size_t count = 0;
	int r;

	(void)ret_error;
	r = manager_revoke_all(context->manager, context_caller(context, call), &count, &error);
	return answers_give(context, call, r, error, "u", (uint32_t)count);
}

/* ---- ListGrants ---------------------------------------------------------------------------- */

static bool is_meant(const Grant *grant, const GrantFilter *filter)
{
	if (filter->client && strcmp(filter->client, grant->client) != 0)
		return false;
	if (filter->origin && strcmp(filter->origin, grant_object_origin(grant)) != 0)
		return false;
	return !filter->has_source || prefix_contains(&filter->source, &grant->source.address) ||
	       prefix_contains(&grant->source, &filter->source.address);
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The numbers of the grants that FILTER means, in their order. NULL: no memory. */
static uint64_t *find_ids(const GrantTable *grants, const GrantFilter *filter, size_t *ret_count)
{
	uint64_t *ids = calloc(grant_table_count(grants) + 1, sizeof(*ids));
	size_t count = 0;

	if (!ids)
		return NULL;
	for (size_t i = 0; i < grant_table_count(grants); i++) {
		const Grant *grant = grant_table_get(grants, i);

		if (is_meant(grant, filter))
			ids[count++] = grant->id;
	}
	qsort(ids, count, sizeof(*ids), compare_ids);
	*ret_count = count;
	return ids;
}

static int append_row(sd_bus_message *reply, BusContext *context, uint64_t id)
{
	const Grant *grant = grant_object_look(context, id);
	char path[PATHS_TEXT_MAX], source[ADDRESS_TEXT_MAX], interface[IF_NAMESIZE];
	GrantTimes times;
	int r;

	if (!grant)
		return 0;
	times = grant_object_times(context, grant);
	r = sd_bus_message_open_container(reply, 'r', "ossa(sqq)tttttssst");
	if (r >= 0)
		r = sd_bus_message_append(reply, "oss", paths_of_grant(id, path), grant->client,
					  prefix_format(&grant->source, source));
	if (r >= 0)
		r = arguments_append_ports(reply, &grant->ports);
	if (r >= 0)
		r = sd_bus_message_append(reply, "tttttss", times.created, times.last_seen,
					  times.idle_until, times.grace_until, times.deadline,
					  times.state, grant_object_origin(grant));
	if (r >= 0)
		r = arguments_append_text(reply, grant_object_interface(grant, interface));
	if (r >= 0)
		r = sd_bus_message_append(reply, "t",
					  manager_grant_packets(context->manager, grant));
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int methods_list_grants(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_free_ uint64_t *ids = NULL;
	GrantFilter filter = {0};
	uint32_t offset, limit;
	size_t count;
	int r;

	r = requests_read_filter(call, &filter, ret_error);
	if (r < 0)
		return r;
	r = sd_bus_message_read(call, "uu", &offset, &limit);
	if (r < 0)
		return errors_set(ret_error, -EINVAL, NULL);
	ids = find_ids(manager_grants(context->manager), &filter, &count);
	if (!ids)
		return errors_set(ret_error, -ENOMEM, NULL);
	if (limit > SPALE_BUS_ROWS_MAX)
		limit = SPALE_BUS_ROWS_MAX;
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_append(reply, "u", (uint32_t)count);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(ossa(sqq)tttttssst)");
	for (size_t i = offset; r >= 0 && i < count && i - offset < limit; i++)
		r = append_row(reply, context, ids[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
