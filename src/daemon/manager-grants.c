/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/heritage.h"
#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "util/error.h"
#include "util/parse.h"

/* Whatever the kernel may have of it: without memory the grant goes all the same. */
static void drop(Manager *manager, uint64_t id)
{
	grant_table_drop(manager->grants, id);
	projection_lose(&manager->projection);
}

void manager_end_grant(Manager *manager, const Grant *grant, GrantEnd end, const char *reason,
		       const char *detail)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	_cleanup_grant_copy_ Grant gone = grant_copy(grant);
	uint64_t id = grant->id;

	heritage_forget(manager->enforcer, id);
	if (grant_table_remove(manager->grants, id, &changes) == 0)
		projection_apply_surely(&manager->projection, &changes);
	else
		drop(manager, id);
	announce_grant_gone(&manager->announcer, &gone, end, reason, detail);
}

/*
 * The kernel did not take the grant ID, for which the table wanted CHANGES. The grant goes, with
 * what it had before it was renewed, and so does what had to yield to it; what others have of the
 * entries that they shared becomes theirs alone.
 */
static void take_back(Manager *manager, uint64_t id, const EntryChanges *changes)
{
	_cleanup_entry_changes_ EntryChanges back = {0};
	int r;

	heritage_forget(manager->enforcer, id);
	r = grant_table_remove(manager->grants, id, &back);
	if (r == 0)
		r = grant_table_project_some(manager->grants, changes, &back);
	if (r == 0)
		projection_apply_surely(&manager->projection, &back);
	else
		drop(manager, id);
}

uint64_t manager_deadline_real_usec(const Manager *manager, const Grant *grant)
{
	uint64_t now_mono_ns = manager_mono_ns(manager), left_ns;

	if (grant->deadline_mono_ns == SPALE_NEVER_NS)
		return UINT64_MAX;
	left_ns = grant->deadline_mono_ns > now_mono_ns ? grant->deadline_mono_ns - now_mono_ns : 0;
	return manager_real_usec(manager) + left_ns / NSEC_PER_USEC;
}

/* What a grant that is made pushes aside, as it was. */
typedef struct Displaced {
	bool renews; /* a grant that was there */
	bool has_gone;
	Grant gone; /* that has to yield */
} Displaced;

static void displaced_done(Displaced *displaced)
{
	grant_copy_done(&displaced->gone);
}
#define _cleanup_displaced_ _cleanup_(displaced_done)

static Displaced find_displaced(const GrantTable *grants, const Client *client,
				const Decision *decision)
{
	const Grant *gone = grant_table_yielding(grants, client, decision);
	Displaced displaced = {
		.renews = grant_table_same(grants, client, decision),
		.has_gone = gone,
	};

	if (gone)
		displaced.gone = grant_copy(gone);
	return displaced;
}

/* Says that what was displaced is gone. */
static void end_displaced(Manager *manager, const Displaced *displaced, GrantEnd end,
			  const char *reason, const char *detail)
{
	if (!displaced->has_gone)
		return;
	heritage_forget(manager->enforcer, displaced->gone.id);
	announce_grant_gone(&manager->announcer, &displaced->gone, end, reason, detail);
}

/* The kernel did not take GRANT, which is in the table, for which that wanted CHANGES. */
static void refuse_grant(Manager *manager, const Grant *grant, const EntryChanges *changes,
			 const Displaced *displaced)
{
	_cleanup_grant_copy_ Grant copy = grant_copy(grant);
	const char *reason = refusal_name(REFUSAL_ENFORCER);
	const char *detail = refusal_meaning(REFUSAL_ENFORCER);

	take_back(manager, copy.id, changes);
	if (displaced->renews)
		announce_grant_gone(&manager->announcer, &copy, GRANT_REVOKED, reason, detail);
	end_displaced(manager, displaced, GRANT_REVOKED, reason, detail);
}

/* GRANT may end before anything else does. */
static void look_at(Manager *manager, const Grant *grant)
{
	if (manager->look_mono_ns > grant_end_mono_ns(grant))
		manager->look_mono_ns = grant_end_mono_ns(grant);
}

Refusal manager_make_grant(Manager *manager, const struct spale_knock *knock,
			   const KnockVerdict *verdict, uint64_t now_mono_ns)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	_cleanup_displaced_ Displaced displaced =
		find_displaced(manager->grants, verdict->client, &verdict->decision);
	const SessionRules rules = manager_session_rules(manager);
	const Grant *grant = grant_table_same(manager->grants, verdict->client, &verdict->decision);
	uint64_t until_usec;
	int r;

	/* As it was before what is in force now: nobody else would know of it. */
	if (grant && manager->sweep.now.number)
		sessions_remember(manager->sessions, &rules, grant);
	grant_numbers_reserve(&manager->numbers, manager->grants);
	r = grant_table_add(manager->grants, verdict->client, &verdict->decision, now_mono_ns,
			    &changes, &grant);
	if (r < 0)
		return REFUSAL_LIMIT;
	heritage_note(manager->enforcer, grant);
	r = projection_apply(&manager->projection, &changes);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "the kernel did not take a grant: %s",
			     enforcer_error(manager->enforcer));
		refuse_grant(manager, grant, &changes, &displaced);
		return REFUSAL_ENFORCER;
	}
	look_at(manager, grant);
	sessions_note(manager->sessions, &rules, grant);
	until_usec = manager_deadline_real_usec(manager, grant);
	announce_accepted(&manager->announcer, knock, grant, until_usec);
	end_displaced(manager, &displaced, GRANT_REPLACED, "replaced",
		      "the client has as many grants as it may have");
	if (displaced.renews)
		announce_grant_extended(&manager->announcer, grant, until_usec);
	else
		announce_grant_added(&manager->announcer, grant, until_usec);
	return REFUSAL_NONE;
}

int manager_put_grant(Manager *manager, const Decision *decision, const Grant **ret_grant,
		      char **ret_error)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	const Displaced displaced = {
		.renews = grant_table_same(manager->grants, NULL, decision),
	};
	const Grant *grant;
	int r;

	grant_numbers_reserve(&manager->numbers, manager->grants);
	r = grant_table_add(manager->grants, NULL, decision, manager_mono_ns(manager), &changes,
			    &grant);
	if (r == -ENOSPC)
		return error_set(ret_error, -E2BIG,
				 "there are too many grants: at most %d, for %d ports and sources",
				 GRANTS_MAX, SPALE_GRANTS_MAX);
	if (r < 0)
		return error_set(ret_error, r, "the grant cannot be made: %s", strerror(-r));
	heritage_note(manager->enforcer, grant);
	r = projection_apply(&manager->projection, &changes);
	if (r < 0) {
		error_set(ret_error, r, "%s", enforcer_error(manager->enforcer));
		refuse_grant(manager, grant, &changes, &displaced);
		return r == -ENOSPC ? -E2BIG : r;
	}
	look_at(manager, grant);
	*ret_grant = grant;
	return 0;
}

void manager_refresh_grant(Manager *manager, const Grant *grant)
{
	projection_pull_last(&manager->projection, manager->grants, grant);
}

uint64_t manager_grant_packets(Manager *manager, const Grant *grant)
{
	return projection_packets(&manager->projection, grant);
}
