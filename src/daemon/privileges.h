/* SPDX-License-Identifier: MIT */
/*
 * Giving up root: what the process keeps is what enforcing takes (capabilities(7): CAP_BPF,
 * CAP_NET_ADMIN, CAP_PERFMON), and no way back. Logs nothing.
 */
#pragma once

#include <sys/types.h>

typedef struct Privileges {
	uid_t uid;
	gid_t gid;
} Privileges;

/*
 * Reads "USER", "USER:GROUP", "UID" or "UID:GID"; without a group it is the user's own. Returns
 * 0, -EINVAL (no such user or group, or root), or another negative errno; *RET_ERROR says it in a
 * sentence, which the caller frees.
 */
int privileges_parse(const char *text, Privileges *ret_privileges, char **ret_error);

/*
 * Becomes that user and group, with no other groups, exactly the three capabilities, and no new
 * privileges ever, and checks that there is no way back. Returns 0 or a negative errno; the process
 * must end then.
 */
int privileges_drop(const Privileges *privileges);
