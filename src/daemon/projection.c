/* SPDX-License-Identifier: MIT */
#include "daemon/projection.h"

#include <errno.h>
#include <string.h>

#include "daemon/journal.h"

void projection_done(Projection *projection)
{
	entry_changes_done(&projection->pending);
}

int projection_append(EntryChanges *to, const EntryChanges *from)
{
	EntryChange *items;

	if (from->count == 0)
		return 0;
	items = reallocarray(to->items, to->count + from->count, sizeof(*items));
	if (!items)
		return -ENOMEM;
	memcpy(items + to->count, from->items, from->count * sizeof(*items));
	to->items = items;
	to->count += from->count;
	to->allocated = to->count;
	return 0;
}

/* Has the kernel hold exactly what the table says. */
static int tell_all(Projection *projection)
{
	_cleanup_entry_changes_ EntryChanges wanted = {0};
	int r = grant_table_project(projection->grants, &wanted);

	return r < 0 ? enforcer_fail(projection->enforcer, r, "out of memory")
		     : enforcer_sync(projection->enforcer, &wanted);
}

int projection_retry(Projection *projection)
{
	int r;

	if (!projection_is_behind(projection))
		return 0;
	r = projection->is_lost ? tell_all(projection)
				: enforcer_apply(projection->enforcer, &projection->pending);
	if (r < 0)
		return r;
	entry_changes_done(&projection->pending);
	projection->is_lost = false;
	return 0;
}

bool projection_is_behind(const Projection *projection)
{
	return projection->is_lost || projection->pending.count > 0;
}

void projection_lose(Projection *projection)
{
	journal_line(LOG_LEVEL_ERROR,
		     "no memory for a change of grants: the kernel is told of all of "
		     "them again as soon as there is");
	projection->is_lost = true;
}

int projection_apply(Projection *projection, const EntryChanges *changes)
{
	int r = projection_retry(projection);

	if (r == 0 && changes->count > 0)
		r = enforcer_apply(projection->enforcer, changes);
	return r;
}

void projection_apply_surely(Projection *projection, const EntryChanges *changes)
{
	if (projection_apply(projection, changes) == 0)
		return;
	journal_line(LOG_LEVEL_ERROR,
		     "the kernel did not take a change of grants, which is tried again: %s",
		     enforcer_error(projection->enforcer));
	if (projection_append(&projection->pending, changes) < 0)
		projection_lose(projection);
}

void projection_pull_last(Projection *projection, GrantTable *table, const Grant *grant)
{
	_cleanup_entry_changes_ EntryChanges entries = {0};
	uint64_t last_mono_ns;

	if (grant_entries(grant, &entries) < 0)
		return;
	for (size_t i = 0; i < entries.count; i++)
		if (enforcer_last_seen(projection->enforcer, &entries.items[i].key,
				       &last_mono_ns) == 0)
			grant_table_note_last(table, &entries.items[i].key, last_mono_ns);
}

uint64_t projection_packets(Projection *projection, const Grant *grant)
{
	_cleanup_entry_changes_ EntryChanges entries = {0};
	uint64_t sum = 0;

	if (grant_entries(grant, &entries) < 0)
		return PROJECTION_UNCOUNTED;
	for (size_t i = 0; i < entries.count; i++) {
		uint64_t packets = 0;
		int r = enforcer_packets(projection->enforcer, &entries.items[i].key, &packets);

		/* One that the kernel does not have has let nothing through. */
		if (r < 0 && r != -ENOENT)
			return PROJECTION_UNCOUNTED;
		sum += packets;
	}
	return sum;
}
