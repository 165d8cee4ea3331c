/* SPDX-License-Identifier: MIT */
#include "bus/examine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/arguments.h"
#include "bus/errors.h"
#include "bus/paths.h"
#include "bus/requests.h"
#include "util/name.h"

void question_done(Question *question)
{
	free(question->ports);
	question->ports = NULL;
}

static int note_ports(Question *question, const PortList *ports, sd_bus_error *ret_error)
{
	if (ports->count == 0)
		return 0;
	question->ports = port_list_format(ports);
	return question->ports ? 0 : errors_set(ret_error, -ENOMEM, NULL);
}

static void note_client(Question *question, const char *name)
{
	snprintf(question->client, sizeof(question->client), "%.*s", CLIENT_NAME_MAX, name);
}

int examine_add_grant(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		      sd_bus_error *ret_error)
{
	_cleanup_add_grant_call_ AddGrantCall add = {0};
	int r = requests_read_add_grant(call, &add, ret_error);

	(void)look;
	if (r < 0)
		return r;
	add.request.ports = &add.ports;
	if (manager_request_is_wide(manager, &add.request))
		question->action = ACTION_MANAGE_POLICY;
	prefix_format(&add.request.source, question->address);
	return note_ports(question, &add.ports, ret_error);
}

int examine_revoke_grant(const Manager *manager, sd_bus_message *call, bool look,
			 Question *question, sd_bus_error *ret_error)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	Prefix source;
	int r = arguments_read_prefix(call, &source, ret_error);

	(void)manager;
	(void)look;
	if (r == 0)
		r = arguments_read_ports(call, &ports, ret_error);
	if (r < 0)
		return r;
	prefix_format(&source, question->address);
	return note_ports(question, &ports, ret_error);
}

/* Longer than Lifetime= needs no look at the grant; whether that is wide or for good does. */
int examine_extend(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error)
{
	GrantRequest request = {.has_lifetime = true};
	const Grant *grant = NULL;
	uint64_t id;
	int r = arguments_read_seconds(call, &request.lifetime_ns, ret_error);

	if (r < 0)
		return r;
	if (look && paths_read_id(sd_bus_message_get_path(call), &id) == 0)
		grant = grant_table_by_id(manager_grants(manager), id);
	if (grant) {
		request.source = grant->source;
		request.permanent = grant->origin == GRANT_ORIGIN_ALWAYS;
		prefix_format(&grant->source, question->address);
		note_client(question, grant->client);
	} else {
		request.source.length = 128; /* as narrow as can be */
	}
	if (manager_request_is_wide(manager, &request))
		question->action = ACTION_MANAGE_POLICY;
	return 0;
}

int examine_name(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		 sd_bus_error *ret_error)
{
	const char *name;
	int r = requests_read_name(call, &name, ret_error);

	(void)manager;
	(void)look;
	if (r == 0)
		note_client(question, name);
	return r;
}

int examine_enroll(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error)
{
	_cleanup_client_settings_ ClientSettings settings = {.count = 0};
	PublicKey key;
	int r = examine_name(manager, call, look, question, ret_error);

	if (r == 0)
		r = requests_read_key(call, &key, ret_error);
	return r < 0 ? r : requests_read_settings(call, true, &settings, ret_error);
}

int examine_client(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error)
{
	char name[PATHS_TEXT_MAX];

	(void)manager;
	(void)look;
	(void)ret_error;
	/* The name is the caller's own; whether there is such a client is not looked at. */
	if (paths_read_name(sd_bus_message_get_path(call), SPALE_BUS_CLIENT_PREFIX, name) == 0 &&
	    name_is_valid(name))
		note_client(question, name);
	return 0;
}

int examine_set_client(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		       sd_bus_error *ret_error)
{
	_cleanup_client_settings_ ClientSettings settings = {.count = 0};

	(void)examine_client(manager, call, look, question, ret_error);
	return requests_read_settings(call, false, &settings, ret_error);
}

int examine_prefix(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error)
{
	Prefix prefix;
	bool permanent;
	int r = arguments_read_prefix(call, &prefix, ret_error);

	(void)manager;
	(void)look;
	if (r < 0)
		return r;
	prefix_format(&prefix, question->address);
	return requests_read_permanent(call, &permanent, ret_error);
}

int examine_ports(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		  sd_bus_error *ret_error)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	bool permanent;
	int r = arguments_read_ports(call, &ports, ret_error);

	(void)manager;
	(void)look;
	if (r == 0)
		r = note_ports(question, &ports, ret_error);
	return r < 0 ? r : requests_read_permanent(call, &permanent, ret_error);
}

int examine_log_only(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		     sd_bus_error *ret_error)
{
	bool permanent;
	int log_only;

	(void)manager;
	(void)look;
	(void)question;
	if (sd_bus_message_read_basic(call, 'b', &log_only) <= 0)
		return errors_set(ret_error, -EINVAL, NULL);
	return requests_read_permanent(call, &permanent, ret_error);
}
