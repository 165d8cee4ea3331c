/* SPDX-License-Identifier: MIT */
#include "daemon/reload-notice.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "daemon/reload-request.h"
#include "util/parse.h"

void reload_notice_begin(void)
{
	sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   (uint64_t)(clock_system.mono_ns(NULL) / NSEC_PER_USEC));
}

void reload_notice_end(ReloadNotice *notice, const Manager *manager,
		       const struct signalfd_siginfo *asker, int result)
{
	notice->is_on = true;
	if (result == 0)
		notice->order = manager_ordered(manager);
	if (result == 0 && asker && notice->count < RELOAD_NOTICE_ASKERS_MAX) {
		notice->askers[notice->count++] = *asker;
		asker = NULL;
	}
	reload_notice_settle(notice, manager);
	if (asker)
		reload_request_answer(asker, result);
}

void reload_notice_settle(ReloadNotice *notice, const Manager *manager)
{
	if (!notice->is_on || !manager_has_done(manager, notice->order))
		return;
	notice->is_on = false;
	/* The service manager hears of the end before the askers do. */
	sd_notify(false, "READY=1");
	for (size_t i = 0; i < notice->count; i++)
		reload_request_answer(&notice->askers[i], 0);
	notice->count = 0;
}
