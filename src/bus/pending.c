/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "daemon/manager-requests.h"
#include "util/error.h"

#define WEAK __attribute__((weak))

static int none(char **ret_error)
{
	return error_set(ret_error, -EOPNOTSUPP, "this version cannot do that yet");
}

WEAK bool manager_request_is_wide(const Manager *manager, const GrantRequest *request)
{
	(void)manager, (void)request;
	return true;
}

WEAK int manager_add_grant(Manager *manager, const GrantRequest *request, const char *caller,
			   uint64_t *ret_id, char **ret_error)
{
	(void)manager, (void)request, (void)caller, (void)ret_id;
	return none(ret_error);
}

WEAK int manager_extend_grant(Manager *manager, uint64_t id, uint64_t lifetime_ns,
			      const char *caller, char **ret_error)
{
	(void)manager, (void)id, (void)lifetime_ns, (void)caller;
	return none(ret_error);
}

WEAK int manager_revoke_grant(Manager *manager, uint64_t id, const char *caller, char **ret_error)
{
	(void)manager, (void)id, (void)caller;
	return none(ret_error);
}

WEAK int manager_revoke_grants(Manager *manager, const Prefix *source, const PortList *ports,
			       const char *caller, size_t *ret_count, char **ret_error)
{
	(void)manager, (void)source, (void)ports, (void)caller, (void)ret_count;
	return none(ret_error);
}

WEAK int manager_revoke_client(Manager *manager, const char *name, const char *caller,
			       size_t *ret_count, char **ret_error)
{
	(void)manager, (void)name, (void)caller, (void)ret_count;
	return none(ret_error);
}

WEAK int manager_revoke_all(Manager *manager, const char *caller, size_t *ret_count,
			    char **ret_error)
{
	(void)manager, (void)caller, (void)ret_count;
	return none(ret_error);
}

WEAK int manager_trial(Manager *manager, uint64_t duration_ns, const char *caller,
		       uint64_t *ret_until_real_usec, char **ret_error)
{
	(void)manager, (void)duration_ns, (void)caller, (void)ret_until_real_usec;
	return none(ret_error);
}

WEAK int manager_confirm(Manager *manager, const char *caller, char **ret_error)
{
	(void)manager, (void)caller;
	return none(ret_error);
}

WEAK uint64_t manager_trial_until_real_usec(const Manager *manager)
{
	(void)manager;
	return 0;
}
