/* SPDX-License-Identifier: MIT */
#include "bus/methods.h"

#include <errno.h>
#include <stdlib.h>

#include "bus/answers.h"
#include "bus/context.h"
#include "bus/errors.h"
#include "bus/paths.h"
#include "bus/requests.h"

int methods_enroll_client(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_client_settings_ ClientSettings settings = {.count = 0};
	_cleanup_free_ char *error = NULL;
	char path[PATHS_TEXT_MAX];
	const char *name;
	PublicKey key;
	int r;

	r = requests_read_name(call, &name, ret_error);
	if (r == 0)
		r = requests_read_key(call, &key, ret_error);
	if (r == 0)
		r = requests_read_settings(call, true, &settings, ret_error);
	if (r < 0)
		return r;
	r = manager_enroll_client(context->manager, name, &key, settings.items, settings.count,
				  context_caller(context, call), &error);
	return answers_give(context, call, r, error, "o", paths_of_client(name, path));
}

int methods_remove_client(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	BusContext *context = userdata;
	_cleanup_free_ char *error = NULL;
	const char *name;
	int r;

	r = requests_read_name(call, &name, ret_error);
	if (r < 0)
		return r;
	r = manager_remove_client(context->manager, name, context_caller(context, call), &error);
	return answers_give(context, call, r, error, NULL);
}

/* A list in the making. */
typedef struct LimitedList {
	sd_bus_message *reply; /* borrowed */
	int error;
} LimitedList;

static void append_limited(const Prefix *source, uint64_t free_real_usec, void *userdata)
{
	LimitedList *list = userdata;
	char text[ADDRESS_TEXT_MAX];

	if (list->error >= 0)
		list->error = sd_bus_message_append(list->reply, "(st)",
						    prefix_format(source, text), free_real_usec);
}

int methods_list_limited(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	LimitedList list = {0};
	int r;

	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(st)");
	if (r < 0)
		return r;
	list.reply = reply;
	r = manager_list_limited(context->manager, append_limited, &list);
	if (r < 0)
		return errors_set(ret_error, r, enforcer_error(manager_enforcer(context->manager)));
	r = list.error;
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int methods_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	Caller *caller = callers_find(context->callers, sd_bus_message_get_sender(call));
	int r = caller ? callers_subscribe(caller) : -ESRCH;

	if (r < 0 && r != -EALREADY)
		return errors_set(ret_error, r,
				  r == -E2BIG ? "there are too many subscribers" : NULL);
	return sd_bus_reply_method_return(call, NULL);
}

int methods_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	const BusContext *context = userdata;
	Caller *caller = callers_find(context->callers, sd_bus_message_get_sender(call));

	(void)ret_error;
	if (caller)
		callers_unsubscribe(caller);
	return sd_bus_reply_method_return(call, NULL);
}
