/* SPDX-License-Identifier: MIT */
#include "enforce/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "enforce/attach-clsact.h"
#include "enforce/netlink.h"

#define MAP_PREFIX "map-"

/* What a pin is called until it takes the place of an older one. (No name may have a dot in it.) */
#define FRESH "fresh"

/* Room for "/proc/self/fd/N/NAME": so that nobody has to be able to reach the directory. */
#define PIN_PATH_MAX 96

struct Pins {
	EnforcerStore ops;
	const EnforcerStore *next;
	char *path;
	int directory_fd;
};

static int fail(char **ret_error, int error, const char *directory, const char *why)
{
	if (asprintf(ret_error, "PinDirectory=%s: %s", directory, why) < 0) {
		*ret_error = NULL;
		return -ENOMEM;
	}
	return error;
}

/* ---- the directory ----------------------------------------------------------------------- */

/* Opens DIRECTORY, if it is one that can be used. */
static int open_directory(const char *directory, char **ret_error)
{
	_cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs filesystem;
	struct stat status;

	if (fd < 0)
		return fail(ret_error, -errno, directory, strerror(errno));
	if (fstatfs(fd, &filesystem) < 0 || fstat(fd, &status) < 0)
		return fail(ret_error, -errno, directory, strerror(errno));
	if (filesystem.f_type != BPF_FS_MAGIC)
		return fail(ret_error, -EINVAL, directory,
			    "it is in no BPF file system (mount -t bpf bpf /sys/fs/bpf makes one)");
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return fail(ret_error, -EPERM, directory,
			    "others than its owner can write to it, and could pin there what "
			    "spaled would trust");
	return TAKE_FD(fd);
}

static const char *pin_path(const Pins *pins, const char *name, char path[static PIN_PATH_MAX])
{
	snprintf(path, PIN_PATH_MAX, "/proc/self/fd/%d/%s", pins->directory_fd, name);
	return path;
}

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Whether a pin of this name is ours. */
static bool is_ours(const char *name)
{
	return has_prefix(name, MAP_PREFIX) || has_prefix(name, "link-") ||
	       has_prefix(name, "filter-") || strcmp(name, FRESH) == 0;
}

/* Calls CALLBACK, until it fails, for each pin of ours. Returns how many, or a negative errno. */
static int for_each_pin(int directory_fd, int (*callback)(int directory_fd, const char *name))
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0, r = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!directory) {
		r = -errno;
		closep(&fd);
		return r;
	}
	while (r == 0 && (entry = readdir(directory))) {
		if (!is_ours(entry->d_name))
			continue;
		count++;
		r = callback ? callback(directory_fd, entry->d_name) : 0;
	}
	closedir(directory);
	return r < 0 ? r : count;
}

static int remove_pin(int directory_fd, const char *name)
{
	return unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* ---- as a store -------------------------------------------------------------------------- */

static int take(void *userdata, const char *name)
{
	const Pins *pins = userdata;
	char path[PIN_PATH_MAX];
	int fd = -ENOENT;

	if (pins->next)
		fd = pins->next->take(pins->next->userdata, name);
	if (fd >= 0 || !is_ours(name))
		return fd;
	fd = bpf_obj_get(pin_path(pins, name, path));
	return fd < 0 ? -errno : fd;
}

/* A file takes the place of an older one in one step. Gates are never pinned: see attach-clsact.h.
 */
static int put(void *userdata, const char *name, int fd)
{
	const Pins *pins = userdata;
	char path[PIN_PATH_MAX];
	int r;

	if (is_ours(name)) {
		r = remove_pin(pins->directory_fd, FRESH);
		if (r == 0 && bpf_obj_pin(fd, pin_path(pins, FRESH, path)) < 0)
			r = -errno;
		if (r == 0 && renameat(pins->directory_fd, FRESH, pins->directory_fd, name) < 0)
			r = -errno;
		if (r < 0)
			return r;
	}
	return pins->next ? pins->next->put(pins->next->userdata, name, fd) : 0;
}

static void drop(void *userdata, const char *name)
{
	const Pins *pins = userdata;

	if (is_ours(name))
		(void)remove_pin(pins->directory_fd, name);
	if (pins->next)
		pins->next->remove(pins->next->userdata, name);
}

/* Other loaders know maps by their own names. */
static int take_foreign(void *userdata, const char *name)
{
	const Pins *pins = userdata;
	char path[PIN_PATH_MAX];
	int fd;

	if (!has_prefix(name, MAP_PREFIX))
		return -ENOENT;
	fd = bpf_obj_get(pin_path(pins, name + strlen(MAP_PREFIX), path));
	return fd < 0 ? -errno : fd;
}

static int put_foreign(void *userdata, const char *name, int fd)
{
	(void)userdata;
	(void)name;
	(void)fd;
	return 0;
}

static void drop_foreign(void *userdata, const char *name)
{
	(void)userdata;
	(void)name;
}

/* ---- life -------------------------------------------------------------------------------- */

void pins_free(Pins *pins)
{
	if (!pins)
		return;
	/* A pin that cannot be removed is one that the next spaled takes. */
	if (pins->ops.lets_go && pins->directory_fd >= 0) {
		(void)for_each_pin(pins->directory_fd, remove_pin);
		(void)rmdir(pins->path);
	}
	closep(&pins->directory_fd);
	free(pins->path);
	free(pins);
}

static int pins_open(const char *directory, Pins **ret_pins, char **ret_error)
{
	_cleanup_pins_ Pins *pins = calloc(1, sizeof(*pins));

	if (!pins)
		return -ENOMEM;
	pins->directory_fd = -1;
	pins->path = strdup(directory);
	if (!pins->path)
		return -ENOMEM;
	pins->directory_fd = open_directory(directory, ret_error);
	if (pins->directory_fd < 0)
		return pins->directory_fd;
	*ret_pins = TAKE_PTR(pins);
	return 0;
}

int pins_new(const char *directory, const EnforcerStore *next, Pins **ret_pins, char **ret_error)
{
	_cleanup_pins_ Pins *pins = NULL;
	bool made = mkdir(directory, 0700) == 0;
	int r;

	if (!made && errno != EEXIST)
		return fail(ret_error, -errno, directory, strerror(errno));
	r = pins_open(directory, &pins, ret_error);
	if (r < 0) {
		if (made)
			(void)rmdir(directory);
		return r;
	}
	if (faccessat(pins->directory_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return fail(ret_error, -errno, directory, strerror(errno));
	r = for_each_pin(pins->directory_fd, NULL);
	if (r < 0)
		return fail(ret_error, r, directory, strerror(-r));
	pins->next = next;
	pins->ops = (EnforcerStore){
		.take = take,
		.put = put,
		.remove = drop,
		.userdata = pins,
		.remedy =
			"stop spaled, say \"spaled --unpin\", which opens the ports, and start it",
		.is_pinned = true,
		.lets_go = r == 0 && !next,
	};
	*ret_pins = TAKE_PTR(pins);
	return 0;
}

int pins_new_foreign(const char *directory, Pins **ret_pins, char **ret_error)
{
	int r = pins_open(directory, ret_pins, ret_error);

	if (r < 0)
		return r;
	(*ret_pins)->ops = (EnforcerStore){
		.take = take_foreign,
		.put = put_foreign,
		.remove = drop_foreign,
		.userdata = *ret_pins,
		.remedy = "load the objects that came with this spaled, with their maps pinned by "
			  "name in that directory",
		.is_foreign = true,
	};
	return 0;
}

const EnforcerStore *pins_for_enforcer(const Pins *pins)
{
	return pins ? &pins->ops : NULL;
}

void pins_hold(Pins *pins, bool hold)
{
	if (pins && !pins->ops.is_foreign)
		pins->ops.lets_go = !hold;
}

int pins_give(const Pins *pins, uid_t uid, gid_t gid)
{
	if (!pins || pins->ops.is_foreign)
		return 0;
	return fchown(pins->directory_fd, uid, gid) < 0 ? -errno : 0;
}

/* ---- removing ---------------------------------------------------------------------------- */

/* Removes the filters of interfaces that are noted in the directory. */
static int clear_filters(const Pins *pins, Enforcer *report)
{
	_cleanup_free_ NetlinkInterface *interfaces = NULL;
	size_t count = 0;
	int r = netlink_interfaces(&interfaces, &count);

	if (r < 0)
		return enforcer_fail(report, r, "cannot list the interfaces: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < count; i++) {
		char name[PIN_PATH_MAX];

		snprintf(name, sizeof(name), "filter-%u", interfaces[i].ifindex);
		if (faccessat(pins->directory_fd, name, F_OK, AT_EACCESS) == 0)
			r = attach_clsact_clear(report, &interfaces[i]);
	}
	return r;
}

int pins_remove(const char *directory, char **ret_error)
{
	_cleanup_pins_ Pins *pins = NULL;
	Enforcer report = {0};
	int r;

	if (access(directory, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = pins_open(directory, &pins, ret_error);
	if (r < 0)
		return r;
	r = clear_filters(pins, &report);
	if (r < 0)
		return fail(ret_error, r, directory, enforcer_error(&report));
	r = for_each_pin(pins->directory_fd, remove_pin);
	if (r < 0)
		return fail(ret_error, r, directory, strerror(-r));
	(void)rmdir(directory);
	return 0;
}
