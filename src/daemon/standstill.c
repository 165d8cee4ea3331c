/* SPDX-License-Identifier: MIT */
#include "daemon/standstill.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "daemon/reload-request.h"

/* The service manager wants to hear of us this often, whatever it is set to within reason. */
#define ALIVE_MSEC 2000

/* The next signal, or -EAGAIN. */
static int next_signal(int fd, struct signalfd_siginfo *ret_info)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int r = poll(&wait, 1, ALIVE_MSEC);

	if (r <= 0)
		return r == 0 || errno == EINTR ? -EAGAIN : -errno;
	return read(fd, ret_info, sizeof(*ret_info)) == sizeof(*ret_info) ? 0 : -EIO;
}

static int reload(const Options *options, const struct signalfd_siginfo *info, Setup *ret_setup)
{
	int r = ret_setup ? setup_load(options, false, ret_setup) : -ESTALE;

	reload_request_answer(info, r);
	return r;
}

int standstill(const char *why, const Options *options, Setup *ret_setup)
{
	_cleanup_close_ int fd = -1;
	sigset_t mask;
	int r = -EAGAIN;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &mask, SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	journal_line(LOG_LEVEL_ERROR,
		     "%s: what was protected stays so and open grants last until they end, but no "
		     "knock is taken",
		     why);
	sd_notifyf(false, "READY=1\nSTATUS=No knock is taken: %s", why);
	for (;;) {
		struct signalfd_siginfo info;

		sd_notify(false, "WATCHDOG=1");
		r = next_signal(fd, &info);
		if (r == -EAGAIN)
			continue;
		if (r == 0 && info.ssi_signo != SIGHUP)
			r = -ECANCELED;
		else if (r == 0 && reload(options, &info, ret_setup) < 0)
			continue;
		return r;
	}
}

/* What is wrong besides with SETUP, which holds the last good configuration; or NULL. */
static const char *why_no_knocks(const Setup *setup)
{
	if (setup->keys.count == 0)
		return "no knock can be taken, for no server key can be read";
	return client_set_count(setup->clients) == 0
		       ? "no knock can be taken, for there is no client that can be read"
		       : NULL;
}

int standstill_load(const Options *options, const FdStore *store, Setup *ret_setup)
{
	int r = setup_load(options, false, ret_setup), error = r;

	if (r != -EINVAL || !store)
		return r;
	r = setup_load_good(options, fd_store_has_heritage(store), ret_setup);
	if (r == 0)
		journal_event(JOURNAL_LAST_GOOD,
			      &(JournalFields){.detail = why_no_knocks(ret_setup)});
	if (r == 0 || r == -ENOMEM)
		return r;
	if (!fd_store_has_heritage(store))
		return r == -EINVAL ? setup_load_files(options, ret_setup) : error;
	return standstill("the configuration is unusable", options, ret_setup);
}
