/* SPDX-License-Identifier: MIT */
#include "bus/methods.h"

#include <errno.h>
#include <stdlib.h>

#include <spale/bus-names.h>

#include "bus/answers.h"
#include "bus/arguments.h"
#include "bus/context.h"
#include "bus/errors.h"
#include "bus/requests.h"

/* Does what CHANGE says, and answers without a result. */
static int change_policy(const BusContext *context, sd_bus_message *call,
			 const PolicyChange *change)
{
	_cleanup_free_ char *error = NULL;
	int r;

	r = manager_change_policy(context->manager, change, context_caller(context, call), &error);
	return answers_give(context, call, r, error, NULL);
}

int methods_list_allowed(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	const PrefixList *allowed = &manager_config(context->manager)->always_allow;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	char text[ADDRESS_TEXT_MAX];
	int r;

	(void)ret_error;
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(sb)");
	for (size_t i = 0; r >= 0 && i < allowed->count; i++)
		r = sd_bus_message_append(
			reply, "(sb)", prefix_format(&allowed->items[i], text),
			(int)manager_allows_for_good(context->manager, &allowed->items[i]));
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int change_allowed(sd_bus_message *call, const BusContext *context, bool allow,
			  sd_bus_error *ret_error)
{
	PolicyChange change = {0};
	Prefix prefix;
	int r;

	r = arguments_read_prefix(call, &prefix, ret_error);
	if (r == 0)
		r = requests_read_permanent(call, &change.permanent, ret_error);
	if (r < 0)
		return r;
	*(allow ? &change.allow : &change.disallow) = &prefix;
	return change_policy(context, call, &change);
}

int methods_add_allowed(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	return change_allowed(call, userdata, true, ret_error);
}

int methods_remove_allowed(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	return change_allowed(call, userdata, false, ret_error);
}

int methods_set_ports(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	PolicyChange change = {.ports = &ports};
	int r;

	r = arguments_read_ports(call, &ports, ret_error);
	if (r == 0)
		r = requests_read_permanent(call, &change.permanent, ret_error);
	return r < 0 ? r : change_policy(userdata, call, &change);
}

int methods_set_log_only(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	PolicyChange change = {.has_log_only = true};
	int log_only, r;

	r = sd_bus_message_read_basic(call, 'b', &log_only);
	if (r <= 0)
		return errors_set(ret_error, -EINVAL, NULL);
	change.log_only = log_only;
	r = requests_read_permanent(call, &change.permanent, ret_error);
	return r < 0 ? r : change_policy(userdata, call, &change);
}

int methods_write_log_only(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *value, void *userdata,
			   sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	PolicyChange change = {.has_log_only = true};
	_cleanup_free_ char *error = NULL;
	int log_only, r;

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	if (sd_bus_message_read_basic(value, 'b', &log_only) <= 0)
		return errors_set(ret_error, -EINVAL, NULL);
	change.log_only = log_only;
	r = manager_change_policy(context->manager, &change, context_caller(context, value),
				  &error);
	return context_done(context, r, error, ret_error);
}

int methods_trial(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	uint64_t duration_ns, until;
	int r;

	r = arguments_read_seconds(call, &duration_ns, ret_error);
	if (r < 0)
		return r;
	r = manager_trial(context->manager, duration_ns, context_caller(context, call), &until,
			  &error);
	return answers_give(context, call, r, error, "t", until);
}

int methods_confirm(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	int r;

	(void)ret_error;
	r = manager_confirm(context->manager, context_caller(context, call), &error);
	return answers_give(context, call, r, error, NULL);
}

int methods_reload(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	int r = context->hooks->reload(context->hooks->userdata);

	if (r < 0) {
		(void)sd_bus_error_set(
			ret_error, SPALE_BUS_ERROR_FAILED,
			"the old configuration stays in force: the journal says what "
			"is wrong with the new one");
		return r;
	}
	return answers_give(context, call, 0, NULL, NULL);
}
