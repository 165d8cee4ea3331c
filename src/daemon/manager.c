/* SPDX-License-Identifier: MIT */
#include "daemon/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/announce.h"
#include "daemon/heritage.h"
#include "daemon/interfaces.h"
#include "daemon/journal.h"
#include "daemon/knock-judge.h"
#include "daemon/projection.h"
#include "daemon/redecide.h"
#include "daemon/sessions.h"
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

struct Manager {
	Enforcer *enforcer;
	Config *config;
	ClientSet *clients;
	KeyRing keys;
	KnockJudge *judge;
	GrantTable *grants;
	Clock clock;
	Interfaces interfaces;
	bool waits; /* for interfaces that are named and not there */
	Projection projection;
	Sessions *sessions;
	uint64_t look_mono_ns;		/* before that no grant ends */
	uint64_t suspended_ns;		/* CLOCK_BOOTTIME - CLOCK_MONOTONIC, as made up for */
	uint64_t counts[REFUSAL_COUNT]; /* knocks */
	AnnounceLimit refused_lines;
};

/* FROM is empty, and erased, afterwards. */
static void move_keys(KeyRing *to, KeyRing *from)
{
	*to = *from;
	key_ring_done(from);
}

static uint64_t mono_ns(const Manager *manager)
{
	return manager->clock.mono_ns(manager->clock.userdata);
}

static uint64_t real_usec(const Manager *manager)
{
	return manager->clock.real_usec(manager->clock.userdata);
}

static uint64_t suspended_ns(const Manager *manager, uint64_t now_mono_ns)
{
	uint64_t boot_ns = manager->clock.boot_ns(manager->clock.userdata);

	return boot_ns > now_mono_ns ? boot_ns - now_mono_ns : 0;
}

static SessionRules session_rules(const Manager *manager)
{
	return (SessionRules){manager->config, manager->clients, manager->grants,
			      real_usec(manager)};
}

/* ---- grants -------------------------------------------------------------------------------- */

/* Forgets those grants of PEER that the table has no more, and says why they are gone. */
static void forget_gone(Manager *manager, KnockPeer *peer, const char *client, const char *reason,
			const char *detail)
{
	for (size_t i = 0; i < peer->grant_count;) {
		struct KnockPeerGrant *grant = &peer->grants[i];

		if (grant_table_by_id(manager->grants, grant->id)) {
			i++;
			continue;
		}
		announce_gone(JOURNAL_GRANT_REVOKED, grant->id, client, &grant->source, reason,
			      detail);
		heritage_forget(manager->enforcer, grant->id);
		*grant = peer->grants[--peer->grant_count];
	}
}

/* Ends a grant: removes it from the table and from the kernel, and says so. */
static void end_grant(Manager *manager, const Grant *grant, JournalEvent event, const char *reason,
		      const char *detail)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	KnockPeer *peer = knock_judge_peer(manager->judge, &grant->key);
	Grant gone = *grant;
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	uint64_t id = grant->id;
	int r;

	/* Without memory it is announced without its ports. */
	(void)port_list_copy(&grant->ports, &ports);
	gone.ports = ports;
	r = grant_table_remove(manager->grants, id, &changes);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "grant %" PRIu64 " is still there: %s", id,
			     strerror(-r));
		return;
	}
	heritage_forget(manager->enforcer, id);
	projection_apply_surely(&manager->projection, &changes);
	for (size_t i = 0; peer && i < peer->grant_count; i++)
		if (peer->grants[i].id == id)
			peer->grants[i--] = peer->grants[--peer->grant_count];
	announce_grant(event, &gone, reason, detail);
}

/*
 * The kernel did not take the grant ID, for which the table wanted CHANGES. The grant goes, with
 * what it had before it was renewed, and so does what had to yield to it.
 */
static void take_back(Manager *manager, uint64_t id, const EntryChanges *changes)
{
	_cleanup_entry_changes_ EntryChanges back = {0};
	int r;

	heritage_forget(manager->enforcer, id);
	r = grant_table_remove(manager->grants, id, &back);
	for (size_t i = 0; r == 0 && i < changes->count; i++)
		if (!changes->items[i].put)
			r = projection_append(&back, &(EntryChanges){&changes->items[i], 1, 1});
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "a grant that the kernel refused is still there: %s",
			     strerror(-r));
	projection_apply_surely(&manager->projection, &back);
}

/* ---- knocks -------------------------------------------------------------------------------- */

/* When GRANT ends whatever happens, as a person tells the time; UINT64_MAX: never. */
static uint64_t deadline_usec(const Manager *manager, const Grant *grant, uint64_t now_mono_ns)
{
	if (grant->deadline_mono_ns == SPALE_NEVER_NS)
		return UINT64_MAX;
	return real_usec(manager) + (grant->deadline_mono_ns - now_mono_ns) / NSEC_PER_USEC;
}

/* Makes the grant of a verified knock. */
static Refusal make_grant(Manager *manager, const struct spale_knock *knock,
			  const KnockVerdict *verdict, uint64_t now_mono_ns)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	const SessionRules rules = session_rules(manager);
	const Grant *grant;
	bool extended;
	int r;

	r = grant_table_add(manager->grants, verdict->client, &verdict->decision, now_mono_ns,
			    &changes, &grant);
	if (r < 0)
		return REFUSAL_LIMIT;
	heritage_note(manager->enforcer, grant);
	r = projection_apply(&manager->projection, &changes);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "the kernel did not take a grant: %s",
			     enforcer_error(manager->enforcer));
		take_back(manager, grant->id, &changes);
		forget_gone(manager, verdict->peer, verdict->client->name,
			    refusal_name(REFUSAL_ENFORCER), refusal_meaning(REFUSAL_ENFORCER));
		return REFUSAL_ENFORCER;
	}
	if (manager->look_mono_ns > grant_end_mono_ns(grant))
		manager->look_mono_ns = grant_end_mono_ns(grant);
	sessions_note(manager->sessions, &rules, grant);
	announce_accepted(knock, grant, deadline_usec(manager, grant, now_mono_ns));
	forget_gone(manager, verdict->peer, verdict->client->name, "replaced",
		    "the client has as many grants as it may have");
	extended = knock_peer_note(verdict->peer, grant);
	announce_grant(extended ? JOURNAL_GRANT_EXTENDED : JOURNAL_GRANT_ADDED, grant, NULL, NULL);
	return REFUSAL_NONE;
}

void manager_knock(const struct spale_knock *knock, void *userdata)
{
	Manager *manager = userdata;
	_cleanup_knock_verdict_ KnockVerdict verdict = {0};
	const KnockRules rules = {manager->config, manager->clients, &manager->keys};
	uint64_t now_mono_ns = mono_ns(manager), now_usec = real_usec(manager), age_usec = 0;
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
		refusal = make_grant(manager, knock, &verdict, now_mono_ns);
	manager->counts[refusal]++;
	if (refusal != REFUSAL_NONE)
		announce_refused(&manager->refused_lines, knock,
				 verdict.client ? verdict.client->name : NULL, refusal,
				 now_mono_ns);
}

void manager_denied(const struct spale_event *event, void *userdata)
{
	const Manager *manager = userdata;

	announce_denied(event, manager->config->log_only);
}

/* ---- expiry -------------------------------------------------------------------------------- */

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
		if (grant_end_mono_ns(grant) <= now_mono_ns)
			end_grant(manager, grant, JOURNAL_GRANT_EXPIRED, NULL, NULL);
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
	uint64_t suspended = suspended_ns(manager, now_mono_ns), delta;
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
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR,
			     "no memory to make up for a suspend: grants last longer");
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
	uint64_t now_mono_ns = mono_ns(manager), next_mono_ns, interfaces_mono_ns;
	int r;

	r = projection_retry(&manager->projection);
	make_up_for_suspend(manager, now_mono_ns);
	look_for_ended(manager, now_mono_ns);
	next_mono_ns = announce_flush(&manager->refused_lines, now_mono_ns);
	if (next_mono_ns > manager->look_mono_ns)
		next_mono_ns = manager->look_mono_ns;
	interfaces_mono_ns = interfaces_run(&manager->interfaces, manager->config, now_mono_ns);
	if (next_mono_ns > interfaces_mono_ns)
		next_mono_ns = interfaces_mono_ns;
	if (manager->projection.pending.count > 0 && next_mono_ns > now_mono_ns + RETRY_NS)
		next_mono_ns = now_mono_ns + RETRY_NS;
	*ret_next_mono_ns = next_mono_ns;
	return r;
}

/* ---- reload -------------------------------------------------------------------------------- */

/* Decides every grant anew. Returns how many had to be revoked. */
static size_t redecide_all(Manager *manager, const uint64_t *ids, size_t count)
{
	const RedecideRules rules = {manager->config, manager->clients, manager->grants,
				     &manager->projection, real_usec(manager)};
	size_t revoked = 0;

	for (size_t i = 0; i < count; i++) {
		const Grant *grant = grant_table_by_id(manager->grants, ids[i]);
		const char *detail = NULL, *reason = redecide_grant(&rules, grant, &detail);

		if (!reason)
			continue;
		knock_judge_bar(manager->judge, &grant->key, real_usec(manager));
		end_grant(manager, grant, JOURNAL_GRANT_REVOKED, reason, detail);
		revoked++;
	}
	return revoked;
}

/* Puts policy and clients into force, or says why not. */
static int enforce(Manager *manager, const Config *config, const ClientSet *clients)
{
	int r;

	r = enforcer_set_policy(manager->enforcer, config);
	if (r == 0)
		r = enforcer_set_clients(manager->enforcer, clients);
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "the kernel did not take the configuration: %s",
			     enforcer_error(manager->enforcer));
	return r;
}

/* Has the kernel enforce a new configuration everywhere, or the old one as before. */
static int enforce_new(Manager *manager, const Config *config, const ClientSet *clients)
{
	int r;

	if (config->mode != manager->config->mode) {
		journal_line(LOG_LEVEL_ERROR,
			     "Mode= cannot change while interfaces are attached: restart spaled");
		return -EOPNOTSUPP;
	}
	/* What is pending was decided by the old policy, which may be the last one that takes it.
	 */
	r = projection_retry(&manager->projection);
	if (r == 0)
		r = enforce(manager, config, clients);
	if (r == 0)
		r = interfaces_set(&manager->interfaces, config,
				   INTERFACES_MUST_ATTACH |
					   (manager->waits ? 0 : INTERFACES_MUST_EXIST),
				   mono_ns(manager));
	if (r < 0)
		(void)enforce(manager, manager->config, manager->clients);
	return r;
}

/* Nothing that a reload may take away is unknown: the oldest of a client may have been forgotten.
 */
static void note_sessions(Manager *manager)
{
	const SessionRules rules = session_rules(manager);

	for (size_t i = 0; i < grant_table_count(manager->grants); i++)
		sessions_note(manager->sessions, &rules, grant_table_get(manager->grants, i));
}

static void end_sessions(Manager *manager, const Config *before)
{
	const SessionRules rules = session_rules(manager);

	sessions_redecide(manager->sessions, &rules, before);
}

/*
 * Has every grant and session judged by what is in force now, BEFORE being the old
 * configuration (or the same). IDS: all COUNT grants. Returns how many were revoked.
 */
static size_t redecide_everything(Manager *manager, const Config *before, const uint64_t *ids,
				  size_t count)
{
	size_t revoked;

	note_sessions(manager);
	revoked = redecide_all(manager, ids, count);
	end_sessions(manager, before);
	manager->look_mono_ns = 0;
	knock_judge_keep(manager->judge, manager->clients);
	return revoked;
}

static void replace_clients(Manager *manager, ClientSet *clients)
{
	announce_clients(manager->clients, clients);
	client_set_free(manager->clients);
	manager->clients = clients;
}

int manager_set_clients(Manager *manager, ClientSet *clients)
{
	_cleanup_client_set_ ClientSet *new_clients = clients;
	_cleanup_free_ uint64_t *ids = redecide_ids(manager->grants);
	int r;

	r = ids ? enforcer_set_clients(manager->enforcer, new_clients) : -ENOMEM;
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR,
			     "the clients' files have changed, and those known before stay: %s",
			     ids ? enforcer_error(manager->enforcer) : strerror(-r));
		return r;
	}
	replace_clients(manager, TAKE_PTR(new_clients));
	redecide_everything(manager, manager->config, ids, grant_table_count(manager->grants));
	return 0;
}

int manager_reload(Manager *manager, Config *config, KeyRing *keys, ClientSet *clients)
{
	_cleanup_client_set_ ClientSet *new_clients = clients;
	_cleanup_config_ Config *new_config = config, *before = NULL;
	_cleanup_key_ring_ KeyRing new_keys = {.count = 0};
	_cleanup_free_ uint64_t *ids = redecide_ids(manager->grants);
	_cleanup_free_ char *detail = NULL;
	size_t count = grant_table_count(manager->grants), revoked;
	int r;

	if (keys)
		move_keys(&new_keys, keys);
	r = ids ? enforce_new(manager, new_config, new_clients) : -ENOMEM;
	if (r < 0) {
		journal_event(JOURNAL_RELOAD_FAILED, &(JournalFields){.detail = strerror(-r)});
		return r;
	}
	before = manager->config;
	manager->config = TAKE_PTR(new_config);
	replace_clients(manager, TAKE_PTR(new_clients));
	if (keys)
		move_keys(&manager->keys, &new_keys);
	journal_set_level(manager->config->log_level);
	revoked = redecide_everything(manager, before, ids, count);
	if (asprintf(&detail, "%zu clients, %zu grants kept, %zu revoked",
		     client_set_count(manager->clients), count - revoked, revoked) < 0)
		detail = NULL;
	journal_event(JOURNAL_RELOADED, &(JournalFields){.detail = detail});
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Takes over what an earlier daemon has granted. */
static int inherit(Manager *manager)
{
	const Heir heir = {manager->enforcer, manager->judge,  manager->config,
			   manager->clients,  manager->grants, real_usec(manager)};
	int r = heritage_take(&heir);

	note_sessions(manager);
	return r;
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
	move_keys(&manager->keys, keys);
	manager->clock = *clock;
	manager->suspended_ns = suspended_ns(manager, mono_ns(manager));
	manager->judge = knock_judge_new(state, enforcer, real_usec(manager));
	manager->grants = grant_table_new();
	manager->sessions = sessions_new(enforcer);
	if (!manager->judge || !manager->grants || !manager->sessions) {
		journal_line(LOG_LEVEL_ERROR, "no memory");
		return -ENOMEM;
	}
	journal_set_level(config->log_level);
	r = enforce(manager, config, clients);
	if (r == 0)
		r = inherit(manager);
	if (r < 0)
		return r;
	deaf_until_usec = knock_judge_deaf_until_usec(manager->judge);
	if (deaf_until_usec > real_usec(manager))
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
	grant_table_free(manager->grants);
	knock_judge_free(manager->judge);
	client_set_free(manager->clients);
	config_free(manager->config);
	key_ring_done(&manager->keys);
	free(manager);
}

int manager_attach(Manager *manager, bool wait)
{
	manager->waits = wait;
	return interfaces_set(&manager->interfaces, manager->config,
			      wait ? 0 : INTERFACES_MUST_EXIST | INTERFACES_MUST_ATTACH,
			      mono_ns(manager));
}

int manager_interfaces_changed(Manager *manager)
{
	int changed = enforcer_consume_changes(manager->enforcer);

	if (changed < 0) {
		journal_line(LOG_LEVEL_ERROR, "%s", enforcer_error(manager->enforcer));
		return changed;
	}
	interfaces_follow(&manager->interfaces, manager->config, changed, mono_ns(manager));
	return 0;
}

const Config *manager_config(const Manager *manager)
{
	return manager->config;
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
