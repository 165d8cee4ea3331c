/* SPDX-License-Identifier: MIT */
#include "client/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/report.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define WAIT_DEFAULT_NS (10 * NSEC_PER_SEC)
#define WAIT_MAX_NS	(86400 * NSEC_PER_SEC)

static const char help_usage[] =
	"Usage: spale-send [send] [OPTIONS] HOST|PROFILE\n"
	"       spale-send [send] [OPTIONS] --host HOST --port PORT --key FILE\n"
	"       spale-send [send] [OPTIONS] --profile NAME\n"
	"       spale-send profile create NAME --host HOST --port PORT --key FILE [OPTIONS]\n"
	"       spale-send profile list\n"
	"       spale-send profile show NAME\n"
	"       spale-send profile set NAME [OPTIONS]\n"
	"       spale-send profile delete NAME [--yes]\n"
	"       spale-send help [send|profile]\n"
	"       spale-send --help | --version\n"
	"\n"
	"Sends a knock, which opens the ports that a spale server protects.\n";

static const char help_send[] =
	"\n"
	"Knocking (what is given here wins over the profile):\n"
	"  -p, --profile NAME    take host, port, key and the rest from this profile\n"
	"      --host HOST       knock at every address of this host\n"
	"      --port PORT       the UDP port that the server takes knocks at\n"
	"      --key FILE        key file: the server's public and the client's private key\n"
	"      --source ADDRESS  send from this address, and only to its family\n"
	"      --count N         send N knocks, 0.2 s apart (1)\n"
	"      --step SECONDS    seconds of a time step; the server's are 30 (30)\n"
	"      --format 1        format of the knock; 1 is the only one\n"
	"      --wait PORT[/tcp] then wait until this TCP port answers\n"
	"      --timeout SECONDS how long to wait at most (10)\n"
	"  -v, --verbose         say what is done\n";

static const char help_profile[] =
	"\n"
	"Profiles (they take --host, --port, --key, --source, --count and --step):\n"
	"      --overwrite       create: replace a profile of that name\n"
	"  -y, --yes             delete: do not ask\n"
	"An empty --source removes the source address.\n";

static const char help_rest[] = "\n"
				"  -h, --help            show this text\n"
				"      --version         show the version\n"
				"\n"
				"Exit status: 0 sent (and with --wait: open), 1 failed, 2 wrong "
				"usage, 3 --wait timed out.\n";

enum {
	OPTION_PROFILE = 'p',
	OPTION_VERBOSE = 'v',
	OPTION_YES = 'y',
	OPTION_HELP = 'h',
	OPTION_HOST = 256,
	OPTION_PORT,
	OPTION_KEY,
	OPTION_SOURCE,
	OPTION_COUNT,
	OPTION_STEP,
	OPTION_FORMAT,
	OPTION_WAIT,
	OPTION_TIMEOUT,
	OPTION_OVERWRITE,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{"profile", required_argument, NULL, OPTION_PROFILE},
	{"host", required_argument, NULL, OPTION_HOST},
	{"port", required_argument, NULL, OPTION_PORT},
	{"key", required_argument, NULL, OPTION_KEY},
	{"source", required_argument, NULL, OPTION_SOURCE},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"step", required_argument, NULL, OPTION_STEP},
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"wait", required_argument, NULL, OPTION_WAIT},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"overwrite", no_argument, NULL, OPTION_OVERWRITE},
	{"yes", no_argument, NULL, OPTION_YES},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

#define ON(command) (1u << (command))
#define ON_SETTINGS (ON(COMMAND_SEND) | ON(COMMAND_CREATE) | ON(COMMAND_SET))

/* Which commands an option belongs to; what is not here belongs to all. */
static const struct {
	int option;
	unsigned int commands;
} belongs[] = {
	{OPTION_PROFILE, ON(COMMAND_SEND)},
	{OPTION_HOST, ON_SETTINGS},
	{OPTION_PORT, ON_SETTINGS},
	{OPTION_KEY, ON_SETTINGS},
	{OPTION_SOURCE, ON_SETTINGS},
	{OPTION_COUNT, ON_SETTINGS},
	{OPTION_STEP, ON_SETTINGS},
	{OPTION_FORMAT, ON(COMMAND_SEND)},
	{OPTION_WAIT, ON(COMMAND_SEND)},
	{OPTION_TIMEOUT, ON(COMMAND_SEND)},
	{OPTION_OVERWRITE, ON(COMMAND_CREATE)},
	{OPTION_YES, ON(COMMAND_DELETE)},
};

/* Names of the commands: how they are called in messages, and after "profile". */
static const char *const command_names[] = {
	[COMMAND_SEND] = "send",	 [COMMAND_CREATE] = "profile create",
	[COMMAND_LIST] = "profile list", [COMMAND_SHOW] = "profile show",
	[COMMAND_SET] = "profile set",	 [COMMAND_DELETE] = "profile delete",
	[COMMAND_HELP] = "help",	 [COMMAND_VERSION] = "version",
};

static const char *option_name(int option)
{
	for (const struct option *o = long_options; o->name; o++)
		if (o->val == option)
			return o->name;
	return "?";
}

static int check_belongs(int option, Command command)
{
	for (size_t i = 0; i < ARRAY_SIZE(belongs); i++) {
		if (belongs[i].option == option && !(belongs[i].commands & ON(command))) {
			report_error("--%s does not belong to '%s'", option_name(option),
				     command_names[command]);
			return -EINVAL;
		}
	}
	return 0;
}

static int refuse(int option, const char *value, const char *allowed)
{
	report_error("--%s '%s' is not usable: it takes %s", option_name(option), value, allowed);
	return -EINVAL;
}

/* "22" or "22/tcp". */
static int set_wait(Options *options, const char *value)
{
	size_t digits = strspn(value, "0123456789");
	_cleanup_free_ char *number = strndup(value, digits);
	uint32_t port;

	if (!number)
		return -ENOMEM;
	if ((value[digits] && strcasecmp(value + digits, "/tcp") != 0) ||
	    parse_u32(number, 1, UINT16_MAX, &port) < 0)
		return refuse(OPTION_WAIT, value, "a TCP port from 1 to 65535");
	options->wait_port = (uint16_t)port;
	return 0;
}

static int set_timeout(Options *options, const char *value)
{
	uint64_t ns;

	if (parse_duration(value, &ns) < 0 || ns == 0 || ns > WAIT_MAX_NS)
		return refuse(OPTION_TIMEOUT, value, "a time of at most a day, in seconds");
	options->timeout_ns = ns;
	return 0;
}

static int set_setting(Options *options, int option, const char *value)
{
	const char *allowed = NULL;

	if (profile_set(&options->settings, option_name(option), value, &allowed) < 0)
		return refuse(option, value, allowed);
	return 0;
}

static int set_name(Options *options, const char *name)
{
	if (!profile_name_is_valid(name)) {
		report_error(
			"'%s' cannot be the name of a profile: it may hold no '/', no '..', no "
			"blank, and begins with neither '.' nor '-'",
			name);
		return -EINVAL;
	}
	options->name = name;
	return 0;
}

static int set_option(Options *options, int option, const char *value)
{
	switch (option) {
	case OPTION_PROFILE:
		return set_name(options, value);
	case OPTION_HOST:
	case OPTION_PORT:
	case OPTION_SOURCE:
	case OPTION_COUNT:
	case OPTION_STEP:
		return set_setting(options, option, value);
	case OPTION_KEY:
		if (!*value)
			return refuse(option, value, "the path of a key file");
		options->key = value;
		return 0;
	case OPTION_FORMAT:
		return strcmp(value, "1") == 0 ? 0 : refuse(option, value, "1, the only format");
	case OPTION_WAIT:
		return set_wait(options, value);
	case OPTION_TIMEOUT:
		return set_timeout(options, value);
	case OPTION_OVERWRITE:
		options->overwrite = true;
		return 0;
	case OPTION_YES:
		options->yes = true;
		return 0;
	case OPTION_VERBOSE:
		options->verbose = true;
		return 0;
	case OPTION_HELP:
		options->command = COMMAND_HELP;
		return 0;
	case OPTION_VERSION:
		options->command = COMMAND_VERSION;
		return 0;
	}
	/* getopt_long() has said what is wrong. */
	return -EINVAL;
}

/* The command that argv begins with; *RET_WORDS is how many words it takes. */
static int find_command(int argc, char *argv[], Command *ret_command, int *ret_words)
{
	static const Command profile_commands[] = {COMMAND_CREATE, COMMAND_LIST, COMMAND_SHOW,
						   COMMAND_SET, COMMAND_DELETE};

	*ret_command = COMMAND_SEND;
	*ret_words = 0;
	if (argc < 2)
		return 0;
	if (strcmp(argv[1], "send") == 0 || strcmp(argv[1], "help") == 0) {
		*ret_command = argv[1][0] == 's' ? COMMAND_SEND : COMMAND_HELP;
		*ret_words = 1;
		return 0;
	}
	if (strcmp(argv[1], "profile") != 0)
		return 0;
	if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
		*ret_words = 1;
		return 0;
	}
	for (size_t i = 0; argc > 2 && i < ARRAY_SIZE(profile_commands); i++) {
		if (strcmp(argv[2], command_names[profile_commands[i]] + strlen("profile ")) != 0)
			continue;
		*ret_command = profile_commands[i];
		*ret_words = 2;
		return 0;
	}
	report_error("'profile' takes create, list, show, set or delete%s%s%s",
		     argc > 2 ? ", not '" : "", argc > 2 ? argv[2] : "", argc > 2 ? "'" : "");
	return -EINVAL;
}

/* What is not an option: a host, a name, a topic. */
static int set_arguments(Options *options, int count, char *const arguments[])
{
	const char *first = count > 0 ? arguments[0] : NULL;
	int taken = 1;

	switch (options->command) {
	case COMMAND_SEND:
		options->target = first;
		break;
	case COMMAND_HELP:
		options->topic = first;
		break;
	case COMMAND_CREATE:
	case COMMAND_SHOW:
	case COMMAND_SET:
	case COMMAND_DELETE:
		if (!first) {
			report_error("'%s' takes the name of a profile",
				     command_names[options->command]);
			return -EINVAL;
		}
		if (set_name(options, first) < 0)
			return -EINVAL;
		break;
	case COMMAND_LIST:
	case COMMAND_VERSION:
		taken = 0;
		break;
	}
	if (count > taken) {
		report_error("unexpected argument '%s'", arguments[taken]);
		return -EINVAL;
	}
	return 0;
}

/* What depends on more than one option. */
static int check(const Options *options)
{
	const ProfileSettings *s = &options->settings;
	const char *wrong = NULL;

	switch (options->command) {
	case COMMAND_SEND:
		if (!options->target && !options->name && !s->host)
			wrong = "say where to knock: a host, --host, or --profile";
		else if (options->target && s->host)
			wrong = "two hosts: give one, or --host alone";
		else if (options->timeout_ns && !options->wait_port)
			wrong = "--timeout needs --wait";
		break;
	case COMMAND_CREATE:
		if (!s->host || !s->port || !options->key)
			wrong = "'profile create' needs --host, --port and --key";
		break;
	case COMMAND_SET:
		if (!s->host && !s->port && !s->source && !s->step_sec && !s->count &&
		    !options->key)
			wrong = "'profile set' needs something to set: --host, --port, --key, "
				"--source, --count or --step";
		break;
	case COMMAND_LIST:
	case COMMAND_SHOW:
	case COMMAND_DELETE:
	case COMMAND_HELP:
	case COMMAND_VERSION:
		break;
	}
	if (wrong)
		report_error("%s", wrong);
	return wrong ? -EINVAL : 0;
}

int options_parse(int argc, char *argv[], Options *ret_options)
{
	Options options = {0};
	Command command;
	int option, r, words;

	r = find_command(argc, argv, &command, &words);
	if (r < 0)
		return r;
	options.command = command;
	argc -= words;
	argv += words;
	/* getopt_long() begins its messages with it, as report_error() does. */
	argv[0] = (char *)"spale-send";

	while ((option = getopt_long(argc, argv, "p:vyh", long_options, NULL)) != -1) {
		r = check_belongs(option, command);
		if (r >= 0)
			r = set_option(&options, option, optarg);
		if (r < 0)
			return r;
		if (options.command != command)
			break;
	}
	if (options.command == command) {
		r = set_arguments(&options, argc - optind, argv + optind);
		if (r >= 0)
			r = check(&options);
		if (r < 0)
			return r;
	}
	if (options.wait_port && !options.timeout_ns)
		options.timeout_ns = WAIT_DEFAULT_NS;
	*ret_options = options;
	return 0;
}

int options_help(const char *topic)
{
	bool all = topic == NULL;
	bool send = all || strcmp(topic, "send") == 0;
	bool profile = all || strcmp(topic, "profile") == 0;

	if (!send && !profile) {
		report_error("no help for '%s': there is 'send' and 'profile'", topic);
		return -EINVAL;
	}
	fputs(help_usage, stdout);
	if (send)
		fputs(help_send, stdout);
	if (profile)
		fputs(help_profile, stdout);
	fputs(help_rest, stdout);
	return 0;
}
