/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "daemon/manager-requests.h"
#include "policy/grammar.h"
#include "util/error.h"

/* ---- what the configuration is made of ----------------------------------------------------- */

static void save_good(Manager *manager)
{
	const char *why = "no memory";

	if (!manager->keeps_good || !manager->layers || state_problem(manager->state))
		return;
	if (policy_layers_save_good(manager->layers, state_directory_fd(manager->state), &why) < 0)
		journal_line(LOG_LEVEL_WARNING,
			     "what is in force now cannot be kept for a start with an unusable "
			     "configuration: %s",
			     why);
}

void manager_set_layers(Manager *manager, PolicyLayers *layers, bool keep_good)
{
	policy_layers_free(manager->layers);
	manager->layers = layers;
	manager->keeps_good = keep_good;
	save_good(manager);
}

bool manager_allows_for_good(const Manager *manager, const Prefix *prefix)
{
	const Config *config =
		manager->layers ? policy_layers_lasting(manager->layers) : manager->config;
	const PrefixList *list = &config->always_allow;

	for (size_t i = 0; i < list->count; i++)
		if (prefix_compare(&list->items[i], prefix) == 0)
			return true;
	return false;
}

/* The rest that was changed for a while stays until the next daemon says what is to be. */
void manager_end_temporary_policy(Manager *manager)
{
	const Config *before = manager->config;
	Config last = *before;

	if (!manager->layers)
		return;
	last.always_allow = policy_layers_lasting(manager->layers)->always_allow;
	if (prefix_list_equal(&last.always_allow, &before->always_allow))
		return;
	if (enforcer_set_policy(manager->enforcer, &last) < 0) {
		journal_line(LOG_LEVEL_WARNING,
			     "what was always allowed until a restart stays so: %s",
			     enforcer_error(manager->enforcer));
		return;
	}
	manager->config = &last;
	manager_end_sessions(manager, before);
	manager->config = (Config *)before;
}

/* ---- changing it --------------------------------------------------------------------------- */

static void announce_change(const PolicyChange *change, bool confirms, const char *caller)
{
	_cleanup_free_ char *ports = change->ports ? port_list_format(change->ports) : NULL;
	const Prefix *prefix = change->allow ?: change->disallow;
	char source[ADDRESS_TEXT_MAX];
	const char *reason;

	if (confirms)
		reason = "trial-confirmed";
	else if (change->ports)
		reason = "ports";
	else if (change->has_log_only)
		reason = change->log_only ? "log-only" : "enforcing";
	else
		reason = change->allow ? "allowed" : "disallowed";
	journal_event(JOURNAL_POLICY_CHANGED,
		      &(JournalFields){
			      .source = prefix ? prefix_format(prefix, source) : NULL,
			      .ports = ports,
			      .reason = reason,
			      .caller = caller,
			      .detail = change->permanent ? "for good" : "until reload or restart",
		      });
}

/* Writes down what changes for good, both parts or none. */
static int keep(const Manager *manager, const PolicyProposal *proposal, const Trial *trial,
		const char **ret_why)
{
	int dir_fd = state_directory_fd(manager->state), r = 0;
	bool tries = trial->state != manager->trial.state;

	if (proposal->writes)
		r = policy_layers_write(manager->layers, proposal, dir_fd, ret_why);
	if (r == 0 && tries)
		r = trial_write(trial, dir_fd, ret_why);
	if (r == 0)
		return 0;
	/* Also what is in place, and may not stay there. */
	if (tries)
		(void)trial_write(&manager->trial, dir_fd, NULL);
	if (proposal->writes)
		(void)policy_layers_write(manager->layers, NULL, dir_fd, NULL);
	return r;
}

/* Has the kernel and the disk take PROPOSAL and TRIAL, all of it or nothing. */
static int put_into_force(Manager *manager, const PolicyProposal *proposal, const Trial *trial,
			  char **ret_error)
{
	const char *why = "no memory";
	int r;

	r = manager_try_config(manager, proposal->config);
	if (r < 0) {
		error_set(ret_error, r, "the kernel did not take it: %s",
			  enforcer_error(manager->enforcer));
	} else {
		r = keep(manager, proposal, trial, &why);
		if (r < 0)
			error_set(ret_error, r, "it cannot be kept in the state directory: %s",
				  why);
	}
	if (r < 0)
		(void)enforcer_set_policy(manager->enforcer, manager->config);
	return r;
}

int manager_change_policy(Manager *manager, const PolicyChange *change, const char *caller,
			  char **ret_error)
{
	_cleanup_policy_proposal_ PolicyProposal proposal = {0};
	bool confirms = change->has_log_only && !change->log_only && change->permanent &&
			manager->trial.state == TRIAL_ON;
	/* Who says what is to be has done with trying. */
	Trial trial = change->has_log_only ? (Trial){.state = TRIAL_NONE} : manager->trial;
	int r;

	if (!manager->layers)
		return error_set(ret_error, -EOPNOTSUPP, "this configuration cannot be changed");
	r = policy_layers_propose(manager->layers, change, &proposal, ret_error);
	if (r < 0)
		return r;
	trial_apply(&trial, proposal.config);
	r = put_into_force(manager, &proposal, &trial, ret_error);
	if (r < 0)
		return r;
	manager->trial = trial;
	policy_layers_commit(manager->layers, &proposal);
	announce_change(change, confirms, caller);
	manager_commit_config(manager, TAKE_PTR(proposal.config));
	if (change->permanent)
		save_good(manager);
	return 0;
}
