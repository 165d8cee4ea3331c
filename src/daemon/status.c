/* SPDX-License-Identifier: MIT */
#include "daemon/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "daemon/journal.h"
#include "daemon/manager-requests.h"

/* What there is to tell now. */
static Status look_around(const Status *status, const Manager *manager)
{
	const Interfaces *interfaces = manager_interfaces(manager);

	return (Status){
		.reload_failed = status->reload_failed,
		.fallback = status->fallback,
		.told_fallback = status->fallback,
		.grants = grant_table_count(manager_grants(manager)),
		.accepted = manager_accepted(manager),
		.missing = interfaces_count(interfaces, INTERFACE_MISSING),
		.failing = interfaces_count(interfaces, INTERFACE_FAILING),
		.told_failed = status->reload_failed,
		.told_log_only = manager_config(manager)->log_only,
		.deafness = manager_deafness(manager),
		.trial_until_usec = manager_trial_is_over(manager)
					    ? UINT64_MAX
					    : manager_trial_until_real_usec(manager),
	};
}

void status_tell(Status *status, const Manager *manager)
{
	const Status now = look_around(status, manager);
	char missing[64] = "", failing[64] = "";
	char trial[64] = "", time[JOURNAL_TIME_MAX];
	const char *wrong = "";

	if (now.grants == status->grants && now.accepted == status->accepted &&
	    now.missing == status->missing && now.failing == status->failing &&
	    now.told_failed == status->told_failed && now.told_fallback == status->told_fallback &&
	    now.told_log_only == status->told_log_only && now.deafness == status->deafness &&
	    now.trial_until_usec == status->trial_until_usec)
		return;
	*status = now;
	if (now.missing > 0)
		snprintf(missing, sizeof(missing), "; interfaces missing: %zu", now.missing);
	if (now.failing > 0)
		snprintf(failing, sizeof(failing), "; interfaces not protected: %zu", now.failing);
	if (now.fallback)
		wrong = now.fallback;
	else if (now.reload_failed)
		wrong = "the last reload failed, the old configuration is in force";
	if (now.trial_until_usec == UINT64_MAX)
		snprintf(trial, sizeof(trial), "; a trial is over: nothing is dropped");
	else if (now.trial_until_usec > 0)
		snprintf(trial, sizeof(trial), "; trial until %s",
			 journal_format_time(now.trial_until_usec, time));
	else if (now.told_log_only)
		snprintf(trial, sizeof(trial), "; log-only: nothing is dropped");
	sd_notifyf(false, "STATUS=%zu grant%s, %" PRIu64 " knock%s accepted%s%s%s%s%s%s%s",
		   now.grants, now.grants == 1 ? "" : "s", now.accepted,
		   now.accepted == 1 ? "" : "s", missing, failing, trial, *wrong ? "; " : "", wrong,
		   now.deafness ? "; no knock can be taken: " : "", now.deafness ?: "");
}
