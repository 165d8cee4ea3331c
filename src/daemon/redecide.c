/* SPDX-License-Identifier: MIT */
#include "daemon/redecide.h"

#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"

uint64_t *redecide_ids(const GrantTable *grants)
{
	size_t count = grant_table_count(grants);
	uint64_t *ids = calloc(count ?: 1, sizeof(*ids));

	for (size_t i = 0; ids && i < count; i++)
		ids[i] = grant_table_get(grants, i)->id;
	return ids;
}

const char *redecide_grant(const RedecideRules *rules, const Grant *grant, const char **ret_detail)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	_cleanup_decision_ Decision decision = {0};
	const Client *client = client_set_by_key(rules->clients, &grant->key);
	const Request request = {
		.source = grant->address,
		.ifindex = grant->ifindex,
		.now_real_usec = rules->now_real_usec,
	};
	int r = REFUSAL_UNKNOWN_CLIENT;

	if (client && strcmp(client->name, grant->client) == 0)
		r = (int)decide_client(client, request.now_real_usec);
	if (r == REFUSAL_NONE)
		r = decide(rules->config, client, &request, &decision);
	if (r == REFUSAL_NONE)
		r = grant_table_redecide(rules->grants, grant->id, &decision, &changes);
	if (r == REFUSAL_NONE) {
		projection_apply_surely(rules->projection, &changes);
		return NULL;
	}
	*ret_detail = r < 0 ? strerror(-r) : refusal_meaning((Refusal)r);
	return refusal_name(r < 0 ? REFUSAL_LIMIT : (Refusal)r);
}
