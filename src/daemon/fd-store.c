/* SPDX-License-Identifier: MIT */
#include "daemon/fd-store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>

#include "util/parse.h"

/* An empty file that tells the next start that this one has failed. */
#define FAILURE_NAME "failed-start"

/* How long the service manager may take. */
#define SETTLE_USEC (10 * USEC_PER_SEC)

struct FdStore {
	EnforcerStore ops;
	char **names; /* of descriptors from SD_LISTEN_FDS_START on; NULL ones were taken */
	int count;
	bool heritage;
	bool failed_before;
};

static int take(void *userdata, const char *name)
{
	FdStore *store = userdata;

	for (int i = 0; i < store->count; i++) {
		if (!store->names[i] || strcmp(store->names[i], name) != 0)
			continue;
		free(store->names[i]);
		store->names[i] = NULL;
		return SD_LISTEN_FDS_START + i;
	}
	return -ENOENT;
}

/* No polling: links and maps never hang up. */
static int put(void *userdata, const char *name, int fd)
{
	_cleanup_free_ char *message = NULL;
	int r;

	(void)userdata;
	if (asprintf(&message, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name) < 0)
		return -ENOMEM;
	r = sd_pid_notify_with_fds(0, false, message, &fd, 1);
	return r < 0 ? r : 0;
}

static void drop(void *userdata, const char *name)
{
	(void)userdata;
	sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

int fd_store_new(FdStore **ret_store)
{
	_cleanup_(fd_store_freep) FdStore *store = NULL;
	char **names = NULL;
	int count;

	*ret_store = NULL;
	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	count = sd_listen_fds_with_names(true, &names);
	if (count < 0)
		return count;
	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	store->ops = (EnforcerStore){
		.take = take,
		.put = put,
		.remove = drop,
		.userdata = store,
		.remedy = "stop the service, which opens the ports, and start it",
	};
	store->names = names;
	store->count = count;
	for (int fd; (fd = take(store, FAILURE_NAME)) >= 0; closep(&fd))
		store->failed_before = true;
	for (int i = 0; i < count; i++)
		store->heritage |= names[i] != NULL;
	*ret_store = TAKE_PTR(store);
	return 0;
}

/* What nobody took is no use to anybody. */
void fd_store_free(FdStore *store)
{
	if (!store)
		return;
	for (int i = 0; i < store->count; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (store->names[i])
			closep(&fd);
		free(store->names[i]);
	}
	free(store->names);
	free(store);
}

const EnforcerStore *fd_store_for_enforcer(const FdStore *store)
{
	return store ? &store->ops : NULL;
}

bool fd_store_has_heritage(const FdStore *store)
{
	return store && store->heritage;
}

bool fd_store_note_failure(FdStore *store)
{
	_cleanup_close_ int fd = -1;

	if (!store || store->failed_before)
		return store;
	fd = memfd_create(FAILURE_NAME, MFD_CLOEXEC);
	if (fd >= 0 && put(store, FAILURE_NAME, fd) == 0)
		(void)fd_store_settle(store);
	return false;
}

void fd_store_note_success(FdStore *store)
{
	if (!store || !store->failed_before)
		return;
	drop(store, FAILURE_NAME);
	store->failed_before = false;
}

void fd_store_give_up(FdStore *store)
{
	for (int i = 0; store && i < store->count; i++)
		if (store->names[i])
			drop(store, store->names[i]);
}

int fd_store_settle(const FdStore *store)
{
	int r = store ? sd_notify_barrier(0, SETTLE_USEC) : 0;

	return r < 0 ? r : 0;
}
