/* SPDX-License-Identifier: MIT */
#include "bus/callers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bus answers at once, or is not well. */
#define ANSWER_USEC (10 * 1000 * 1000ULL)

/* Any connection leaves: its name has no owner any more. */
#define VANISHED                                                                                   \
	"type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"                \
	"interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''"

struct Callers {
	sd_bus *bus;
	sd_bus_slot *vanished;
	CallersEvents events;
	Caller *first; /* the latest */
	size_t count;
};

static void caller_free(Caller *caller)
{
	sd_bus_slot_unref(caller->asked);
	free(caller->name);
	free(caller);
}

static bool is_idle(const Caller *caller)
{
	return caller->calls == 0 && !caller->is_subscribed;
}

static void forget(Callers *callers, Caller *caller)
{
	for (Caller **p = &callers->first; *p; p = &(*p)->next) {
		if (*p != caller)
			continue;
		*p = caller->next;
		callers->count--;
		caller_free(caller);
		return;
	}
}

static int on_vanished(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
	Callers *callers = userdata;
	const char *name, *old_owner, *new_owner;
	Caller *caller;

	(void)ret_error;
	if (sd_bus_message_read(signal, "sss", &name, &old_owner, &new_owner) < 0 || new_owner[0])
		return 0;
	caller = callers_find(callers, name);
	if (!caller)
		return 0;
	callers->events.gone(caller, callers->events.userdata);
	forget(callers, caller);
	return 0;
}

int callers_new(sd_bus *bus, const CallersEvents *events, Callers **ret_callers)
{
	_cleanup_(callers_freep) Callers *callers = calloc(1, sizeof(*callers));
	int r;

	if (!callers)
		return -ENOMEM;
	callers->bus = bus;
	callers->events = *events;
	r = sd_bus_add_match_async(bus, &callers->vanished, VANISHED, on_vanished, NULL, callers);
	if (r < 0)
		return r;
	*ret_callers = TAKE_PTR(callers);
	return 0;
}

void callers_free(Callers *callers)
{
	if (!callers)
		return;
	sd_bus_slot_unref(callers->vanished);
	while (callers->first)
		forget(callers, callers->first);
	free(callers);
}

/* ---- who they are -------------------------------------------------------------------------- */

/* Reads the entries of GetConnectionCredentials that we want to know. */
static int read_credentials(sd_bus_message *reply, Caller *caller)
{
	bool has_uid = false;
	const char *key;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = sd_bus_message_read_basic(reply, 's', &key);
		if (r >= 0 && strcmp(key, "UnixUserID") == 0) {
			r = sd_bus_message_read(reply, "v", "u", &caller->uid);
			has_uid = r >= 0;
		} else if (r >= 0 && strcmp(key, "ProcessID") == 0) {
			r = sd_bus_message_read(reply, "v", "u", &caller->pid);
		} else if (r >= 0) {
			r = sd_bus_message_skip(reply, "v");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	if (r < 0)
		return r;
	return has_uid ? 0 : -ENODATA;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	Caller *caller = userdata;
	Callers *callers = caller->callers;

	(void)ret_error;
	caller->asked = sd_bus_slot_unref(caller->asked);
	caller->is_known = !sd_bus_message_is_method_error(reply, NULL) &&
			   read_credentials(reply, caller) == 0;
	snprintf(caller->text, sizeof(caller->text), "uid=%" PRIu32 " pid=%" PRIu32 " name=%.40s",
		 caller->uid, caller->pid, caller->name);
	callers->events.known(caller, callers->events.userdata);
	return 1;
}

static int ask(Caller *caller)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	sd_bus *bus = caller->callers->bus;
	int r;

	r = sd_bus_message_new_method_call(bus, &call, "org.freedesktop.DBus",
					   "/org/freedesktop/DBus", "org.freedesktop.DBus",
					   "GetConnectionCredentials");
	if (r >= 0)
		r = sd_bus_message_append(call, "s", caller->name);
	if (r >= 0)
		r = sd_bus_call_async(bus, &caller->asked, call, on_credentials, caller,
				      ANSWER_USEC);
	return r < 0 ? r : 0;
}

Caller *callers_find(const Callers *callers, const char *name)
{
	for (Caller *caller = callers->first; caller; caller = caller->next)
		if (strcmp(caller->name, name) == 0)
			return caller;
	return NULL;
}

/* Forgets the oldest of those that neither wait nor listen, while there are too many. */
static void forget_idle(Callers *callers)
{
	Caller *oldest = NULL;
	size_t idle = 0;

	for (Caller *caller = callers->first; caller; caller = caller->next) {
		if (!is_idle(caller))
			continue;
		idle++;
		oldest = caller;
	}
	if (idle > CALLERS_IDLE_MAX)
		forget(callers, oldest);
}

int callers_get(Callers *callers, const char *name, Caller **ret_caller)
{
	Caller *caller = callers_find(callers, name);
	int r;

	if (caller && (caller->is_known || caller->asked)) {
		*ret_caller = caller;
		return 0;
	}
	if (!caller) {
		forget_idle(callers);
		if (callers->count >= CALLERS_MAX)
			return -E2BIG;
		caller = calloc(1, sizeof(*caller));
		if (!caller)
			return -ENOMEM;
		caller->callers = callers;
		caller->name = strdup(name);
		if (!caller->name) {
			caller_free(caller);
			return -ENOMEM;
		}
		caller->next = callers->first;
		callers->first = caller;
		callers->count++;
	}
	r = ask(caller);
	if (r < 0)
		return r;
	*ret_caller = caller;
	return 0;
}

/* ---- bounds -------------------------------------------------------------------------------- */

typedef struct Counts {
	size_t calls, bytes, questions;
} Counts;

/* What waits of user UID; NULL: of all. */
static Counts count(const Callers *callers, const uint32_t *uid)
{
	Counts counts = {0};

	for (const Caller *caller = callers->first; caller; caller = caller->next) {
		if (uid && (!caller->is_known || caller->uid != *uid))
			continue;
		counts.calls += caller->calls;
		counts.bytes += caller->bytes;
		counts.questions += caller->questions;
	}
	return counts;
}

int callers_begin_call(Caller *caller, size_t size)
{
	const Counts all = count(caller->callers, NULL);

	if (caller->calls >= CALLERS_CALLS_MAX || all.calls >= CALLERS_ALL_CALLS_MAX ||
	    all.bytes + size > CALLERS_ALL_BYTES_MAX)
		return -E2BIG;
	caller->calls++;
	caller->bytes += size;
	if (caller->is_known && callers_user_waits_too_much(caller)) {
		callers_end_call(caller, size);
		return -E2BIG;
	}
	return 0;
}

void callers_end_call(Caller *caller, size_t size)
{
	caller->calls--;
	caller->bytes -= size;
}

bool callers_user_waits_too_much(const Caller *caller)
{
	const Counts counts = count(caller->callers, &caller->uid);

	return counts.calls > CALLERS_USER_CALLS_MAX || counts.bytes > CALLERS_USER_BYTES_MAX;
}

bool callers_begin_question(Caller *caller)
{
	if (count(caller->callers, NULL).questions >= CALLERS_ALL_QUESTIONS_MAX ||
	    count(caller->callers, &caller->uid).questions >= CALLERS_USER_QUESTIONS_MAX)
		return false;
	caller->questions++;
	return true;
}

void callers_end_question(Caller *caller)
{
	caller->questions--;
}

int callers_subscribe(Caller *caller)
{
	size_t all = 0, of_user = 0;

	if (caller->is_subscribed)
		return -EALREADY;
	for (const Caller *other = caller->callers->first; other; other = other->next) {
		all += other->is_subscribed;
		of_user += other->is_subscribed && other->uid == caller->uid;
	}
	if (all >= CALLERS_SUBSCRIBERS_MAX || of_user >= CALLERS_USER_SUBSCRIBERS_MAX)
		return -E2BIG;
	caller->is_subscribed = true;
	return 0;
}

void callers_unsubscribe(Caller *caller)
{
	caller->is_subscribed = false;
}

Caller *callers_next_subscriber(const Callers *callers, const Caller *caller)
{
	Caller *next = caller ? caller->next : callers->first;

	while (next && !next->is_subscribed)
		next = next->next;
	return next;
}
