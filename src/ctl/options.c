/* SPDX-License-Identifier: MIT */
#include "ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <spale/bus-names.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/report.h"
#include "ctl/text.h"
#include "util/address.h"
#include "util/cleanup.h"
#include "util/parse.h"

#define OF_ALL                                                                                     \
	(OPTION(JSON) | OPTION(NO_PAGER) | OPTION(NO_LEGEND) | OPTION(NO_ASK_PASSWORD) |           \
	 OPTION(HELP) | OPTION(VERSION))

/* What the values of getopt_long() are, so that they are no letters. */
#define FIRST_VALUE 256

static const struct {
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
} rows[OPTION_COUNT] = {
	[OPTION_JSON] = {"json", NULL, "for programs: JSON"},
	[OPTION_NO_PAGER] = {"no-pager", NULL, "never through a pager"},
	[OPTION_NO_LEGEND] = {"no-legend", NULL, "neither titles nor the number of rows"},
	[OPTION_NO_ASK_PASSWORD] = {"no-ask-password", NULL, "fail where a password is wanted"},
	[OPTION_HELP] = {"help", NULL, "show this text, or that of a verb"},
	[OPTION_VERSION] = {"version", NULL, "show the version"},
	[OPTION_IDLE] = {"idle", "TIME", "ends after this time without a packet"},
	[OPTION_GRACE] = {"grace", "TIME", "then new conversations revive it for this time"},
	[OPTION_LIFETIME] = {"lifetime", "TIME", "ends after this time in any case"},
	[OPTION_PERMANENT] = {"permanent", NULL, "keep it over reloads and restarts"},
	[OPTION_INTERFACE] = {"interface", "NAME", "the interface"},
	[OPTION_ALL] = {"all", NULL, "all of them"},
	[OPTION_CLIENT] = {"client", "NAME", "the client of this name"},
	[OPTION_ID] = {"id", "NUMBER", "the grant of this number"},
	[OPTION_SOURCE] = {"source", "ADDRESS", "those of this address or prefix"},
	[OPTION_ORIGIN] = {"origin", "WORD", "those made by knock or administrator, or always"},
	[OPTION_PUBLIC_KEY] = {"public-key", "FILE", "the client's public key, made elsewhere"},
	[OPTION_SERVER_PUB] = {"server-pub", "FILE", "the server's public key, for the key file"},
	[OPTION_OUT] = {"out", "FILE", "where the client's new key file goes (NAME.key)"},
	[OPTION_PORTS] = {"ports", "PORTS", "what it may open (empty: what is protected)"},
	[OPTION_NOT_BEFORE] = {"not-before", "DATE", "no knock counts before"},
	[OPTION_NOT_AFTER] = {"not-after", "DATE", "no knock counts after"},
	[OPTION_ALLOWED_SOURCES] = {"allowed-sources", "PREFIXES", "from where it may knock"},
	[OPTION_REQUIRE_SOURCE_MATCH] = {"require-source-match", "WORD", "auto or no"},
	[OPTION_DISABLED] = {"disabled", NULL, "enrol it, but let it in later"},
	[OPTION_PORT] = {"port", "PORTS", "the ports to protect (22/tcp)"},
	[OPTION_KNOCK_PORT] = {"knock-port", "PORT", "the UDP port that takes knocks (random)"},
	[OPTION_ADDRESS] = {"address", "ADDRESS", "where you come from (found by itself)"},
	[OPTION_NO_GRANT] = {"no-grant", NULL, "no grant for where you come from"},
	[OPTION_TRIAL] = {"trial", "TIME", "enforce for this time, until 'confirm' is called"},
	[OPTION_LOG_ONLY] = {"log-only", NULL, "count, and drop nothing yet"},
	[OPTION_YES] = {"yes", NULL, "do not ask"},
	[OPTION_FORCE] = {"force", NULL, "replace files that exist"},
};

const char *options_name(OptionId id)
{
	return rows[id].name;
}

bool options_has(const Options *options, OptionId id)
{
	return options->values[id] != NULL;
}

/* Words of NAME that ARGUMENTS begin with: all of them, or 0. */
static size_t match_verb(const char *name, size_t count, char *const arguments[])
{
	const char *blank = strchr(name, ' ');
	size_t first = blank ? (size_t)(blank - name) : strlen(name);

	if (count == 0 || strlen(arguments[0]) != first || strncmp(name, arguments[0], first) != 0)
		return 0;
	if (!blank)
		return 1;
	return count > 1 && strcmp(blank + 1, arguments[1]) == 0 ? 2 : 0;
}

static bool first_word_is(const char *name, const char *word)
{
	size_t size = strlen(word);

	return strncmp(name, word, size) == 0 && (name[size] == ' ' || name[size] == '\0');
}

/* Of the verbs, the one most like WORD. */
static const char *find_alike(const Verb verbs[], const char *word)
{
	const char *best = NULL;
	size_t best_distance = 3;

	for (const Verb *verb = verbs; verb->name; verb++) {
		size_t distance = text_distance(word, verb->name, best_distance);

		if (distance < best_distance) {
			best = verb->name;
			best_distance = distance;
		}
	}
	return best;
}

/* The verb that the command line names. With --help a verb of two words may lack the second. */
static int find_verb(const Verb verbs[], Options *options)
{
	const char *word = options->count ? options->arguments[0] : NULL;
	const Verb *like = NULL;
	const char *alike;

	if (!word) {
		report_error("say what to do, such as 'spalectl status'");
		return -EINVAL;
	}
	for (const Verb *verb = verbs; verb->name; verb++) {
		size_t words = match_verb(verb->name, options->count, options->arguments);

		if (first_word_is(verb->name, word) && !like)
			like = verb;
		if (words == 0)
			continue;
		options->verb = verb;
		options->arguments += words;
		options->count -= words;
		return 0;
	}
	if (like && options->help) {
		options->verb = like;
		return 0;
	}
	alike = find_alike(verbs, word);
	if (like)
		report_error("'%s' takes another word first: 'spalectl %s --help' shows which",
			     word, word);
	else if (alike)
		report_error("'%s' is not a verb of spalectl: did you mean '%s'?", word, alike);
	else
		report_error("'%s' is not a verb of spalectl", word);
	return -EINVAL;
}

static int check_arguments(const Options *options)
{
	const Verb *verb = options->verb;

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (options->values[i] && !((verb->options | OF_ALL) & UINT64_C(1) << i)) {
			report_error("--%s does not belong to '%s'", rows[i].name, verb->name);
			return -EINVAL;
		}
	}
	if (options->count < verb->min) {
		report_error("'%s' wants more: spalectl %s %s", verb->name, verb->name,
			     verb->arguments);
		return -EINVAL;
	}
	if (options->count > verb->max) {
		report_error("unexpected argument '%s': spalectl %s%s%s",
			     options->arguments[verb->max], verb->name, verb->arguments ? " " : "",
			     verb->arguments ?: "");
		return -EINVAL;
	}
	return 0;
}

int options_parse(const Verb verbs[], int argc, char *argv[], Options *ret_options)
{
	struct option long_options[OPTION_COUNT + 1] = {0};
	Options options = {0};
	int value;

	for (int i = 0; i < OPTION_COUNT; i++)
		long_options[i] = (struct option){
			rows[i].name, rows[i].argument ? required_argument : no_argument, NULL,
			FIRST_VALUE + i};
	argv[0] = (char *)"spalectl";
	while ((value = getopt_long(argc, argv, "hy", long_options, NULL)) != -1) {
		int id = value == 'h'	? OPTION_HELP
			 : value == 'y' ? OPTION_YES
					: value - FIRST_VALUE;

		/* getopt_long() has said what is wrong. */
		if (id < 0)
			return -EINVAL;
		options.values[id] = optarg ? optarg : "";
	}
	options.arguments = argv + optind;
	options.count = (size_t)(argc - optind);
	options.help = options_has(&options, OPTION_HELP);
	options.version = options_has(&options, OPTION_VERSION);
	options.ask = !options_has(&options, OPTION_NO_ASK_PASSWORD);
	options.output = (Output){
		.json = options_has(&options, OPTION_JSON),
		.no_pager = options_has(&options, OPTION_NO_PAGER),
		.no_legend = options_has(&options, OPTION_NO_LEGEND),
	};
	if (!options.version && !(options.help && options.count == 0)) {
		if (find_verb(verbs, &options) < 0)
			return -EINVAL;
		if (!options.help && check_arguments(&options) < 0)
			return -EINVAL;
	}
	*ret_options = options;
	return 0;
}

/* One option for a help. */
static void print_option(OptionId id)
{
	char left[40];

	snprintf(left, sizeof(left), "%s--%s%s%s",
		 id == OPTION_HELP  ? "-h, "
		 : id == OPTION_YES ? "-y, "
				    : "    ",
		 rows[id].name, rows[id].argument ? " " : "",
		 rows[id].argument ? rows[id].argument : "");
	printf("  %-32s %s\n", left, rows[id].help);
}

static void print_options(const char *title, uint64_t set)
{
	if (!set)
		return;
	printf("\n%s\n", title);
	for (int id = 0; id < OPTION_COUNT; id++) {
		if (set & UINT64_C(1) << id)
			print_option(id);
	}
}

static void print_usage(const Verb *verb, bool first)
{
	printf("%s spalectl %s%s%s%s\n", first ? "Usage:" : "      ", verb->name,
	       verb->arguments ? " " : "", verb->arguments ? verb->arguments : "",
	       verb->options ? " [OPTION]..." : "");
}

void options_help(const Verb verbs[], const Options *options)
{
	const char *word = options->verb ? options->verb->name : NULL;
	size_t size = word ? strcspn(word, " ") : 0, shown = 0;
	uint64_t set = 0;

	for (const Verb *verb = verbs; verb->name; verb++) {
		if (word && (strncmp(verb->name, word, size) != 0 ||
			     (verb->name[size] != ' ' && verb->name[size] != '\0')))
			continue;
		print_usage(verb, shown++ == 0);
		printf("           %s\n", verb->summary);
		if (word && verb->details)
			printf("\n%s\n", verb->details);
		set |= verb->options;
	}
	if (word)
		print_options("Options:", set);
	print_options(word ? "Options of every verb:"
			   : "Options of every verb ('spalectl VERB --help' shows its own):",
		      OF_ALL);
	if (!word)
		puts("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 spaled is not running,\n"
		     "4 not authorised, 5 no such thing.");
}

static int refuse(const char *what, const char *text, const char *allowed)
{
	report_error("%s '%s' is not usable: it takes %s", what, text, allowed);
	return -EINVAL;
}

int options_duration(const char *what, const char *text, uint64_t *ret_seconds)
{
	uint64_t ns;

	if (parse_duration(text, &ns) < 0 || ns < NSEC_PER_SEC ||
	    (ns != DURATION_INFINITY && ns % NSEC_PER_SEC != 0))
		return refuse(what, text,
			      "a time in whole seconds, such as 90, 5min, 1h 30min or infinity");
	*ret_seconds = ns == DURATION_INFINITY ? UINT64_MAX : ns / NSEC_PER_SEC;
	return 0;
}

int options_duration_or_none(const char *what, const char *text, uint64_t *ret_seconds)
{
	uint64_t ns;

	if (parse_duration(text, &ns) < 0 || ns > 0)
		return options_duration(what, text, ret_seconds);
	*ret_seconds = 0;
	return 0;
}

int options_trial(const char *what, const char *text, uint64_t *ret_seconds)
{
	uint64_t seconds;

	if (options_duration(what, text, &seconds) < 0)
		return -EINVAL;
	if (seconds > SPALE_TRIAL_SECONDS_MAX)
		return refuse(what, text, "at most seven days");
	*ret_seconds = seconds;
	return 0;
}

int options_timestamp(const char *what, const char *text, uint64_t *ret_real_usec)
{
	if (parse_timestamp(text, ret_real_usec) < 0)
		return refuse(what, text,
			      "a date, or a date and a time of day in UTC, such as "
			      "2026-01-31 or 2026-01-31 18:30");
	return 0;
}

int options_ports(const char *what, const char *text, PortList *ports)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *item;
	int r;

	if (!copy)
		return refuse(what, text, "more memory than there is");
	while ((item = strsep(&rest, ", \t"))) {
		if (!*item)
			continue;
		r = port_list_add_text(ports, item);
		if (r == -E2BIG)
			return refuse(what, item, "fewer ports");
		if (r < 0)
			return refuse(what, item, "ports such as 22, 22/tcp or 8000-8010/udp");
	}
	return 0;
}

int options_some_ports(const char *what, const char *text, PortList *ports)
{
	/* An empty list would be every port: not what an empty variable of a script stands for. */
	if (text[strspn(text, ", \t")] == '\0')
		return refuse(what, text, "ports such as 22, 22/tcp or 8000-8010/udp");
	return options_ports(what, text, ports);
}

int options_prefix(const char *what, const char *text, char **ret_prefix)
{
	char formatted[ADDRESS_TEXT_MAX];
	Prefix prefix;

	if (prefix_parse(text, &prefix) < 0)
		return refuse(what, text,
			      "an address or prefix such as 192.0.2.7, 198.51.100.0/24 or "
			      "2001:db8::/32");
	*ret_prefix = strdup(prefix_format(&prefix, formatted));
	return *ret_prefix ? 0 : refuse(what, text, "more memory than there is");
}
