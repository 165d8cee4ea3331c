/* SPDX-License-Identifier: MIT */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "util/cleanup.h"
#include "util/error.h"
#include "util/parse.h"
#include "util/process.h"

/* The largest number that is a user's or a group's; the one behind it means "unchanged". */
#define ID_MAX (UINT32_MAX - 1)

static int parse_user(const char *text, bool needs_group, Privileges *privileges, char **ret_error)
{
	const struct passwd *user;
	uint32_t uid;

	errno = 0;
	if (parse_u32(text, 0, ID_MAX, &uid) == 0) {
		privileges->uid = uid;
		user = getpwuid(uid);
		if (!user && !needs_group)
			return 0;
	} else {
		user = getpwnam(text);
	}
	if (!user)
		return error_set(ret_error, -EINVAL, "--drop-privs: there is no user \"%s\"%s",
				 text, needs_group ? "; say UID:GID for one without a name" : "");
	privileges->uid = user->pw_uid;
	privileges->gid = user->pw_gid;
	return 0;
}

static int parse_group(const char *text, Privileges *privileges, char **ret_error)
{
	const struct group *group;
	uint32_t gid;

	if (parse_u32(text, 0, ID_MAX, &gid) == 0) {
		privileges->gid = gid;
		return 0;
	}
	group = getgrnam(text);
	if (!group)
		return error_set(ret_error, -EINVAL, "--drop-privs: there is no group \"%s\"",
				 text);
	privileges->gid = group->gr_gid;
	return 0;
}

int privileges_parse(const char *text, Privileges *ret_privileges, char **ret_error)
{
	_cleanup_free_ char *copy = strdup(text);
	Privileges privileges = {0};
	char *colon;
	int r;

	if (!copy)
		return error_set(ret_error, -ENOMEM, "no memory");
	colon = strchr(copy, ':');
	if (colon)
		*colon = '\0';
	r = parse_user(copy, !colon, &privileges, ret_error);
	if (r == 0 && colon)
		r = parse_group(colon + 1, &privileges, ret_error);
	if (r < 0)
		return r;
	if (privileges.uid == 0 || privileges.gid == 0)
		return error_set(ret_error, -EINVAL,
				 "--drop-privs %s: is root, and nothing would be dropped", text);
	*ret_privileges = privileges;
	return 0;
}

/* glibc has no function for capset(2). */
static int set_capabilities(void)
{
	static const unsigned kept[] = {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		data[CAP_TO_INDEX(kept[i])].permitted |= CAP_TO_MASK(kept[i]);
		data[CAP_TO_INDEX(kept[i])].effective |= CAP_TO_MASK(kept[i]);
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privileges_drop(const Privileges *privileges)
{
	uid_t uid = privileges->uid;
	gid_t gid = privileges->gid;
	int r;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	r = set_capabilities();
	if (r < 0)
		return r;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* That these are refused is the proof. */
	if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
		return -EPERM;
	/* Changing the user made the memory as open as the system's default says. */
	return process_forbid_dumps();
}
