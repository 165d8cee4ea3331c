/* SPDX-License-Identifier: MIT */
#include "daemon/manager-requests.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <spale/bus-names.h>
#include <string.h>

#include "daemon/heritage.h"
#include "daemon/manager-private.h"
#include "util/error.h"
#include "util/parse.h"

/* No grant is wider: of the 128 bits that both families have. */
#define LENGTH_MIN4 (ADDRESS_IPV4_BITS + SPALE_PREFIX4_MIN)
#define LENGTH_MIN6 SPALE_PREFIX6_MIN

/* ---- what is asked for --------------------------------------------------------------------- */

int manager_check_source(const Prefix *source, char **ret_error)
{
	bool is_ipv4 = address_is_ipv4(&source->address);
	const Address masked = address_mask(&source->address, source->length);
	char text[ADDRESS_TEXT_MAX];

	if (source->length > 128 || !address_equal(&masked, &source->address))
		return error_set(ret_error, -EADDRNOTAVAIL, "this is no prefix");
	if (source->length < (is_ipv4 ? LENGTH_MIN4 : LENGTH_MIN6))
		return error_set(ret_error, -EADDRNOTAVAIL,
				 "%s is too wide: no grant is wider than /%d",
				 prefix_format(source, text),
				 is_ipv4 ? LENGTH_MIN4 - ADDRESS_IPV4_BITS : LENGTH_MIN6);
	if (!address_can_send(&source->address))
		return error_set(ret_error, -EADDRNOTAVAIL, "nobody sends from %s",
				 prefix_format(source, text));
	return 0;
}

/* The interface of a link-local source, 0 for others. */
static int check_interface(const GrantRequest *request, uint32_t *ret_ifindex, char **ret_error)
{
	uint32_t ifindex = 0;

	if (address_is_link_local(&request->source.address)) {
		if (!request->interface)
			return error_set(ret_error, -EINVAL,
					 "a link-local address says something only together with "
					 "an interface: name it");
		ifindex = if_nametoindex(request->interface);
		if (ifindex == 0)
			return error_set(ret_error, -ENODEV, "there is no interface %s",
					 request->interface);
	} else if (request->interface) {
		return error_set(ret_error, -EINVAL,
				 "only a link-local address is granted on one interface");
	}
	*ret_ifindex = ifindex;
	return 0;
}

/* What of the ports asked for is open to all, which is an error, and whether they fit. */
static int check_ports(const Config *config, const PortList *ports, char **ret_error)
{
	_cleanup_port_list_ PortList others = PORT_LIST_NULL;
	_cleanup_free_ char *text = NULL;
	int r;

	r = port_list_subtract(ports, &config->protected_ports, &others);
	if (r < 0)
		return error_set(ret_error, r, "%s", strerror(-r));
	if (others.count > 0) {
		text = port_list_format(&others);
		return error_set(ret_error, -EDOM,
				 "not protected, so there is nothing to grant: %s",
				 text ?: "some of the ports");
	}
	if (ports->count > SPALE_OWNER_RANGES)
		return error_set(ret_error, -E2BIG,
				 "a grant takes at most %d ports or ranges of ports",
				 SPALE_OWNER_RANGES);
	return 0;
}

static const PortList *asked_ports(const GrantRequest *request)
{
	return request->ports && request->ports->count > 0 ? request->ports : NULL;
}

static int decide_request_ports(const Config *config, const PortList *asked, Decision *decision,
				char **ret_error)
{
	int r = asked ? check_ports(config, asked, ret_error) : 0;

	if (r < 0)
		return r;
	r = decide_ports(config, asked, &decision->ports);
	if (r == REFUSAL_NO_PORTS)
		return error_set(ret_error, -EDOM, "no port is protected");
	if (r == REFUSAL_TOO_MANY_PORTS)
		return error_set(ret_error, -E2BIG, "a grant takes at most %d ports: name fewer",
				 GRANT_PORTS_MAX);
	if (r == REFUSAL_NONE && asked)
		r = port_list_copy(asked, &decision->asked);
	decision->has_asked = asked;
	return r < 0 ? error_set(ret_error, r, "%s", strerror(-r)) : 0;
}

static int decide_request(const Manager *manager, const GrantRequest *request,
			  Decision *ret_decision, char **ret_error)
{
	const Config *config = manager->config;
	_cleanup_decision_ Decision decision = {
		.origin = request->permanent ? GRANT_ORIGIN_ALWAYS : GRANT_ORIGIN_ADMINISTRATOR,
		.source = request->source,
		.address = request->source.address,
		.idle_ns = request->has_idle ? request->idle_ns : config->idle_ns,
		.grace_ns = request->has_grace ? request->grace_ns : config->grace_ns,
		.lifetime_ns = request->has_lifetime ? request->lifetime_ns : config->lifetime_ns,
	};
	int r;

	r = manager_check_source(&request->source, ret_error);
	if (r == 0)
		r = check_interface(request, &decision.ifindex, ret_error);
	if (r == 0 && (decision.lifetime_ns == 0 || (!decision.idle_ns && !decision.grace_ns)))
		r = error_set(ret_error, -EINVAL, "a grant of this length ends at once");
	if (r == 0)
		r = decide_request_ports(config, asked_ports(request), &decision, ret_error);
	if (r < 0)
		return r;
	*ret_decision = decision;
	decision = (Decision){0};
	return 0;
}

static bool is_longer(uint64_t lifetime_ns, const Config *config)
{
	return lifetime_ns > config->lifetime_ns;
}

bool manager_request_is_wide(const Manager *manager, const GrantRequest *request)
{
	const Config *config = manager->config;
	uint8_t length = address_is_ipv4(&request->source.address)
				 ? (uint8_t)(ADDRESS_IPV4_BITS + config->prefix4)
				 : config->prefix6;

	return request->permanent || request->source.length < length ||
	       (request->has_lifetime && is_longer(request->lifetime_ns, config));
}

/* ---- what is done -------------------------------------------------------------------------- */

/* The time LIFETIME from now; UINT64_MAX: never. */
static uint64_t real_usec_in(const Manager *manager, uint64_t lifetime_ns)
{
	if (lifetime_ns == DURATION_INFINITY)
		return UINT64_MAX;
	return manager_real_usec(manager) + lifetime_ns / NSEC_PER_USEC;
}

/* On disk before it is in force. */
static int keep(Manager *manager, const GrantRequest *request, const Decision *decision,
		char **ret_error)
{
	KeptGrant grant = {
		.source = decision->source,
		.ports = decision->asked, /* which is copied */
		.has_idle = request->has_idle,
		.has_grace = request->has_grace,
		.idle_ns = request->idle_ns,
		.grace_ns = request->grace_ns,
		.deadline_real_usec = real_usec_in(manager, decision->lifetime_ns),
	};

	snprintf(grant.interface, sizeof(grant.interface), "%s", request->interface ?: "");
	return manager_keep_grant(manager, &grant, ret_error);
}

int manager_add_grant(Manager *manager, const GrantRequest *request, const char *caller,
		      uint64_t *ret_id, char **ret_error)
{
	_cleanup_decision_ Decision decision = {0};
	const Grant *grant;
	uint64_t until_usec;
	bool renews;
	int r;

	r = decide_request(manager, request, &decision, ret_error);
	if (r == 0 && request->permanent)
		r = keep(manager, request, &decision, ret_error);
	if (r < 0)
		return r;
	manager->announcer.caller = caller;
	renews = grant_table_same(manager->grants, NULL, &decision);
	r = manager_put_grant(manager, &decision, &grant, ret_error);
	if (r == 0) {
		until_usec = manager_deadline_real_usec(manager, grant);
		if (renews)
			announce_grant_extended(&manager->announcer, grant, until_usec);
		else
			announce_grant_added(&manager->announcer, grant, until_usec);
		*ret_id = grant->id;
	} else if (request->permanent) {
		/* It is in the file, and not in force: the next look takes it out. */
		manager->kept_is_stale = true;
		manager_settle_kept(manager, manager_mono_ns(manager));
	}
	manager->announcer.caller = NULL;
	return r;
}

/* A permanent grant gets its new end on disk. */
static int keep_deadline(Manager *manager, const Grant *grant, uint64_t lifetime_ns,
			 char **ret_error)
{
	char interface[IF_NAMESIZE] = "";
	const KeptGrant *kept;
	KeptGrant changed;

	if (grant->origin != GRANT_ORIGIN_ALWAYS)
		return 0;
	if (grant->ifindex)
		if_indextoname(grant->ifindex, interface);
	kept = manager->kept ? kept_grants_find(manager->kept, &grant->source, interface) : NULL;
	if (!kept)
		return error_set(ret_error, -EROFS,
				 "the grant is not kept in the state directory any more");
	changed = *kept; /* its ports are copied */
	changed.deadline_real_usec = real_usec_in(manager, lifetime_ns);
	return manager_keep_grant(manager, &changed, ret_error);
}

int manager_extend_grant(Manager *manager, uint64_t id, uint64_t lifetime_ns, const char *caller,
			 char **ret_error)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	const Grant *grant = grant_table_by_id(manager->grants, id);
	int r;

	if (!grant || grant->is_condemned)
		return error_set(ret_error, -ENOENT, "there is no grant %" PRIu64, id);
	if (lifetime_ns == 0)
		return error_set(ret_error, -EINVAL, "a grant of this length ends at once");
	r = keep_deadline(manager, grant, lifetime_ns, ret_error);
	if (r < 0)
		return r;
	r = grant_table_extend(manager->grants, id, manager_mono_ns(manager), lifetime_ns,
			       &changes);
	if (r < 0)
		return error_set(ret_error, r, "the grant cannot be extended: %s", strerror(-r));
	heritage_note(manager->enforcer, grant);
	projection_apply_surely(&manager->projection, &changes);
	manager->look_mono_ns = 0;
	manager->announcer.caller = caller;
	announce_grant_extended(&manager->announcer, grant,
				manager_deadline_real_usec(manager, grant));
	manager->announcer.caller = NULL;
	return 0;
}
