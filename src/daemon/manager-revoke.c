/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/heritage.h"
#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "daemon/manager-requests.h"
#include "util/error.h"

/*
 * Grants that one call ends at most, for knocks wait meanwhile. What is more goes in as many calls
 * of manager_expire() as it takes, so that knocks and signals get their turn.
 */
#define IN_A_RUN 512

/* Why, in the journal. */
#define REASON_REVOKED "revoked"

/* A grant that is meant, as it was then: what was renewed since is another. */
typedef struct Target {
	uint64_t id;
	uint64_t renewals;
} Target;

struct Revocation {
	Revocation *next;
	uint64_t number;
	Target *targets;
	size_t count, done;
	bool permanent; /* one of them at least */
	PortList ports; /* that they lose; empty: all */
	const char *reason;
	char *caller;
	bool cuts; /* conversations with those ports, from SOURCE or from everywhere */
	bool has_source;
	Prefix source;
	bool has_client; /* what it had is forgotten */
	PublicKey client;
	Barred barred;
};

static void revocation_free(Revocation *revocation)
{
	if (!revocation)
		return;
	port_list_done(&revocation->ports);
	free(revocation->targets);
	free(revocation->caller);
	free(revocation);
}
DEFINE_CLEANUP(Revocation, revocation_free)
#define _cleanup_revocation_ _cleanup_(revocation_freep)

/* ---- which grants -------------------------------------------------------------------------- */

/* Which grants are meant: all members that are set have to be so. */
typedef struct Meaning {
	const Grant *grant; /* this one alone: nobody else is looked at */
	const Prefix *source;
	const PortList *ports; /* one of these at least */
	const PublicKey *key;
	bool temporary;
	bool bars; /* the knocks of those who lose something */
} Meaning;

static bool shares_port(const PortList *a, const PortList *b)
{
	port_list_foreach (x, a) {
		port_list_foreach (y, b) {
			if (x->protocol == y->protocol && x->first <= y->last &&
			    y->first <= x->last)
				return true;
		}
	}
	return false;
}

/* Whether PORTS (NULL or empty: all) leave GRANT nothing. */
static bool takes_all(const PortList *ports, const Grant *grant)
{
	if (!ports || ports->count == 0)
		return true;
	port_list_foreach (range, &grant->ports) {
		bool is_taken = false;

		/* No two ranges of a list adjoin: one holds all of it, or none does. */
		port_list_foreach (taken, ports)
			is_taken |= taken->protocol == range->protocol &&
				    taken->first <= range->first && range->last <= taken->last;
		if (!is_taken)
			return false;
	}
	return true;
}

static bool means(const Meaning *meaning, const Grant *grant)
{
	if (grant->is_condemned)
		return false;
	if (meaning->temporary && grant->origin != GRANT_ORIGIN_ADMINISTRATOR)
		return false;
	if (meaning->key && (grant->origin != GRANT_ORIGIN_KNOCK ||
			     memcmp(meaning->key, &grant->key, sizeof(grant->key)) != 0))
		return false;
	if (meaning->source && (grant->source.length < meaning->source->length ||
				!prefix_contains(meaning->source, &grant->source.address)))
		return false;
	return !meaning->ports || meaning->ports->count == 0 ||
	       shares_port(meaning->ports, &grant->ports);
}

/*
 * Has GRANT lose what REVOCATION, which has room for it, is about, if it is meant. Only what goes
 * as a whole is condemned: until what keeps other ports has lost some, it is a grant like any
 * other.
 */
static void add_target(Manager *manager, Revocation *revocation, const Meaning *meaning,
		       const Grant *grant)
{
	if (!means(meaning, grant))
		return;
	revocation->targets[revocation->count++] = (Target){grant->id, grant->renewals};
	revocation->permanent |= grant->origin == GRANT_ORIGIN_ALWAYS;
	/* Knocks that were held back on their way must not undo it. */
	if (meaning->bars && grant->origin == GRANT_ORIGIN_KNOCK)
		manager_bar(manager, &revocation->barred, &grant->key);
	if (takes_all(meaning->ports, grant))
		grant_table_condemn(manager->grants, grant->id);
}

/* A Revocation of all that is meant. NULL: no memory. */
static Revocation *make(Manager *manager, const Meaning *meaning, const char *caller)
{
	_cleanup_revocation_ Revocation *revocation = calloc(1, sizeof(*revocation));
	size_t count = meaning->grant ? 1 : grant_table_count(manager->grants);

	if (!revocation)
		return NULL;
	revocation->reason = REASON_REVOKED;
	revocation->targets = calloc(count ?: 1, sizeof(*revocation->targets));
	revocation->caller = caller ? strdup(caller) : NULL;
	if (!revocation->targets || (caller && !revocation->caller))
		return NULL;
	if (meaning->ports && port_list_copy(meaning->ports, &revocation->ports) < 0)
		return NULL;
	if (meaning->source) {
		revocation->has_source = true;
		revocation->source = *meaning->source;
	}
	if (meaning->grant)
		add_target(manager, revocation, meaning, meaning->grant);
	for (size_t i = 0; !meaning->grant && i < count; i++)
		add_target(manager, revocation, meaning, grant_table_get(manager->grants, i));
	return TAKE_PTR(revocation);
}

/* ---- doing it ------------------------------------------------------------------------------ */

/* Takes PORTS from GRANT, which has others. A negative errno: it has all of them still. */
static int narrow(Manager *manager, const Grant *grant, const Revocation *revocation)
{
	_cleanup_port_list_ PortList lost = PORT_LIST_NULL;
	_cleanup_entry_changes_ EntryChanges changes = {0};
	int r;

	r = port_list_intersect(&grant->ports, &revocation->ports, &lost);
	if (r == 0)
		r = grant_table_narrow(manager->grants, grant->id, &revocation->ports, &changes);
	if (r < 0)
		return r;
	heritage_note(manager->enforcer, grant);
	projection_apply_surely(&manager->projection, &changes);
	/* It may have lost them meanwhile for another reason. */
	if (lost.count > 0)
		announce_grant_narrowed(&manager->announcer, grant, &lost, revocation->reason);
	return 0;
}

static void revoke_one(Manager *manager, const Revocation *revocation, const Target *target)
{
	const Grant *grant = grant_table_by_id(manager->grants, target->id);

	/* It ended meanwhile, or was renewed. */
	if (!grant || grant->renewals != target->renewals)
		return;
	manager->kept_is_stale |= grant->origin == GRANT_ORIGIN_ALWAYS;
	/* What cannot be narrowed, for lack of anything else or of memory, goes as a whole. */
	if (revocation->ports.count > 0 && narrow(manager, grant, revocation) == 0)
		return;
	manager_end_grant(manager, grant, GRANT_REVOKED, revocation->reason, NULL);
}

/* Ends some more grants. Whether that was all. */
static bool run(Manager *manager, Revocation *revocation)
{
	const SessionRules rules = manager_session_rules(manager);
	Slice slice = manager_slice(manager, IN_A_RUN);

	manager->announcer.caller = revocation->caller;
	while (revocation->done < revocation->count && manager_slice_has(manager, &slice))
		revoke_one(manager, revocation, &revocation->targets[revocation->done++]);
	manager->announcer.caller = NULL;
	if (revocation->done < revocation->count)
		return false;
	if (revocation->cuts)
		sessions_cut(manager->sessions, &rules,
			     revocation->has_source ? &revocation->source : NULL,
			     &revocation->ports);
	if (revocation->has_client)
		sessions_cut_client(manager->sessions, &rules, &revocation->client);
	manager_settle_kept(manager, manager_mono_ns(manager));
	return true;
}

/* What cannot be done at once comes behind what others have asked for. */
static void enqueue(Manager *manager, Revocation *revocation)
{
	Revocation **last = &manager->revocations;

	revocation->number = ++manager->ordered;
	while (*last)
		last = &(*last)->next;
	*last = revocation;
	manager->look_mono_ns = 0;
}

/*
 * Takes over REVOCATION, and does of it what can be done at once. *RET_COUNT (may be NULL) is how
 * many grants it ends. -EROFS: all of it is done, but what was permanent is still on disk.
 */
static int begin(Manager *manager, Revocation *revocation, size_t *ret_count, char **ret_error)
{
	_cleanup_revocation_ Revocation *mine = revocation;
	bool permanent = mine->permanent;

	if (ret_count)
		*ret_count = mine->count;
	if (permanent)
		manager->keep_mono_ns = 0; /* not as late as it was to be tried again */
	if (mine->count > 0 && !run(manager, mine)) {
		enqueue(manager, TAKE_PTR(mine));
		/* What is condemned is kept no more. */
		manager->kept_is_stale |= permanent;
		manager_settle_kept(manager, manager_mono_ns(manager));
	}
	if (permanent && (!manager->kept || manager->kept_is_stale))
		return error_set(ret_error, -EROFS,
				 "it is revoked, but what was permanent comes back at a restart, "
				 "unless the state directory takes that before: make room there, "
				 "or make it writable");
	return 0;
}

bool manager_run_revocations(Manager *manager)
{
	Revocation *first = manager->revocations;

	if (!first || !run(manager, first))
		return first;
	manager->revocations = first->next;
	revocation_free(first);
	announce_done(&manager->announcer);
	return manager->revocations;
}

uint64_t manager_next_revocation(const Manager *manager)
{
	return manager->revocations ? manager->revocations->number : 0;
}

void manager_drop_revocations(Manager *manager)
{
	while (manager->revocations) {
		Revocation *first = manager->revocations;

		manager->revocations = first->next;
		revocation_free(first);
	}
}

/* ---- temporary grants ---------------------------------------------------------------------- */

/* Without memory for what goes in portions knocks have to wait. */
static size_t end_at_once(Manager *manager, const Meaning *meaning, const char *reason)
{
	size_t before = grant_table_count(manager->grants);

	for (size_t i = before; i-- > 0;)
		if (means(meaning, grant_table_get(manager->grants, i)))
			manager_end_grant(manager, grant_table_get(manager->grants, i),
					  GRANT_REVOKED, reason, NULL);
	return before - grant_table_count(manager->grants);
}

size_t manager_end_temporary(Manager *manager, const char *reason)
{
	const Meaning meaning = {.temporary = true};
	Revocation *revocation = make(manager, &meaning, manager->announcer.caller);
	size_t count;

	if (!revocation)
		return end_at_once(manager, &meaning, reason);
	revocation->reason = reason;
	(void)begin(manager, revocation, &count, NULL);
	return count;
}

void manager_stop(Manager *manager)
{
	manager_end_temporary(manager, "restart");
	while (manager_run_orders(manager))
		;
	manager_end_temporary_policy(manager);
}

/* ---- requests ------------------------------------------------------------------------------ */

static int no_memory(char **ret_error)
{
	return error_set(ret_error, -ENOMEM, "no memory");
}

int manager_revoke_grant(Manager *manager, uint64_t id, const char *caller, char **ret_error)
{
	const Grant *grant = grant_table_by_id(manager->grants, id);
	const Meaning meaning = {.grant = grant, .bars = true};
	Revocation *revocation;

	if (!grant || grant->is_condemned)
		return error_set(ret_error, -ENOENT, "there is no grant %" PRIu64, id);
	revocation = make(manager, &meaning, caller);
	if (!revocation)
		return no_memory(ret_error);
	revocation->cuts = true;
	revocation->has_source = true;
	revocation->source = grant->source;
	return begin(manager, revocation, NULL, ret_error);
}

int manager_revoke_grants(Manager *manager, const Prefix *source, const PortList *ports,
			  const char *caller, size_t *ret_count, char **ret_error)
{
	const Meaning meaning = {.source = source, .ports = ports, .bars = true};
	_cleanup_revocation_ Revocation *revocation = make(manager, &meaning, caller);
	char text[ADDRESS_TEXT_MAX];

	if (!revocation)
		return no_memory(ret_error);
	if (revocation->count == 0)
		return error_set(ret_error, -ENOENT, "nothing of this is granted to %s",
				 prefix_format(source, text));
	revocation->cuts = true;
	return begin(manager, TAKE_PTR(revocation), ret_count, ret_error);
}

int manager_revoke_client(Manager *manager, const char *name, const char *caller, size_t *ret_count,
			  char **ret_error)
{
	const Client *client = client_set_by_name(manager->clients, name);
	const SessionRules rules = manager_session_rules(manager);
	Meaning meaning = {0};
	Revocation *revocation;

	if (!client)
		return error_set(ret_error, -ENOKEY, "there is no client \"%s\"", name);
	meaning.key = &client->key;
	revocation = make(manager, &meaning, caller);
	if (!revocation)
		return no_memory(ret_error);
	knock_judge_bar(manager->judge, &client->key, manager_real_usec(manager));
	revocation->has_client = true;
	revocation->client = client->key;
	/* Conversations outlive their grants: without any grant they have to end here. */
	if (revocation->count == 0)
		sessions_cut_client(manager->sessions, &rules, &client->key);
	return begin(manager, revocation, ret_count, ret_error);
}

int manager_revoke_all(Manager *manager, const char *caller, size_t *ret_count, char **ret_error)
{
	const Meaning meaning = {0};
	const SessionRules rules = manager_session_rules(manager);
	Revocation *revocation = make(manager, &meaning, caller);

	if (!revocation)
		return no_memory(ret_error);
	revocation->cuts = revocation->count > 0;
	knock_judge_bar_all(manager->judge, manager_real_usec(manager));
	/* As above. */
	if (!revocation->cuts)
		sessions_cut(manager->sessions, &rules, NULL, NULL);
	return begin(manager, revocation, ret_count, ret_error);
}
