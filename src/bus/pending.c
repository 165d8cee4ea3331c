/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "daemon/manager-requests.h"
#include "util/error.h"

#define WEAK __attribute__((weak))

static int none(char **ret_error)
{
	return error_set(ret_error, -EOPNOTSUPP, "this version cannot do that yet");
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
