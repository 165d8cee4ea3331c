/* SPDX-License-Identifier: MIT */
#include "daemon/knock-judge.h"

#include <errno.h>
#include <search.h>
#include <string.h>

#include "daemon/journal.h"
#include "knock/format1.h"
#include "knock/hpke.h"
#include "util/parse.h"

#define FORMAT1 1

/* How far a client's time step may be from ours, either way. */
#define WINDOW_STEPS 1

#define STEP_USEC (SPALE_TIME_STEP * USEC_PER_SEC)

struct KnockJudge {
	State *state;
	Enforcer *enforcer;
	uint64_t start_step;
	uint64_t floor; /* for all clients, with has_floor */
	bool has_floor;
	bool no_memory;	 /* for what an earlier daemon remembered */
	uint64_t oldest; /* the lowest step that was taken when a knock was last judged */
	void *peers;	 /* of KnockPeer, by key: tsearch(3) */
};

static int compare_peers(const void *a, const void *b)
{
	return memcmp(&((const KnockPeer *)a)->key, &((const KnockPeer *)b)->key,
		      sizeof(PublicKey));
}

static void peer_free(void *p)
{
	KnockPeer *peer = p;

	if (!peer)
		return;
	replay_done(&peer->replay);
	secret_free(peer, sizeof(*peer));
}

static void peer_freep(KnockPeer **peer)
{
	peer_free(*peer);
}

void knock_verdict_done(KnockVerdict *verdict)
{
	decision_done(&verdict->decision);
	*verdict = (KnockVerdict){0};
}

int knock_judge_begin(State *state, bool first_start, uint64_t now_real_usec)
{
	uint64_t floor = first_start ? 0 : now_real_usec / STEP_USEC + 1;

	return state_set_floor(state, NULL, FORMAT1, floor);
}

/* The floor on record, or, where nobody knows it, that of a start without any record. */
static void recorded_floor(const KnockJudge *judge, const PublicKey *key, bool *ret_has_floor,
			   uint64_t *ret_floor)
{
	int r = state_problem(judge->state) ? -ENOENT
					    : state_floor(judge->state, key, FORMAT1, ret_floor);

	*ret_has_floor = r != -ENOENT;
	if (r == 0 || r == -ENOENT)
		return;
	*ret_floor = judge->start_step + 1;
	journal_line(LOG_LEVEL_WARNING,
		     "the replay floor of %s cannot be read (%s): its knocks are refused until a "
		     "minute after the start",
		     key ? "a client" : "all clients",
		     r == -EBADMSG ? "the file is damaged" : strerror(-r));
}

void knock_judge_free(KnockJudge *judge)
{
	if (!judge)
		return;
	tdestroy(judge->peers, peer_free);
	free(judge);
}

uint64_t knock_judge_deaf_until_usec(const KnockJudge *judge)
{
	return judge->has_floor ? (judge->floor + 1) * STEP_USEC : 0;
}

KnockPeer *knock_judge_peer(KnockJudge *judge, const PublicKey *key)
{
	KnockPeer wanted = {.key = *key};
	KnockPeer **node = tfind(&wanted, &judge->peers, compare_peers);

	return node ? *node : NULL;
}

/* A new peer that remembers nothing. NULL: no memory. */
static KnockPeer *add_peer(KnockJudge *judge, const PublicKey *key)
{
	_cleanup_(peer_freep) KnockPeer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->key = *key;
	if (judge->has_floor)
		replay_raise_floor(&peer->replay, judge->floor);
	if (!tsearch(peer, &judge->peers, compare_peers))
		return NULL;
	return TAKE_PTR(peer);
}

KnockPeer *knock_judge_get_peer(KnockJudge *judge, const PublicKey *key)
{
	KnockPeer *peer = knock_judge_peer(judge, key);
	uint64_t floor = 0;
	bool has_floor;

	if (peer)
		return peer;
	recorded_floor(judge, key, &has_floor, &floor);
	peer = add_peer(judge, key);
	if (peer && has_floor)
		replay_raise_floor(&peer->replay, floor);
	return peer;
}

/* ---- what outlives the daemon -------------------------------------------------------------- */

static struct spale_accepted_key record_key(const PublicKey *key, const ReplayEntry *entry)
{
	struct spale_accepted_key record = {.time = entry->time, .format = FORMAT1};

	memcpy(record.client_key, key->bytes, sizeof(record.client_key));
	memcpy(record.nonce, entry->nonce, sizeof(record.nonce));
	return record;
}

/* The record of KEY's floor. No knock has this time. */
static struct spale_accepted_key floor_key(const PublicKey *key)
{
	const ReplayEntry floor = {.time = SPALE_NEVER_NS};

	return record_key(key, &floor);
}

/* One record, of an earlier daemon; what cannot be remembered counts as a floor. */
static void recall(const void *key, const void *value, void *userdata)
{
	KnockJudge *judge = userdata;
	const struct spale_accepted_key *record = key;
	ReplayEntry entry = {.time = record->time};
	PublicKey client;
	KnockPeer *peer;

	if (record->format != FORMAT1)
		return;
	memcpy(client.bytes, record->client_key, sizeof(client.bytes));
	memcpy(entry.nonce, record->nonce, sizeof(entry.nonce));
	/* The floor on disk is for a start that remembers nothing. */
	peer = knock_judge_peer(judge, &client) ?: add_peer(judge, &client);
	if (!peer)
		judge->no_memory = true;
	else if (record->time == SPALE_NEVER_NS)
		replay_raise_floor(&peer->replay, *(const uint64_t *)value);
	else if (replay_add(&peer->replay, &entry) < 0)
		replay_raise_floor(&peer->replay, entry.time);
}

/* Writes the floor of PEER, which has to be there before anything below it is forgotten. */
static int keep_floor(KnockJudge *judge, const KnockPeer *peer, uint64_t floor)
{
	const struct spale_accepted_key key = floor_key(&peer->key);

	return enforcer_record_put(judge->enforcer, ENFORCER_ACCEPTED, &key, &floor);
}

/*
 * Has the kernel forget what PEER remembers from before OLDEST, as replay_check() is about to. What
 * cannot be forgotten stays in the kernel, and does no harm there.
 */
static void forget_records(KnockJudge *judge, const KnockPeer *peer, uint64_t oldest)
{
	const Replay *replay = &peer->replay;
	uint64_t floor = 0;
	bool any = false;

	for (size_t i = 0; i < replay->count; i++) {
		if (replay->entries[i].time >= oldest)
			continue;
		any = true;
		if (floor < replay->entries[i].time)
			floor = replay->entries[i].time;
	}
	if (replay->floor_set && floor < replay->floor)
		floor = replay->floor;
	if (!any || keep_floor(judge, peer, floor) < 0)
		return;
	for (size_t i = 0; i < replay->count; i++) {
		const struct spale_accepted_key key = record_key(&peer->key, &replay->entries[i]);

		if (key.time < oldest)
			enforcer_record_delete(judge->enforcer, ENFORCER_ACCEPTED, &key);
	}
}

/* Has the kernel forget PEER as a whole: the floor on disk stands in for it. */
static void forget_peer(KnockJudge *judge, const KnockPeer *peer)
{
	const struct spale_accepted_key floor = floor_key(&peer->key);

	for (size_t i = 0; i < peer->replay.count; i++) {
		const struct spale_accepted_key key =
			record_key(&peer->key, &peer->replay.entries[i]);

		enforcer_record_delete(judge->enforcer, ENFORCER_ACCEPTED, &key);
	}
	enforcer_record_delete(judge->enforcer, ENFORCER_ACCEPTED, &floor);
}

static void forget_old(const void *node, VISIT which, void *userdata)
{
	KnockJudge *judge = userdata;
	KnockPeer *const *peer = node;

	if (which == leaf || which == postorder)
		forget_records(judge, *peer, judge->oldest);
}

static int put_record(KnockJudge *judge, const KnockPeer *peer, const ReplayEntry *entry)
{
	const struct spale_accepted_key key = record_key(&peer->key, entry);
	const uint64_t zero = 0;
	int r = 0;

	if (peer->replay.count == 0 && peer->replay.floor_set)
		r = keep_floor(judge, peer, peer->replay.floor);
	return r < 0 ? r : enforcer_record_put(judge->enforcer, ENFORCER_ACCEPTED, &key, &zero);
}

/* Keeps what PEER accepts now, behind the floor that it has. */
static int keep_record(KnockJudge *judge, const KnockPeer *peer, const ReplayEntry *entry)
{
	int r = put_record(judge, peer, entry);

	if (r != -E2BIG)
		return r;
	/* Clients who do not knock any more have not forgotten yet. */
	twalk_r(judge->peers, forget_old, judge);
	return put_record(judge, peer, entry);
}

KnockJudge *knock_judge_new(State *state, Enforcer *enforcer, uint64_t now_real_usec)
{
	_cleanup_knock_judge_ KnockJudge *judge = calloc(1, sizeof(*judge));

	if (!judge)
		return NULL;
	judge->state = state;
	judge->enforcer = enforcer;
	judge->start_step = now_real_usec / STEP_USEC;
	recorded_floor(judge, NULL, &judge->has_floor, &judge->floor);
	if (enforcer_records(enforcer, ENFORCER_ACCEPTED, recall, judge) < 0 || judge->no_memory)
		return NULL;
	return TAKE_PTR(judge);
}

/* ---- judging ------------------------------------------------------------------------------- */

/* The cached X25519(server key INDEX, client's key), made at the first use. NULL: yields none. */
static const Secret *shared_with(KnockPeer *peer, const KeyRing *keys, size_t index)
{
	if (!peer->has_shared[index]) {
		if (hpke_dh(&keys->pairs[index].private_key, &peer->key, &peer->shared[index]) < 0)
			return NULL;
		peer->has_shared[index] = true;
	}
	return &peer->shared[index];
}

/* Opens DATAGRAM with whichever server key it was sealed for. */
static Refusal open_datagram(KnockPeer *peer, const KeyRing *keys, const uint8_t *datagram,
			     Format1 *ret_message)
{
	for (size_t i = 0; i < keys->count; i++) {
		const KeyPair *pair = &keys->pairs[i];
		const Secret *shared = shared_with(peer, keys, i);

		if (!shared)
			return REFUSAL_BAD_KEY;
		switch (format1_open(datagram, &pair->private_key, &pair->public_key, shared,
				     ret_message)) {
		case 0:
			return REFUSAL_NONE;
		case -EKEYREJECTED:
			return REFUSAL_BAD_KEY;
		case -EPROTONOSUPPORT:
			return REFUSAL_VERSION;
		}
	}
	return REFUSAL_BAD_SEAL;
}

/* Whether what MESSAGE says is of now, and new. */
static Refusal check_fresh(KnockJudge *judge, KnockPeer *peer, const Format1 *message,
			   uint64_t received_real_usec, ReplayEntry *ret_entry)
{
	uint64_t step = received_real_usec / STEP_USEC;
	uint64_t oldest = step > WINDOW_STEPS ? step - WINDOW_STEPS : 0;

	ret_entry->time = message->time_step;
	memcpy(ret_entry->nonce, message->nonce, sizeof(ret_entry->nonce));
	if (ret_entry->time < oldest || ret_entry->time > step + WINDOW_STEPS)
		return REFUSAL_CLOCK;
	judge->oldest = oldest;
	forget_records(judge, peer, oldest);
	return replay_check(&peer->replay, oldest, ret_entry);
}

static Refusal decide_grant(const KnockRules *rules, const struct spale_knock *knock,
			    uint64_t received_real_usec, KnockVerdict *verdict)
{
	Request request = {
		.ifindex = knock->ifindex,
		.now_real_usec = received_real_usec,
	};
	int r;

	memcpy(request.source.bytes, knock->source, sizeof(request.source.bytes));
	r = decide(rules->config, verdict->client, &request, &verdict->decision);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "a knock could not be judged: %s", strerror(-r));
		return REFUSAL_LIMIT;
	}
	return (Refusal)r;
}

Refusal knock_judge_examine(KnockJudge *judge, const KnockRules *rules,
			    const struct spale_knock *knock, uint64_t received_real_usec,
			    KnockVerdict *ret_verdict)
{
	Format1 message = {0};
	Refusal refusal;
	PublicKey key;

	*ret_verdict = (KnockVerdict){0};
	if (knock->format != FORMAT1 || knock->length != SPALE_FORMAT1_SIZE)
		return REFUSAL_NOT_A_KNOCK;
	key = format1_sender(knock->data);
	ret_verdict->client = client_set_by_key(rules->clients, &key);
	if (!ret_verdict->client)
		return REFUSAL_UNKNOWN_CLIENT;
	refusal = decide_client(ret_verdict->client, received_real_usec);
	if (refusal != REFUSAL_NONE)
		return refusal;
	ret_verdict->peer = knock_judge_get_peer(judge, &key);
	if (!ret_verdict->peer)
		return REFUSAL_REPLAY_FULL;
	refusal = open_datagram(ret_verdict->peer, rules->keys, knock->data, &message);
	if (refusal == REFUSAL_NONE)
		refusal = check_fresh(judge, ret_verdict->peer, &message, received_real_usec,
				      &ret_verdict->entry);
	if (refusal == REFUSAL_NONE)
		refusal = decide_grant(rules, knock, received_real_usec, ret_verdict);
	return refusal;
}

Refusal knock_judge_remember(KnockJudge *judge, const KnockVerdict *verdict)
{
	Replay *replay = &verdict->peer->replay;
	int r;

	if (state_problem(judge->state))
		return REFUSAL_STATE;
	if (!replay->highest_set || verdict->entry.time > replay->highest) {
		r = state_set_floor(judge->state, &verdict->peer->key, FORMAT1,
				    verdict->entry.time);
		if (r < 0) {
			journal_line(
				LOG_LEVEL_ERROR,
				"the time of a knock could not be recorded, so it is refused: %s",
				strerror(-r));
			return REFUSAL_STATE;
		}
	}
	r = keep_record(judge, verdict->peer, &verdict->entry);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR,
			     "a knock could not be remembered, so it is refused: %s",
			     enforcer_error(judge->enforcer));
		return REFUSAL_REPLAY_FULL;
	}
	return replay_add(replay, &verdict->entry) < 0 ? REFUSAL_REPLAY_FULL : REFUSAL_NONE;
}

static void forget_node(const void *node, VISIT which, void *judge)
{
	KnockPeer *const *peer = node;

	if (which == leaf || which == postorder)
		forget_peer(judge, *peer);
}

void knock_judge_bar(KnockJudge *judge, const PublicKey *key, uint64_t now_real_usec)
{
	KnockPeer *peer = knock_judge_get_peer(judge, key);
	uint64_t floor = now_real_usec / STEP_USEC;
	int r = -ENOMEM;

	if (peer) {
		replay_raise_floor(&peer->replay, floor);
		/* The record is one for both: it must not fall behind what was accepted. */
		if (peer->replay.highest_set && peer->replay.highest > floor)
			floor = peer->replay.highest;
		r = state_set_floor(judge->state, key, FORMAT1, floor);
		/* A restart that remembers more looks there. */
		if (r == 0)
			r = keep_floor(judge, peer, peer->replay.floor);
	}
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR,
			     "a revocation could not be recorded (%s): a knock that was held back "
			     "may undo it for a minute",
			     strerror(-r));
}

static void bar_node(const void *node, VISIT which, void *judge)
{
	KnockPeer *const *peer = node;

	if (which == leaf || which == postorder)
		replay_raise_floor(&(*peer)->replay, ((const KnockJudge *)judge)->floor);
}

void knock_judge_bar_all(KnockJudge *judge, uint64_t now_real_usec)
{
	uint64_t floor = now_real_usec / STEP_USEC;
	int r;

	if (!judge->has_floor || judge->floor < floor)
		judge->floor = floor;
	judge->has_floor = true;
	twalk_r(judge->peers, bar_node, judge);
	r = state_set_floor(judge->state, NULL, FORMAT1, judge->floor);
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR,
			     "a revocation could not be recorded (%s): knocks that were held back "
			     "may undo it for a minute after a restart",
			     strerror(-r));
}

/* Moves the peers of CLIENTS to a new tree; what cannot be moved is read from the disk again. */
void knock_judge_keep(KnockJudge *judge, const ClientSet *clients)
{
	void *kept = NULL;

	for (size_t i = 0; i < client_set_count(clients); i++) {
		KnockPeer *peer = knock_judge_peer(judge, &client_set_get(clients, i)->key);

		if (!peer)
			continue;
		tdelete(peer, &judge->peers, compare_peers);
		secret_erase(peer->shared, sizeof(peer->shared));
		memset(peer->has_shared, 0, sizeof(peer->has_shared));
		if (!tsearch(peer, &kept, compare_peers))
			peer_free(peer);
	}
	twalk_r(judge->peers, forget_node, judge);
	tdestroy(judge->peers, peer_free);
	judge->peers = kept;
}
