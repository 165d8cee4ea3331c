/* SPDX-License-Identifier: MIT */
/*
 * The manager owns all state and is the only way to change it: knocks, expiry, reload (and later
 * D-Bus calls) go through the functions here, which decide, change the grant table, project it and
 * announce, in that order.
 *
 * It owns what it is given at manager_new() and manager_reload(). Not a library: it logs.
 */
#pragma once

#include "daemon/client-roster.h"
#include "daemon/interfaces.h"
#include "daemon/key-ring.h"
#include "daemon/knock-judge.h"
#include "daemon/observer.h"
#include "daemon/policy-layers.h"
#include "daemon/state.h"
#include "enforce/enforcer.h"
#include "policy/client.h"
#include "policy/config.h"
#include "policy/grant-table.h"

typedef struct Manager Manager;

/* Time as the manager sees it; tests bring their own. */
typedef struct Clock {
	uint64_t (*mono_ns)(void *userdata);   /* CLOCK_MONOTONIC_COARSE */
	uint64_t (*boot_ns)(void *userdata);   /* CLOCK_BOOTTIME */
	uint64_t (*real_usec)(void *userdata); /* CLOCK_REALTIME */
	void *userdata;
} Clock;

/* The system's clocks. */
extern const Clock clock_system;

/*
 * Takes over ENFORCER, CONFIG, KEYS (moved out of there, erased at the end) and CLIENTS, whatever
 * it returns. STATE is kept by the caller. Puts policy and clients into force and takes over the
 * grants of an earlier daemon; attaches nothing yet. Returns 0 or a negative errno, logged.
 */
int manager_new(Enforcer *enforcer, Config *config, KeyRing *keys, ClientSet *clients, State *state,
		const Clock *clock, Manager **ret_manager);
void manager_free(Manager *manager);
DEFINE_CLEANUP(Manager, manager_free)
#define _cleanup_manager_ _cleanup_(manager_freep)

/*
 * Attaches to every interface of the configuration, and follows them from now on. All or, with an
 * error logged, none; with WAIT those that can be attached: named ones that do not exist are
 * waited for, here and after a reload, and what cannot be attached is tried again.
 */
int manager_attach(Manager *manager, bool wait);

/*
 * To be called when enforcer_changes_fd() is readable, and manager_expire() after it. What cannot
 * be read there is logged, and all interfaces are looked at.
 */
void manager_interfaces_changed(Manager *manager);

/* To be called now and then: attaches again what somebody else detached or came before. */
void manager_guard(Manager *manager);

/* Judges one knock that the kernel handed up (struct spale_knock); an EnforcerMessage. */
void manager_knock(const void *knock, void *manager);

/* Hears of one packet that the kernel denied (struct spale_event); an EnforcerMessage. */
void manager_denied(const void *event, void *manager);

/*
 * Removes what has ended, does what is due with interfaces, and says when to call again:
 * *RET_NEXT_MONO_NS, SPALE_NEVER_NS for never; a time that is past means at once. Makes up for a
 * suspend first. To be called after each batch of knocks too, for they change that time.
 */
int manager_expire(Manager *manager, uint64_t *ret_next_mono_ns);

/*
 * Puts a new configuration, keys and clients into force, re-decides every grant, and attaches and
 * detaches interfaces by what changed. Takes them over as manager_new() does. On failure, which is
 * logged, the old ones stay in force. NULL keys: the old ones stay. -EOPNOTSUPP: needs a restart
 * (Mode=). Of very many grants some are decided in the calls of manager_expire() that follow:
 * manager_has_done().
 */
int manager_reload(Manager *manager, Config *config, KeyRing *keys, ClientSet *clients);

/*
 * Puts other clients into force and re-decides every grant, as a reload does. Takes CLIENTS over.
 * On failure, which is logged, the old ones stay in force.
 */
int manager_set_clients(Manager *manager, ClientSet *clients);

/*
 * Takes over what the configuration was made of, so that it can be changed (manager-requests.h): to
 * be called after manager_new() and manager_reload(). Whatever was changed until reload or restart
 * is given up by then. KEEP_GOOD: what is in force becomes the last good configuration, now and
 * with each change for good; what keeps it from that is logged.
 */
void manager_set_layers(Manager *manager, PolicyLayers *layers, bool keep_good);

/*
 * Takes over what the clients were made of, so that they can be changed; as above. ROSTER is empty
 * afterwards. And what it is now, to be brought up to date before manager_set_clients().
 */
void manager_set_roster(Manager *manager, ClientRoster *roster);
ClientRoster *manager_roster(Manager *manager);

/* Tells, as a reload does, that there was none: what is to be in force cannot be read. */
void manager_reload_failed(Manager *manager, const char *detail);

/*
 * Whether what is in force is older than what the files say, for that was unusable at the last
 * reload; or at the start, of which manager_set_outdated() tells.
 */
bool manager_is_outdated(const Manager *manager);
void manager_set_outdated(Manager *manager);

/* Why no knock is taken, whoever knocks: as a sentence that stays where it is; NULL: they are. */
const char *manager_deafness(const Manager *manager);

/*
 * Has OBSERVER hear of everything from now on; borrowed until manager_free() or manager_ignore().
 * Returns 0 or -ENOSPC (MANAGER_OBSERVERS_MAX). Not to be called from an observer.
 */
int manager_observe(Manager *manager, const ManagerObserver *observer);
void manager_ignore(Manager *manager, const ManagerObserver *observer);

/*
 * What is ordered (a reload, other clients, what daemon/manager-requests.h has) and takes longer
 * than knocks can wait goes on in manager_expire(). The number of the last such order, and whether
 * it and all before it are done, of which observers hear.
 */
uint64_t manager_ordered(const Manager *manager);
bool manager_has_done(const Manager *manager, uint64_t order);

/* What CLIENT did. */
ClientActivity manager_client_activity(const Manager *manager, const Client *client);

/* Brings GRANT's last packet up to date from the kernel. */
void manager_refresh_grant(Manager *manager, const Grant *grant);

/* How many packets GRANT has let through; PROJECTION_UNCOUNTED: not known (projection.h). */
uint64_t manager_grant_packets(Manager *manager, const Grant *grant);

/* Calls CALLBACK for each source (IPv6: its /64) whose knocks are refused for their rate, until
 * FREE. Returns 0 or a negative errno: enforcer_error(). */
typedef void (*ManagerLimited)(const Prefix *source, uint64_t free_real_usec, void *userdata);
int manager_list_limited(Manager *manager, ManagerLimited callback, void *userdata);

/*
 * Ends the conversations to which the rules in force leave nobody a right, BEFORE saying what was
 * always allowed earlier; see sessions_begin_redecide(). Not while grants are being decided anew.
 */
void manager_end_sessions(Manager *manager, const Config *before);

/*
 * At an orderly end: what was ordered is done, the grants that an administrator made until the next
 * reload or restart end, and so does what he always allowed for that long (what was made for good
 * and clients' grants stay for the next daemon).
 */
void manager_stop(Manager *manager);

/* For status and tests: not owned by the caller. */
const Config *manager_config(const Manager *manager);
bool manager_trial_is_over(const Manager *manager); /* and nobody has confirmed it */
const ClientSet *manager_clients(const Manager *manager);
const GrantTable *manager_grants(const Manager *manager);
const Interfaces *manager_interfaces(const Manager *manager);
Enforcer *manager_enforcer(Manager *manager);
uint64_t manager_refused(const Manager *manager, Refusal refusal);
uint64_t manager_accepted(const Manager *manager);
