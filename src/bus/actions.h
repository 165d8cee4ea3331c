/* SPDX-License-Identifier: MIT */
/*
 * Who may do what: one table with a row for every member of every interface. What has no row
 * cannot be called.
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

#include "bus/examine.h"

typedef enum ActionKind {
	ACTION_CALL, /* a method */
	ACTION_GET,  /* a property is read */
	ACTION_SET,  /* a property is written */
} ActionKind;

typedef struct ActionRow {
	ActionKind kind;
	const char *interface;
	const char *member;
	const char *signature; /* of the call's arguments; of a property: its own */
	Action action;
	Examine examine; /* what the arguments say about it; NULL: nothing */
} ActionRow;

/* The name of ACTION for polkit; NULL for ACTION_FREE. */
const char *actions_name(Action action);

/* The row of a member, or NULL: nobody may. */
const ActionRow *actions_find(ActionKind kind, const char *interface, const char *member);

/*
 * The row that decides about CALL, a method call: for org.freedesktop.DBus.Properties.Get and .Set
 * that of the property. NULL, with *RET_ERROR set: there is none, or the arguments have not its
 * form. CALL is rewound.
 */
const ActionRow *actions_judge(sd_bus_message *call, sd_bus_error *ret_error);

/* All rows, for tests. */
const ActionRow *actions_get(size_t index);
