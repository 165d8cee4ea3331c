/* SPDX-License-Identifier: MIT */
/*
 * What setup does, step by step, when everything is known. Each step reports what goes wrong, and
 * says on standard output what it did unless the plan is quiet.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/exit-code.h"
#include "ctl/surroundings.h"
#include "util/name.h"
#include "util/ports.h"

typedef enum SetupMode {
	SETUP_LOG_ONLY,
	SETUP_TRIAL,
	SETUP_ENFORCE,
} SetupMode;

typedef struct SetupPlan {
	char interface[IF_NAMESIZE];
	PortList ports;
	uint16_t knock_port;
	char client[NAME_LENGTH_MAX + 1];
	const char *key_file;	/* where the client's goes; NULL: NAME.key */
	char *address;		/* that gets a grant; NULL: none */
	char zone[IF_NAMESIZE]; /* its interface, for a link-local one; empty: none */
	SetupMode mode;
	uint64_t trial_seconds;
	bool force, quiet;
} SetupPlan;

void setup_plan_done(SetupPlan *plan);
#define _cleanup_setup_plan_ _cleanup_(setup_plan_done)

/* What there is of a configuration already: a file of it, or NULL. */
const char *setup_find_configuration(void);

/*
 * A drop-in of the configuration, with which it would say something else than what is written: a
 * path that the caller frees, or NULL.
 */
char *setup_find_drop_in(void);

/*
 * The server's key, unless there is one, the client's, and spale.conf, in log-only mode: all files
 * or none.
 */
ExitCode setup_write_files(const SetupPlan *plan);

/*
 * With PLAN's force: forgets what was changed for good over D-Bus and would count more than the new
 * files: the policy, a trial, and what was said of the client.
 */
ExitCode setup_forget_changes(const SetupPlan *plan);

/* Enables and starts the service, and waits until it answers on the bus. */
ExitCode setup_start_service(const SetupPlan *plan);

/* Whether spaled follows the configuration that was written, and is at its interface. */
ExitCode setup_check_interface(const SetupPlan *plan);

/* Whether spaled takes the client's knocks by the key that was written. */
ExitCode setup_check_client(const SetupPlan *plan);

/* A grant for a day, kept over restarts, for the plan's address if it has one. */
ExitCode setup_add_grant(const SetupPlan *plan);

/* Log-only, for a trial, or for good, as the plan says. */
ExitCode setup_enforce(const SetupPlan *plan);
