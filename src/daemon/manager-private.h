/* SPDX-License-Identifier: MIT */
/*
 * The manager from inside: what manager.c and the manager-*.c share. Everybody else sees
 * daemon/manager.h and daemon/manager-requests.h only.
 */
#pragma once

#include "daemon/announce.h"
#include "daemon/grant-numbers.h"
#include "daemon/kept-grants.h"
#include "daemon/knock-judge.h"
#include "daemon/manager.h"
#include "daemon/projection.h"
#include "daemon/sessions.h"
#include "daemon/trial.h"

/* Grants that are to go, or to lose ports: manager-revoke.c. */
typedef struct Revocation Revocation;

/* Clients whose knocks were barred for one reason, each on disk; where they are more, all are. */
#define BARRED_MAX 8

typedef struct Barred {
	PublicKey keys[BARRED_MAX];
	size_t count;
	bool all;
} Barred;

/* What a reload is to say when it is done. */
typedef struct SweptReload {
	size_t grants, revoked; /* before, and of them */
} SweptReload;

/* An order to decide all grants anew: manager-sweep.c. */
typedef struct SweepOrder {
	uint64_t number; /* 0: none */
	bool is_reload;
	SweptReload reload;
} SweepOrder;

typedef struct Sweep {
	SweepOrder now, next; /* the latter when the former is done */
	size_t left;	      /* grants of lower index have not been looked at */
	Barred barred;
} Sweep;

struct Manager {
	Enforcer *enforcer;
	Config *config;
	ClientSet *clients;
	KeyRing keys;
	KnockJudge *judge;
	GrantTable *grants;
	GrantNumbers numbers;
	Clock clock;
	Interfaces interfaces;
	bool waits; /* for interfaces that are named and not there */
	Projection projection;
	Sessions *sessions;
	uint64_t look_mono_ns;		/* before that no grant ends */
	uint64_t suspended_ns;		/* CLOCK_BOOTTIME - CLOCK_MONOTONIC, as made up for */
	uint64_t counts[REFUSAL_COUNT]; /* knocks */
	Announcer announcer;
	uint64_t ordered;	 /* number of the last order that could not be done at once */
	Revocation *revocations; /* that are not done yet, the oldest first */
	Sweep sweep;
	KeptGrants *kept;      /* NULL: what was kept cannot be read */
	bool kept_is_stale;    /* holds grants that there are no more */
	uint64_t keep_mono_ns; /* not to be tried before, having failed */
	State *state;	       /* the caller's */
	PolicyLayers *layers;  /* what config is made of; NULL: it cannot be changed */
	ClientRoster roster;   /* what clients are made of */
	Trial trial;
	bool has_roster;
	bool keeps_good;  /* the last good configuration is written down */
	bool is_outdated; /* what is in force is older than the files */
};

/* The time by the manager's clock. */
uint64_t manager_mono_ns(const Manager *manager);
uint64_t manager_real_usec(const Manager *manager);

/* How long the machine was suspended, as the clocks say at NOW. */
uint64_t manager_measure_suspended_ns(const Manager *manager, uint64_t now_mono_ns);

/* What conversations are judged by at the moment. */
SessionRules manager_session_rules(const Manager *manager);

/* Tells who wants to know that interfaces have changed, if they have. */
void manager_tell_interfaces(Manager *manager);

/* ---- manager-grants.c ---------------------------------------------------------------------- */

/* Makes the grant of a verified knock. */
Refusal manager_make_grant(Manager *manager, const struct spale_knock *knock,
			   const KnockVerdict *verdict, uint64_t now_mono_ns);

/*
 * Puts an administrator's grant into force, or renews it. Returns 0, -E2BIG (a limit) or another
 * negative errno, with *RET_ERROR set to a sentence, and with nothing new in force.
 */
int manager_put_grant(Manager *manager, const Decision *decision, const Grant **ret_grant,
		      char **ret_error);

/* Whether an administrator's grant can be for SOURCE: 0, or -EADDRNOTAVAIL with *RET_ERROR set. */
int manager_check_source(const Prefix *source, char **ret_error);

/* When GRANT ends whatever happens, as a person tells the time; UINT64_MAX: never. */
uint64_t manager_deadline_real_usec(const Manager *manager, const Grant *grant);

/* Ends a grant: removes it from the table and from the kernel, and says why. */
void manager_end_grant(Manager *manager, const Grant *grant, GrantEnd end, const char *reason,
		       const char *detail);

/* ---- manager-revoke.c ---------------------------------------------------------------------- */

/*
 * Ends the grants that an administrator made until the next reload or restart, for REASON. Their
 * conversations go on. Returns how many.
 */
size_t manager_end_temporary(Manager *manager, const char *reason);

/* Goes on with what was too much to be revoked at once. Whether there is more of it. */
bool manager_run_revocations(Manager *manager);

/* The number of the first of them; 0: there is none. */
uint64_t manager_next_revocation(const Manager *manager);

/* Forgets them, undone. */
void manager_drop_revocations(Manager *manager);

/* ---- manager-kept.c ------------------------------------------------------------------------ */

/* Makes the grants again that are kept for good, and ends those that are not kept any more. */
void manager_restore_kept(Manager *manager);

/* Keeps GRANT for good, which ends at DEADLINE. 0 or a negative errno with *RET_ERROR set. */
int manager_keep_grant(Manager *manager, const KeptGrant *grant, char **ret_error);

/* Keeps no grant that there is no more. What cannot be written is said, and tried again. When. */
uint64_t manager_settle_kept(Manager *manager, uint64_t now_mono_ns);

/* ---- manager-reload.c ---------------------------------------------------------------------- */

/* Puts policy and clients into force in the kernel, or says why not. */
int manager_enforce(Manager *manager, const Config *config, const ClientSet *clients);

/* The rest of that, once the kernel has said R to the policy. Returns R, or what it says then. */
int manager_enforce_rest(Manager *manager, int r, const ClientSet *clients);

/* Has the kernel enforce CONFIG instead of what is in force, or the latter as before. */
int manager_try_config(Manager *manager, const Config *config);

/* CONFIG, which the kernel enforces already, is in force from now on; everything is decided again.
 */
void manager_commit_config(Manager *manager, Config *config);

/* The same for clients, of which CALLER (NULL: nobody in particular) has asked for others. */
void manager_commit_clients(Manager *manager, ClientSet *clients, const char *caller);

/* ---- manager-sweep.c ----------------------------------------------------------------------- */

/* How much longer something that goes in portions may go on before knocks get their turn. */
typedef struct Slice {
	uint64_t end_mono_ns;
	size_t left;
} Slice;

/* MOST steps, or as many as fit into the time. */
Slice manager_slice(const Manager *manager, size_t most);

/* Whether there is one more step in it. */
bool manager_slice_has(const Manager *manager, Slice *slice);

/* Has what KEY's client has sent up to now open nothing any more. BARRED: who was before. */
void manager_bar(Manager *manager, Barred *barred, const PublicKey *key);

/*
 * Has every grant and conversation judged by what is in force now, BEFORE being the old
 * configuration (or the same). Of very many some in the calls of manager_expire() that follow.
 * RELOAD (NULL: none) is said to be over when that is done.
 */
void manager_sweep(Manager *manager, const Config *before, const SweptReload *reload);

/* Goes on with that. Whether there is more of it. */
bool manager_run_sweep(Manager *manager);

/* Goes on with that or with revocations, which come first. The same. */
bool manager_run_orders(Manager *manager);

/* No reload is said to be over any more: a later one has failed. */
void manager_forget_reload(Manager *manager);

/*
 * Takes what was always allowed until a reload or restart out of the kernel, and ends the
 * conversations that only that allowed. The daemon ends behind it.
 */
void manager_end_temporary_policy(Manager *manager);

/* Remembers who may be in conversation by the grants that there are. */
void manager_note_sessions(Manager *manager);

/* ---- manager-trial.c ----------------------------------------------------------------------- */

/* Has the manager's configuration be what an earlier daemon's trial makes of it. */
void manager_load_trial(Manager *manager);

/* Ends a trial whose time is over at NOW. When to call again; SPALE_NEVER_NS: never. */
uint64_t manager_run_trial(Manager *manager, uint64_t now_mono_ns);

/* Moves the end of a trial back by DELTA, for which the clock stood still. */
void manager_shift_trial(Manager *manager, uint64_t delta_ns);

/* What a reload leaves of a trial; and that it succeeded. */
Trial manager_trial_after_reload(const Manager *manager);
void manager_forget_trial(Manager *manager);
