/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/manager-private.h"
#include "util/error.h"
#include "util/parse.h"

/* When to try again what the state directory did not take. */
#define RETRY_NS (10 * NSEC_PER_SEC)

/* The grant that GRANT keeps, if it is there. */
static const Grant *find(const Manager *manager, const KeptGrant *grant)
{
	const Decision decision = {
		.origin = GRANT_ORIGIN_ALWAYS,
		.source = grant->source,
		.ifindex = grant->interface[0] ? if_nametoindex(grant->interface) : 0,
	};

	return grant_table_same(manager->grants, NULL, &decision);
}

int manager_keep_grant(Manager *manager, const KeptGrant *grant, char **ret_error)
{
	int r = manager->kept ? kept_grants_put(manager->kept, grant) : -EROFS;

	if (r == -E2BIG)
		return error_set(ret_error, r, "at most %d grants can be permanent",
				 KEPT_GRANTS_MAX);
	if (r < 0)
		return error_set(ret_error, r,
				 "the grant cannot be kept in the state directory: %s",
				 r == -EROFS ? "make room there, or make it writable, and try again"
					     : strerror(-r));
	return 0;
}

/* Whether GRANT goes: nobody has it any more. Its ports are those that are left. */
static int compare(KeptGrant *grant, void *userdata)
{
	const Manager *manager = userdata;
	const Grant *there = find(manager, grant);
	PortList asked = PORT_LIST_NULL;
	int r = 0;

	/* An interface that is away may come back, and nobody can have revoked its grant. */
	if (grant->interface[0] && !if_nametoindex(grant->interface))
		return 0;
	if (!there || there->is_condemned)
		return 1;
	if (there->has_asked)
		r = port_list_copy(&there->asked, &asked);
	if (r < 0)
		return r;
	port_list_done(&grant->ports);
	grant->ports = asked;
	return 0;
}

uint64_t manager_settle_kept(Manager *manager, uint64_t now_mono_ns)
{
	int r;

	if (!manager->kept || !manager->kept_is_stale)
		return SPALE_NEVER_NS;
	if (now_mono_ns < manager->keep_mono_ns)
		return manager->keep_mono_ns;
	r = kept_grants_edit(manager->kept, compare, manager);
	manager->kept_is_stale = r < 0;
	if (r == 0)
		return SPALE_NEVER_NS;
	journal_line(LOG_LEVEL_ERROR,
		     "permanent grants that have ended would come back at a restart, for the state "
		     "directory does not take the change, which is tried again: %s",
		     strerror(-r));
	manager->keep_mono_ns = now_mono_ns + RETRY_NS;
	return manager->keep_mono_ns;
}

/* What KEPT is by now. Returns 0, why not (a Refusal) or a negative errno. */
static int decide_kept(const Manager *manager, const KeptGrant *kept, Decision *ret_decision)
{
	const PortList *asked = kept->ports.count > 0 ? &kept->ports : NULL;
	uint64_t now_real_usec = manager_real_usec(manager), left_usec;
	_cleanup_decision_ Decision decision = {
		.origin = GRANT_ORIGIN_ALWAYS,
		.source = kept->source,
		.address = kept->source.address,
		.ifindex = kept->interface[0] ? if_nametoindex(kept->interface) : 0,
		.has_asked = asked,
		.idle_ns = kept->has_idle ? kept->idle_ns : manager->config->idle_ns,
		.grace_ns = kept->has_grace ? kept->grace_ns : manager->config->grace_ns,
		.lifetime_ns = DURATION_INFINITY,
	};
	int r;

	left_usec = kept->deadline_real_usec - now_real_usec;
	if (kept->deadline_real_usec != UINT64_MAX &&
	    __builtin_mul_overflow(left_usec, NSEC_PER_USEC, &decision.lifetime_ns))
		decision.lifetime_ns = DURATION_INFINITY;
	r = decide_ports(manager->config, asked, &decision.ports);
	if (r == REFUSAL_NONE && asked)
		r = port_list_copy(asked, &decision.asked);
	if (r != REFUSAL_NONE)
		return r;
	*ret_decision = decision;
	decision = (Decision){0};
	return 0;
}

static void restore(Manager *manager, const KeptGrant *kept)
{
	_cleanup_decision_ Decision decision = {0};
	_cleanup_free_ char *error = NULL;
	char source[ADDRESS_TEXT_MAX];
	const char *why = NULL;
	const Grant *grant;
	int r;

	r = manager_check_source(&kept->source, &error);
	if (r == 0 && address_is_link_local(&kept->source.address) != !!kept->interface[0])
		r = error_set(&error, -EINVAL,
			      "link-local addresses, and no others, are granted on one interface");
	if (r == 0 && kept->interface[0] && !if_nametoindex(kept->interface))
		r = error_set(&error, -ENODEV, "there is no interface %s", kept->interface);
	if (r == 0)
		r = decide_kept(manager, kept, &decision);
	if (r == 0)
		r = manager_put_grant(manager, &decision, &grant, &error);
	if (r == 0) {
		announce_grant_added(&manager->announcer, grant,
				     manager_deadline_real_usec(manager, grant));
		return;
	}
	why = r > 0 ? refusal_meaning((Refusal)r) : strerror(-r);
	journal_line(LOG_LEVEL_WARNING, "the permanent grant for %s cannot be made again: %s",
		     prefix_format(&kept->source, source), error ?: why);
}

/* Ends those that an earlier daemon left and that are not kept: whoever revoked them meant it. */
static void end_unkept(Manager *manager)
{
	for (size_t i = grant_table_count(manager->grants); i-- > 0;) {
		const Grant *grant = grant_table_get(manager->grants, i);
		char interface[IF_NAMESIZE] = "";

		if (grant->origin != GRANT_ORIGIN_ALWAYS)
			continue;
		if (grant->ifindex && !if_indextoname(grant->ifindex, interface))
			continue;
		if (!kept_grants_find(manager->kept, &grant->source, interface))
			manager_end_grant(manager, grant, GRANT_REVOKED, "not-kept", NULL);
	}
}

void manager_restore_kept(Manager *manager)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	uint64_t now_real_usec = manager_real_usec(manager);
	int r;

	if (state_problem(manager->state))
		return;
	r = kept_grants_load(state_directory_fd(manager->state), &diagnostics, &manager->kept);
	journal_diagnostics(&diagnostics);
	if (r < 0)
		return;
	for (size_t i = 0; i < kept_grants_count(manager->kept); i++) {
		const KeptGrant *kept = kept_grants_get(manager->kept, i);

		if (kept->deadline_real_usec <= now_real_usec)
			manager->kept_is_stale = true;
		else if (!find(manager, kept))
			restore(manager, kept);
	}
	end_unkept(manager);
}
