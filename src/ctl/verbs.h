/* SPDX-License-Identifier: MIT */
/* What spalectl does: a function for each verb, in the file of its family. All are VerbRun. */
#pragma once

#include "ctl/options.h"

/* status.c */
ExitCode verb_status(const Options *options);
ExitCode verb_counters(const Options *options);

/* list.c */
ExitCode verb_list(const Options *options);

/* grant.c */
ExitCode verb_grant(const Options *options);
ExitCode verb_extend(const Options *options);
ExitCode verb_revoke(const Options *options);

/* policy.c */
ExitCode verb_allow(const Options *options);
ExitCode verb_disallow(const Options *options);
ExitCode verb_protect(const Options *options);
ExitCode verb_log_only(const Options *options);
ExitCode verb_trial(const Options *options);
ExitCode verb_confirm(const Options *options);
ExitCode verb_reload(const Options *options);

/* client.c, client-add.c */
ExitCode verb_client_add(const Options *options);
ExitCode verb_client_remove(const Options *options);
ExitCode verb_client_enable(const Options *options);
ExitCode verb_client_disable(const Options *options);
ExitCode verb_client_show(const Options *options);
ExitCode verb_client_set(const Options *options);

/* monitor.c */
ExitCode verb_monitor(const Options *options);

/* setup.c */
ExitCode verb_setup(const Options *options);
