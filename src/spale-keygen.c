/* SPDX-License-Identifier: MIT */
/* Makes keys: options, wiring, exit code. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys/key-file.h"
#include "keys/key-output.h"
#include "util/cleanup.h"
#include "util/name.h"
#include "util/process.h"
#include "util/utf8.h"

/* Where the daemon looks for its keys. */
#define SERVER_KEY	  SPALE_CONFDIR "/server.key"
#define SERVER_PUBLIC	  SPALE_CONFDIR "/server.key.pub"
#define CLIENTS_DIRECTORY SPALE_CONFDIR "/clients"

/* As the manual page has them. */
typedef enum Exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
} Exit;

typedef enum Command {
	COMMAND_SERVER,
	COMMAND_CLIENT,
	COMMAND_HELP,
	COMMAND_VERSION,
} Command;

typedef struct Options {
	Command command;
	const char *name;
	const char *out; /* NULL: the working directory */
	const char *server_pub;
	bool bundle;
	bool install;
	bool force;
} Options;

static const char help[] =
	"Usage: spale-keygen server [--install] [--out DIR] [--force]\n"
	"       spale-keygen client --name NAME [--bundle] [--server-pub FILE] [--install]\n"
	"                           [--out DIR] [--force]\n"
	"       spale-keygen --help | --version\n"
	"\n"
	"Makes X25519 keys for spale: those of a server, or of a client.\n"
	"\n"
	"server writes server.key (private) and server.pub (public).\n"
	"client writes NAME.pem (public, for the server) and NAME.key (private).\n"
	"\n"
	"      --name NAME        name of the client: letters, digits, '_', '-' and '.'\n"
	"      --bundle           client: write NAME.bundle too, the key file for spale-send:\n"
	"                         the server's public and the client's private key\n"
	"      --server-pub FILE  client: the server's public key for the bundle\n"
	"                         (" SERVER_PUBLIC ", or from " SERVER_KEY ")\n"
	"      --install          server: write " SERVER_KEY " and server.key.pub there;\n"
	"                         client: write " CLIENTS_DIRECTORY "/NAME.pem, and the\n"
	"                         bundle as NAME.key\n"
	"      --out DIR          write to this directory instead of the working directory\n"
	"      --force            replace files that exist\n"
	"  -h, --help             show this text\n"
	"      --version          show the version\n"
	"\n"
	"Exit status: 0 done, 1 failed (nothing was written), 2 wrong usage.\n";

static void __attribute__((format(printf, 1, 2))) report(const char *format, ...)
{
	_cleanup_free_ char *line = NULL, *safe = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&line, format, arguments) < 0)
		line = NULL;
	va_end(arguments);
	safe = line ? utf8_escape_controls(line) : NULL;
	fprintf(stderr, "spale-keygen: %s\n", safe ? safe : strerror(ENOMEM));
}

static void report_sentence(const char *sentence)
{
	report("%s", sentence);
}

static int write_all(KeyOutputs *outputs, bool force)
{
	int r = key_outputs_write(outputs, force, report_sentence);

	for (size_t i = 0; r >= 0 && i < outputs->count; i++)
		printf("wrote %s (%s)\n", outputs->items[i].path, outputs->items[i].what);
	return r;
}

static int make_directory(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	report("%s: %s", path, strerror(errno));
	return -errno;
}

static int make_key(KeyPair *ret_pair)
{
	int r = key_output_generate(ret_pair);

	if (r < 0)
		report("no random numbers: %s", strerror(-r));
	return r;
}

static Exit failed(int error)
{
	if (error == -ENOMEM)
		report("%s", strerror(ENOMEM));
	return EXIT_FAILED;
}

static Exit make_server(const Options *options)
{
	const char *directory = options->install ? SPALE_CONFDIR
				: options->out	 ? options->out
						 : ".";
	_cleanup_key_outputs_ KeyOutputs outputs = {.count = 0};
	_cleanup_key_pair_ KeyPair pair;
	int r;

	r = make_key(&pair);
	if (r >= 0)
		r = key_outputs_add_private(&outputs, directory, "server", ".key",
					    &pair.private_key);
	if (r >= 0)
		r = key_outputs_add_public(&outputs, directory, "server",
					   options->install ? ".key.pub" : ".pub",
					   &pair.public_key);
	if (r >= 0)
		r = make_directory(directory, options->install ? 0755 : 0700);
	if (r >= 0)
		r = write_all(&outputs, options->force);
	if (r < 0)
		return failed(r);
	if (options->install)
		puts("Next: spale-keygen client --name NAME --install, and start or restart "
		     "spaled.");
	else
		printf("Next: on the server, %s becomes %s;\n"
		       "      for each client, spale-keygen client --name NAME --bundle "
		       "--server-pub "
		       "%s\n",
		       outputs.items[0].path, SERVER_KEY, outputs.items[1].path);
	return EXIT_DONE;
}

/* The server's public key for a bundle. */
static int find_server_key(const Options *options, PublicKey *ret_key)
{
	_cleanup_free_ char *error = NULL;
	int r;

	if (options->server_pub)
		r = key_file_read_public(AT_FDCWD, options->server_pub, ret_key, &error);
	else
		r = key_output_find_server(SERVER_PUBLIC, SERVER_KEY, ret_key, &error);
	if (r < 0 && !options->server_pub && access(SERVER_PUBLIC, F_OK) < 0)
		report("no public key of the server: give --server-pub FILE, or make one with "
		       "'spale-keygen server --install' (%s)",
		       error ? error : strerror(-r));
	else if (r < 0)
		report("%s", error ? error : strerror(-r));
	return r;
}

/* What there is to do with the files. */
static void say_next(const Options *options, const KeyOutputs *outputs)
{
	const char *bundle = outputs->items[outputs->count - 1].path;

	if (!options->install)
		printf("Next: on the server, copy %s to %s/%s.pem.\n", outputs->items[0].path,
		       CLIENTS_DIRECTORY, options->name);
	if (options->install || options->bundle)
		printf("%s on the client, with %s:\n"
		       "      spale-send profile create PROFILE --host HOST --port PORT --key %s\n",
		       options->install ? "Next:" : "Then:", bundle, bundle);
	else
		printf("Then: put the server's public key and %s into one file, the client's key "
		       "file.\n",
		       bundle);
}

static Exit make_client(const Options *options)
{
	const char *directory = options->out ? options->out : ".";
	_cleanup_key_outputs_ KeyOutputs outputs = {.count = 0};
	_cleanup_key_pair_ KeyPair pair;
	const char *name = options->name;
	bool bundle = options->bundle || options->install;
	PublicKey server;
	int r = 0;

	if (bundle)
		r = find_server_key(options, &server);
	if (r >= 0)
		r = make_key(&pair);
	if (r >= 0)
		r = key_outputs_add_public(&outputs,
					   options->install ? CLIENTS_DIRECTORY : directory, name,
					   ".pem", &pair.public_key);
	if (r >= 0 && !options->install)
		r = key_outputs_add_private(&outputs, directory, name, ".key", &pair.private_key);
	if (r >= 0 && bundle)
		r = key_outputs_add_bundle(&outputs, directory, name,
					   options->install ? ".key" : ".bundle", &server,
					   &pair.private_key);
	if (r >= 0)
		r = make_directory(directory, 0700);
	if (r >= 0 && options->install)
		r = make_directory(SPALE_CONFDIR, 0755);
	if (r >= 0 && options->install)
		r = make_directory(CLIENTS_DIRECTORY, 0755);
	if (r >= 0)
		r = write_all(&outputs, options->force);
	if (r < 0)
		return failed(r);
	say_next(options, &outputs);
	return EXIT_DONE;
}

/* What depends on more than one option. */
static int options_check(const Options *options)
{
	bool is_client = options->command == COMMAND_CLIENT;

	if (!is_client && (options->name || options->bundle || options->server_pub)) {
		report("--name, --bundle and --server-pub belong to 'client'");
		return -EINVAL;
	}
	if (!is_client && options->install && options->out) {
		report("'server' takes --install or --out, not both");
		return -EINVAL;
	}
	if (is_client && !options->name) {
		report("'client' needs --name");
		return -EINVAL;
	}
	if (is_client && !name_is_valid(options->name)) {
		report("'%s' cannot be the name of a client: it takes up to %d letters, digits, "
		       "'_', "
		       "'-' and '.', and does not begin with '.'",
		       options->name, NAME_LENGTH_MAX);
		return -EINVAL;
	}
	if (options->server_pub && !options->bundle && !options->install) {
		report("--server-pub is for a bundle: give --bundle too");
		return -EINVAL;
	}
	return 0;
}

static int options_set(Options *options, int option, const char *value)
{
	switch (option) {
	case 'n':
		options->name = value;
		return 0;
	case 'o':
		options->out = value;
		return 0;
	case 's':
		options->server_pub = value;
		return 0;
	case 'b':
		options->bundle = true;
		return 0;
	case 'i':
		options->install = true;
		return 0;
	case 'f':
		options->force = true;
		return 0;
	case 'h':
		options->command = COMMAND_HELP;
		return 0;
	case 'V':
		options->command = COMMAND_VERSION;
		return 0;
	}
	/* getopt_long() has said what is wrong. */
	return -EINVAL;
}

static int options_parse(int argc, char *argv[], Options *ret_options)
{
	/* Only -h is short: the others have no letter in the option string. */
	static const struct option long_options[] = {
		{"name", required_argument, NULL, 'n'},
		{"out", required_argument, NULL, 'o'},
		{"server-pub", required_argument, NULL, 's'},
		{"bundle", no_argument, NULL, 'b'},
		{"install", no_argument, NULL, 'i'},
		{"force", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	Options options = {0};
	int option;

	argv[0] = (char *)"spale-keygen";
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (options_set(&options, option, optarg) < 0)
			return -EINVAL;
		if (options.command == COMMAND_HELP || options.command == COMMAND_VERSION) {
			*ret_options = options;
			return 0;
		}
	}
	if (optind == argc) {
		report("say what to make: 'server' or 'client'");
		return -EINVAL;
	}
	if (strcmp(argv[optind], "client") == 0) {
		options.command = COMMAND_CLIENT;
	} else if (strcmp(argv[optind], "server") != 0) {
		report("'%s' cannot be made: 'server' or 'client'", argv[optind]);
		return -EINVAL;
	}
	if (optind + 1 < argc) {
		report("unexpected argument '%s'", argv[optind + 1]);
		return -EINVAL;
	}
	if (options_check(&options) < 0)
		return -EINVAL;
	*ret_options = options;
	return 0;
}

int main(int argc, char *argv[])
{
	Options options;
	int r;

	r = process_forbid_dumps();
	if (r < 0) {
		report("cannot keep the keys out of core dumps: %s", strerror(-r));
		return EXIT_FAILED;
	}
	if (options_parse(argc, argv, &options) < 0) {
		fputs("Try 'spale-keygen --help'.\n", stderr);
		return EXIT_USAGE;
	}
	switch (options.command) {
	case COMMAND_SERVER:
		return make_server(&options);
	case COMMAND_CLIENT:
		return make_client(&options);
	case COMMAND_HELP:
		fputs(help, stdout);
		break;
	case COMMAND_VERSION:
		puts("spale-keygen " SPALE_VERSION);
		break;
	}
	if (fflush(stdout) == 0)
		return EXIT_DONE;
	report("standard output cannot be written: %s", strerror(errno));
	return EXIT_FAILED;
}
