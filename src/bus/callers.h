/* SPDX-License-Identifier: MIT */
/*
 * Who calls: connections of the bus by their unique names, with what the bus knows of them, how
 * many of their calls wait, and whether they have subscribed to signals. They are forgotten when
 * they leave the bus.
 *
 * Owns the callers. What the bus tells about them is trusted, names come from there, too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "util/cleanup.h"

/* Known at a time at most, and those among them that neither wait nor listen. */
#define CALLERS_MAX	 1024
#define CALLERS_IDLE_MAX 64

/* Calls that wait at a time, and the bytes of their arguments: of one caller, of one user,
 * altogether. */
#define CALLERS_CALLS_MAX      128
#define CALLERS_USER_CALLS_MAX 1024
#define CALLERS_ALL_CALLS_MAX  2048
#define CALLERS_USER_BYTES_MAX (8 * 1024 * 1024)
#define CALLERS_ALL_BYTES_MAX  (32 * 1024 * 1024)

/*
 * Questions to polkit at a time, of one user and altogether; the rest waits its turn. The bus
 * forwards no more than 128 calls of one connection that are not answered.
 */
#define CALLERS_USER_QUESTIONS_MAX 32
#define CALLERS_ALL_QUESTIONS_MAX  96

/* Subscribers altogether, and of one user. */
#define CALLERS_SUBSCRIBERS_MAX	     64
#define CALLERS_USER_SUBSCRIBERS_MAX 32

typedef struct Callers Callers;

typedef struct Caller {
	struct Caller *next;
	Callers *callers;
	char *name;	    /* unique name, ":1.5" */
	sd_bus_slot *asked; /* who it is */
	bool is_known;
	uint32_t uid, pid;
	size_t calls, bytes, questions; /* that wait */
	bool is_subscribed;
	char text[96]; /* for the journal */
} Caller;

/* It is known now who CALLER is, or that this cannot be found out (!is_known). */
typedef void (*CallerKnown)(Caller *caller, void *userdata);

/* CALLER has left the bus, and is freed afterwards. */
typedef void (*CallerGone)(Caller *caller, void *userdata);

typedef struct CallersEvents {
	CallerKnown known;
	CallerGone gone;
	void *userdata;
} CallersEvents;

/* Follows callers on BUS, which is borrowed. Returns 0 or a negative errno. */
int callers_new(sd_bus *bus, const CallersEvents *events, Callers **ret_callers);
void callers_free(Callers *callers);
DEFINE_CLEANUP(Callers, callers_free)

/* The caller of this unique name. NULL: it is not known. */
Caller *callers_find(const Callers *callers, const char *name);

/* The same; one that is not known is asked for. Returns 0, -E2BIG (CALLERS_MAX) or -ENOMEM. */
int callers_get(Callers *callers, const char *name, Caller **ret_caller);

/*
 * Counts a call of CALLER, of SIZE bytes, that waits from now on, or not any more. -E2BIG: too many
 * do. Whose it is counts from when that is known.
 */
int callers_begin_call(Caller *caller, size_t size);
void callers_end_call(Caller *caller, size_t size);

/* Whether the user of CALLER, who is known now, has more calls waiting than a user may. */
bool callers_user_waits_too_much(const Caller *caller);

/* Counts a question about CALLER. False: it has to wait its turn. */
bool callers_begin_question(Caller *caller);
void callers_end_question(Caller *caller);

/* Returns 0, -E2BIG, or -EALREADY (it has). */
int callers_subscribe(Caller *caller);
void callers_unsubscribe(Caller *caller);

/* The first subscriber, and the next after CALLER; NULL: none. */
Caller *callers_next_subscriber(const Callers *callers, const Caller *caller);
