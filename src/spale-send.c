/* SPDX-License-Identifier: MIT */
/* The client: options, wiring, exit code. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <spale/wire.h>

#include "client/options.h"
#include "client/profile-commands.h"
#include "client/profile-store.h"
#include "client/profile.h"
#include "client/report.h"
#include "client/send.h"
#include "client/target.h"
#include "client/wait.h"
#include "keys/key-file.h"
#include "util/cleanup.h"
#include "util/process.h"

/* As the manual page has them. */
typedef enum Exit {
	EXIT_SENT = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_TIMED_OUT = 3,
} Exit;

/* Where to knock, with what, from all that was said. */
typedef struct Plan {
	Profile profile; /* owns what settings point into */
	ProfileSettings settings;
	const char *key;
} Plan;

static void plan_done(Plan *plan)
{
	profile_done(&plan->profile);
}

#define _cleanup_plan_ _cleanup_(plan_done)

/*
 * The profile that OPTIONS name, if any. A bare HOST is a profile where there is one of that name,
 * and else a host.
 */
static int plan_find_profile(const Options *options, Plan *plan)
{
	const char *name = options->name;
	int r;

	if (!name && options->target && profile_name_is_valid(options->target))
		name = options->target;
	r = name ? profile_store_find(name, &plan->profile) : -ENOENT;
	if (r == 0) {
		plan->key = plan->profile.key_path;
		if (name == options->target)
			return 0;
	} else if (r != -ENOENT) {
		return r;
	} else if (options->name) {
		report_error("no profile is named '%s': 'spale-send profile list' shows them",
			     name);
		return r;
	}
	plan->settings.host = options->target;
	return 0;
}

static Exit plan_make(const Options *options, Plan *plan)
{
	const char *missing = NULL;

	if (plan_find_profile(options, plan) < 0)
		return EXIT_FAILED;
	plan->settings = profile_merge(&plan->profile.settings, &plan->settings);
	plan->settings = profile_merge(&plan->settings, &options->settings);
	if (options->key)
		plan->key = options->key;

	if (!plan->settings.host)
		missing = "host: give --host";
	else if (!plan->settings.port)
		missing = "port: give --port";
	else if (!plan->key)
		missing = "key: give --key";
	if (!missing)
		return EXIT_SENT;
	if (plan->profile.config_path)
		report_error("%s names no %s", plan->profile.config_path, missing);
	else if (options->target)
		report_error("no profile is named '%s', and as a host it has no %s",
			     options->target, missing);
	else
		report_error("there is no %s, or a profile", missing);
	return EXIT_USAGE;
}

/* The keys are in memory no longer than this takes: waiting may take long. */
static Exit knock(const Plan *plan, const TargetList *targets, const Target *source)
{
	_cleanup_free_ char *error = NULL;
	_cleanup_key_pair_ KeyPair client;
	PublicKey server;
	const SendOrder order = {
		.client = &client,
		.server = &server,
		.source = source,
		.step_sec = plan->settings.step_sec ? plan->settings.step_sec : SPALE_TIME_STEP,
		.count = plan->settings.count ? plan->settings.count : 1,
	};
	int r;

	r = key_file_read_bundle(plan->key, &server, &client, &error);
	if (r < 0) {
		report_error("%s", error ? error : strerror(-r));
		return EXIT_FAILED;
	}
	if (key_file_is_exposed(plan->key))
		report_warning("others than its owner have access to %s: chmod 600 it", plan->key);
	return send_knocks(targets, &order) < 0 ? EXIT_FAILED : EXIT_SENT;
}

static Exit wait_until_open(const Options *options, TargetList *targets, const Target *source)
{
	int r;

	for (size_t i = 0; i < targets->count; i++)
		target_set_port(&targets->items[i], options->wait_port);
	r = wait_for_port(targets, source, options->timeout_ns);
	if (r == -ETIMEDOUT)
		return EXIT_TIMED_OUT;
	return r < 0 ? EXIT_FAILED : EXIT_SENT;
}

static Exit run_send(const Options *options)
{
	_cleanup_plan_ Plan plan = {0};
	const Target *source = NULL;
	Target source_address;
	TargetList targets;
	Exit result;

	result = plan_make(options, &plan);
	if (result != EXIT_SENT)
		return result;
	if (plan.settings.source && *plan.settings.source) {
		if (target_parse_source(plan.settings.source, &source_address) < 0)
			return EXIT_FAILED;
		source = &source_address;
	}
	if (target_resolve(plan.settings.host, plan.settings.port, source, &targets) < 0)
		return EXIT_FAILED;
	result = knock(&plan, &targets, source);
	if (result == EXIT_SENT && options->wait_port)
		result = wait_until_open(options, &targets, source);
	return result;
}

static Exit usage(void)
{
	fputs("Try 'spale-send --help'.\n", stderr);
	return EXIT_USAGE;
}

/* What nobody could read is not well done. */
static Exit finish(Exit result)
{
	return report_flush() < 0 ? EXIT_FAILED : result;
}

int main(int argc, char *argv[])
{
	Options options;
	Exit result;
	int r;

	r = process_forbid_dumps();
	if (r < 0) {
		report_error("cannot keep the keys out of core dumps: %s", strerror(-r));
		return EXIT_FAILED;
	}
	if (options_parse(argc, argv, &options) < 0)
		return usage();
	report_set_verbose(options.verbose);

	switch (options.command) {
	case COMMAND_HELP:
		return options_help(options.topic) < 0 ? usage() : finish(EXIT_SENT);
	case COMMAND_VERSION:
		puts("spale-send " SPALE_VERSION);
		return finish(EXIT_SENT);
	case COMMAND_SEND:
		result = run_send(&options);
		return result == EXIT_USAGE ? usage() : result;
	case COMMAND_CREATE:
	case COMMAND_LIST:
	case COMMAND_SHOW:
	case COMMAND_SET:
	case COMMAND_DELETE:
		break;
	}
	r = profile_commands_run(&options);
	if (r == -EINVAL)
		return usage();
	return finish(r < 0 ? EXIT_FAILED : EXIT_SENT);
}
