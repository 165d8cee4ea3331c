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
	uint64_t start_step;
	uint64_t floor; /* for all clients, with has_floor */
	bool has_floor;
	void *peers; /* of KnockPeer, by key: tsearch(3) */
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
	int r = state_floor(judge->state, key, FORMAT1, ret_floor);

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

KnockJudge *knock_judge_new(State *state, uint64_t now_real_usec)
{
	_cleanup_knock_judge_ KnockJudge *judge = calloc(1, sizeof(*judge));

	if (!judge)
		return NULL;
	judge->state = state;
	judge->start_step = now_real_usec / STEP_USEC;
	recorded_floor(judge, NULL, &judge->has_floor, &judge->floor);
	return TAKE_PTR(judge);
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

/* The same, made where it is missing. NULL: no memory. */
static KnockPeer *get_peer(KnockJudge *judge, const PublicKey *key)
{
	_cleanup_(peer_freep) KnockPeer *peer = NULL;
	KnockPeer *known = knock_judge_peer(judge, key);
	uint64_t floor = 0;
	bool has_floor;

	if (known)
		return known;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->key = *key;
	recorded_floor(judge, key, &has_floor, &floor);
	if (has_floor)
		replay_raise_floor(&peer->replay, floor);
	if (judge->has_floor)
		replay_raise_floor(&peer->replay, judge->floor);
	if (!tsearch(peer, &judge->peers, compare_peers))
		return NULL;
	return TAKE_PTR(peer);
}

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
static Refusal check_fresh(KnockPeer *peer, const Format1 *message, uint64_t received_real_usec,
			   ReplayEntry *ret_entry)
{
	uint64_t step = received_real_usec / STEP_USEC;
	uint64_t oldest = step > WINDOW_STEPS ? step - WINDOW_STEPS : 0;

	ret_entry->time = message->time_step;
	memcpy(ret_entry->nonce, message->nonce, sizeof(ret_entry->nonce));
	if (ret_entry->time < oldest || ret_entry->time > step + WINDOW_STEPS)
		return REFUSAL_CLOCK;
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
	ret_verdict->peer = get_peer(judge, &key);
	if (!ret_verdict->peer)
		return REFUSAL_REPLAY_FULL;
	refusal = open_datagram(ret_verdict->peer, rules->keys, knock->data, &message);
	if (refusal == REFUSAL_NONE)
		refusal = check_fresh(ret_verdict->peer, &message, received_real_usec,
				      &ret_verdict->entry);
	if (refusal == REFUSAL_NONE)
		refusal = decide_grant(rules, knock, received_real_usec, ret_verdict);
	return refusal;
}

Refusal knock_judge_remember(KnockJudge *judge, const KnockVerdict *verdict)
{
	Replay *replay = &verdict->peer->replay;
	int r;

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
	return replay_add(replay, &verdict->entry) < 0 ? REFUSAL_REPLAY_FULL : REFUSAL_NONE;
}

void knock_judge_bar(KnockJudge *judge, const PublicKey *key, uint64_t now_real_usec)
{
	KnockPeer *peer = get_peer(judge, key);
	uint64_t floor = now_real_usec / STEP_USEC;
	int r = -ENOMEM;

	if (peer) {
		replay_raise_floor(&peer->replay, floor);
		/* The record is one for both: it must not fall behind what was accepted. */
		if (peer->replay.highest_set && peer->replay.highest > floor)
			floor = peer->replay.highest;
		r = state_set_floor(judge->state, key, FORMAT1, floor);
	}
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR,
			     "a revocation could not be recorded (%s): a knock that was held back "
			     "may undo it for a minute",
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
	tdestroy(judge->peers, peer_free);
	judge->peers = kept;
}
