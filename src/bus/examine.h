/* SPDX-License-Identifier: MIT */
/*
 * What polkit has to be asked before a call is done: the action, which can depend on the arguments,
 * and details for people and rules. Arguments are untrusted.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager.h"

/* What polkit is asked for. ACTION_FREE: nothing. */
typedef enum Action {
	ACTION_FREE,
	ACTION_INSPECT,
	ACTION_GRANT,
	ACTION_REVOKE,
	ACTION_MANAGE_CLIENTS,
	ACTION_MANAGE_POLICY,
} Action;

/* What polkit is asked: whether somebody may ACTION, and the details that it shows and judges. */
typedef struct Question {
	Action action;
	char address[ADDRESS_TEXT_MAX]; /* empty: does not apply; the others too */
	char client[CLIENT_NAME_MAX + 1];
	char *ports; /* NULL: does not apply */
} Question;

void question_done(Question *question);
#define _cleanup_question_ _cleanup_(question_done)

/*
 * Reads the arguments of CALL, which is rewound. QUESTION has the action of the member's row, and
 * gets the one that these arguments need, and details. LOOK: the caller has passed for the row's
 * action already, so that what there is may be looked at. Returns 0 or a negative errno with
 * *RET_ERROR set.
 */
typedef int (*Examine)(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		       sd_bus_error *ret_error);

/* AddGrant: wide, long and permanent ones need more than the right to grant. */
int examine_add_grant(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		      sd_bus_error *ret_error);
/* RevokeGrant. */
int examine_revoke_grant(const Manager *manager, sd_bus_message *call, bool look,
			 Question *question, sd_bus_error *ret_error);
/* Extend: that it is long needs no look at the grant, that this is wide or for good does. */
int examine_extend(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error);
/* Calls whose first argument is a client's name. */
int examine_name(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		 sd_bus_error *ret_error);
/* EnrollClient. */
int examine_enroll(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error);
/* Calls of a client's object. */
int examine_client(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error);
/* Client.Set. */
int examine_set_client(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		       sd_bus_error *ret_error);
/* Calls whose arguments are a prefix and options. */
int examine_prefix(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		   sd_bus_error *ret_error);
/* SetProtectedPorts. */
int examine_ports(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		  sd_bus_error *ret_error);
/* SetLogOnly. */
int examine_log_only(const Manager *manager, sd_bus_message *call, bool look, Question *question,
		     sd_bus_error *ret_error);
