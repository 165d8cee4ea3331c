/* SPDX-License-Identifier: MIT */
#include "daemon/heritage.h"
#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "util/parse.h"

/* Most grants that one call of manager_expire() looks at, so that knocks and signals get their
 * turn. */
#define EXPIRE_BATCH 256

/* CLOCK_BOOTTIME got this much ahead of CLOCK_MONOTONIC: the machine was suspended. */
#define SUSPEND_MIN_NS NSEC_PER_SEC

/*
 * Looking for ended grants means looking at all of them, so it is not done more often than this.
 * The kernel does not wait for it.
 */
#define EXPIRE_STEP_NS (NSEC_PER_SEC / 4)

/* When to try again what the kernel did not take. */
#define RETRY_NS NSEC_PER_SEC

/* Removes what has ended at NOW, EXPIRE_BATCH grants at most. Whether that was all. */
static bool expire_until(Manager *manager, uint64_t now_mono_ns)
{
	uint64_t ended[EXPIRE_BATCH];
	size_t count = 0;

	for (size_t i = 0; i < grant_table_count(manager->grants) && count < EXPIRE_BATCH; i++) {
		const Grant *grant = grant_table_get(manager->grants, i);

		if (grant_end_mono_ns(grant) <= now_mono_ns)
			ended[count++] = grant->id;
	}
	for (size_t i = 0; i < count; i++) {
		const Grant *grant = grant_table_by_id(manager->grants, ended[i]);

		projection_pull_last(&manager->projection, manager->grants, grant);
		if (grant_end_mono_ns(grant) > now_mono_ns)
			continue;
		manager->kept_is_stale |= grant->origin == GRANT_ORIGIN_ALWAYS;
		manager_end_grant(manager, grant, GRANT_EXPIRED, NULL, NULL);
	}
	return count < EXPIRE_BATCH;
}

/*
 * The monotonic clock stood still while the machine was suspended, so every grant would last that
 * much longer: its times are moved back. The kernel's entries are removed before they are put, for
 * it keeps the later of two times of a last packet.
 */
static void make_up_for_suspend(Manager *manager, uint64_t now_mono_ns)
{
	_cleanup_entry_changes_ EntryChanges entries = {0}, anew = {0};
	uint64_t suspended = manager_measure_suspended_ns(manager, now_mono_ns), delta;
	int r = 0;

	if (suspended < manager->suspended_ns + SUSPEND_MIN_NS)
		return;
	delta = suspended - manager->suspended_ns;
	manager->suspended_ns = suspended;
	for (size_t i = 0; i < grant_table_count(manager->grants); i++)
		projection_pull_last(&manager->projection, manager->grants,
				     grant_table_get(manager->grants, i));
	/* Before the shift: times do not go below zero. */
	for (size_t left = grant_table_count(manager->grants) / EXPIRE_BATCH + 1; left > 0; left--)
		(void)expire_until(manager, now_mono_ns + delta);
	manager->look_mono_ns = now_mono_ns;
	manager_shift_trial(manager, delta);
	grant_table_shift(manager->grants, delta);
	for (size_t i = 0; r == 0 && i < grant_table_count(manager->grants); i++) {
		heritage_note(manager->enforcer, grant_table_get(manager->grants, i));
		r = grant_entries(grant_table_get(manager->grants, i), &entries);
	}
	for (size_t i = 0; i < entries.count; i++)
		entries.items[i].put = false;
	if (r == 0)
		r = grant_table_project(manager->grants, &anew);
	if (r == 0)
		r = projection_append(&entries, &anew);
	/* Then ends are made up for, and idle times are not. */
	if (r < 0)
		projection_lose(&manager->projection);
	else
		projection_apply_surely(&manager->projection, &entries);
}

/* Looks for ended grants, if there can be any, and when to look again. */
static void look_for_ended(Manager *manager, uint64_t now_mono_ns)
{
	if (now_mono_ns < manager->look_mono_ns)
		return;
	if (!expire_until(manager, now_mono_ns)) {
		manager->look_mono_ns = now_mono_ns;
		return;
	}
	manager->look_mono_ns = grant_table_next_end_mono_ns(manager->grants);
	if (manager->look_mono_ns < now_mono_ns + EXPIRE_STEP_NS)
		manager->look_mono_ns = now_mono_ns + EXPIRE_STEP_NS;
}

int manager_expire(Manager *manager, uint64_t *ret_next_mono_ns)
{
	uint64_t now_mono_ns = manager_mono_ns(manager), next_mono_ns, interfaces_mono_ns,
		 kept_mono_ns, trial_mono_ns;
	int r;

	r = projection_retry(&manager->projection);
	make_up_for_suspend(manager, now_mono_ns);
	look_for_ended(manager, now_mono_ns);
	next_mono_ns = announce_flush(&manager->announcer, now_mono_ns);
	if (next_mono_ns > manager->look_mono_ns)
		next_mono_ns = manager->look_mono_ns;
	trial_mono_ns = manager_run_trial(manager, now_mono_ns);
	if (next_mono_ns > trial_mono_ns)
		next_mono_ns = trial_mono_ns;
	interfaces_mono_ns = interfaces_run(&manager->interfaces, manager->config, now_mono_ns);
	manager_tell_interfaces(manager);
	if (next_mono_ns > interfaces_mono_ns)
		next_mono_ns = interfaces_mono_ns;
	kept_mono_ns = manager_settle_kept(manager, now_mono_ns);
	if (next_mono_ns > kept_mono_ns)
		next_mono_ns = kept_mono_ns;
	if (manager_run_orders(manager))
		next_mono_ns = now_mono_ns;
	if (projection_is_behind(&manager->projection) && next_mono_ns > now_mono_ns + RETRY_NS)
		next_mono_ns = now_mono_ns + RETRY_NS;
	*ret_next_mono_ns = next_mono_ns;
	return r;
}
