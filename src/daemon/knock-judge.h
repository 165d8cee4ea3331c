/* SPDX-License-Identifier: MIT */
/*
 * The judge of knocks: verifies a datagram, with all that has to be remembered for that: each
 * client's replay memory with its floor, and the Diffie-Hellman results that do not change.
 *
 * Grants nothing: the manager does, when a knock was found good and that was recorded. Datagrams
 * are untrusted. Logs only what is wrong with the recorded floors.
 */
#pragma once

#include "daemon/key-ring.h"
#include "daemon/state.h"
#include "enforce/enforcer.h"
#include "knock/replay.h"
#include "policy/decide.h"

typedef struct KnockJudge KnockJudge;

/* What a client did in the life of this daemon. Accepted knocks are the client's own; who sent
 * those that were refused nobody has proven. */
typedef struct ClientActivity {
	uint64_t last_knock_real_usec; /* that was accepted; 0: none */
	Address last_source;
	uint64_t accepted, refused;
} ClientActivity;

/* What is remembered of one client's key; goes with the client at a reload. Owned by the judge. */
typedef struct KnockPeer {
	PublicKey key;
	Replay replay;
	bool has_shared[CONFIG_SERVER_KEYS_MAX];
	Secret shared[CONFIG_SERVER_KEYS_MAX]; /* X25519(server key, client's key) */
	ClientActivity activity;	       /* the manager's */
} KnockPeer;

/* What knocks are judged by; borrowed. */
typedef struct KnockRules {
	const Config *config;
	const ClientSet *clients;
	const KeyRing *keys;
} KnockRules;

/* What the judge found out. */
typedef struct KnockVerdict {
	const Client *client; /* whose key is in front; NULL: nobody's. Not proven if refused */
	KnockPeer *peer;
	ReplayEntry entry;
	Decision decision; /* on REFUSAL_NONE */
} KnockVerdict;

void knock_verdict_done(KnockVerdict *verdict);
#define _cleanup_knock_verdict_ _cleanup_(knock_verdict_done)

/*
 * To be called at the start for a STATE that is fresh: puts the floor for all clients on record,
 * the step after that of NOW, or with FIRST_START none. Returns 0 or a negative errno.
 */
int knock_judge_begin(State *state, bool first_start, uint64_t now_real_usec);

/*
 * Borrows STATE, and ENFORCER, in whose records of what was accepted the memory outlives the
 * daemon: what is there counts. NULL: no memory.
 */
KnockJudge *knock_judge_new(State *state, Enforcer *enforcer, uint64_t now_real_usec);
void knock_judge_free(KnockJudge *judge);
DEFINE_CLEANUP(KnockJudge, knock_judge_free)
#define _cleanup_knock_judge_ _cleanup_(knock_judge_freep)

/* The time until which the floor for all clients refuses every knock; 0: there is none. */
uint64_t knock_judge_deaf_until_usec(const KnockJudge *judge);

/* Judges KNOCK, which was received at RECEIVED. *RET_VERDICT is set whatever is returned. */
Refusal knock_judge_examine(KnockJudge *judge, const KnockRules *rules,
			    const struct spale_knock *knock, uint64_t received_real_usec,
			    KnockVerdict *ret_verdict);

/*
 * Remembers a knock that was found good, on disk first. To be called before anything is granted.
 * REFUSAL_NONE, _STATE or _REPLAY_FULL.
 */
Refusal knock_judge_remember(KnockJudge *judge, const KnockVerdict *verdict);

/*
 * After a grant of KEY was revoked: knocks of its that are not later than NOW are refused, on disk
 * too. (A knock that was held back on its way must not undo the revocation.)
 */
void knock_judge_bar(KnockJudge *judge, const PublicKey *key, uint64_t now_real_usec);

/* The same for every client at once. */
void knock_judge_bar_all(KnockJudge *judge, uint64_t now_real_usec);

/* What is remembered of KEY, or NULL. */
KnockPeer *knock_judge_peer(KnockJudge *judge, const PublicKey *key);

/* The same, made where it is missing. NULL: no memory. */
KnockPeer *knock_judge_get_peer(KnockJudge *judge, const PublicKey *key);

/* After a reload: forgets who is not in CLIENTS, and every Diffie-Hellman result. */
void knock_judge_keep(KnockJudge *judge, const ClientSet *clients);
