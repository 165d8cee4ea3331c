/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "daemon/redecide.h"

/* Whether nobody has to hear that GRANT was decided anew. */
static bool is_the_same(const Grant *before, const Grant *grant)
{
	return prefix_compare(&before->source, &grant->source) == 0 &&
	       port_list_equal(&before->ports, &grant->ports) &&
	       before->idle_ns == grant->idle_ns && before->grace_ns == grant->grace_ns &&
	       before->deadline_mono_ns == grant->deadline_mono_ns;
}

/* Decides every grant anew. Returns how many had to be revoked. */
static size_t redecide_all(Manager *manager, const uint64_t *ids, size_t count)
{
	const RedecideRules rules = {manager->config, manager->clients, manager->grants,
				     &manager->projection, manager_real_usec(manager)};
	size_t revoked = 0;

	for (size_t i = 0; i < count; i++) {
		const Grant *grant = grant_table_by_id(manager->grants, ids[i]);
		_cleanup_grant_copy_ Grant before = {.id = ids[i]};
		const char *detail = NULL, *reason;

		if (!grant || grant->is_condemned)
			continue;
		before = grant_copy(grant);
		reason = redecide_grant(&rules, grant, &detail);
		if (!reason) {
			if (!is_the_same(&before, grant))
				announce_grant_redecided(&manager->announcer, grant);
			continue;
		}
		if (grant->origin == GRANT_ORIGIN_KNOCK)
			knock_judge_bar(manager->judge, &grant->key, manager_real_usec(manager));
		manager->kept_is_stale |= grant->origin == GRANT_ORIGIN_ALWAYS;
		manager_end_grant(manager, grant, GRANT_REVOKED, reason, detail);
		revoked++;
	}
	return revoked;
}

int manager_enforce(Manager *manager, const Config *config, const ClientSet *clients)
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

/* Whether kernel objects are kept where they were. */
static bool keeps_attaching(const Config *before, const Config *config)
{
	return before->pin == config->pin && before->external == config->external &&
	       ((!config->pin && !config->external) ||
		strcmp(before->pin_directory, config->pin_directory) == 0);
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
	if (!keeps_attaching(manager->config, config)) {
		journal_line(LOG_LEVEL_ERROR,
			     "Pin=, PinDirectory= and External= cannot change while spaled runs: "
			     "restart it");
		return -EOPNOTSUPP;
	}
	/* What is pending was decided by the old policy, which may be the last one that takes it.
	 */
	r = projection_retry(&manager->projection);
	if (r == 0)
		r = manager_enforce(manager, config, clients);
	if (r == 0)
		r = interfaces_set(&manager->interfaces, config,
				   INTERFACES_MUST_ATTACH |
					   (manager->waits ? 0 : INTERFACES_MUST_EXIST),
				   manager_mono_ns(manager));
	if (r < 0)
		(void)manager_enforce(manager, manager->config, manager->clients);
	return r;
}

/* Nothing that a reload may take away is unknown: the oldest of a client may have been forgotten.
 */
void manager_note_sessions(Manager *manager)
{
	const SessionRules rules = manager_session_rules(manager);

	for (size_t i = 0; i < grant_table_count(manager->grants); i++) {
		const Grant *grant = grant_table_get(manager->grants, i);

		if (grant->origin == GRANT_ORIGIN_KNOCK)
			sessions_note(manager->sessions, &rules, grant);
	}
}

void manager_end_sessions(Manager *manager, const Config *before)
{
	const SessionRules rules = manager_session_rules(manager);

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

	manager_note_sessions(manager);
	revoked = redecide_all(manager, ids, count);
	manager_end_sessions(manager, before);
	manager->look_mono_ns = 0;
	knock_judge_keep(manager->judge, manager->clients);
	return revoked;
}

/* Puts CLIENTS in the place of those before, which the caller frees once he has told of it. */
static ClientSet *replace_clients(Manager *manager, ClientSet *clients)
{
	ClientSet *before = manager->clients;

	manager->clients = clients;
	return before;
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
	manager_commit_clients(manager, TAKE_PTR(new_clients), ids, NULL);
	return 0;
}

void manager_commit_clients(Manager *manager, ClientSet *clients, const uint64_t *ids,
			    const char *caller)
{
	_cleanup_client_set_ ClientSet *before = replace_clients(manager, clients);

	redecide_everything(manager, manager->config, ids, grant_table_count(manager->grants));
	announce_clients(&manager->announcer, before, clients, caller);
}

int manager_try_config(Manager *manager, const Config *config)
{
	int r = projection_retry(&manager->projection);

	if (r == 0)
		r = enforcer_set_policy(manager->enforcer, config);
	return r;
}

size_t manager_commit_config(Manager *manager, Config *config, const uint64_t *ids)
{
	_cleanup_config_ Config *before = manager->config;
	size_t revoked;

	manager->config = config;
	revoked = redecide_everything(manager, before, ids, grant_table_count(manager->grants));
	announce_policy(&manager->announcer);
	return revoked;
}

bool manager_is_outdated(const Manager *manager)
{
	return manager->is_outdated;
}

void manager_set_outdated(Manager *manager)
{
	manager->is_outdated = true;
}

const char *manager_deafness(const Manager *manager)
{
	if (state_problem(manager->state))
		return state_problem(manager->state);
	if (manager->keys.count == 0)
		return "no server key can be read";
	return manager->is_outdated && client_set_count(manager->clients) == 0
		       ? "no client can be read"
		       : NULL;
}

void manager_reload_failed(Manager *manager, const char *detail)
{
	manager->is_outdated = true;
	announce_reload(&manager->announcer, true, detail);
}

int manager_reload(Manager *manager, Config *config, KeyRing *keys, ClientSet *clients)
{
	_cleanup_client_set_ ClientSet *new_clients = clients, *clients_before = NULL;
	_cleanup_config_ Config *new_config = config, *before = NULL;
	_cleanup_key_ring_ KeyRing new_keys = {.count = 0};
	_cleanup_free_ uint64_t *ids = redecide_ids(manager->grants);
	_cleanup_free_ char *detail = NULL;
	size_t count = grant_table_count(manager->grants), revoked;
	const Trial trial = manager_trial_after_reload(manager);
	int r;

	if (keys)
		key_ring_move(&new_keys, keys);
	trial_apply(&trial, new_config);
	r = ids ? enforce_new(manager, new_config, new_clients) : -ENOMEM;
	if (r < 0) {
		manager_reload_failed(manager, strerror(-r));
		return r;
	}
	before = manager->config;
	manager->is_outdated = false;
	manager->config = TAKE_PTR(new_config);
	clients_before = replace_clients(manager, TAKE_PTR(new_clients));
	if (keys)
		key_ring_move(&manager->keys, &new_keys);
	journal_set_level(manager->config->log_level);
	revoked = manager_end_temporary(manager, "reload");
	revoked += redecide_everything(manager, before, ids, count);
	if (asprintf(&detail, "%zu clients, %zu grants kept, %zu revoked",
		     client_set_count(manager->clients), count - revoked, revoked) < 0)
		detail = NULL;
	announce_clients(&manager->announcer, clients_before, manager->clients, NULL);
	manager_forget_trial(manager);
	announce_policy(&manager->announcer);
	manager_tell_interfaces(manager);
	announce_reload(&manager->announcer, false, detail);
	return 0;
}
