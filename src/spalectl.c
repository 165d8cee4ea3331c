/* SPDX-License-Identifier: MIT */
/* The administrator's tool: verbs, options, exit code. */

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl/options.h"
#include "ctl/report.h"
#include "ctl/verbs.h"
#include "util/process.h"

#define DURATIONS (OPTION(IDLE) | OPTION(GRACE) | OPTION(LIFETIME))
#define SETTINGS                                                                                   \
	(DURATIONS | OPTION(PORTS) | OPTION(NOT_BEFORE) | OPTION(NOT_AFTER) |                      \
	 OPTION(ALLOWED_SOURCES) | OPTION(REQUIRE_SOURCE_MATCH))

static const Verb verbs[] = {
	{"status", NULL, "Shows what spaled does, and what is wrong.", NULL, 0, 0, 0, verb_status},
	{"list", "grants|clients|allowed|ports|interfaces|limited",
	 "Lists grants, clients, always-allowed prefixes, protected ports, interfaces, or\n"
	 "           sources whose knocks are being limited.",
	 NULL, OPTION(CLIENT) | OPTION(SOURCE) | OPTION(ORIGIN), 1, 1, verb_list},
	{"grant", "ADDRESS [PORT]...",
	 "Opens ports (all that are protected) for an address or prefix.", NULL,
	 DURATIONS | OPTION(INTERFACE) | OPTION(PERMANENT), 1, 64, verb_grant},
	{"extend", "ID TIME", "Moves the end of a grant to TIME from now.", NULL, 0, 2, 2,
	 verb_extend},
	{"revoke", "ADDRESS|CLIENT [PORT]...",
	 "Ends grants: of an address, a client, a number (--id), or --all.", NULL,
	 OPTION(ALL) | OPTION(CLIENT) | OPTION(ID), 0, 64, verb_revoke},
	{"allow", "PREFIX", "Lets an address or prefix reach every port, without a knock.", NULL,
	 OPTION(PERMANENT), 1, 1, verb_allow},
	{"disallow", "PREFIX", "Takes that back.", NULL, OPTION(PERMANENT), 1, 1, verb_disallow},
	{"client add", "NAME",
	 "Enrols a client, and makes its key file unless --public-key is given.", NULL,
	 SETTINGS | OPTION(PUBLIC_KEY) | OPTION(SERVER_PUB) | OPTION(OUT) | OPTION(FORCE) |
		 OPTION(DISABLED),
	 1, 1, verb_client_add},
	{"client remove", "NAME", "Removes a client, and ends its grants.", NULL, 0, 1, 1,
	 verb_client_remove},
	{"client enable", "NAME", "Takes a client's knocks again.", NULL, 0, 1, 1,
	 verb_client_enable},
	{"client disable", "NAME", "Refuses a client's knocks, and ends its grants.", NULL, 0, 1, 1,
	 verb_client_disable},
	{"client show", "NAME", "Shows what a client may do, and what it did.", NULL, 0, 1, 1,
	 verb_client_show},
	{"client set", "NAME", "Changes what a client may do.", NULL, SETTINGS, 1, 1,
	 verb_client_set},
	{"monitor", NULL, "Shows knocks, grants and denials as they happen.", NULL, 0, 0, 0,
	 verb_monitor},
	{"counters", NULL, "Shows what became of packets and knocks.", NULL,
	 OPTION(INTERFACE) | OPTION(ALL), 0, 0, verb_counters},
	{"protect", "PORT...", "Replaces the list of protected ports.", NULL, OPTION(PERMANENT), 1,
	 64, verb_protect},
	{"log-only", "on|off", "Drops nothing and only counts, or drops again.", NULL,
	 OPTION(PERMANENT), 1, 1, verb_log_only},
	{"trial", "TIME", "Enforces, and goes back to log-only by itself unless confirmed.", NULL,
	 0, 1, 1, verb_trial},
	{"confirm", NULL, "Ends the trial: it goes on enforcing.", NULL, 0, 0, 0, verb_confirm},
	{"reload", NULL, "Reads configuration, keys and clients anew.", NULL, 0, 0, 0, verb_reload},
	{"setup", NULL, "Sets a fresh installation up, in a dialogue or by options.", NULL,
	 OPTION(INTERFACE) | OPTION(PORT) | OPTION(KNOCK_PORT) | OPTION(CLIENT) | OPTION(OUT) |
		 OPTION(ADDRESS) | OPTION(NO_GRANT) | OPTION(TRIAL) | OPTION(LOG_ONLY) |
		 OPTION(YES) | OPTION(FORCE),
	 0, 0, verb_setup},
	{0},
};

int main(int argc, char *argv[])
{
	Options options;

	setlocale(LC_ALL, "");
	if (process_forbid_dumps() < 0) {
		report_error("cannot keep keys out of core dumps");
		return EXIT_CODE_FAILED;
	}
	if (options_parse(verbs, argc, argv, &options) < 0) {
		fputs("Try 'spalectl --help'.\n", stderr);
		return EXIT_CODE_USAGE;
	}
	if (options.version) {
		puts("spalectl " SPALE_VERSION);
		return output_flush() < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
	}
	if (options.help) {
		options_help(verbs, &options);
		return output_flush() < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
	}
	return options.verb->run(&options);
}
