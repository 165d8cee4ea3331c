/* SPDX-License-Identifier: MIT */
#include "daemon/heritage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/projection.h"

_Static_assert(CLIENT_NAME_MAX < sizeof(((struct spale_owner *)0)->client), "room for a name");

_Static_assert((int)GRANT_ORIGIN_KNOCK == SPALE_ORIGIN_KNOCK &&
		       (int)GRANT_ORIGIN_ADMINISTRATOR == SPALE_ORIGIN_ADMINISTRATOR &&
		       (int)GRANT_ORIGIN_ALWAYS == SPALE_ORIGIN_ALWAYS,
	       "one order of origins");

/* Fills in the ports that GRANT is limited to. Returns 0 or -E2BIG. */
static int note_asked(const Grant *grant, struct spale_owner *owner)
{
	if (!grant->has_asked)
		return 0;
	if (grant->asked.count > SPALE_OWNER_RANGES)
		return -E2BIG;
	port_list_foreach (range, &grant->asked)
		owner->ranges[owner->ranges_used++] =
			(struct spale_port_range){range->protocol, range->first, range->last};
	return 0;
}

void heritage_note(Enforcer *enforcer, const Grant *grant)
{
	struct spale_owner owner = {
		.created_mono_ns = grant->created_mono_ns,
		.renewed_mono_ns = grant->renewed_mono_ns,
		.idle_ns = grant->idle_ns,
		.grace_ns = grant->grace_ns,
		.lifetime_ns = grant->lifetime_ns,
		.ifindex = grant->ifindex,
		.origin = (uint8_t)grant->origin,
		.prefix_length = grant->source.length,
	};
	const char *problem = NULL;

	memcpy(owner.client_key, grant->key.bytes, sizeof(owner.client_key));
	memcpy(owner.client, grant->client, strlen(grant->client));
	memcpy(owner.address, grant->address.bytes, sizeof(owner.address));
	if (note_asked(grant, &owner) < 0)
		problem = "its ports are too many ranges";
	else if (enforcer_record_put(enforcer, ENFORCER_OWNERS, &grant->id, &owner) < 0)
		problem = enforcer_error(enforcer);
	if (!problem)
		return;
	journal_line(LOG_LEVEL_WARNING, "grant %" PRIu64 " will not outlive this spaled: %s",
		     grant->id, problem);
	/* An older record would say more than there is now. */
	heritage_forget(enforcer, grant->id);
}

void heritage_forget(Enforcer *enforcer, uint64_t id)
{
	if (enforcer_record_delete(enforcer, ENFORCER_OWNERS, &id) < 0)
		journal_line(LOG_LEVEL_WARNING, "grant %" PRIu64 " may come back at a restart: %s",
			     id, enforcer_error(enforcer));
}

/* ---- taking -------------------------------------------------------------------------------- */

typedef struct Legacy {
	uint64_t id;
	struct spale_owner owner;
} Legacy;

typedef struct Legacies {
	Legacy *items;
	size_t count;
	size_t allocated;
	bool no_memory;
} Legacies;

static void legacies_done(Legacies *legacies)
{
	free(legacies->items);
}
#define _cleanup_legacies_ _cleanup_(legacies_done)

static void collect(const void *key, const void *value, void *userdata)
{
	Legacies *legacies = userdata;

	if (legacies->count == legacies->allocated) {
		size_t allocated = legacies->allocated ? 2 * legacies->allocated : 64;
		Legacy *items = reallocarray(legacies->items, allocated, sizeof(*items));

		if (!items) {
			legacies->no_memory = true;
			return;
		}
		legacies->items = items;
		legacies->allocated = allocated;
	}
	memcpy(&legacies->items[legacies->count].id, key, sizeof(uint64_t));
	memcpy(&legacies->items[legacies->count].owner, value, sizeof(struct spale_owner));
	legacies->items[legacies->count++].owner.client[CLIENT_NAME_MAX] = '\0';
}

static int compare(const void *a, const void *b)
{
	const Legacy *first = a, *second = b;

	return first->id < second->id ? -1 : first->id > second->id;
}

/* The ports that a grant is limited to. Returns 0 or a negative errno. */
static int read_asked(const struct spale_owner *owner, PortList *ret_asked)
{
	_cleanup_port_list_ PortList asked = PORT_LIST_NULL;
	int r;

	if (owner->ranges_used > SPALE_OWNER_RANGES)
		return -EBADMSG;
	for (size_t i = 0; i < owner->ranges_used; i++) {
		const struct spale_port_range *range = &owner->ranges[i];

		r = port_list_add(&asked,
				  (PortRange){(uint8_t)range->protocol, range->first, range->last});
		if (r < 0)
			return r;
	}
	*ret_asked = asked;
	asked = PORT_LIST_NULL;
	return 0;
}

/* What an administrator's grant may be now. Returns 0, why not (a Refusal) or a negative errno. */
static int decide_administrator(const Heir *heir, const struct spale_owner *owner, PortList *asked,
				Decision *ret_decision)
{
	Decision decision = {
		.origin = (GrantOrigin)owner->origin,
		.source.length = owner->prefix_length,
		.ifindex = owner->ifindex,
		.has_asked = asked->count > 0,
		.idle_ns = owner->idle_ns,
		.grace_ns = owner->grace_ns,
		.lifetime_ns = owner->lifetime_ns,
	};
	int r;

	if (owner->origin > SPALE_ORIGIN_ALWAYS || owner->prefix_length > 128)
		return -EBADMSG;
	memcpy(decision.address.bytes, owner->address, sizeof(decision.address.bytes));
	decision.source.address = address_mask(&decision.address, owner->prefix_length);
	r = decide_ports(heir->config, asked->count > 0 ? asked : NULL, &decision.ports);
	if (r != REFUSAL_NONE)
		return r;
	decision.asked = *asked;
	*asked = PORT_LIST_NULL;
	*ret_decision = decision;
	return 0;
}

/* What a client's grant may be now; *RET_CLIENT is that client. Same returns. */
static int decide_knock(const Heir *heir, const struct spale_owner *owner, const PortList *asked,
			const Client **ret_client, Decision *ret_decision)
{
	Request request = {
		.ifindex = owner->ifindex,
		.ports = asked->count > 0 ? asked : NULL,
		.now_real_usec = heir->now_real_usec,
	};
	const Client *client;
	PublicKey key;
	int r;

	memcpy(request.source.bytes, owner->address, sizeof(request.source.bytes));
	memcpy(key.bytes, owner->client_key, sizeof(key.bytes));
	client = client_set_by_key(heir->clients, &key);
	if (!client || strcmp(client->name, owner->client) != 0)
		return REFUSAL_UNKNOWN_CLIENT;
	r = (int)decide_client(client, heir->now_real_usec);
	if (r == REFUSAL_NONE)
		r = decide(heir->config, client, &request, ret_decision);
	if (r == REFUSAL_NONE)
		*ret_client = client;
	return r;
}

/* Puts one grant back. Returns 0, why not (a Refusal) or a negative errno. */
static int restore(const Heir *heir, const Legacy *legacy)
{
	_cleanup_decision_ Decision decision = {0};
	_cleanup_port_list_ PortList asked = PORT_LIST_NULL;
	const struct spale_owner *owner = &legacy->owner;
	const GrantPast past = {legacy->id, owner->created_mono_ns, owner->renewed_mono_ns};
	const Client *client = NULL;
	int r;

	r = read_asked(owner, &asked);
	if (r < 0)
		return r;
	if (owner->origin == SPALE_ORIGIN_KNOCK)
		r = decide_knock(heir, owner, &asked, &client, &decision);
	else
		r = decide_administrator(heir, owner, &asked, &decision);
	return r == REFUSAL_NONE ? grant_table_restore(heir->grants, client, &decision, &past) : r;
}

/* The kernel may know of later packets of the restored GRANT. */
static void complete(const Heir *heir, const Grant *grant)
{
	Projection projection = {.enforcer = heir->enforcer};

	projection_pull_last(&projection, heir->grants, grant);
}

static void give_up(const Heir *heir, const Legacy *legacy, int why)
{
	Grant gone = {
		.id = legacy->id,
		.origin = (GrantOrigin)legacy->owner.origin,
		.source.length = 128,
		.ifindex = legacy->owner.ifindex,
	};

	memcpy(gone.address.bytes, legacy->owner.address, sizeof(gone.address.bytes));
	gone.source.address = gone.address;
	if (gone.origin != GRANT_ORIGIN_KNOCK && legacy->owner.prefix_length <= 128)
		gone.source.length = legacy->owner.prefix_length;
	memcpy(gone.client, legacy->owner.client, sizeof(gone.client));
	announce_grant_gone(heir->announcer, &gone, GRANT_REVOKED,
			    refusal_name(why < 0 ? REFUSAL_LIMIT : (Refusal)why),
			    why < 0 ? strerror(-why) : refusal_meaning((Refusal)why));
	heritage_forget(heir->enforcer, legacy->id);
}

static int fail(int error, const char *why)
{
	journal_line(LOG_LEVEL_ERROR, "the grants of an earlier spaled cannot be taken over: %s",
		     why);
	return error;
}

/* Prefix lengths of a family that grants have: the configured one, and one more (0: none yet). */
typedef struct Lengths {
	uint8_t configured, other;
} Lengths;

/* Whether the kernel looks for grants of this length, too: of two in a family at a time. */
static bool fits(Lengths *lengths, const Grant *grant)
{
	uint8_t length = grant->source.length;

	if (length == lengths->configured)
		return true;
	if (lengths->other == 0)
		lengths->other = length;
	return length == lengths->other;
}

/* Puts LEGACY back, if it can be in force. Same returns as restore(). */
static int take(const Heir *heir, const Legacy *legacy, Lengths lengths[static 2])
{
	const Grant *grant;
	int r = restore(heir, legacy);

	if (r != REFUSAL_NONE)
		return r;
	grant = grant_table_by_id(heir->grants, legacy->id);
	if (!fits(&lengths[address_is_ipv4(&grant->source.address)], grant)) {
		grant_table_drop(heir->grants, legacy->id);
		return REFUSAL_ENFORCER;
	}
	complete(heir, grant);
	return REFUSAL_NONE;
}

int heritage_take(const Heir *heir)
{
	_cleanup_legacies_ Legacies legacies = {0};
	Lengths lengths[2] = {{heir->config->prefix6, 0},
			      {(uint8_t)(heir->config->prefix4 + ADDRESS_IPV4_BITS), 0}};
	int r;

	r = enforcer_records(heir->enforcer, ENFORCER_OWNERS, collect, &legacies);
	if (r < 0)
		return fail(r, enforcer_error(heir->enforcer));
	if (legacies.no_memory)
		return fail(-ENOMEM, "no memory");
	if (legacies.count > 0)
		qsort(legacies.items, legacies.count, sizeof(*legacies.items), compare);
	for (size_t i = 0; i < legacies.count; i++) {
		r = take(heir, &legacies.items[i], lengths);
		if (r != REFUSAL_NONE)
			give_up(heir, &legacies.items[i], r);
	}
	return 0;
}

int heritage_put(const Heir *heir)
{
	_cleanup_entry_changes_ EntryChanges wanted = {0};
	int r;

	r = grant_table_project(heir->grants, &wanted);
	if (r < 0)
		return fail(r, strerror(-r));
	r = enforcer_sync(heir->enforcer, &wanted);
	if (r < 0)
		return fail(r, enforcer_error(heir->enforcer));
	if (grant_table_count(heir->grants) > 0)
		journal_line(LOG_LEVEL_INFO, "grants of an earlier spaled that stay: %zu",
			     grant_table_count(heir->grants));
	return 0;
}
