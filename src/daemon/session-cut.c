/* SPDX-License-Identifier: MIT */
#include "daemon/session-cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/grammar.h"

struct Loss {
	HashNode node;
	SessionOrigin old;
	SessionOrigin left;
};

/* ---- what was lost ------------------------------------------------------------------------- */

static void loss_free(Loss *loss)
{
	session_origin_done(&loss->old);
	session_origin_done(&loss->left);
	free(loss);
}

static void former_free(Former *former)
{
	if (!former)
		return;
	prefix_list_done(&former->prefixes);
	port_list_done(&former->ports);
	free(former);
}
DEFINE_CLEANUP(Former, former_free)

void session_cut_done(SessionCut *cut)
{
	for (size_t i = 0; i < cut->losses.bucket_count; i++) {
		for (HashNode *node = cut->losses.buckets[i], *next; node; node = next) {
			next = node->next;
			loss_free(HASH_OBJECT(node, Loss, node));
		}
	}
	if (cut->has_losses)
		hash_table_done(&cut->losses);
	while (cut->formers) {
		Former *former = cut->formers;

		cut->formers = former->next;
		former_free(former);
	}
	*cut = (SessionCut){0};
}

static uint64_t hash_prefix(const Address *address, uint8_t length)
{
	const Address masked = address_mask(address, length);

	return hash_table_hash(&masked, sizeof(masked)) + length;
}

int session_cut_add_loss(SessionCut *cut, SessionOrigin *old, SessionOrigin *left)
{
	Loss *loss;

	if (!cut->has_losses && hash_table_init(&cut->losses) < 0)
		return -ENOMEM;
	cut->has_losses = true;
	loss = calloc(1, sizeof(*loss));
	if (!loss)
		return -ENOMEM;
	loss->old = *old;
	if (left)
		loss->left = *left;
	*old = (SessionOrigin){0};
	cut->lengths[loss->old.source.length] = true;
	hash_table_insert(&cut->losses, &loss->node,
			  hash_prefix(&loss->old.source.address, loss->old.source.length));
	return 0;
}

int session_cut_add_former(SessionCut *cut, const Config *before, const Config *after)
{
	const PrefixList *prefixes = &before->always_allow;
	_cleanup_(former_freep) Former *former = NULL;

	if (prefixes->count == 0 || prefix_list_equal(prefixes, &after->always_allow))
		return 0;
	former = calloc(1, sizeof(*former));
	if (!former)
		return -ENOMEM;
	former->prefixes.items = calloc(prefixes->count, sizeof(*prefixes->items));
	if (!former->prefixes.items || port_list_copy(&before->protected_ports, &former->ports) < 0)
		return -ENOMEM;
	memcpy(former->prefixes.items, prefixes->items, prefixes->count * sizeof(*prefixes->items));
	former->prefixes.count = prefixes->count;
	former->next = cut->formers;
	cut->formers = TAKE_PTR(former);
	return 0;
}

bool session_cut_is_empty(const SessionCut *cut)
{
	return !cut->revokes && !cut->formers && cut->losses.count == 0;
}

/* ---- which conversations ------------------------------------------------------------------- */

static bool origin_has(const SessionOrigin *origin, const EnforcerSession *session)
{
	return port_list_contains(&origin->ports, session->protocol, session->port) &&
	       prefix_contains(&origin->source, &session->source);
}

static bool list_has(const PrefixList *list, const Address *source)
{
	for (size_t i = 0; i < list->count; i++)
		if (prefix_contains(&list->items[i], source))
			return true;
	return false;
}

static bool is_revoked(const SessionCut *cut, const EnforcerSession *session)
{
	return cut->revokes && (!cut->source || prefix_contains(cut->source, &session->source)) &&
	       (!cut->ports || cut->ports->count == 0 ||
		port_list_contains(cut->ports, session->protocol, session->port));
}

/* Whether the right to SESSION was lost by somebody whose source had this LENGTH. */
static bool is_lost_at(const SessionCut *cut, const EnforcerSession *session, uint8_t length)
{
	HashNode *node = hash_table_first(&cut->losses, hash_prefix(&session->source, length));

	for (; node; node = hash_table_next(node)) {
		const Loss *loss = HASH_OBJECT(node, Loss, node);

		if (origin_has(&loss->old, session) && !origin_has(&loss->left, session))
			return true;
	}
	return false;
}

/* Whether the right to SESSION was lost by somebody. */
static bool is_lost(const SessionCut *cut, const EnforcerSession *session)
{
	for (const Former *former = cut->formers; former; former = former->next)
		if (port_list_contains(&former->ports, session->protocol, session->port) &&
		    list_has(&former->prefixes, &session->source))
			return true;
	if (is_revoked(cut, session))
		return true;
	for (unsigned length = 0; length < ARRAY_SIZE(cut->lengths); length++)
		if (cut->lengths[length] && is_lost_at(cut, session, (uint8_t)length))
			return true;
	return false;
}

bool session_cut_means(const EnforcerSession *session, void *userdata)
{
	const SessionCut *cut = userdata;
	const SessionRules *rules = cut->rules;
	uint32_t ifindex = address_is_link_local(&session->source) ? session->ifindex : 0;

	return port_list_contains(&rules->config->protected_ports, session->protocol,
				  session->port) &&
	       is_lost(cut, session) && !list_has(&rules->config->always_allow, &session->source) &&
	       !grant_table_covers(rules->grants, &session->source, ifindex, session->protocol,
				   session->port);
}
