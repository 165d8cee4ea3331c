/* SPDX-License-Identifier: MIT */
#include "bus/published.h"

#include <stdlib.h>

static PublishedGrant *find(const Published *published, uint64_t id)
{
	HashNode *node = hash_table_first(&published->by_id, hash_table_hash(&id, sizeof(id)));

	for (; node; node = hash_table_next(node)) {
		PublishedGrant *grant = HASH_OBJECT(node, PublishedGrant, node);

		if (grant->id == id)
			return grant;
	}
	return NULL;
}

int published_init(Published *published)
{
	*published = (Published){.grant_count = 0};
	return hash_table_init(&published->by_id);
}

void published_done(Published *published)
{
	for (size_t i = 0; i < published->grant_count; i++)
		free(published->grants[i]);
	published->grant_count = 0;
	hash_table_done(&published->by_id);
}

bool published_has(const Published *published, uint64_t id)
{
	return find(published, id);
}

bool published_add(Published *published, uint64_t id)
{
	PublishedGrant *grant;

	if (published->grant_count == SPALE_BUS_GRANT_OBJECTS_MAX || find(published, id))
		return false;
	grant = calloc(1, sizeof(*grant));
	if (!grant)
		return false;
	grant->id = id;
	grant->index = published->grant_count;
	published->grants[published->grant_count++] = grant;
	hash_table_insert(&published->by_id, &grant->node, hash_table_hash(&id, sizeof(id)));
	return true;
}

bool published_remove(Published *published, uint64_t id)
{
	PublishedGrant *grant = find(published, id), *last;

	if (!grant)
		return false;
	last = published->grants[--published->grant_count];
	published->grants[grant->index] = last;
	last->index = grant->index;
	hash_table_remove(&published->by_id, &grant->node);
	free(grant);
	return true;
}
