/* SPDX-License-Identifier: MIT */
#include "daemon/manager.h"

#include <errno.h>
#include <string.h>

#include "daemon/heritage.h"
#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "util/parse.h"

uint64_t manager_mono_ns(const Manager *manager)
{
	return manager->clock.mono_ns(manager->clock.userdata);
}

uint64_t manager_real_usec(const Manager *manager)
{
	return manager->clock.real_usec(manager->clock.userdata);
}

uint64_t manager_measure_suspended_ns(const Manager *manager, uint64_t now_mono_ns)
{
	uint64_t boot_ns = manager->clock.boot_ns(manager->clock.userdata);

	return boot_ns > now_mono_ns ? boot_ns - now_mono_ns : 0;
}

SessionRules manager_session_rules(const Manager *manager)
{
	return (SessionRules){manager->config, manager->clients, manager->grants,
			      manager_real_usec(manager)};
}

/* ---- observers ----------------------------------------------------------------------------- */

int manager_observe(Manager *manager, const ManagerObserver *observer)
{
	Announcer *announcer = &manager->announcer;

	if (announcer->observer_count == ARRAY_SIZE(announcer->observers))
		return -ENOSPC;
	announcer->observers[announcer->observer_count++] = observer;
	return 0;
}

void manager_ignore(Manager *manager, const ManagerObserver *observer)
{
	Announcer *announcer = &manager->announcer;

	for (size_t i = 0; i < announcer->observer_count; i++) {
		if (announcer->observers[i] != observer)
			continue;
		announcer->observer_count--;
		memmove(&announcer->observers[i], &announcer->observers[i + 1],
			(announcer->observer_count - i) * sizeof(announcer->observers[0]));
		return;
	}
}

void manager_tell_interfaces(Manager *manager)
{
	if (!manager->interfaces.has_changed)
		return;
	manager->interfaces.has_changed = false;
	announce_interfaces(&manager->announcer);
}

/* ---- knocks -------------------------------------------------------------------------------- */

static void note_activity(Manager *manager, const struct spale_knock *knock, const Client *client,
			  Refusal refusal)
{
	KnockPeer *peer = client ? knock_judge_peer(manager->judge, &client->key) : NULL;

	if (!peer)
		return;
	if (refusal != REFUSAL_NONE) {
		peer->activity.refused++;
		return;
	}
	peer->activity.accepted++;
	peer->activity.last_knock_real_usec = manager_real_usec(manager);
	memcpy(peer->activity.last_source.bytes, knock->source,
	       sizeof(peer->activity.last_source.bytes));
}

ClientActivity manager_client_activity(const Manager *manager, const Client *client)
{
	const KnockPeer *peer = knock_judge_peer(manager->judge, &client->key);

	return peer ? peer->activity : (ClientActivity){0};
}

void manager_knock(const void *message, void *userdata)
{
	Manager *manager = userdata;
	const struct spale_knock *knock = message;
	_cleanup_knock_verdict_ KnockVerdict verdict = {0};
	const KnockRules rules = {manager->config, manager->clients, &manager->keys};
	uint64_t now_mono_ns = manager_mono_ns(manager), now_usec = manager_real_usec(manager),
		 age_usec = 0;
	Refusal refusal;

	/* It may have waited; what counts is when it came. */
	if (now_mono_ns > knock->received_mono_ns)
		age_usec = (now_mono_ns - knock->received_mono_ns) / NSEC_PER_USEC;
	refusal = knock_judge_examine(manager->judge, &rules, knock,
				      now_usec > age_usec ? now_usec - age_usec : 0, &verdict);
	if (refusal == REFUSAL_NONE && projection_retry(&manager->projection) < 0)
		refusal = REFUSAL_ENFORCER;
	if (refusal == REFUSAL_NONE)
		refusal = knock_judge_remember(manager->judge, &verdict);
	if (refusal == REFUSAL_NONE)
		refusal = manager_make_grant(manager, knock, &verdict, now_mono_ns);
	manager->counts[refusal]++;
	note_activity(manager, knock, verdict.client, refusal);
	if (refusal != REFUSAL_NONE)
		announce_refused(&manager->announcer, knock,
				 verdict.client ? verdict.client->name : NULL, refusal,
				 now_mono_ns);
}

void manager_denied(const void *message, void *userdata)
{
	const Manager *manager = userdata;

	announce_denied(&manager->announcer, message, manager->config->log_only);
}

/* ---- what can be asked --------------------------------------------------------------------- */

/* Who is asked for sources, and by which clocks. */
typedef struct LimitedCall {
	ManagerLimited callback;
	void *userdata;
	uint64_t now_mono_ns, now_real_usec;
} LimitedCall;

static void on_limited(const Prefix *source, uint64_t free_mono_ns, void *userdata)
{
	const LimitedCall *call = userdata;

	call->callback(source,
		       call->now_real_usec + (free_mono_ns - call->now_mono_ns) / NSEC_PER_USEC,
		       call->userdata);
}

int manager_list_limited(Manager *manager, ManagerLimited callback, void *userdata)
{
	LimitedCall call = {callback, userdata, manager_mono_ns(manager),
			    manager_real_usec(manager)};

	return enforcer_limited(manager->enforcer, call.now_mono_ns, on_limited, &call);
}

/* ---- life ---------------------------------------------------------------------------------- */

/*
 * Puts the configuration into force over that of an earlier daemon. Grants may be in the way, of
 * prefix lengths that are wanted no more: nobody but us would ever end them. They go first then.
 */
static int enforce_first(Manager *manager)
{
	const EntryChanges nothing = {0};
	int r = enforcer_set_policy(manager->enforcer, manager->config);

	if (r == -EBUSY) {
		journal_line(
			LOG_LEVEL_WARNING,
			"grants of other prefix lengths are taken away for a moment, to be put "
			"anew");
		r = enforcer_sync(manager->enforcer, &nothing);
		if (r == 0)
			r = enforcer_set_policy(manager->enforcer, manager->config);
	}
	return manager_enforce_rest(manager, r, manager->clients);
}

/* Takes over what an earlier daemon has granted, as the configuration has it that comes into force.
 */
static int inherit(Manager *manager)
{
	const Heir heir = {manager->enforcer, &manager->announcer, manager->config,
			   manager->clients,  manager->grants,	   manager_real_usec(manager)};
	int r = heritage_take(&heir);

	if (r == 0)
		r = enforce_first(manager);
	if (r == 0)
		r = heritage_put(&heir);
	if (r < 0)
		return r;
	(void)sessions_recall(manager->sessions);
	manager_restore_kept(manager);
	manager_note_sessions(manager);
	manager_end_sessions(manager, manager->config);
	return 0;
}

int manager_new(Enforcer *enforcer, Config *config, KeyRing *keys, ClientSet *clients, State *state,
		const Clock *clock, Manager **ret_manager)
{
	_cleanup_manager_ Manager *manager = calloc(1, sizeof(*manager));
	char until[JOURNAL_TIME_MAX];
	uint64_t deaf_until_usec;
	int r;

	if (!manager) {
		enforcer_free(enforcer);
		config_free(config);
		client_set_free(clients);
		key_ring_done(keys);
		return -ENOMEM;
	}
	manager->enforcer = enforcer;
	manager->projection.enforcer = enforcer;
	interfaces_init(&manager->interfaces, enforcer);
	manager->config = config;
	manager->clients = clients;
	key_ring_move(&manager->keys, keys);
	manager->clock = *clock;
	manager->state = state;
	manager->suspended_ns = manager_measure_suspended_ns(manager, manager_mono_ns(manager));
	manager->judge = knock_judge_new(state, enforcer, manager_real_usec(manager));
	manager->grants = grant_table_new();
	manager->projection.grants = manager->grants;
	manager->sessions = sessions_new(enforcer);
	if (!manager->judge || !manager->grants || !manager->sessions) {
		journal_line(LOG_LEVEL_ERROR, "no memory");
		return -ENOMEM;
	}
	journal_set_level(config->log_level);
	grant_numbers_begin(&manager->numbers, state, manager->grants);
	manager_load_trial(manager);
	r = inherit(manager);
	if (r < 0)
		return r;
	deaf_until_usec = knock_judge_deaf_until_usec(manager->judge);
	if (deaf_until_usec > manager_real_usec(manager))
		journal_line(LOG_LEVEL_WARNING,
			     "nothing is on record about earlier knocks: all are refused until %s",
			     journal_format_time(deaf_until_usec, until));
	*ret_manager = TAKE_PTR(manager);
	return 0;
}

void manager_free(Manager *manager)
{
	if (!manager)
		return;
	/* First, for it detaches. */
	enforcer_free(manager->enforcer);
	interfaces_done(&manager->interfaces);
	projection_done(&manager->projection);
	sessions_free(manager->sessions);
	manager_drop_revocations(manager);
	grant_table_free(manager->grants);
	kept_grants_free(manager->kept);
	knock_judge_free(manager->judge);
	client_set_free(manager->clients);
	config_free(manager->config);
	policy_layers_free(manager->layers);
	client_roster_done(&manager->roster);
	key_ring_done(&manager->keys);
	free(manager);
}

int manager_attach(Manager *manager, bool wait)
{
	int r;

	manager->waits = wait;
	r = interfaces_set(&manager->interfaces, manager->config,
			   wait ? 0 : INTERFACES_MUST_EXIST | INTERFACES_MUST_ATTACH,
			   manager_mono_ns(manager));
	manager_tell_interfaces(manager);
	return r;
}

void manager_interfaces_changed(Manager *manager)
{
	int changed = enforcer_consume_changes(manager->enforcer);

	/* Whatever it was that could not be heard. */
	if (changed < 0) {
		journal_line(LOG_LEVEL_ERROR, "%s", enforcer_error(manager->enforcer));
		changed = ENFORCER_INTERFACES_CHANGED | ENFORCER_ADDRESSES_CHANGED;
	}
	interfaces_follow(&manager->interfaces, manager->config, changed, manager_mono_ns(manager));
	manager_tell_interfaces(manager);
}

void manager_guard(Manager *manager)
{
	if (enforcer_is_intact(manager->enforcer))
		return;
	interfaces_follow(&manager->interfaces, manager->config, ENFORCER_INTERFACES_CHANGED,
			  manager_mono_ns(manager));
	manager_tell_interfaces(manager);
}

const Config *manager_config(const Manager *manager)
{
	return manager->config;
}

const ClientSet *manager_clients(const Manager *manager)
{
	return manager->clients;
}

const GrantTable *manager_grants(const Manager *manager)
{
	return manager->grants;
}

const Interfaces *manager_interfaces(const Manager *manager)
{
	return &manager->interfaces;
}

Enforcer *manager_enforcer(Manager *manager)
{
	return manager->enforcer;
}

uint64_t manager_refused(const Manager *manager, Refusal refusal)
{
	return manager->counts[refusal];
}

uint64_t manager_accepted(const Manager *manager)
{
	return manager->counts[REFUSAL_NONE];
}
