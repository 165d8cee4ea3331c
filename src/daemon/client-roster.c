/* SPDX-License-Identifier: MIT */
#include "daemon/client-roster.h"

#include <errno.h>
#include <string.h>

void client_record_done(ClientRecord *record)
{
	free(record->name);
	free(record->pem_path);
	free(record->conf_path);
	free(record->changes_path);
	free(record->conf);
	free(record->changes);
	*record = (ClientRecord){0};
}

void client_roster_done(ClientRoster *roster)
{
	for (size_t i = 0; i < roster->count; i++)
		client_record_done(&roster->items[i]);
	free(roster->items);
	*roster = (ClientRoster){0};
}

/* Where NAME is, or would have to be. */
static size_t place(const ClientRoster *roster, const char *name)
{
	size_t low = 0, high = roster->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(roster->items[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

ClientRecord *client_roster_find(const ClientRoster *roster, const char *name)
{
	size_t i = place(roster, name);

	return i < roster->count && strcmp(roster->items[i].name, name) == 0 ? &roster->items[i]
									     : NULL;
}

const ClientRecord *client_roster_find_key(const ClientRoster *roster, const PublicKey *key)
{
	for (size_t i = 0; i < roster->count; i++)
		if (memcmp(&roster->items[i].key, key, sizeof(*key)) == 0)
			return &roster->items[i];
	return NULL;
}

static int add(ClientSet *set, const Config *config, const ClientRecord *record,
	       Diagnostics *diagnostics)
{
	const ClientText conf = {record->conf_path, record->conf, record->conf_size};
	const ClientText changes = {record->changes_path ?: record->conf_path, record->changes,
				    record->changes_size};

	return client_set_add_changed(set, config, record->name, &record->key, &conf, &changes,
				      diagnostics);
}

int client_roster_build(const ClientRoster *roster, const Config *config, ClientRosterReport report,
			void *userdata, ClientSet **ret_clients)
{
	_cleanup_client_set_ ClientSet *set = client_set_new();

	if (!set)
		return -ENOMEM;
	for (size_t i = 0; i < roster->count; i++) {
		_cleanup_diagnostics_ Diagnostics diagnostics = {0};
		const ClientRecord *record = &roster->items[i];

		if (record->is_unusable)
			continue;
		if (add(set, config, record, &diagnostics) == -ENOMEM)
			return -ENOMEM;
		if (report)
			report(record, &diagnostics, userdata);
	}
	*ret_clients = TAKE_PTR(set);
	return 0;
}

int client_roster_try(const ClientRoster *roster, const Config *config, const char *name,
		      const ClientRecord *record, Diagnostics *diagnostics, ClientSet **ret_clients)
{
	_cleanup_client_set_ ClientSet *set = client_set_new();
	int r = set ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < roster->count; i++) {
		_cleanup_diagnostics_ Diagnostics unsaid = {0};
		const ClientRecord *other = &roster->items[i];

		if (!other->is_unusable && strcmp(other->name, name) != 0 &&
		    add(set, config, other, &unsaid) == -ENOMEM)
			r = -ENOMEM;
	}
	if (r == 0 && record)
		r = add(set, config, record, diagnostics);
	if (r < 0)
		return r;
	*ret_clients = TAKE_PTR(set);
	return 0;
}

int client_roster_reserve(ClientRoster *roster)
{
	ClientRecord *items =
		reallocarray(roster->items, roster->count + 1, sizeof(*roster->items));

	if (!items)
		return -ENOMEM;
	roster->items = items;
	return 0;
}

void client_roster_put(ClientRoster *roster, ClientRecord *record)
{
	ClientRecord *found = client_roster_find(roster, record->name);
	size_t i = place(roster, record->name);

	if (found) {
		client_record_done(found);
	} else {
		memmove(roster->items + i + 1, roster->items + i,
			(roster->count - i) * sizeof(*roster->items));
		roster->count++;
	}
	roster->items[i] = *record;
	*record = (ClientRecord){0};
}

void client_roster_remove(ClientRoster *roster, const char *name)
{
	ClientRecord *found = client_roster_find(roster, name);
	size_t i = place(roster, name);

	if (!found)
		return;
	client_record_done(found);
	roster->count--;
	memmove(roster->items + i, roster->items + i + 1,
		(roster->count - i) * sizeof(*roster->items));
}
