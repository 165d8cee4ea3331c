/* SPDX-License-Identifier: MIT */
#include "bus/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/actions.h"
#include "bus/arguments.h"
#include "bus/errors.h"
#include "bus/paths.h"
#include "bus/polkit.h"

/* Arguments of one call, in bytes. */
#define CALL_MAX (256 * 1024)

/* A call that is held. */
typedef struct Held {
	struct Held *next;
	Filter *filter;
	sd_bus_message *call;
	Caller *caller;
	Question question;
	Polkit *polkit;	  /* NULL: not asked yet, or answered */
	bool is_back;	  /* polkit said yes: it is put back, and comes again */
	unsigned granted; /* 1 << action, for each that polkit said yes to */
	size_t size;
} Held;

struct Filter {
	sd_bus *bus;
	sd_bus_slot *slot;
	const Manager *manager;
	Callers *callers;
	FilterPassed passed;
	void *passed_userdata;
	Held *held; /* in the order in which they came */
};

/* Forgets what polkit is asked about HELD. */
static void end_question(Held *held)
{
	if (!held->polkit)
		return;
	polkit_free(held->polkit);
	held->polkit = NULL;
	callers_end_question(held->caller);
}

static void held_free(Held *held)
{
	Filter *filter = held->filter;

	for (Held **p = &filter->held; *p; p = &(*p)->next) {
		if (*p != held)
			continue;
		*p = held->next;
		break;
	}
	end_question(held);
	callers_end_call(held->caller, held->size);
	question_done(&held->question);
	sd_bus_message_unref(held->call);
	free(held);
}

/* Answers a call with an error, and has done with it. */
static void refuse(Held *held, const char *name, const char *text)
{
	const sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, text);

	(void)sd_bus_reply_method_error(held->call, &error);
	held_free(held);
}

static void refuse_limit(Held *held)
{
	refuse(held, errors_name(-E2BIG), "too many calls wait for an authorisation");
}

/* ---- polkit -------------------------------------------------------------------------------- */

static void on_answer(PolkitAnswer answer, void *userdata);

/* Asks polkit, unless so many questions are open that this one has to wait its turn. */
static void ask(Held *held)
{
	const PolkitSubject subject = {
		.bus = held->filter->bus,
		.sender = held->caller->name,
		.member = sd_bus_message_get_member(held->call),
		.interactive = sd_bus_message_get_allow_interactive_authorization(held->call) > 0,
	};

	if (!callers_begin_question(held->caller))
		return;
	if (polkit_ask(&subject, &held->question, on_answer, held, &held->polkit) == 0)
		return;
	callers_end_question(held->caller);
	refuse(held, SD_BUS_ERROR_ACCESS_DENIED, "polkit cannot be asked");
}

/* Asks what has waited its turn. */
static void ask_more(Filter *filter)
{
	for (Held *held = filter->held, *next; held; held = next) {
		next = held->next;
		if (!held->polkit && !held->is_back && held->caller->is_known)
			ask(held);
	}
}

/* Does what polkit says about HELD. */
static void judge(Held *held, PolkitAnswer answer)
{
	switch (answer) {
	case POLKIT_YES:
		held->granted |= 1U << held->question.action;
		held->is_back = true;
		if (sd_bus_enqueue_for_read(held->filter->bus, held->call) < 0)
			refuse_limit(held);
		return;
	case POLKIT_CHALLENGE:
		if (sd_bus_message_get_allow_interactive_authorization(held->call) > 0)
			break;
		refuse(held, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
		       "somebody has to be asked for a password, which the call does not allow");
		return;
	case POLKIT_NO:
		break;
	}
	refuse(held, SD_BUS_ERROR_ACCESS_DENIED, "polkit does not permit this");
}

static void on_answer(PolkitAnswer answer, void *userdata)
{
	Held *held = userdata;
	Filter *filter = held->filter;

	end_question(held);
	judge(held, answer);
	ask_more(filter);
}

void filter_caller_known(Filter *filter, Caller *caller)
{
	for (Held *held = filter->held, *next; held; held = next) {
		next = held->next;
		if (held->caller != caller)
			continue;
		if (!caller->is_known)
			refuse(held, SD_BUS_ERROR_ACCESS_DENIED, "nobody knows who calls");
		else if (callers_user_waits_too_much(caller))
			refuse_limit(held);
		else
			ask(held);
	}
}

void filter_caller_gone(Filter *filter, Caller *caller)
{
	for (Held *held = filter->held, *next; held; held = next) {
		next = held->next;
		if (held->caller == caller)
			held_free(held);
	}
	ask_more(filter);
}

/* ---- calls --------------------------------------------------------------------------------- */

/* Reads what has to be asked about CALL. LOOK: see Examine. */
static int examine(const Filter *filter, sd_bus_message *call, const ActionRow *row, bool look,
		   Question *ret_question, sd_bus_error *ret_error)
{
	_cleanup_question_ Question question = {.action = row->action};
	int r;

	if (row->examine) {
		r = row->examine(filter->manager, call, look, &question, ret_error);
		if (sd_bus_message_rewind(call, true) < 0 && r == 0)
			r = errors_set(ret_error, -EINVAL, NULL);
		if (r < 0)
			return r;
	}
	*ret_question = question;
	question.ports = NULL;
	return 0;
}

/* Nothing of CALL may be larger than what is looked at. */
static int check_size(sd_bus_message *call, size_t *ret_size, sd_bus_error *ret_error)
{
	const char *path = sd_bus_message_get_path(call) ?: "";
	size_t size;
	int r = arguments_measure(call, CALL_MAX, &size);

	if (r < 0)
		return errors_set(ret_error, -EINVAL, "the arguments are damaged");
	if (size > CALL_MAX || strlen(path) >= PATHS_TEXT_MAX)
		return errors_set(ret_error, -E2BIG, "the call is too large");
	*ret_size = size;
	return 0;
}

/* Keeps CALL, QUESTION being what is to be asked about it; that is taken over on success. */
static int hold(Filter *filter, sd_bus_message *call, Question *question, size_t size,
		sd_bus_error *ret_error)
{
	const char *sender = sd_bus_message_get_sender(call);
	Caller *caller;
	Held *held, **last;
	int r;

	if (!sender)
		return sd_bus_error_set(ret_error, SD_BUS_ERROR_ACCESS_DENIED,
					"nobody knows who calls");
	r = callers_get(filter->callers, sender, &caller);
	if (r == 0)
		r = callers_begin_call(caller, size);
	if (r < 0)
		return errors_set(ret_error, r,
				  r == -E2BIG ? "too many calls wait for an authorisation" : NULL);
	held = calloc(1, sizeof(*held));
	if (!held) {
		callers_end_call(caller, size);
		return errors_set(ret_error, -ENOMEM, NULL);
	}
	*held = (Held){
		.filter = filter,
		.call = sd_bus_message_ref(call),
		.caller = caller,
		.question = *question,
		.size = size,
	};
	*question = (Question){.action = ACTION_FREE};
	for (last = &filter->held; *last; last = &(*last)->next)
		;
	*last = held;
	if (caller->is_known)
		ask(held);
	return 0;
}

/* A call that polkit said yes to comes again: is it the same question still? */
static int let_through(Held *held, sd_bus_error *ret_error)
{
	_cleanup_question_ Question question = {.action = ACTION_FREE};
	const ActionRow *row = actions_judge(held->call, ret_error);
	int r = row ? examine(held->filter, held->call, row, true, &question, ret_error) : -EACCES;

	if (r < 0) {
		held_free(held);
		return r;
	}
	if (held->granted & 1U << question.action) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *call =
			sd_bus_message_ref(held->call);
		const Filter *filter = held->filter;

		held_free(held);
		return filter->passed ? filter->passed(call, filter->passed_userdata, ret_error)
				      : 0;
	}
	/* What there is has changed meanwhile, or shows that more is needed. */
	question_done(&held->question);
	held->question = question;
	question.ports = NULL;
	held->is_back = false;
	ask(held);
	return 1;
}

static int on_message(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	Filter *filter = userdata;
	_cleanup_question_ Question question = {.action = ACTION_FREE};
	const ActionRow *row;
	size_t size = 0;
	int r;

	if (!sd_bus_message_is_method_call(call, NULL, NULL))
		return 0;
	/* Held ones are the only messages at their addresses. */
	for (Held *held = filter->held; held; held = held->next)
		if (held->is_back && held->call == call)
			return let_through(held, ret_error);
	row = actions_judge(call, ret_error);
	if (!row)
		return -EACCES;
	if (row->action == ACTION_FREE)
		return 0;
	r = check_size(call, &size, ret_error);
	if (r == 0)
		r = examine(filter, call, row, false, &question, ret_error);
	if (r == 0)
		r = hold(filter, call, &question, size, ret_error);
	return r < 0 ? r : 1;
}

int filter_new(sd_bus *bus, const Manager *manager, Callers *callers, Filter **ret_filter)
{
	_cleanup_(filter_freep) Filter *filter = calloc(1, sizeof(*filter));
	int r;

	if (!filter)
		return -ENOMEM;
	filter->bus = bus;
	filter->manager = manager;
	filter->callers = callers;
	r = sd_bus_add_filter(bus, &filter->slot, on_message, filter);
	if (r < 0)
		return r;
	*ret_filter = TAKE_PTR(filter);
	return 0;
}

void filter_set_passed(Filter *filter, FilterPassed passed, void *userdata)
{
	filter->passed = passed;
	filter->passed_userdata = userdata;
}

void filter_free(Filter *filter)
{
	if (!filter)
		return;
	sd_bus_slot_unref(filter->slot);
	while (filter->held)
		held_free(filter->held);
	free(filter);
}
