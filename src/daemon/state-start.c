/* SPDX-License-Identifier: MIT */
#include "daemon/state-start.h"

#include <errno.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/knock-judge.h"
#include "daemon/manager.h"
#include "util/error.h"
#include "util/parse.h"

/* What cannot be used is tried again after this time. */
#define RETRY_USEC (10 * USEC_PER_SEC)

static int open_and_begin(const Options *options, State **ret_state, char **ret_error)
{
	_cleanup_free_ char *buffer = NULL;
	const char *directory = options_state_directory(options, &buffer);
	_cleanup_state_ State *state = NULL;
	bool fresh;
	int r;

	if (!directory)
		return error_set(ret_error, -ENOMEM, "no memory");
	r = state_open(directory, &state, &fresh, ret_error);
	if (r < 0)
		return r;
	if (!fresh && options->first_start)
		journal_line(LOG_LEVEL_WARNING,
			     "--first-start changes nothing: what was accepted before is on record "
			     "in %s",
			     directory);
	r = fresh ? knock_judge_begin(state, options->first_start, clock_system.real_usec(NULL))
		  : 0;
	if (r < 0)
		return error_set(ret_error, r,
				 "the start cannot be recorded in the state directory %s: %s",
				 directory, strerror(-r));
	*ret_state = TAKE_PTR(state);
	return 0;
}

int state_start(const Options *options, bool goes_on, State **ret_state)
{
	_cleanup_free_ char *error = NULL;
	int r = open_and_begin(options, ret_state, &error);

	if (r == 0)
		return 0;
	if (r == -ENOMEM || !goes_on) {
		journal_line(LOG_LEVEL_ERROR, "%s", error ?: strerror(-r));
		return r;
	}
	journal_line(LOG_LEVEL_ERROR,
		     "%s: what is protected is closed, and no knock can be taken until the state "
		     "directory can be used, which is tried again",
		     error ?: strerror(-r));
	return state_new_unusable(TAKE_PTR(error), ret_state);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	_cleanup_state_ State *state = NULL;
	int r = open_and_begin(userdata, &state, NULL);

	(void)usec;
	if (r == 0) {
		journal_line(LOG_LEVEL_INFO,
			     "the state directory can be used now: the service starts anew");
		return sd_event_exit(sd_event_source_get_event(source), 0);
	}
	r = sd_event_source_set_time_relative(source, RETRY_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int state_wait(const State *state, const Options *options, sd_event *event)
{
	int r = 0;

	if (state_problem(state))
		r = sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, RETRY_USEC, 0,
					       on_retry, (void *)options);
	return r < 0 ? r : 0;
}
