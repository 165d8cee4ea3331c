/* SPDX-License-Identifier: MIT */
#include "daemon/client-watch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

#include "daemon/journal.h"
#include "util/parse.h"

/* What may change a file's content, its name, or who may read it; and the directory itself. */
#define CHANGES                                                                                    \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |        \
	 IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

#define QUIET_USEC USEC_PER_SEC

/* Where it is never quiet, files are read all the same after this time. */
#define PATIENCE_USEC (10 * USEC_PER_SEC)

struct ClientWatch {
	sd_event *event;
	sd_event_source *inotify; /* NULL: the directory is not there */
	sd_event_source *timer;	  /* for the end of a change, or to look for the directory */
	char *directory;
	ClientWatchChanged changed;
	void *userdata;
	uint64_t since_usec; /* the first change that nobody was told of; 0: there is none */
	bool missed;	     /* that it is gone was said */
};

static uint64_t now_usec(const ClientWatch *watch)
{
	uint64_t usec = 0;

	(void)sd_event_now(watch->event, CLOCK_MONOTONIC, &usec);
	return usec;
}

static void set_timer(ClientWatch *watch, uint64_t usec)
{
	int r;

	r = sd_event_source_set_time(watch->timer, usec);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "changed clients need a reload: %s", strerror(-r));
}

static void changed_now(ClientWatch *watch)
{
	uint64_t now = now_usec(watch), end = now + QUIET_USEC;

	if (watch->since_usec == 0)
		watch->since_usec = now;
	if (end > watch->since_usec + PATIENCE_USEC)
		end = watch->since_usec + PATIENCE_USEC;
	set_timer(watch, end);
}

static int on_inotify(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	ClientWatch *watch = userdata;

	(void)source;
	/* What is at its place, or will be, is another directory. */
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT))
		watch->inotify = sd_event_source_disable_unref(watch->inotify);
	changed_now(watch);
	return 0;
}

/* Whether the directory is watched now. */
static bool look_for_it(ClientWatch *watch)
{
	int r;

	if (watch->inotify)
		return true;
	r = sd_event_add_inotify(watch->event, &watch->inotify, watch->directory, CHANGES,
				 on_inotify, watch);
	if (r < 0 && !watch->missed)
		journal_line(LOG_LEVEL_WARNING,
			     "%s: cannot be watched for changed clients: %s; those that are known "
			     "stay until it can",
			     watch->directory, strerror(-r));
	else if (r >= 0 && watch->missed)
		journal_line(LOG_LEVEL_INFO, "%s: watched for changed clients again",
			     watch->directory);
	watch->missed = r < 0;
	return r >= 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	ClientWatch *watch = userdata;
	bool watched = watch->inotify;

	(void)source;
	(void)usec;
	if (!look_for_it(watch)) {
		set_timer(watch, now_usec(watch) + USEC_PER_SEC);
		return 0;
	}
	/* A directory that has just been found may still be filled. */
	if (!watched) {
		changed_now(watch);
		return 0;
	}
	watch->since_usec = 0;
	watch->changed(watch->userdata);
	return 0;
}

int client_watch_new(sd_event *event, ClientWatchChanged changed, void *userdata,
		     ClientWatch **ret_watch)
{
	_cleanup_client_watch_ ClientWatch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	watch->event = sd_event_ref(event);
	watch->changed = changed;
	watch->userdata = userdata;
	r = sd_event_add_time(event, &watch->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret_watch = TAKE_PTR(watch);
	return 0;
}

void client_watch_free(ClientWatch *watch)
{
	if (!watch)
		return;
	sd_event_source_disable_unref(watch->inotify);
	sd_event_source_disable_unref(watch->timer);
	sd_event_unref(watch->event);
	free(watch->directory);
	free(watch);
}

int client_watch_directory(ClientWatch *watch, const char *directory)
{
	char *copy;

	/* What has changed while somebody read it all is to be heard of. */
	if (watch->inotify && strcmp(watch->directory, directory) == 0)
		return 0;
	copy = strdup(directory);
	if (!copy)
		return -ENOMEM;
	free(watch->directory);
	watch->directory = copy;
	watch->inotify = sd_event_source_disable_unref(watch->inotify);
	watch->since_usec = 0;
	watch->missed = false;
	(void)sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
	if (!look_for_it(watch))
		set_timer(watch, now_usec(watch) + USEC_PER_SEC);
	return 0;
}
