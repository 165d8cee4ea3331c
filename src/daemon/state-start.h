/* SPDX-License-Identifier: MIT */
/*
 * The state directory at the start of the daemon. In the service one that cannot be used opens no
 * port: nobody can knock, all else goes on, and it is tried again.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "daemon/options.h"
#include "daemon/state.h"

/*
 * Opens the state directory of OPTIONS and puts the first start of all on record there. With
 * GOES_ON one that cannot be used becomes a state with a problem (state_problem()); else that is an
 * error. Both are said. Returns 0 or a negative errno.
 */
int state_start(const Options *options, bool goes_on, State **ret_state);

/*
 * Where STATE has a problem: has EVENT look for its end from time to time, and end the loop then,
 * so that the service manager starts a daemon that has all of it. OPTIONS are borrowed. Returns 0
 * or a negative errno.
 */
int state_wait(const State *state, const Options *options, sd_event *event);
