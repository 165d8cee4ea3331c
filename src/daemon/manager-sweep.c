/* SPDX-License-Identifier: MIT */
/*
 * Going through all grants again, when what they were decided by is another: as many at a time as
 * knocks can wait for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "daemon/redecide.h"

/* Grants, and sources that were in conversation, that one call looks at. */
#define GRANTS_IN_A_RUN	 2048
#define ORIGINS_IN_A_RUN 1024

/* ---- slices -------------------------------------------------------------------------------- */

/* Knocks wait this long at most for what goes in portions; the clock is a coarse one. */
#define SLICE_NS (8 * NSEC_PER_MSEC)

Slice manager_slice(const Manager *manager, size_t most)
{
	return (Slice){manager_mono_ns(manager) + SLICE_NS, most};
}

bool manager_slice_has(const Manager *manager, Slice *slice)
{
	if (slice->left == 0 || manager_mono_ns(manager) >= slice->end_mono_ns)
		return false;
	slice->left--;
	return true;
}

void manager_bar(Manager *manager, Barred *barred, const PublicKey *key)
{
	uint64_t now_real_usec = manager_real_usec(manager);

	for (size_t i = 0; i < barred->count; i++)
		if (memcmp(&barred->keys[i], key, sizeof(*key)) == 0)
			return;
	if (barred->all)
		return;
	if (barred->count < ARRAY_SIZE(barred->keys)) {
		barred->keys[barred->count++] = *key;
		knock_judge_bar(manager->judge, key, now_real_usec);
	} else {
		barred->all = true;
		knock_judge_bar_all(manager->judge, now_real_usec);
	}
}

/* ---- grants -------------------------------------------------------------------------------- */

/* Whether nobody has to hear that GRANT was decided anew. */
static bool is_the_same(const Grant *before, const Grant *grant)
{
	return prefix_compare(&before->source, &grant->source) == 0 &&
	       port_list_equal(&before->ports, &grant->ports) &&
	       before->idle_ns == grant->idle_ns && before->grace_ns == grant->grace_ns &&
	       before->deadline_mono_ns == grant->deadline_mono_ns;
}

static void decide_anew(Manager *manager, const RedecideRules *rules, const Grant *grant)
{
	_cleanup_grant_copy_ Grant before = {.id = grant->id};
	const char *detail = NULL, *reason;

	if (grant->is_condemned)
		return;
	before = grant_copy(grant);
	reason = redecide_grant(rules, grant, &detail);
	if (!reason) {
		if (!is_the_same(&before, grant))
			announce_grant_redecided(&manager->announcer, grant);
		return;
	}
	if (grant->origin == GRANT_ORIGIN_KNOCK)
		manager_bar(manager, &manager->sweep.barred, &grant->key);
	manager->kept_is_stale |= grant->origin == GRANT_ORIGIN_ALWAYS;
	manager_end_grant(manager, grant, GRANT_REVOKED, reason, detail);
	manager->sweep.now.reload.revoked++;
}

void manager_note_sessions(Manager *manager)
{
	const SessionRules rules = manager_session_rules(manager);

	for (size_t i = 0; i < grant_table_count(manager->grants); i++)
		sessions_remember(manager->sessions, &rules, grant_table_get(manager->grants, i));
}

/*
 * Looks at some more grants, from the last to the first: what is made meanwhile comes behind them,
 * and where one goes, the last one takes its place, so that none is left out.
 */
static bool run_grants(Manager *manager)
{
	const RedecideRules rules = {manager->config, manager->clients, manager->grants,
				     &manager->projection, manager_real_usec(manager)};
	const SessionRules session_rules = manager_session_rules(manager);
	Slice slice = manager_slice(manager, GRANTS_IN_A_RUN);
	size_t *left = &manager->sweep.left;

	if (*left > grant_table_count(manager->grants))
		*left = grant_table_count(manager->grants);
	for (; *left > 0 && manager_slice_has(manager, &slice); --*left) {
		const Grant *grant = grant_table_get(manager->grants, *left - 1);

		/* Of what it may lose nothing is unknown: it may have been forgotten. */
		sessions_remember(manager->sessions, &session_rules, grant);
		decide_anew(manager, &rules, grant);
	}
	return *left == 0;
}

/* ---- sweeps -------------------------------------------------------------------------------- */

/* ORDER: a copy, for it may be the next one of the sweep, which is forgotten here. */
static void begin(Manager *manager, SweepOrder order)
{
	Sweep *sweep = &manager->sweep;

	sweep->now = order;
	sweep->next = (SweepOrder){0};
	sweep->left = order.number ? grant_table_count(manager->grants) : 0;
	sweep->barred = (Barred){.count = 0};
}

static void finish(Manager *manager)
{
	Sweep *sweep = &manager->sweep;
	const SweepOrder done = sweep->now;
	char detail[128];

	manager->look_mono_ns = 0;
	/* Whoever was barred and is no client any more is on record. */
	knock_judge_keep(manager->judge, manager->clients);
	begin(manager, sweep->next);
	if (done.is_reload) {
		snprintf(detail, sizeof(detail), "%zu clients, %zu grants kept, %zu revoked",
			 client_set_count(manager->clients),
			 done.reload.grants > done.reload.revoked
				 ? done.reload.grants - done.reload.revoked
				 : 0,
			 done.reload.revoked);
		announce_reload(&manager->announcer, false, detail);
	}
	announce_done(&manager->announcer);
}

bool manager_run_sweep(Manager *manager)
{
	const SessionRules rules = manager_session_rules(manager);

	if (manager->sweep.now.number == 0)
		return false;
	if (run_grants(manager) &&
	    sessions_run_redecide(manager->sessions, &rules, ORIGINS_IN_A_RUN))
		finish(manager);
	return manager->sweep.now.number;
}

void manager_end_sessions(Manager *manager, const Config *before)
{
	const SessionRules rules = manager_session_rules(manager);

	sessions_begin_redecide(manager->sessions, before, manager->config);
	(void)sessions_run_redecide(manager->sessions, &rules, SIZE_MAX);
}

void manager_sweep(Manager *manager, const Config *before, const SweptReload *reload)
{
	Sweep *sweep = &manager->sweep;
	SweepOrder order = {.number = ++manager->ordered, .is_reload = reload};

	if (reload)
		order.reload = *reload;
	sessions_begin_redecide(manager->sessions, before, manager->config);
	knock_judge_keep(manager->judge, manager->clients);
	if (sweep->now.number == 0) {
		begin(manager, order);
		(void)manager_run_sweep(manager);
		return;
	}
	/* What is on goes on, by what is in force now, and is done once more for the rest. */
	if (sweep->next.number)
		order.number = sweep->next.number;
	if (!reload && sweep->next.is_reload) {
		order.is_reload = true;
		order.reload = sweep->next.reload;
	}
	sweep->next = order;
}

void manager_forget_reload(Manager *manager)
{
	manager->sweep.now.is_reload = false;
	manager->sweep.next.is_reload = false;
}

/* ---- orders -------------------------------------------------------------------------------- */

bool manager_run_orders(Manager *manager)
{
	if (manager_run_revocations(manager))
		return true;
	return manager_run_sweep(manager);
}

uint64_t manager_ordered(const Manager *manager)
{
	return manager->ordered;
}

bool manager_has_done(const Manager *manager, uint64_t order)
{
	uint64_t revocation = manager_next_revocation(manager), sweep = manager->sweep.now.number;

	return (revocation == 0 || revocation > order) && (sweep == 0 || sweep > order);
}
