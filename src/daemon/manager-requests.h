/* SPDX-License-Identifier: MIT */
/*
 * What an administrator asks of the manager (over D-Bus, authorised before): grants, the policy,
 * clients. Each call does the whole of what it says, or returns a negative errno of
 * SPALE_BUS_ERRORS (spale/bus-names.h; anything else: something broke) with *RET_ERROR set to a
 * sentence that says what to do (the caller frees it), and has changed nothing.
 *
 * CALLER names who asks, for the journal ("uid=0 pid=17 name=:1.5"); NULL: nobody in particular.
 * Implemented in manager-orders.c, manager-revoke.c, manager-policy.c and manager-clients.c.
 */
#pragma once

#include "daemon/manager.h" /* PolicyChange: daemon/policy-layers.h */

/* ---- grants -------------------------------------------------------------------------------- */

typedef struct GrantRequest {
	Prefix source;
	const char *interface;			 /* for a link-local source; else NULL */
	const PortList *ports;			 /* NULL or empty: every protected port */
	bool has_idle, has_grace, has_lifetime;	 /* else the configuration's */
	uint64_t idle_ns, grace_ns, lifetime_ns; /* DURATION_INFINITY: never */
	bool permanent; /* kept in the state directory; else until reload or restart */
} GrantRequest;

/* Whether REQUEST needs more than the right to grant: permanent, wider than Prefix4= or Prefix6=,
 * or longer than Lifetime= (D-Bus: manage-policy). */
bool manager_request_is_wide(const Manager *manager, const GrantRequest *request);

/*
 * Makes the grant of REQUEST. One that an administrator made for the same source (and that is as
 * permanent) gets its ports and times instead, under the number that it has. What of times the
 * request leaves to the configuration stays as that is now. -EADDRNOTAVAIL, -ENODEV, -EINVAL,
 * -EDOM (not protected), -E2BIG, -EROFS.
 */
int manager_add_grant(Manager *manager, const GrantRequest *request, const char *caller,
		      uint64_t *ret_id, char **ret_error);

/* It is used now, and ends LIFETIME_NS (DURATION_INFINITY: never) from now; a client's until the
 * next reload decides it anew. */
int manager_extend_grant(Manager *manager, uint64_t id, uint64_t lifetime_ns, const char *caller,
			 char **ret_error);

/*
 * Grants that are revoked end with the conversations that nobody has a right to then, and what the
 * client has sent up to now opens nothing any more. Of very many some go in the seconds after the
 * call, by manager_expire(). A permanent one that cannot be taken from the state directory ends all
 * the same, and -EROFS says so: that is tried until it can be done.
 */
int manager_revoke_grant(Manager *manager, uint64_t id, const char *caller, char **ret_error);

/* Grants whose whole source lies in SOURCE lose PORTS (NULL or empty: all), and end where none is
 * left. -ENOENT: there was none. */
int manager_revoke_grants(Manager *manager, const Prefix *source, const PortList *ports,
			  const char *caller, size_t *ret_count, char **ret_error);

/* Ends the grants of one client, which stays enrolled. -ENOKEY. */
int manager_revoke_client(Manager *manager, const char *name, const char *caller, size_t *ret_count,
			  char **ret_error);
int manager_revoke_all(Manager *manager, const char *caller, size_t *ret_count, char **ret_error);

/* ---- the policy (helper keep) -------------------------------------------------------------- */

/*
 * Changes one thing of what is in force, which was made of the layers of manager_set_layers(), and
 * decides everything again. -EADDRNOTAVAIL: what is to be disallowed is not allowed; -EROFS: it
 * cannot be kept; -EACCES: the command line says otherwise.
 */
int manager_change_policy(Manager *manager, const PolicyChange *change, const char *caller,
			  char **ret_error);

/* Prefixes that are always allowed: in manager_config(); whether one is there for good. */
bool manager_allows_for_good(const Manager *manager, const Prefix *prefix);

/* Enforces for DURATION_NS, then is log-only again unless confirmed: also without a daemon. */
int manager_trial(Manager *manager, uint64_t duration_ns, const char *caller,
		  uint64_t *ret_until_real_usec, char **ret_error);
/* -ENOTCONN: no trial is on. Enforcing is for good from now on. */
int manager_confirm(Manager *manager, const char *caller, char **ret_error);
/* 0: no trial is on. */
uint64_t manager_trial_until_real_usec(const Manager *manager);

/* ---- clients (helper keep) ----------------------------------------------------------------- */

/* One key of NAME.conf (spale.conf(5)) and its value as written there; NULL: as if not written. */
typedef struct ClientSetting {
	const char *key;
	const char *value;
} ClientSetting;

/*
 * Kept in the state directory, as the following are: -EROFS where that takes nothing. -EEXIST: the
 * name is taken, -ENOTUNIQ: the key is; -EKEYREJECTED: it is none; -EINVAL: settings that cannot
 * be.
 */
int manager_enroll_client(Manager *manager, const char *name, const PublicKey *key,
			  const ClientSetting *settings, size_t count, const char *caller,
			  char **ret_error);
/* Ends its grants and conversations. The administrator's files stay, and count no longer. -ENOKEY.
 */
int manager_remove_client(Manager *manager, const char *name, const char *caller, char **ret_error);
/*
 * Settings that are not named stay; one without a value is what the administrator's files say, or
 * its default. Enabled= too: what Enable() and Disable() set. -ENOKEY.
 */
int manager_set_client(Manager *manager, const char *name, const ClientSetting *settings,
		       size_t count, const char *caller, char **ret_error);
