/* SPDX-License-Identifier: MIT */
#include "daemon/session-records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

_Static_assert(CLIENT_NAME_MAX < sizeof(((struct spale_session *)0)->client), "room for a name");

void session_origin_done(SessionOrigin *origin)
{
	port_list_done(&origin->ports);
	*origin = (SessionOrigin){0};
}

/* ---- keeping ------------------------------------------------------------------------------- */

static struct spale_session_key key_of(const SessionOwner *owner, const SessionOrigin *origin)
{
	struct spale_session_key key = {
		.ifindex = origin->ifindex,
		.prefix_length = origin->source.length,
	};

	memcpy(key.client_key, owner->key->bytes, sizeof(key.client_key));
	memcpy(key.source, origin->source.address.bytes, sizeof(key.source));
	return key;
}

/* Makes one of the two neighbours (of one protocol) with the fewest ports between them. */
static void join_closest(PortRange *ranges, size_t *count)
{
	size_t best = 0;
	unsigned best_gap = UINT16_MAX + 1U;

	for (size_t i = 0; i + 1 < *count; i++) {
		unsigned gap = (unsigned)ranges[i + 1].first - ranges[i].last;

		if (ranges[i].protocol == ranges[i + 1].protocol && gap < best_gap) {
			best = i;
			best_gap = gap;
		}
	}
	ranges[best].last = ranges[best + 1].last;
	(*count)--;
	memmove(&ranges[best + 1], &ranges[best + 2], (*count - best - 1) * sizeof(*ranges));
}

/* There are fewer protocols than there is room for ranges, so that joining them always helps. */
static int write_ports(const PortList *ports, struct spale_session *session)
{
	size_t count = 0;
	_cleanup_free_ PortRange *ranges = calloc(ports->count ?: 1, sizeof(*ranges));

	if (!ranges)
		return -ENOMEM;
	port_list_foreach (range, ports)
		ranges[count++] = *range;
	while (count > SPALE_OWNER_RANGES)
		join_closest(ranges, &count);
	for (size_t i = 0; i < count; i++)
		session->ranges[i] = (struct spale_port_range){ranges[i].protocol, ranges[i].first,
							       ranges[i].last};
	session->ranges_used = (uint16_t)count;
	return 0;
}

int session_records_put(Enforcer *enforcer, const SessionOwner *owner, const SessionOrigin *origin,
			uint64_t number)
{
	const struct spale_session_key key = key_of(owner, origin);
	struct spale_session session = {.number = number};

	memcpy(session.client, owner->name, strlen(owner->name));
	memcpy(session.address, origin->address.bytes, sizeof(session.address));
	if (write_ports(&origin->ports, &session) < 0)
		return enforcer_fail(enforcer, -ENOMEM, "out of memory");
	return enforcer_record_put(enforcer, ENFORCER_SESSIONS, &key, &session);
}

int session_records_delete(Enforcer *enforcer, const SessionOwner *owner,
			   const SessionOrigin *origin)
{
	const struct spale_session_key key = key_of(owner, origin);

	return enforcer_record_delete(enforcer, ENFORCER_SESSIONS, &key);
}

/* ---- recalling ----------------------------------------------------------------------------- */

typedef struct Record {
	struct spale_session_key key;
	struct spale_session session;
} Record;

typedef struct Records {
	Record *items;
	size_t count;
	size_t allocated;
	bool no_memory;
} Records;

static void records_done(Records *records)
{
	free(records->items);
}

/* An EnforcerRecord. */
static void collect(const void *key, const void *value, void *userdata)
{
	Records *records = userdata;

	if (records->count == records->allocated) {
		size_t allocated = records->allocated ? 2 * records->allocated : 64;
		Record *items = reallocarray(records->items, allocated, sizeof(*items));

		if (!items) {
			records->no_memory = true;
			return;
		}
		records->items = items;
		records->allocated = allocated;
	}
	memcpy(&records->items[records->count].key, key, sizeof(struct spale_session_key));
	memcpy(&records->items[records->count++].session, value, sizeof(struct spale_session));
}

static int compare(const void *a, const void *b)
{
	const Record *first = a, *second = b;

	if (first->session.number != second->session.number)
		return first->session.number < second->session.number ? -1 : 1;
	return memcmp(&first->key, &second->key, sizeof(first->key));
}

/* Returns 0, -EBADMSG or -ENOMEM. */
static int read_origin(const Record *record, SessionOrigin *origin)
{
	const struct spale_session *session = &record->session;
	int r = 0;

	if (record->key.prefix_length > 128 || session->ranges_used > SPALE_OWNER_RANGES ||
	    session->client[CLIENT_NAME_MAX] != '\0')
		return -EBADMSG;
	memcpy(origin->source.address.bytes, record->key.source, sizeof(record->key.source));
	origin->source.length = record->key.prefix_length;
	origin->ifindex = record->key.ifindex;
	memcpy(origin->address.bytes, session->address, sizeof(session->address));
	for (size_t i = 0; r == 0 && i < session->ranges_used; i++) {
		const struct spale_port_range *range = &session->ranges[i];

		r = port_list_add(&origin->ports,
				  (PortRange){(uint8_t)range->protocol, range->first, range->last});
	}
	return r < 0 && r != -ENOMEM ? -EBADMSG : r;
}

int session_records_recall(Enforcer *enforcer, SessionRecord callback, void *userdata)
{
	_cleanup_(records_done) Records records = {0};
	int r;

	r = enforcer_records(enforcer, ENFORCER_SESSIONS, collect, &records);
	if (r == 0 && records.no_memory)
		r = enforcer_fail(enforcer, -ENOMEM, "out of memory");
	if (r < 0)
		return r;
	if (records.count > 0)
		qsort(records.items, records.count, sizeof(*records.items), compare);
	for (size_t i = 0; i < records.count; i++) {
		_cleanup_(session_origin_done) SessionOrigin origin = {0};
		const Record *record = &records.items[i];
		PublicKey key;

		memcpy(key.bytes, record->key.client_key, sizeof(key.bytes));
		r = read_origin(record, &origin);
		if (r == -ENOMEM)
			return enforcer_fail(enforcer, r, "out of memory");
		if (r == 0)
			callback(&(SessionOwner){&key, record->session.client}, &origin,
				 record->session.number, userdata);
	}
	return 0;
}
