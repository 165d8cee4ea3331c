/* SPDX-License-Identifier: MIT */
#include "daemon/redecide.h"

#include <string.h>

#include "policy/decide.h"

/* What a client's GRANT may be now. Returns 0, why not (a Refusal) or a negative errno. */
static int decide_knock(const RedecideRules *rules, const Grant *grant, Decision *ret_decision)
{
	const Client *client = client_set_by_key(rules->clients, &grant->key);
	const Request request = {
		.source = grant->address,
		.ifindex = grant->ifindex,
		.ports = grant->has_asked ? &grant->asked : NULL,
		.now_real_usec = rules->now_real_usec,
	};
	int r = REFUSAL_UNKNOWN_CLIENT;

	if (client && strcmp(client->name, grant->client) == 0)
		r = (int)decide_client(client, request.now_real_usec);
	return r == REFUSAL_NONE ? decide(rules->config, client, &request, ret_decision) : r;
}

/* The same of an administrator's, whose times are its own. */
static int decide_administrator(const RedecideRules *rules, const Grant *grant,
				Decision *ret_decision)
{
	_cleanup_decision_ Decision decision = {
		.origin = grant->origin,
		.source = grant->source,
		.address = grant->address,
		.ifindex = grant->ifindex,
		.has_asked = grant->has_asked,
		.idle_ns = grant->idle_ns,
		.grace_ns = grant->grace_ns,
		.lifetime_ns = grant->lifetime_ns,
	};
	int r;

	r = decide_ports(rules->config, grant->has_asked ? &grant->asked : NULL, &decision.ports);
	if (r == REFUSAL_NONE)
		r = port_list_copy(&grant->asked, &decision.asked);
	if (r != REFUSAL_NONE)
		return r;
	*ret_decision = decision;
	decision = (Decision){0};
	return 0;
}

const char *redecide_grant(const RedecideRules *rules, const Grant *grant, const char **ret_detail)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	_cleanup_decision_ Decision decision = {0};
	int r;

	if (grant->origin == GRANT_ORIGIN_KNOCK)
		r = decide_knock(rules, grant, &decision);
	else
		r = decide_administrator(rules, grant, &decision);
	if (r == REFUSAL_NONE)
		r = grant_table_redecide(rules->grants, grant->id, &decision, &changes);
	if (r == REFUSAL_NONE) {
		projection_apply_surely(rules->projection, &changes);
		return NULL;
	}
	*ret_detail = r < 0 ? strerror(-r) : refusal_meaning((Refusal)r);
	return refusal_name(r < 0 ? REFUSAL_LIMIT : (Refusal)r);
}
