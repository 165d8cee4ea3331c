/* SPDX-License-Identifier: MIT */
#include "bus/managed-objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spale/bus-names.h>

#include "bus/errors.h"
#include "bus/objects.h"

/* Objects that one turn of the event loop appends: a few milliseconds. */
#define OBJECTS_A_TURN 200

/* Answers in the making. */
#define ANSWERS_MAX 16

/* One answer. */
typedef struct Answer {
	struct Answer *next;
	sd_bus_message *call, *reply;
	char **paths[3]; /* of each type, the next to be appended; NULL at the end */
	size_t done[3];
} Answer;

struct ManagedObjects {
	BusContext *context;
	sd_event_source *turn;
	Answer *answers;
	size_t count;
};

static const ObjectType *const types[] = {&interface_object_type, &client_object_type,
					  &grant_object_type};

static void answer_free(Answer *answer)
{
	if (!answer)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (answer->paths[i])
			objects_free_nodes(answer->paths[i]);
	sd_bus_message_unref(answer->reply);
	sd_bus_message_unref(answer->call);
	free(answer);
}
DEFINE_CLEANUP(Answer, answer_free)

/* Appends up to OBJECTS_A_TURN objects. 1: that was all, 0: there is more. */
static int append_some(BusContext *context, Answer *answer)
{
	size_t left = OBJECTS_A_TURN;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		for (const char *path; (path = answer->paths[i][answer->done[i]]);
		     answer->done[i]++) {
			int r;

			if (left-- == 0)
				return 0;
			r = objects_append_managed(context, answer->reply, types[i], path);
			if (r < 0)
				return r;
		}
	}
	return 1;
}

static int on_turn(sd_event_source *source, void *userdata)
{
	ManagedObjects *objects = userdata;
	Answer *answer = objects->answers;
	int r;

	if (!answer)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	r = append_some(objects->context, answer);
	if (r == 0)
		return 0;
	if (r > 0)
		r = sd_bus_message_close_container(answer->reply);
	if (r >= 0)
		r = sd_bus_send(objects->context->bus, answer->reply, NULL);
	if (r < 0)
		(void)sd_bus_reply_method_errno(answer->call, r, NULL);
	objects->answers = answer->next;
	objects->count--;
	answer_free(answer);
	return 0;
}

static int begin(ManagedObjects *objects, sd_bus_message *call)
{
	_cleanup_(answer_freep) Answer *answer = calloc(1, sizeof(*answer));
	Answer **last = &objects->answers;
	int r = 0;

	if (!answer)
		return -ENOMEM;
	if (objects->count == ANSWERS_MAX)
		return -E2BIG;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(types); i++)
		r = types[i]->enumerate(objects->context->bus, types[i]->prefix, objects->context,
					&answer->paths[i], NULL);
	if (r >= 0)
		r = sd_bus_message_new_method_return(call, &answer->reply);
	if (r >= 0)
		r = sd_bus_message_open_container(answer->reply, 'a', "{oa{sa{sv}}}");
	if (r >= 0)
		r = sd_event_source_set_enabled(objects->turn, SD_EVENT_ON);
	if (r < 0)
		return r;
	answer->call = sd_bus_message_ref(call);
	while (*last)
		last = &(*last)->next;
	*last = TAKE_PTR(answer);
	objects->count++;
	return 1;
}

int managed_objects_take(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	int r;

	if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager",
					  "GetManagedObjects") <= 0 ||
	    strcmp(sd_bus_message_get_path(call), SPALE_BUS_PATH) != 0)
		return 0;
	r = begin(userdata, call);
	return r < 0 ? errors_set(ret_error, r, NULL) : r;
}

int managed_objects_new(BusContext *context, ManagedObjects **ret_objects)
{
	_cleanup_(managed_objects_freep) ManagedObjects *objects = calloc(1, sizeof(*objects));
	int r;

	if (!objects)
		return -ENOMEM;
	objects->context = context;
	r = sd_event_add_defer(context->event, &objects->turn, on_turn, objects);
	if (r >= 0)
		r = sd_event_source_set_enabled(objects->turn, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(objects->turn, SD_EVENT_PRIORITY_IDLE);
	if (r < 0)
		return r;
	*ret_objects = TAKE_PTR(objects);
	return 0;
}

void managed_objects_free(ManagedObjects *objects)
{
	if (!objects)
		return;
	sd_event_source_disable_unref(objects->turn);
	while (objects->answers) {
		Answer *answer = objects->answers;

		objects->answers = answer->next;
		answer_free(answer);
	}
	free(objects);
}
