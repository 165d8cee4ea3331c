/* SPDX-License-Identifier: MIT */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "util/parse.h"

const char options_help[] =
	"Usage: spaled [OPTION…]\n"
	"\n"
	"Keeps ports closed, and opens them for the source of an encrypted knock.\n"
	"\n"
	"  -c, --config FILE          configuration (" SPALE_CONFDIR "/spale.conf)\n"
	"      --check-config         say what is wrong with configuration, keys and clients; "
	"exit\n"
	"      --show-config          print the configuration in effect, with its origins; exit\n"
	"      --reload PID           have the running daemon PID reload; exit with the outcome\n"
	"      --unpin                remove what a spaled that is gone has left pinned, which "
	"opens\n"
	"                             the ports; exit\n"
	"      --state-directory DIR  where replay floors are kept ($STATE_DIRECTORY, else\n"
	"                             " SPALE_STATEDIR ")\n"
	"      --first-start          no daemon ran here before: take knocks at once\n"
	"      --drop-privs USER[:GROUP]\n"
	"                             run as this user (or UID[:GID]) once the gate is up\n"
	"  -h, --help                 print this; exit\n"
	"      --version              print the version; exit\n"
	"\n"
	"Settings, which beat those of the configuration:\n"
	"  -i, --interface IFACE      interface to protect; may be given several times\n"
	"  -S, --knock-port PORT      UDP port that takes knocks; may be given several times\n"
	"  -t, --idle TIME            a grant is idle after this time without a packet\n"
	"  -g, --grace TIME           until then a new conversation makes it active again\n"
	"  -m, --mode tc|xdp          where packets are judged\n"
	"  -n, --log-only             count what would be dropped, and let it pass\n"
	"      --server-key PATH      private key of the server; may be given several times\n"
	"      --clients DIR          directory of the clients' keys\n"
	"  -p, --pin                  keep the ports closed when spaled is killed\n"
	"      --pin-dir DIR          directory for that, in a BPF file system\n"
	"      --external-xdp         use what another loader attached and pinned there, by TC or "
	"XDP\n"
	"\n"
	"Exit status: 0 ended by a signal or done, 1 failed, 2 wrong usage, 78 unusable "
	"configuration.\n"
	"See spaled(8) and spale.conf(5).\n";

/* Long options without a letter. */
enum {
	OPTION_CHECK_CONFIG = 256,
	OPTION_SHOW_CONFIG,
	OPTION_RELOAD,
	OPTION_UNPIN,
	OPTION_STATE_DIRECTORY,
	OPTION_FIRST_START,
	OPTION_DROP_PRIVS,
	OPTION_VERSION,
	OPTION_SERVER_KEY,
	OPTION_CLIENTS,
	OPTION_PIN_DIR,
	OPTION_EXTERNAL_XDP,
};

static const char short_options[] = ":c:hi:S:t:g:m:np";

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
	{"show-config", no_argument, NULL, OPTION_SHOW_CONFIG},
	{"reload", required_argument, NULL, OPTION_RELOAD},
	{"unpin", no_argument, NULL, OPTION_UNPIN},
	{"state-directory", required_argument, NULL, OPTION_STATE_DIRECTORY},
	{"first-start", no_argument, NULL, OPTION_FIRST_START},
	{"drop-privs", required_argument, NULL, OPTION_DROP_PRIVS},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"interface", required_argument, NULL, 'i'},
	{"knock-port", required_argument, NULL, 'S'},
	{"idle", required_argument, NULL, 't'},
	{"grace", required_argument, NULL, 'g'},
	{"mode", required_argument, NULL, 'm'},
	{"log-only", no_argument, NULL, 'n'},
	{"server-key", required_argument, NULL, OPTION_SERVER_KEY},
	{"clients", required_argument, NULL, OPTION_CLIENTS},
	{"pin", no_argument, NULL, 'p'},
	{"pin-dir", required_argument, NULL, OPTION_PIN_DIR},
	{"external-xdp", no_argument, NULL, OPTION_EXTERNAL_XDP},
	{0},
};

/* The options that are settings, and what they set. */
static const struct SettingRow {
	int option;
	bool is_list; /* given again, it adds */
	bool is_path;
	const char *name;
	const char *section;
	const char *key;
} setting_rows[OPTIONS_SETTINGS] = {
	{'i', true, false, "-i", "Protect", "Interfaces"},
	{'m', false, false, "-m", "Protect", "Mode"},
	{'n', false, false, "-n", "Protect", "LogOnly"},
	{'S', true, false, "-S", "Knock", "Ports"},
	{OPTION_SERVER_KEY, true, true, "--server-key", "Knock", "ServerKey"},
	{OPTION_CLIENTS, false, true, "--clients", "Knock", "ClientsDirectory"},
	{'t', false, false, "-t", "Grant", "Idle"},
	{'g', false, false, "-g", "Grant", "Grace"},
	{'p', false, false, "-p", "Attach", "Pin"},
	{OPTION_PIN_DIR, false, true, "--pin-dir", "Attach", "PinDirectory"},
	{OPTION_EXTERNAL_XDP, false, false, "--external-xdp", "Attach", "External"},
};

void options_done(Options *options)
{
	free(options->config_path);
	free(options->drop_privs);
	free(options->state_directory);
	for (size_t i = 0; i < OPTIONS_SETTINGS; i++)
		free(options->settings[i].value);
	*options = (Options){0};
}

static int fail(char **ret_error, int error, const char *before, const char *what,
		const char *after)
{
	if (asprintf(ret_error, "%s%s%s", before, what, after) < 0) {
		*ret_error = NULL;
		return -ENOMEM;
	}
	return error;
}

/* Replaces *TEXT by a copy of VALUE. */
static int set_text(char **text, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* The same for a path, relative to the working directory. */
static int set_path(char **text, const char *value)
{
	_cleanup_free_ char *here = NULL;
	char *path;

	if (value[0] == '/' || value[0] == '\0')
		return set_text(text, value);
	here = getcwd(NULL, 0);
	if (!here)
		return -errno;
	if (asprintf(&path, "%s/%s", strcmp(here, "/") == 0 ? "" : here, value) < 0)
		return -ENOMEM;
	free(*text);
	*text = path;
	return 0;
}

static int set_reload(Options *options, const char *value, char **ret_error)
{
	uint32_t pid;

	if (parse_u32(value, 1, INT32_MAX, &pid) < 0)
		return fail(ret_error, -EINVAL, "--reload takes a process id, not \"", value, "\"");
	options->action = OPTIONS_RELOAD;
	options->reload_pid = (pid_t)pid;
	return 0;
}

/* Sets the setting of OPTION, if it is one: 1, 0 if it is none, or a negative errno. */
static int set_setting(Options *options, int option, const char *value)
{
	for (size_t i = 0; i < OPTIONS_SETTINGS; i++) {
		const struct SettingRow *row = &setting_rows[i];
		OptionsSetting *setting = &options->settings[i];
		_cleanup_free_ char *text = NULL;
		char *joined;
		int r;

		if (row->option != option)
			continue;
		r = row->is_path ? set_path(&text, value) : set_text(&text, value ?: "yes");
		if (r < 0)
			return r;
		if (row->is_list && setting->value) {
			if (asprintf(&joined, "%s %s", setting->value, text) < 0)
				return -ENOMEM;
			free(text);
			text = joined;
		}
		free(setting->value);
		setting->value = TAKE_PTR(text);
		return 1;
	}
	return 0;
}

/* One option that getopt_long(3) found. Returns 0 or a negative errno; *RET_ERROR as above. */
static int handle(Options *options, int option, const char *value, char **ret_error)
{
	switch (option) {
	case 'c':
		options->config_explicit = true;
		return set_path(&options->config_path, value);
	case 'h':
		options->action = OPTIONS_HELP;
		return 0;
	case OPTION_VERSION:
		options->action = OPTIONS_VERSION;
		return 0;
	case OPTION_CHECK_CONFIG:
		options->action = OPTIONS_CHECK_CONFIG;
		return 0;
	case OPTION_SHOW_CONFIG:
		options->action = OPTIONS_SHOW_CONFIG;
		return 0;
	case OPTION_RELOAD:
		return set_reload(options, value, ret_error);
	case OPTION_UNPIN:
		options->action = OPTIONS_UNPIN;
		return 0;
	case OPTION_STATE_DIRECTORY:
		return set_path(&options->state_directory, value);
	case OPTION_FIRST_START:
		options->first_start = true;
		return 0;
	case OPTION_DROP_PRIVS:
		return set_text(&options->drop_privs, value);
	}
	return set_setting(options, option, value);
}

/* How the option that getopt_long(3) did not take was written; LETTER is room for a short one. */
static const char *wrong_option(const char *argument, char letter[static 3])
{
	if (optopt == 0 || optopt >= OPTION_CHECK_CONFIG ||
	    (strncmp(argument, "--", 2) == 0 && strchr(argument, '=')))
		return argument;
	letter[0] = '-';
	letter[1] = (char)optopt;
	letter[2] = '\0';
	return letter;
}

int options_parse(int argc, char *argv[], Options *ret_options, char **ret_error)
{
	_cleanup_options_ Options options = {.action = OPTIONS_RUN};
	_cleanup_free_ char *error = NULL;
	int option, r = 0;

	for (size_t i = 0; i < OPTIONS_SETTINGS; i++)
		options.settings[i] = (OptionsSetting){
			setting_rows[i].name, setting_rows[i].section, setting_rows[i].key, NULL};
	r = set_text(&options.config_path, SPALE_CONFDIR "/spale.conf");
	opterr = 0;
	optind = 0;
	while (r >= 0 &&
	       (option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		const char *given = wrong_option(argv[optind - 1], (char[3]){0});

		if (option == '?')
			r = fail(&error, -EINVAL, "there is no option like ", given,
				 "; see --help");
		else if (option == ':')
			r = fail(&error, -EINVAL, "option ", given, " needs a value; see --help");
		else
			r = handle(&options, option, optarg, &error);
	}
	if (r >= 0 && optind < argc)
		r = fail(&error, -EINVAL, "only options are taken, not \"", argv[optind],
			 "\"; see --help");
	if (r < 0) {
		if (!error)
			(void)fail(&error, r, "cannot read the command line: ", strerror(-r), "");
		*ret_error = TAKE_PTR(error);
		return r;
	}
	*ret_options = options;
	options = (Options){0};
	return 0;
}

const char *options_state_directory(const Options *options, char **buffer)
{
	const char *directory = getenv("STATE_DIRECTORY");

	if (options->state_directory)
		return options->state_directory;
	if (!directory || directory[0] != '/')
		return SPALE_STATEDIR;
	/* Several ones are separated by colons; the first is ours. */
	*buffer = strndup(directory, strcspn(directory, ":"));
	return *buffer;
}
