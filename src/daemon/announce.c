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

static Address address_of(const __u8 bytes[static 16])
{
	Address address;

	memcpy(address.bytes, bytes, sizeof(address.bytes));
	return address;
}

/* Calls MEMBER of each observer that has it. */
#define TELL(announcer, member, ...)                                                               \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < (announcer)->observer_count; i_++) {                      \
			const ManagerObserver *observer_ = (announcer)->observers[i_];             \
                                                                                                   \
			if (observer_->member)                                                     \
				observer_->member(observer_->userdata, ##__VA_ARGS__);             \
		}                                                                                  \
	} while (0)

/* ---- grants -------------------------------------------------------------------------------- */

/* "infinity" or a time. */
static const char *format_until(uint64_t real_usec, char text[static JOURNAL_TIME_MAX])
{
	return real_usec == UINT64_MAX ? "infinity" : journal_format_time(real_usec, text);
}

/* What is the same for all that happens to GRANT is filled in; PORTS: those that it is about. */
static void say_grant(const Announcer *announcer, JournalEvent event, const Grant *grant,
		      const PortList *ports, JournalFields fields)
{
	_cleanup_free_ char *text = port_list_format(ports);
	char source[ADDRESS_TEXT_MAX], id[ID_TEXT_MAX], interface[IF_NAMESIZE];

	fields.client = grant->client;
	fields.source = prefix_format(&grant->source, source);
	/* Of one that an earlier daemon made nobody knows more. */
	fields.ports = ports->count > 0 ? text : "all";
	fields.grant = format_id(grant->id, id);
	fields.interface = grant->ifindex ? if_indextoname(grant->ifindex, interface) : NULL;
	fields.caller = announcer->caller;
	journal_event(event, &fields);
}

void announce_grant_added(const Announcer *announcer, const Grant *grant, uint64_t until_real_usec)
{
	char until[JOURNAL_TIME_MAX];

	say_grant(announcer, JOURNAL_GRANT_ADDED, grant, &grant->ports,
		  (JournalFields){.until = format_until(until_real_usec, until)});
	TELL(announcer, grant_added, grant);
}

void announce_grant_extended(const Announcer *announcer, const Grant *grant,
			     uint64_t until_real_usec)
{
	char until[JOURNAL_TIME_MAX];

	say_grant(announcer, JOURNAL_GRANT_EXTENDED, grant, &grant->ports,
		  (JournalFields){.until = format_until(until_real_usec, until)});
	TELL(announcer, grant_changed, grant);
}

void announce_grant_narrowed(const Announcer *announcer, const Grant *grant, const PortList *ports,
			     const char *reason)
{
	say_grant(announcer, JOURNAL_GRANT_REVOKED, grant, ports,
		  (JournalFields){.reason = reason, .detail = "its other ports stay open"});
	TELL(announcer, grant_changed, grant);
}

void announce_grant_redecided(const Announcer *announcer, const Grant *grant)
{
	TELL(announcer, grant_changed, grant);
}

static JournalEvent end_event(GrantEnd end)
{
	switch (end) {
	case GRANT_EXPIRED:
		return JOURNAL_GRANT_EXPIRED;
	case GRANT_REVOKED:
	case GRANT_CLOSED:
	case GRANT_REPLACED:
		return JOURNAL_GRANT_REVOKED;
	}
	return JOURNAL_GRANT_REVOKED;
}

void announce_grant_gone(const Announcer *announcer, const Grant *grant, GrantEnd end,
			 const char *reason, const char *detail)
{
	say_grant(announcer, end_event(end), grant, &grant->ports,
		  (JournalFields){.reason = reason, .detail = detail});
	TELL(announcer, grant_removed, grant, end);
}

/* ---- knocks and packets -------------------------------------------------------------------- */

void announce_accepted(const Announcer *announcer, const struct spale_knock *knock,
		       const Grant *grant, uint64_t until_real_usec)
{
	_cleanup_free_ char *ports = port_list_format(&grant->ports);
	char source[ADDRESS_TEXT_MAX], until[JOURNAL_TIME_MAX], interface[IF_NAMESIZE];
	const Address address = address_of(knock->source);

	journal_event(JOURNAL_KNOCK_ACCEPTED,
		      &(JournalFields){
			      .client = grant->client,
			      .source = address_format(&address, source),
			      .ports = ports,
			      .until = format_until(until_real_usec, until),
			      .interface = if_indextoname(knock->ifindex, interface),
		      });
	TELL(announcer, knock_accepted, grant->client, &address, &grant->ports);
}

uint64_t announce_flush(Announcer *announcer, uint64_t now_mono_ns)
{
	AnnounceLimit *limit = &announcer->refused;

	if (now_mono_ns - limit->since_mono_ns >= NSEC_PER_SEC) {
		if (limit->unsaid > 0)
			journal_line(LOG_LEVEL_WARNING, "%" PRIu64 " more knocks were refused",
				     limit->unsaid);
		*limit = (AnnounceLimit){.since_mono_ns = now_mono_ns};
	}
	return limit->unsaid > 0 ? limit->since_mono_ns + NSEC_PER_SEC : SPALE_NEVER_NS;
}

void announce_refused(Announcer *announcer, const struct spale_knock *knock, const char *client,
		      Refusal refusal, uint64_t now_mono_ns)
{
	char source[ADDRESS_TEXT_MAX], interface[IF_NAMESIZE];
	const Address address = address_of(knock->source);
	AnnounceLimit *limit = &announcer->refused;

	announce_flush(announcer, now_mono_ns);
	if (limit->said == REFUSED_LINES_MAX) {
		limit->unsaid++;
		return;
	}
	limit->said++;
	journal_event(JOURNAL_KNOCK_REFUSED,
		      &(JournalFields){
			      .client = client,
			      .source = address_format(&address, source),
			      .reason = refusal_name(refusal),
			      .interface = if_indextoname(knock->ifindex, interface),
			      .detail = refusal_meaning(refusal),
		      });
	TELL(announcer, knock_refused, client, &address, refusal);
}

void announce_denied(const Announcer *announcer, const struct spale_event *event, bool log_only)
{
	static const char *const reasons[SPALE_REASON_COUNT] = {
#define REASON_TEXT(name, text, verdict) [SPALE_REASON_##name] = text,
		SPALE_REASONS(REASON_TEXT)
#undef REASON_TEXT
	};
	char source[ADDRESS_TEXT_MAX], interface[IF_NAMESIZE], detail[64];
	_cleanup_port_list_ PortList list = PORT_LIST_NULL;
	_cleanup_free_ char *ports = NULL;
	const Address address = address_of(event->source);

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
	TELL(announcer, access_denied, event);
}

/* ---- clients and policy -------------------------------------------------------------------- */

static void say_client(JournalEvent event, const Client *client, const char *caller)
{
	journal_event(event, &(JournalFields){.client = client->name,
					      .caller = caller,
					      .detail = client->enabled ? NULL : "disabled"});
}

void announce_clients(const Announcer *announcer, const ClientSet *before, const ClientSet *after,
		      const char *caller)
{
	for (size_t i = 0; i < client_set_count(before); i++) {
		const Client *client = client_set_get(before, i);

		if (client_set_by_name(after, client->name))
			continue;
		say_client(JOURNAL_CLIENT_REMOVED, client, caller);
		TELL(announcer, client_removed, client->name);
	}
	for (size_t i = 0; i < client_set_count(after); i++) {
		const Client *client = client_set_get(after, i);
		const Client *old = client_set_by_name(before, client->name);

		if (!old) {
			say_client(JOURNAL_CLIENT_ENROLLED, client, caller);
			TELL(announcer, client_added, client);
		} else if (!client_equal(old, client)) {
			say_client(JOURNAL_CLIENT_CHANGED, client, caller);
			TELL(announcer, client_changed, client);
		}
	}
}

void announce_interfaces(const Announcer *announcer)
{
	TELL(announcer, interfaces_changed);
}

void announce_policy(const Announcer *announcer)
{
	TELL(announcer, policy_changed);
}

void announce_done(const Announcer *announcer)
{
	TELL(announcer, done);
}

void announce_reload(const Announcer *announcer, bool failed, const char *detail)
{
	journal_event(failed ? JOURNAL_RELOAD_FAILED : JOURNAL_RELOADED,
		      &(JournalFields){.caller = announcer->caller, .detail = detail});
	TELL(announcer, reloaded, failed);
}
