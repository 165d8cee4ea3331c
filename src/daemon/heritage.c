/* SPDX-License-Identifier: MIT */
#include "daemon/heritage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/projection.h"

_Static_assert(CLIENT_NAME_MAX < sizeof(((struct spale_owner *)0)->client), "room for a name");

void heritage_note(Enforcer *enforcer, const Grant *grant)
{
	struct spale_owner owner = {
		.created_mono_ns = grant->created_mono_ns,
		.renewed_mono_ns = grant->renewed_mono_ns,
		.ifindex = grant->ifindex,
	};

	memcpy(owner.client_key, grant->key.bytes, sizeof(owner.client_key));
	memcpy(owner.client, grant->client, strlen(grant->client));
	memcpy(owner.address, grant->address.bytes, sizeof(owner.address));
	if (enforcer_record_put(enforcer, ENFORCER_OWNERS, &grant->id, &owner) < 0)
		journal_line(LOG_LEVEL_WARNING,
			     "grant %" PRIu64 " will not outlive this spaled: %s", grant->id,
			     enforcer_error(enforcer));
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

/* Puts one grant back. Returns 0, why not (a Refusal) or a negative errno. */
static int restore(const Heir *heir, const Legacy *legacy, const Address *address)
{
	_cleanup_decision_ Decision decision = {0};
	const GrantOrigin origin = {legacy->id, legacy->owner.created_mono_ns,
				    legacy->owner.renewed_mono_ns};
	const Request request = {
		.source = *address,
		.ifindex = legacy->owner.ifindex,
		.now_real_usec = heir->now_real_usec,
	};
	const Client *client;
	PublicKey key;
	int r;

	memcpy(key.bytes, legacy->owner.client_key, sizeof(key.bytes));
	client = client_set_by_key(heir->clients, &key);
	if (!client || strcmp(client->name, legacy->owner.client) != 0)
		return REFUSAL_UNKNOWN_CLIENT;
	r = (int)decide_client(client, heir->now_real_usec);
	if (r == REFUSAL_NONE)
		r = decide(heir->config, client, &request, &decision);
	if (r == REFUSAL_NONE)
		r = grant_table_restore(heir->grants, client, &decision, &origin);
	return r;
}

/* The kernel may know of later packets of the restored GRANT. */
static void complete(const Heir *heir, const Grant *grant)
{
	Projection projection = {.enforcer = heir->enforcer};

	projection_pull_last(&projection, heir->grants, grant);
}

static void give_up(const Heir *heir, const Legacy *legacy, const Address *address, int why)
{
	Grant gone = {
		.id = legacy->id,
		.source = {*address, 128},
		.address = *address,
		.ifindex = legacy->owner.ifindex,
	};

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

int heritage_take(const Heir *heir)
{
	_cleanup_legacies_ Legacies legacies = {0};
	_cleanup_entry_changes_ EntryChanges wanted = {0};
	int r;

	r = enforcer_records(heir->enforcer, ENFORCER_OWNERS, collect, &legacies);
	if (r < 0)
		return fail(r, enforcer_error(heir->enforcer));
	if (legacies.no_memory)
		return fail(-ENOMEM, "no memory");
	if (legacies.count > 0)
		qsort(legacies.items, legacies.count, sizeof(*legacies.items), compare);
	for (size_t i = 0; i < legacies.count; i++) {
		Address address;

		memcpy(address.bytes, legacies.items[i].owner.address, sizeof(address.bytes));
		r = restore(heir, &legacies.items[i], &address);
		if (r == REFUSAL_NONE)
			complete(heir, grant_table_by_id(heir->grants, legacies.items[i].id));
		else
			give_up(heir, &legacies.items[i], &address, r);
	}
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
