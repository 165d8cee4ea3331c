/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus/bus.h"
#include "daemon/journal.h"
#include "daemon/options.h"
#include "daemon/reload-request.h"
#include "daemon/service.h"
#include "daemon/setup.h"

/* Exit statuses, as spaled(8) has them; the last is EX_CONFIG of sysexits.h(3head). */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONFIG = 78,
};

static int print(const char *text)
{
	return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? -errno : 0;
}

static int reload(pid_t pid)
{
	int r = reload_request_send(pid);

	if (r == -ETIMEDOUT)
		journal_line(LOG_LEVEL_ERROR,
			     "process %d does not answer: is it a spaled, and of the same user? "
			     "(\"systemctl reload spaled\" reloads the service)",
			     (int)pid);
	else if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "process %d did not reload: %s", (int)pid,
			     r == -EINVAL ? "its log says what is unusable" : strerror(-r));
	return r;
}

static int act(const Options *options)
{
	switch (options->action) {
	case OPTIONS_RUN:
		return service_run(options, &bus_service_part);
	case OPTIONS_CHECK_CONFIG:
		return setup_check(options);
	case OPTIONS_SHOW_CONFIG:
		return setup_show(options);
	case OPTIONS_RELOAD:
		return reload(options->reload_pid);
	case OPTIONS_UNPIN:
		return setup_unpin(options);
	case OPTIONS_HELP:
		return print(options_help);
	case OPTIONS_VERSION:
		return print("spaled " SPALE_VERSION "\n");
	}
	return -EINVAL;
}

int main(int argc, char *argv[])
{
	_cleanup_options_ Options options = {0};
	_cleanup_free_ char *error = NULL;
	int r;

	r = options_parse(argc, argv, &options, &error);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "spaled: %s", error ?: strerror(-r));
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	r = act(&options);
	if (r == -EINVAL)
		return EXIT_CONFIG;
	if (r < 0 && options.action != OPTIONS_RUN && options.action != OPTIONS_RELOAD &&
	    options.action != OPTIONS_UNPIN)
		journal_line(LOG_LEVEL_ERROR, "spaled: %s", strerror(-r));
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}
