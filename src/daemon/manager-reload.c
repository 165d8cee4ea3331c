/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/manager-private.h"

int manager_enforce(Manager *manager, const Config *config, const ClientSet *clients)
{
	return manager_enforce_rest(manager, enforcer_set_policy(manager->enforcer, config),
				    clients);
}

int manager_enforce_rest(Manager *manager, int r, const ClientSet *clients)
{
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
	int r;

	r = enforcer_set_clients(manager->enforcer, new_clients);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR,
			     "the clients' files have changed, and those known before stay: %s",
			     enforcer_error(manager->enforcer));
		return r;
	}
	manager_commit_clients(manager, TAKE_PTR(new_clients), NULL);
	return 0;
}

void manager_commit_clients(Manager *manager, ClientSet *clients, const char *caller)
{
	_cleanup_client_set_ ClientSet *before = replace_clients(manager, clients);

	manager_sweep(manager, manager->config, NULL);
	announce_clients(&manager->announcer, before, clients, caller);
}

int manager_try_config(Manager *manager, const Config *config)
{
	int r = projection_retry(&manager->projection);

	if (r == 0)
		r = enforcer_set_policy(manager->enforcer, config);
	return r;
}

void manager_commit_config(Manager *manager, Config *config)
{
	_cleanup_config_ Config *before = manager->config;

	manager->config = config;
	manager_sweep(manager, before, NULL);
	announce_policy(&manager->announcer);
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
	manager_forget_reload(manager);
	announce_reload(&manager->announcer, true, detail);
}

int manager_reload(Manager *manager, Config *config, KeyRing *keys, ClientSet *clients)
{
	_cleanup_client_set_ ClientSet *new_clients = clients, *clients_before = NULL;
	_cleanup_config_ Config *new_config = config, *before = NULL;
	_cleanup_key_ring_ KeyRing new_keys = {.count = 0};
	const Trial trial = manager_trial_after_reload(manager);
	SweptReload reload = {.grants = grant_table_count(manager->grants)};
	int r;

	if (keys)
		key_ring_move(&new_keys, keys);
	trial_apply(&trial, new_config);
	r = enforce_new(manager, new_config, new_clients);
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
	announce_clients(&manager->announcer, clients_before, manager->clients, NULL);
	manager_forget_trial(manager);
	announce_policy(&manager->announcer);
	manager_tell_interfaces(manager);
	reload.revoked = manager_end_temporary(manager, "reload");
	manager_sweep(manager, before, &reload);
	return 0;
}
