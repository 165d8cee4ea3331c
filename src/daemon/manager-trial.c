/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "daemon/manager-requests.h"
#include "util/error.h"

/* What is in force at the moment, with TRIAL. It owns nothing. */
static Config with_trial(const Manager *manager, const Trial *trial)
{
	Config config = *manager->config;

	trial_apply(trial, &config);
	return config;
}

static void announce_trial(Manager *manager, const char *reason, const char *caller)
{
	char until[JOURNAL_TIME_MAX];
	const Trial *trial = &manager->trial;

	journal_event(JOURNAL_POLICY_CHANGED,
		      &(JournalFields){
			      .reason = reason,
			      .until = trial->state == TRIAL_ON
					       ? journal_format_time(trial->until_real_usec, until)
					       : NULL,
			      .caller = caller,
			      .detail = trial->state == TRIAL_ON
						? "then nothing is dropped, unless it is confirmed"
						: "nobody has confirmed it: nothing is dropped",
		      });
	announce_policy(&manager->announcer);
}

void manager_load_trial(Manager *manager)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};

	if (state_problem(manager->state))
		return;
	manager->trial = trial_load(state_directory_fd(manager->state), manager_mono_ns(manager),
				    manager_real_usec(manager), &diagnostics);
	journal_diagnostics(&diagnostics);
	trial_apply(&manager->trial, manager->config);
	if (manager->trial.state == TRIAL_OVER)
		journal_line(LOG_LEVEL_WARNING,
			     "a trial is over and nobody has confirmed it, so nothing is dropped "
			     "until a reload");
}

/* Whether the command line lets anything be enforced. */
static int check_options(const Manager *manager, char **ret_error)
{
	const PolicyChange enforcing = {.has_log_only = true};
	_cleanup_policy_proposal_ PolicyProposal unused = {0};

	return manager->layers
		       ? policy_layers_propose(manager->layers, &enforcing, &unused, ret_error)
		       : 0;
}

int manager_trial(Manager *manager, uint64_t duration_ns, const char *caller,
		  uint64_t *ret_until_real_usec, char **ret_error)
{
	const Trial trial = {
		.state = TRIAL_ON,
		.end_mono_ns = manager_mono_ns(manager) + duration_ns,
		.until_real_usec = manager_real_usec(manager) + duration_ns / NSEC_PER_USEC,
		.length_ns = duration_ns,
	};
	const char *why = "no memory";
	Config config;
	int r;

	if (duration_ns < TRIAL_MIN_NS || duration_ns > TRIAL_MAX_NS)
		return error_set(ret_error, -EINVAL, "a trial lasts from a second to seven days");
	r = check_options(manager, ret_error);
	if (r < 0)
		return r;
	config = with_trial(manager, &trial);
	r = manager_try_config(manager, &config);
	if (r < 0) {
		error_set(ret_error, r, "the kernel did not take it: %s",
			  enforcer_error(manager->enforcer));
	} else {
		r = trial_write(&trial, state_directory_fd(manager->state), &why);
		if (r < 0)
			error_set(ret_error, r, "it cannot be kept in the state directory: %s",
				  why);
	}
	if (r < 0) {
		(void)trial_write(&manager->trial, state_directory_fd(manager->state), NULL);
		(void)enforcer_set_policy(manager->enforcer, manager->config);
		return r;
	}
	manager->trial = trial;
	trial_apply(&trial, manager->config);
	announce_trial(manager, "trial", caller);
	*ret_until_real_usec = trial.until_real_usec;
	return 0;
}

int manager_confirm(Manager *manager, const char *caller, char **ret_error)
{
	const PolicyChange enforcing = {.has_log_only = true, .permanent = true};

	if (manager->trial.state != TRIAL_ON ||
	    manager_mono_ns(manager) >= manager->trial.end_mono_ns)
		return error_set(ret_error, -ENOTCONN, "there is no trial to confirm%s",
				 manager->trial.state == TRIAL_NONE ? "" : ": it is over");
	return manager_change_policy(manager, &enforcing, caller, ret_error);
}

uint64_t manager_trial_until_real_usec(const Manager *manager)
{
	return manager->trial.state == TRIAL_ON ? manager->trial.until_real_usec : 0;
}

bool manager_trial_is_over(const Manager *manager)
{
	return manager->trial.state == TRIAL_OVER;
}

/* The kernel has ended it already; what it does not take now changes nothing. */
static void end_trial(Manager *manager)
{
	const char *why = "no memory";

	manager->trial.state = TRIAL_OVER;
	trial_apply(&manager->trial, manager->config);
	if (enforcer_set_policy(manager->enforcer, manager->config) < 0)
		journal_line(LOG_LEVEL_WARNING, "the kernel was not told that a trial is over: %s",
			     enforcer_error(manager->enforcer));
	if (trial_write(&manager->trial, state_directory_fd(manager->state), &why) < 0)
		journal_line(LOG_LEVEL_WARNING, "it is not written down that a trial is over: %s",
			     why);
	announce_trial(manager, "trial-over", NULL);
}

uint64_t manager_run_trial(Manager *manager, uint64_t now_mono_ns)
{
	if (manager->trial.state != TRIAL_ON)
		return SPALE_NEVER_NS;
	if (now_mono_ns < manager->trial.end_mono_ns)
		return manager->trial.end_mono_ns;
	end_trial(manager);
	return SPALE_NEVER_NS;
}

void manager_shift_trial(Manager *manager, uint64_t delta_ns)
{
	Trial *trial = &manager->trial;

	if (trial->state != TRIAL_ON)
		return;
	/* 0 would be none. */
	trial->end_mono_ns = trial->end_mono_ns > delta_ns ? trial->end_mono_ns - delta_ns : 1;
	trial_apply(trial, manager->config);
	if (enforcer_set_policy(manager->enforcer, manager->config) < 0)
		journal_line(LOG_LEVEL_ERROR,
			     "a trial lasts longer than it should, by the time of a suspend: %s",
			     enforcer_error(manager->enforcer));
}

Trial manager_trial_after_reload(const Manager *manager)
{
	return manager->trial.state == TRIAL_ON ? manager->trial : (Trial){.state = TRIAL_NONE};
}

void manager_forget_trial(Manager *manager)
{
	const char *why = "no memory";

	if (manager->trial.state != TRIAL_OVER)
		return;
	manager->trial = (Trial){.state = TRIAL_NONE};
	if (trial_write(&manager->trial, state_directory_fd(manager->state), &why) < 0)
		journal_line(LOG_LEVEL_WARNING,
			     "a trial that is over will count again at a restart: %s", why);
}
