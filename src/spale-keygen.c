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
#include "keys/pem.h"
#include "knock/hpke.h"
#include "util/cleanup.h"
#include "util/file.h"
#include "util/name.h"
#include "util/process.h"

/* Where the daemon looks for its keys. */
#define SERVER_KEY	  SPALE_CONFDIR "/server.key"
#define SERVER_PUBLIC	  SPALE_CONFDIR "/server.key.pub"
#define CLIENTS_DIRECTORY SPALE_CONFDIR "/clients"

/* Most files that one run writes. */
#define OUTPUTS_MAX 3

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

/* A file to write, and what it replaces. */
typedef struct Output {
	char *path;
	const char *what; /* for people */
	mode_t mode;
	char text[2 * PEM_TEXT_MAX];
	bool written;
	char *old_text; /* NULL: there was none */
	size_t old_size;
	mode_t old_mode;
} Output;

typedef struct Outputs {
	Output items[OUTPUTS_MAX];
	size_t count;
} Outputs;

static void outputs_done(Outputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++) {
		Output *output = &outputs->items[i];

		free(output->path);
		secret_free(output->old_text, output->old_size);
	}
	secret_erase(outputs, sizeof(*outputs));
}

#define _cleanup_outputs_ _cleanup_(outputs_done)

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
	va_list arguments;

	fputs("spale-keygen: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

/* Adds DIRECTORY/NAME SUFFIX; its text is to be filled in. NULL: no memory. */
static Output *outputs_add(Outputs *outputs, const char *directory, const char *name,
			   const char *suffix)
{
	Output *output = &outputs->items[outputs->count];
	bool is_here = strcmp(directory, ".") == 0;

	*output = (Output){.mode = 0600};
	if (asprintf(&output->path, "%s%s%s%s", is_here ? "" : directory, is_here ? "" : "/", name,
		     suffix) < 0) {
		output->path = NULL;
		return NULL;
	}
	outputs->count++;
	return output;
}

static int add_private(Outputs *outputs, const char *directory, const char *name,
		       const char *suffix, const Secret *key)
{
	Output *output = outputs_add(outputs, directory, name, suffix);

	if (!output)
		return -ENOMEM;
	output->what = "private key: give it to nobody";
	return pem_format_private(key, output->text);
}

static int add_public(Outputs *outputs, const char *directory, const char *name, const char *suffix,
		      const PublicKey *key)
{
	Output *output = outputs_add(outputs, directory, name, suffix);

	if (!output)
		return -ENOMEM;
	output->what = "public key";
	output->mode = 0644;
	return pem_format_public(key, output->text);
}

static int add_bundle(Outputs *outputs, const char *directory, const char *name, const char *suffix,
		      const PublicKey *server, const Secret *client)
{
	Output *output = outputs_add(outputs, directory, name, suffix);
	int r;

	if (!output)
		return -ENOMEM;
	output->what = "key file for spale-send, with the private key: for this client only";
	r = pem_format_public(server, output->text);
	return r < 0 ? r : pem_format_private(client, output->text + strlen(output->text));
}

/* Says what is in the way; with FORCE, keeps it to put it back if need be. */
static int outputs_check(Outputs *outputs, bool force)
{
	int result = 0;

	for (size_t i = 0; i < outputs->count; i++) {
		Output *output = &outputs->items[i];
		struct stat st;
		int r;

		if (lstat(output->path, &st) < 0) {
			if (errno == ENOENT)
				continue;
			result = -errno;
			report("%s: %s", output->path, strerror(errno));
		} else if (!force) {
			result = -EEXIST;
			report("%s exists: --force replaces it", output->path);
		} else {
			r = file_read(AT_FDCWD, output->path, FILE_SIZE_MAX, &output->old_text,
				      &output->old_size);
			if (r < 0) {
				result = r;
				report("%s cannot be replaced: %s", output->path, strerror(-r));
			}
			output->old_mode = st.st_mode & 07777;
		}
	}
	return result;
}

/* As it was before. */
static void outputs_undo(Outputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++) {
		Output *output = &outputs->items[i];
		int r = 0;

		if (!output->written)
			continue;
		if (!output->old_text)
			r = unlink(output->path) < 0 ? -errno : 0;
		else
			r = file_write(AT_FDCWD, output->path, output->old_text, output->old_size,
				       output->old_mode, FILE_REPLACE | FILE_SYNC);
		if (r < 0)
			report("%s could not be put back: %s", output->path, strerror(-r));
	}
}

/* All files, or none. */
static int outputs_write(Outputs *outputs, bool force)
{
	int r = outputs_check(outputs, force);

	if (r < 0)
		return r;
	for (size_t i = 0; i < outputs->count; i++) {
		Output *output = &outputs->items[i];

		r = file_write(AT_FDCWD, output->path, output->text, strlen(output->text),
			       output->mode, FILE_SYNC | (force ? FILE_REPLACE : 0));
		if (r < 0) {
			report("%s: %s", output->path, strerror(-r));
			outputs_undo(outputs);
			return r;
		}
		output->written = true;
	}
	for (size_t i = 0; i < outputs->count; i++)
		printf("wrote %s (%s)\n", outputs->items[i].path, outputs->items[i].what);
	return 0;
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
	int r = pem_generate(&ret_pair->private_key);

	if (r < 0)
		report("no random numbers: %s", strerror(-r));
	else
		ret_pair->public_key = hpke_public_key(&ret_pair->private_key);
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
	_cleanup_outputs_ Outputs outputs = {.count = 0};
	_cleanup_key_pair_ KeyPair pair;
	int r;

	r = make_key(&pair);
	if (r >= 0)
		r = add_private(&outputs, directory, "server", ".key", &pair.private_key);
	if (r >= 0)
		r = add_public(&outputs, directory, "server",
			       options->install ? ".key.pub" : ".pub", &pair.public_key);
	if (r >= 0)
		r = make_directory(directory, options->install ? 0755 : 0700);
	if (r >= 0)
		r = outputs_write(&outputs, options->force);
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
	const char *path = options->server_pub ? options->server_pub : SERVER_PUBLIC;
	_cleanup_free_ char *error = NULL, *private_error = NULL;
	_cleanup_key_pair_ KeyPair pair;
	PublicKey key;
	int r, private_r;

	r = key_file_read_public(AT_FDCWD, path, &key, &error);
	if (r < 0 && (options->server_pub || access(path, F_OK) == 0)) {
		report("%s", error ? error : strerror(-r));
		return r;
	}
	if (options->server_pub) {
		*ret_key = key;
		return 0;
	}
	private_r = key_file_read_private(SERVER_KEY, &pair, &private_error);
	if (r < 0 && private_r < 0) {
		report("no public key of the server: give --server-pub FILE, or make one with "
		       "'spale-keygen server --install' (%s)",
		       private_error ? private_error : strerror(-private_r));
		return private_r;
	}
	if (r == 0 && private_r == 0 && !secret_equal(&key, &pair.public_key, sizeof(key))) {
		report("%s does not belong to %s: remove it, it can be derived", path, SERVER_KEY);
		return -EKEYREJECTED;
	}
	*ret_key = r == 0 ? key : pair.public_key;
	return 0;
}

/* What there is to do with the files. */
static void say_next(const Options *options, const Outputs *outputs)
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
	_cleanup_outputs_ Outputs outputs = {.count = 0};
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
		r = add_public(&outputs, options->install ? CLIENTS_DIRECTORY : directory, name,
			       ".pem", &pair.public_key);
	if (r >= 0 && !options->install)
		r = add_private(&outputs, directory, name, ".key", &pair.private_key);
	if (r >= 0 && bundle)
		r = add_bundle(&outputs, directory, name, options->install ? ".key" : ".bundle",
			       &server, &pair.private_key);
	if (r >= 0)
		r = make_directory(directory, 0700);
	if (r >= 0 && options->install)
		r = make_directory(SPALE_CONFDIR, 0755);
	if (r >= 0 && options->install)
		r = make_directory(CLIENTS_DIRECTORY, 0755);
	if (r >= 0)
		r = outputs_write(&outputs, options->force);
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
	return EXIT_DONE;
}
