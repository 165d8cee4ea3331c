/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "ctl/client.h"
#include "ctl/report.h"
#include "ctl/verbs.h"
#include "keys/key-file.h"
#include "keys/key-output.h"
#include "keys/pem.h"

#define SERVER_KEY    SPALE_CONFDIR "/server.key"
#define SERVER_PUBLIC SPALE_CONFDIR "/server.key.pub"

static void report_sentence(const char *sentence)
{
	report_error("%s", sentence);
}

/* The server's public key, for the client's key file. */
static int find_server(const Options *options, PublicKey *ret_key)
{
	const char *path = options->values[OPTION_SERVER_PUB];
	_cleanup_free_ char *error = NULL;
	int r;

	r = path ? key_file_read_public(AT_FDCWD, path, ret_key, &error)
		 : key_output_find_server(SERVER_PUBLIC, SERVER_KEY, ret_key, &error);
	if (!path && r == -EACCES)
		report_error("only root can read the server's public key in " SPALE_CONFDIR
			     ": take sudo, or give it with --server-pub FILE, or --public-key FILE "
			     "with a key that the client made itself");
	else if (r < 0)
		report_error("no public key of the server (%s): give --server-pub FILE, or "
			     "--public-key FILE with a key that the client made itself",
			     error ? error : strerror(-r));
	return r;
}

/* Makes keys, and writes the client's key file. PEM gets the public one. */
static int make_keys(const Options *options, KeyOutputs *outputs, char pem[static PEM_TEXT_MAX])
{
	const char *out = options->values[OPTION_OUT];
	_cleanup_key_pair_ KeyPair pair;
	PublicKey server;
	int r;

	r = find_server(options, &server);
	if (r < 0)
		return r;
	r = key_output_generate(&pair);
	if (r >= 0)
		r = pem_format_public(&pair.public_key, pem);
	if (r >= 0)
		r = key_outputs_add_bundle(outputs, ".", out ? out : options->arguments[0],
					   out ? "" : ".key", &server, &pair.private_key);
	if (r < 0) {
		report_error("no keys can be made: %s", strerror(-r));
		return r;
	}
	return key_outputs_write(outputs, options_has(options, OPTION_FORCE), report_sentence);
}

static int read_key(const char *path, char pem[static PEM_TEXT_MAX])
{
	_cleanup_free_ char *error = NULL;
	PublicKey key;
	int r = key_file_read_public(AT_FDCWD, path, &key, &error);

	if (r < 0)
		report_error("%s", error ? error : strerror(-r));
	return r < 0 ? r : pem_format_public(&key, pem);
}

static ExitCode enrol(sd_bus *bus, const Options *options, const char *pem, Record *record)
{
	_cleanup_message_ sd_bus_message *message = NULL, *reply = NULL;
	ExitCode code;
	int r;

	code = bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "EnrollClient", &message);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_append(message, "ss", options->arguments[0], pem);
	code = r < 0 ? bus_filled(r) : client_append_settings(message, options);
	if (code == EXIT_CODE_DONE)
		code = bus_send(bus, message, &reply);
	if (code != EXIT_CODE_DONE)
		return code;
	r = record_set_text(record, "name", options->arguments[0]);
	if (r >= 0)
		r = bus_read_field(reply, "object", VALUE_TEXT, record);
	return bus_filled(r);
}

static void block_interruptions(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

ExitCode verb_client_add(const Options *options)
{
	const char *name = options->arguments[0], *public_key = options->values[OPTION_PUBLIC_KEY];
	_cleanup_key_outputs_ KeyOutputs outputs = {.count = 0};
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	const char *path = NULL;
	char pem[PEM_TEXT_MAX];
	ExitCode code;
	int r;

	if (client_check_name(name) < 0)
		return EXIT_CODE_USAGE;
	if (public_key && (options_has(options, OPTION_OUT) || options_has(options, OPTION_FORCE) ||
			   options_has(options, OPTION_SERVER_PUB))) {
		report_error("with --public-key no key file is made: --out, --server-pub and "
			     "--force do not go with it");
		return EXIT_CODE_USAGE;
	}
	code = bus_open(options->ask, &bus);
	if (code != EXIT_CODE_DONE)
		return code;
	/*
	 * The key file first: an enrolled key that nobody has helps nobody. Who interrupts ends the
	 * agent, and so gets a refusal, after which there is to be no key file.
	 */
	block_interruptions();
	if ((public_key ? read_key(public_key, pem) : make_keys(options, &outputs, pem)) < 0)
		return EXIT_CODE_FAILED;
	code = enrol(bus, options, pem, &record);
	if (code != EXIT_CODE_DONE) {
		key_outputs_undo(&outputs, report_sentence);
		return code;
	}
	path = outputs.count ? outputs.items[0].path : NULL;
	r = path ? record_set_text(&record, "key_file", path) : 0;
	if (r >= 0 && path)
		r = output_done(&options->output, &record,
				"Client %s is enrolled. Its key file is %s: it is for this client "
				"only, over a channel that you trust.",
				name, path);
	else if (r >= 0)
		r = output_done(&options->output, &record, "Client %s is enrolled.", name);
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}
