/* SPDX-License-Identifier: MIT */
#include "daemon/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/session-cut.h"
#include "policy/hash-table.h"

/* What is remembered of a client: the source of the latest grant comes last. */
typedef struct Party {
	HashNode node;
	char name[CLIENT_NAME_MAX + 1];
	PublicKey key;
	SessionOrigin origins[SESSIONS_PER_CLIENT_MAX];
	size_t count;
} Party;

struct Sessions {
	Enforcer *enforcer;
	HashTable parties; /* by key */
	uint64_t number;   /* of the last record */
	bool said_unable, said_unkept;
	SessionCut formers;		  /* nothing else: for the end of what is decided anew */
	size_t next_bucket, bucket_count; /* of parties: where that goes on, unless they move */
};

/* Ends the conversations that CUT means. */
static void run_cut(Sessions *sessions, SessionCut *cut)
{
	int r;

	if (session_cut_is_empty(cut))
		return;
	r = enforcer_cut(sessions->enforcer, session_cut_means, cut);
	if (r > 0)
		journal_line(LOG_LEVEL_INFO, "ended %d connections to which nobody has a right now",
			     r);
	/* What the kernel cannot do is the same each time. */
	if (r < 0 && !(r == -EOPNOTSUPP && sessions->said_unable))
		journal_line(LOG_LEVEL_WARNING,
			     "connections to which nobody has a right now may go on: %s",
			     enforcer_error(sessions->enforcer));
	sessions->said_unable = sessions->said_unable || r == -EOPNOTSUPP;
}

/* ---- what is remembered -------------------------------------------------------------------- */

static Party *find_party(const Sessions *sessions, const PublicKey *key)
{
	HashNode *node = hash_table_first(&sessions->parties, hash_table_hash(key, sizeof(*key)));

	for (; node; node = hash_table_next(node)) {
		Party *party = HASH_OBJECT(node, Party, node);

		if (memcmp(&party->key, key, sizeof(*key)) == 0)
			return party;
	}
	return NULL;
}

static void party_free(Party *party)
{
	for (size_t i = 0; i < party->count; i++)
		session_origin_done(&party->origins[i]);
	free(party);
}

/* The party of a client, made where it is missing. NULL: no memory. */
static Party *get_party(Sessions *sessions, const PublicKey *key, const char *name)
{
	Party *party = find_party(sessions, key);

	if (party)
		return party;
	party = calloc(1, sizeof(*party));
	if (!party)
		return NULL;
	party->key = *key;
	snprintf(party->name, sizeof(party->name), "%s", name);
	hash_table_insert(&sessions->parties, &party->node,
			  hash_table_hash(&party->key, sizeof(party->key)));
	return party;
}

/* Has the kernel keep ORIGIN for the next daemon. */
static void keep(Sessions *sessions, const Party *party, const SessionOrigin *origin)
{
	const SessionOwner owner = {&party->key, party->name};
	int r = session_records_put(sessions->enforcer, &owner, origin, ++sessions->number);

	if (r < 0 && !sessions->said_unkept)
		journal_line(LOG_LEVEL_WARNING,
			     "some connections may go on when the right to them is lost after the "
			     "next restart: %s",
			     enforcer_error(sessions->enforcer));
	sessions->said_unkept = sessions->said_unkept || r < 0;
}

/* What stays behind is decided anew by the next daemon, and lost there. */
static void forget(Sessions *sessions, const Party *party, const SessionOrigin *origin)
{
	const SessionOwner owner = {&party->key, party->name};

	(void)session_records_delete(sessions->enforcer, &owner, origin);
}

/* Takes the origin at INDEX out of PARTY. */
static SessionOrigin take_origin(Party *party, size_t index)
{
	SessionOrigin origin = party->origins[index];

	party->count--;
	memmove(&party->origins[index], &party->origins[index + 1],
		(party->count - index) * sizeof(origin));
	return origin;
}

/* The origin that GRANT belongs to, out of PARTY; an empty one if it is new. */
static SessionOrigin take_origin_of(Party *party, const Grant *grant)
{
	for (size_t i = 0; i < party->count; i++) {
		const SessionOrigin *origin = &party->origins[i];

		if (prefix_compare(&origin->source, &grant->source) == 0 &&
		    origin->ifindex == grant->ifindex)
			return take_origin(party, i);
	}
	return (SessionOrigin){0};
}

/* Conversations of earlier grants for this source may be with other ports: all of them count. */
static int extend_origin(SessionOrigin *origin, const Grant *grant)
{
	int r = 0;

	origin->source = grant->source;
	origin->address = grant->address;
	origin->ifindex = grant->ifindex;
	port_list_foreach (range, &grant->ports) {
		r = port_list_add(&origin->ports, *range);
		if (r < 0)
			break;
	}
	return r;
}

/* Whether ORIGIN says all of GRANT already. */
static bool is_known(const SessionOrigin *origin, const Grant *grant)
{
	return prefix_compare(&origin->source, &grant->source) == 0 &&
	       origin->ifindex == grant->ifindex &&
	       memcmp(&origin->address, &grant->address, sizeof(origin->address)) == 0 &&
	       port_list_equal(&origin->ports, &grant->ports);
}

static int note(Sessions *sessions, const Grant *grant, SessionCut *cut)
{
	Party *party = get_party(sessions, &grant->key, grant->client);
	SessionOrigin origin;
	int r = 0;

	if (!party)
		return -ENOMEM;
	if (party->count > 0 && is_known(&party->origins[party->count - 1], grant))
		return 0;
	origin = take_origin_of(party, grant);
	r = extend_origin(&origin, grant);
	keep(sessions, party, &origin);
	if (party->count == ARRAY_SIZE(party->origins)) {
		SessionOrigin oldest = take_origin(party, 0);

		forget(sessions, party, &oldest);
		r = session_cut_add_loss(cut, &oldest, NULL) ?: r;
		session_origin_done(&oldest);
	}
	party->origins[party->count++] = origin;
	return r;
}

static void say_forgetful(void)
{
	journal_line(LOG_LEVEL_ERROR, "no memory: some connections may go on when the right to "
				      "them is lost");
}

void sessions_note(Sessions *sessions, const SessionRules *rules, const Grant *grant)
{
	_cleanup_session_cut_ SessionCut cut = {.rules = rules};

	/* What an administrator granted ends by his word, not with a client. */
	if (grant->origin != GRANT_ORIGIN_KNOCK)
		return;
	if (note(sessions, grant, &cut) < 0)
		say_forgetful();
	run_cut(sessions, &cut);
}

void sessions_remember(Sessions *sessions, const SessionRules *rules, const Grant *grant)
{
	const Party *party =
		grant->origin == GRANT_ORIGIN_KNOCK ? find_party(sessions, &grant->key) : NULL;

	for (size_t i = 0; party && i < party->count; i++)
		if (is_known(&party->origins[i], grant))
			return;
	sessions_note(sessions, rules, grant);
}

/* ---- a reload ------------------------------------------------------------------------------ */

/* What RULES leave PARTY of ORIGIN: 0, 1 (nothing) or -ENOMEM. */
static int decide_origin(const SessionRules *rules, const Party *party, const SessionOrigin *origin,
			 SessionOrigin *ret_left)
{
	_cleanup_decision_ Decision decision = {0};
	const Client *client = client_set_by_key(rules->clients, &party->key);
	const Request request = {
		.source = origin->address,
		.ifindex = origin->ifindex,
		.ports = &origin->ports,
		.now_real_usec = rules->now_real_usec,
	};
	int r;

	if (!client || strcmp(client->name, party->name) != 0 ||
	    decide_client(client, rules->now_real_usec) != REFUSAL_NONE)
		return 1;
	r = decide(rules->config, client, &request, &decision);
	if (r != REFUSAL_NONE)
		return r < 0 ? r : 1;
	*ret_left = (SessionOrigin){decision.source, decision.address, decision.ifindex,
				    decision.ports};
	decision.ports = PORT_LIST_NULL;
	return 0;
}

static bool origin_equal(const SessionOrigin *a, const SessionOrigin *b)
{
	return prefix_compare(&a->source, &b->source) == 0 && port_list_equal(&a->ports, &b->ports);
}

/* Decides the origin at INDEX anew. Whether the party still has it. */
static bool redecide_origin(Sessions *sessions, const SessionRules *rules, Party *party,
			    size_t index, SessionCut *cut)
{
	SessionOrigin *origin = &party->origins[index], left = {0}, copy = {0};
	int r = decide_origin(rules, party, origin, &left);

	if (r == 0 && origin_equal(origin, &left)) {
		session_origin_done(&left);
		return true;
	}
	if (r == 0) {
		copy = left;
		copy.ports = PORT_LIST_NULL;
		r = port_list_copy(&left.ports, &copy.ports);
	}
	/* Without memory nothing is forgotten: the next reload decides it again. */
	forget(sessions, party, origin);
	if (r < 0 || session_cut_add_loss(cut, origin, r == 0 ? &copy : NULL) < 0) {
		say_forgetful();
		keep(sessions, party, origin);
		session_origin_done(&left);
		session_origin_done(&copy);
		return true;
	}
	if (r == 0) {
		*origin = left;
		keep(sessions, party, origin);
	}
	return r == 0;
}

static void redecide_party(Sessions *sessions, const SessionRules *rules, Party *party,
			   SessionCut *cut)
{
	for (size_t i = 0; i < party->count;) {
		if (redecide_origin(sessions, rules, party, i, cut))
			i++;
		else
			(void)take_origin(party, i);
	}
	if (party->count > 0)
		return;
	hash_table_remove(&sessions->parties, &party->node);
	party_free(party);
}

void sessions_begin_redecide(Sessions *sessions, const Config *before, const Config *after)
{
	if (session_cut_add_former(&sessions->formers, before, after) < 0)
		say_forgetful();
}

/* Decides anew what the parties of one bucket may have. Returns how many sources they had. */
static size_t redecide_bucket(Sessions *sessions, size_t bucket, SessionCut *cut)
{
	size_t count = 0;

	for (HashNode *node = sessions->parties.buckets[bucket], *next; node; node = next) {
		Party *party = HASH_OBJECT(node, Party, node);

		next = node->next;
		count += party->count;
		redecide_party(sessions, cut->rules, party, cut);
	}
	return count;
}

bool sessions_run_redecide(Sessions *sessions, const SessionRules *rules, size_t most)
{
	_cleanup_session_cut_ SessionCut cut = {.rules = rules};
	size_t count = 0;

	if (sessions->bucket_count != sessions->parties.bucket_count)
		sessions->next_bucket = 0;
	sessions->bucket_count = sessions->parties.bucket_count;
	while (sessions->next_bucket < sessions->bucket_count && count < most)
		count += redecide_bucket(sessions, sessions->next_bucket++, &cut);
	if (sessions->next_bucket == sessions->bucket_count) {
		sessions->next_bucket = 0;
		cut.formers = sessions->formers.formers;
		sessions->formers.formers = NULL;
	}
	run_cut(sessions, &cut);
	return sessions->next_bucket == 0;
}

/* ---- a revocation -------------------------------------------------------------------------- */

void sessions_cut(Sessions *sessions, const SessionRules *rules, const Prefix *source,
		  const PortList *ports)
{
	_cleanup_session_cut_ SessionCut cut = {
		.rules = rules,
		.revokes = true,
		.source = source,
		.ports = ports,
	};

	run_cut(sessions, &cut);
}

void sessions_cut_client(Sessions *sessions, const SessionRules *rules, const PublicKey *key)
{
	_cleanup_session_cut_ SessionCut cut = {.rules = rules};
	Party *party = find_party(sessions, key);

	if (!party)
		return;
	while (party->count > 0) {
		SessionOrigin origin = take_origin(party, 0);

		forget(sessions, party, &origin);
		if (session_cut_add_loss(&cut, &origin, NULL) < 0)
			say_forgetful();
		session_origin_done(&origin);
	}
	hash_table_remove(&sessions->parties, &party->node);
	party_free(party);
	run_cut(sessions, &cut);
}

/* ---- a restart ----------------------------------------------------------------------------- */

/* A SessionRecord. Of one client no more come than were remembered; any others are let go. */
static void recall(const SessionOwner *owner, SessionOrigin *origin, uint64_t number,
		   void *userdata)
{
	Sessions *sessions = userdata;
	Party *party = get_party(sessions, owner->key, owner->name);

	if (number > sessions->number)
		sessions->number = number;
	if (!party)
		say_forgetful();
	if (!party || party->count == ARRAY_SIZE(party->origins))
		return;
	party->origins[party->count++] = *origin;
	*origin = (SessionOrigin){0};
}

int sessions_recall(Sessions *sessions)
{
	int r = session_records_recall(sessions->enforcer, recall, sessions);

	if (r < 0)
		journal_line(LOG_LEVEL_ERROR,
			     "who was in conversation during an earlier spaled is unknown: %s",
			     enforcer_error(sessions->enforcer));
	return r;
}

/* ---- life ---------------------------------------------------------------------------------- */

Sessions *sessions_new(Enforcer *enforcer)
{
	_cleanup_sessions_ Sessions *sessions = calloc(1, sizeof(*sessions));

	if (!sessions || hash_table_init(&sessions->parties) < 0)
		return NULL;
	sessions->enforcer = enforcer;
	return TAKE_PTR(sessions);
}

void sessions_free(Sessions *sessions)
{
	if (!sessions)
		return;
	for (size_t i = 0; i < sessions->parties.bucket_count; i++) {
		while (sessions->parties.buckets[i]) {
			Party *party = HASH_OBJECT(sessions->parties.buckets[i], Party, node);

			hash_table_remove(&sessions->parties, &party->node);
			party_free(party);
		}
	}
	hash_table_done(&sessions->parties);
	session_cut_done(&sessions->formers);
	free(sessions);
}
