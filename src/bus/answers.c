/* SPDX-License-Identifier: MIT */
#include "bus/answers.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bus/errors.h"

/* One that waits. */
typedef struct Waiting {
	struct Waiting *next;
	sd_bus_message *reply;
	uint64_t order; /* to be done first */
} Waiting;

struct Answers {
	BusContext *context;
	ManagerObserver observer;
	Waiting *first, **last;
	size_t count;
};

static void forget_first(Answers *answers)
{
	Waiting *first = answers->first;

	answers->first = first->next;
	if (!answers->first)
		answers->last = &answers->first;
	answers->count--;
	sd_bus_message_unref(first->reply);
	free(first);
}

/* Orders have numbers that grow, so what came first is done first. */
static void on_done(void *userdata)
{
	Answers *answers = userdata;

	while (answers->first &&
	       manager_has_done(answers->context->manager, answers->first->order)) {
		(void)sd_bus_send(answers->context->bus, answers->first->reply, NULL);
		forget_first(answers);
	}
}

static int hold(Answers *answers, sd_bus_message *reply, uint64_t order)
{
	Waiting *waiting;

	if (answers->count == ANSWERS_MAX)
		return -E2BIG;
	waiting = calloc(1, sizeof(*waiting));
	if (!waiting)
		return -ENOMEM;
	waiting->reply = sd_bus_message_ref(reply);
	waiting->order = order;
	*answers->last = waiting;
	answers->last = &waiting->next;
	answers->count++;
	return 0;
}

/* The answer to CALL. */
static int make(sd_bus_message *call, int r, const char *error, const char *types,
		va_list arguments, sd_bus_message **ret_reply)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error problem = SD_BUS_ERROR_NULL;

	if (r < 0) {
		(void)errors_set(&problem, r, error);
		return sd_bus_message_new_method_error(call, ret_reply, &problem);
	}
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0 && types)
		r = sd_bus_message_appendv(reply, types, arguments);
	if (r < 0)
		return r;
	*ret_reply = TAKE_PTR(reply);
	return 0;
}

int answers_give(const BusContext *context, sd_bus_message *call, int r, const char *error,
		 const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint64_t order = manager_ordered(context->manager);
	va_list arguments;

	va_start(arguments, types);
	r = make(call, r, error, types, arguments, &reply);
	va_end(arguments);
	context->hooks->changed(context->hooks->userdata);
	if (r < 0)
		return r;
	/* What cannot wait goes now: it is no failure of what was ordered. */
	if (!manager_has_done(context->manager, order) && hold(context->answers, reply, order) == 0)
		return 1;
	r = sd_bus_send(context->bus, reply, NULL);
	return r < 0 ? r : 1;
}

int answers_new(BusContext *context, Answers **ret_answers)
{
	_cleanup_(answers_freep) Answers *answers = calloc(1, sizeof(*answers));
	int r;

	if (!answers)
		return -ENOMEM;
	answers->context = context;
	answers->last = &answers->first;
	answers->observer = (ManagerObserver){.done = on_done, .userdata = answers};
	r = manager_observe(context->manager, &answers->observer);
	if (r < 0)
		return r;
	*ret_answers = TAKE_PTR(answers);
	return 0;
}

void answers_free(Answers *answers)
{
	if (!answers)
		return;
	manager_ignore(answers->context->manager, &answers->observer);
	while (answers->first)
		forget_first(answers);
	free(answers);
}
