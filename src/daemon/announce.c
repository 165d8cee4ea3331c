/* SPDX-License-Identifier: MIT */
#include "daemon/announce.h"

#include <inttypes.h>
#include <net/if.h>
#include <string.h>

#include "util/parse.h"

/* Most lines about refused knocks in a second. */
#define REFUSED_LINES_MAX 10

/* Room for a grant's number. */
#define ID_TEXT_MAX 24

static const char *format_id(uint64_t id, char text[static ID_TEXT_MAX])
{
	snprintf(text, ID_TEXT_MAX, "%" PRIu64, id);
	return text;
}

static const char *format_source(const struct spale_knock *knock,
				 char text[static ADDRESS_TEXT_MAX])
{
	Address address;

	memcpy(address.bytes, knock->source, sizeof(address.bytes));
	return address_format(&address, text);
}

void announce_grant(JournalEvent event, const Grant *grant, const char *reason, const char *detail)
{
	_cleanup_free_ char *ports = port_list_format(&grant->ports);
	char source[ADDRESS_TEXT_MAX], id[ID_TEXT_MAX], interface[IF_NAMESIZE];

	journal_event(event, &(JournalFields){
				     .client = grant->client,
				     .source = prefix_format(&grant->source, source),
				     .ports = ports,
				     .reason = reason,
				     .grant = format_id(grant->id, id),
				     .interface = grant->ifindex ? if_indextoname(grant->ifindex,
										  interface)
								 : NULL,
				     .detail = detail,
			     });
}

void announce_gone(JournalEvent event, uint64_t id, const char *client, const Prefix *source,
		   const char *reason, const char *detail)
{
	char source_text[ADDRESS_TEXT_MAX], id_text[ID_TEXT_MAX];

	journal_event(event, &(JournalFields){
				     .client = client,
				     .source = prefix_format(source, source_text),
				     .reason = reason,
				     .grant = format_id(id, id_text),
				     .detail = detail,
			     });
}

void announce_accepted(const struct spale_knock *knock, const Grant *grant,
		       uint64_t until_real_usec)
{
	_cleanup_free_ char *ports = port_list_format(&grant->ports);
	char source[ADDRESS_TEXT_MAX], until[JOURNAL_TIME_MAX], interface[IF_NAMESIZE];

	journal_event(JOURNAL_KNOCK_ACCEPTED,
		      &(JournalFields){
			      .client = grant->client,
			      .source = format_source(knock, source),
			      .ports = ports,
			      .until = until_real_usec == UINT64_MAX
					       ? "infinity"
					       : journal_format_time(until_real_usec, until),
			      .interface = if_indextoname(knock->ifindex, interface),
		      });
}

uint64_t announce_flush(AnnounceLimit *limit, uint64_t now_mono_ns)
{
	if (now_mono_ns - limit->since_mono_ns >= NSEC_PER_SEC) {
		if (limit->unsaid > 0)
			journal_line(LOG_LEVEL_WARNING, "%" PRIu64 " more knocks were refused",
				     limit->unsaid);
		*limit = (AnnounceLimit){.since_mono_ns = now_mono_ns};
	}
	return limit->unsaid > 0 ? limit->since_mono_ns + NSEC_PER_SEC : SPALE_NEVER_NS;
}

void announce_refused(AnnounceLimit *limit, const struct spale_knock *knock, const char *client,
		      Refusal refusal, uint64_t now_mono_ns)
{
	char source[ADDRESS_TEXT_MAX], interface[IF_NAMESIZE];

	announce_flush(limit, now_mono_ns);
	if (limit->said == REFUSED_LINES_MAX) {
		limit->unsaid++;
		return;
	}
	limit->said++;
	journal_event(JOURNAL_KNOCK_REFUSED,
		      &(JournalFields){
			      .client = client,
			      .source = format_source(knock, source),
			      .reason = refusal_name(refusal),
			      .interface = if_indextoname(knock->ifindex, interface),
			      .detail = refusal_meaning(refusal),
		      });
}

void announce_denied(const struct spale_event *event, bool log_only)
{
	static const char *const reasons[SPALE_REASON_COUNT] = {
#define REASON_TEXT(name, text, verdict) [SPALE_REASON_##name] = text,
		SPALE_REASONS(REASON_TEXT)
#undef REASON_TEXT
	};
	char source[ADDRESS_TEXT_MAX], interface[IF_NAMESIZE], detail[64];
	_cleanup_port_list_ PortList list = PORT_LIST_NULL;
	_cleanup_free_ char *ports = NULL;
	Address address;

	memcpy(address.bytes, event->source, sizeof(address.bytes));
	if (port_list_add(&list, (PortRange){event->protocol, event->port, event->port}) == 0)
		ports = port_list_format(&list);
	snprintf(detail, sizeof(detail), "%" PRIu64 " %s%s", (uint64_t)event->count,
		 event->count == 1 ? "packet" : "packets", log_only ? ", passed: log-only" : "");
	journal_event(JOURNAL_ACCESS_DENIED,
		      &(JournalFields){
			      .source = address_format(&address, source),
			      .ports = ports,
			      .reason = event->reason < SPALE_REASON_COUNT ? reasons[event->reason]
									   : NULL,
			      .interface = if_indextoname(event->ifindex, interface),
			      .detail = detail,
		      });
}

static void announce_client(JournalEvent event, const Client *client)
{
	journal_event(event, &(JournalFields){.client = client->name,
					      .detail = client->enabled ? NULL : "disabled"});
}

void announce_clients(const ClientSet *before, const ClientSet *after)
{
	for (size_t i = 0; i < client_set_count(before); i++) {
		const Client *client = client_set_get(before, i);

		if (!client_set_by_name(after, client->name))
			announce_client(JOURNAL_CLIENT_REMOVED, client);
	}
	for (size_t i = 0; i < client_set_count(after); i++) {
		const Client *client = client_set_get(after, i);
		const Client *old = client_set_by_name(before, client->name);

		if (!old)
			announce_client(JOURNAL_CLIENT_ENROLLED, client);
		else if (!client_equal(old, client))
			announce_client(JOURNAL_CLIENT_CHANGED, client);
	}
}
