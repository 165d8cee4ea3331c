/* SPDX-License-Identifier: MIT */
/* enforce/nftables.h of a daemon that was built without libnftnl: there is no mirror to be had. */
#include "enforce/nftables.h"

#include <errno.h>

int nftables_new(const MirrorTarget *target, int socket_fd, Nftables **ret_nftables)
{
	_cleanup_close_ int inherited = socket_fd;

	(void)target;
	(void)ret_nftables;
	return -EOPNOTSUPP;
}

void nftables_free(Nftables *nftables)
{
	(void)nftables;
}

const char *nftables_error(const Nftables *nftables)
{
	(void)nftables;
	return "this spaled was built without support for nftables";
}

int nftables_socket_fd(const Nftables *nftables)
{
	(void)nftables;
	return -EOPNOTSUPP;
}

int nftables_watch_fd(const Nftables *nftables)
{
	(void)nftables;
	return -EOPNOTSUPP;
}

int nftables_consume_changes(Nftables *nftables)
{
	(void)nftables;
	return -EOPNOTSUPP;
}

int nftables_sync(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns)
{
	(void)nftables;
	(void)grants;
	(void)now_mono_ns;
	return -EOPNOTSUPP;
}

int nftables_apply(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns)
{
	return nftables_sync(nftables, grants, now_mono_ns);
}

int nftables_leave(Nftables *nftables, uint64_t within_ns, uint64_t now_mono_ns)
{
	(void)nftables;
	(void)within_ns;
	(void)now_mono_ns;
	return -EOPNOTSUPP;
}

const NftablesStatus *nftables_status(const Nftables *nftables)
{
	static const NftablesStatus nothing = {
		.again_mono_ns = SPALE_NEVER_NS,
		.resync_mono_ns = SPALE_NEVER_NS,
	};

	(void)nftables;
	return &nothing;
}
