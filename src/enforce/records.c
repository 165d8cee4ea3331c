/* SPDX-License-Identifier: MIT */
#include "enforce/records.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

static int failed(Enforcer *report, int error)
{
	return enforcer_fail(report, error, "the kernel does not keep a record: %s",
			     strerror(-error));
}

int records_put(Enforcer *report, int map_fd, const void *key, const void *value)
{
	return bpf_map_update_elem(map_fd, key, value, BPF_ANY) < 0 ? failed(report, -errno) : 0;
}

int records_delete(Enforcer *report, int map_fd, const void *key)
{
	if (bpf_map_delete_elem(map_fd, key) < 0 && errno != ENOENT)
		return failed(report, -errno);
	return 0;
}

int records_walk(Enforcer *report, int map_fd, EnforcerRecord callback, void *userdata)
{
	/* Room for any kind of record. */
	union {
		uint64_t id;
		struct spale_accepted_key accepted;
	} key;
	union {
		struct spale_owner owner;
		uint64_t number;
	} value;
	const void *before = NULL;

	while (bpf_map_get_next_key(map_fd, before, &key) == 0) {
		before = &key;
		if (bpf_map_lookup_elem(map_fd, &key, &value) == 0)
			callback(&key, &value, userdata);
		else if (errno != ENOENT)
			return failed(report, -errno);
	}
	return errno == ENOENT ? 0 : failed(report, -errno);
}
