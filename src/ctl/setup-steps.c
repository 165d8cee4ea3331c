/* SPDX-License-Identifier: MIT */
#include "ctl/setup-steps.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "ctl/grant.h"
#include "ctl/objects.h"
#include "ctl/report.h"
#include "keys/key-file.h"
#include "keys/key-output.h"
#include "keys/pem.h"
#include "util/file.h"
#include "util/parse.h"

#define CONFIGURATION	  SPALE_CONFDIR "/spale.conf"
#define CLIENTS_DIRECTORY SPALE_CONFDIR "/clients"
#define SERVER_KEY	  SPALE_CONFDIR "/server.key"
#define SERVER_PUBLIC	  SPALE_CONFDIR "/server.key.pub"

/* What was changed over D-Bus for good. */
#define KEPT_POLICY  SPALE_STATEDIR "/policy.conf"
#define KEPT_TRIAL   SPALE_STATEDIR "/trial.conf"
#define KEPT_CLIENTS SPALE_STATEDIR "/clients"

#define UNIT "spaled.service"

/* How long the grant lasts for where the administrator comes from. */
#define GRANT_SECONDS 86400

/* The daemon joins the bus by itself, soon after its start. */
#define BUS_TRIES   100
#define BUS_WAIT_NS (100 * 1000000L)

void setup_plan_done(SetupPlan *plan)
{
	port_list_done(&plan->ports);
	free(plan->address);
}

static void __attribute__((format(printf, 2, 3)))
say(const SetupPlan *plan, const char *format, ...)
{
	va_list arguments;

	if (plan->quiet)
		return;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	fflush(stdout);
}

const char *setup_find_configuration(void)
{
	static const char *const paths[] = {CONFIGURATION, KEPT_POLICY};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (access(paths[i], F_OK) == 0)
			return paths[i];
	}
	return NULL;
}

char *setup_find_drop_in(void)
{
	static const char *const places[] = {CONFIGURATION ".d/*.conf",
					     "/run/spale/spale.conf.d/*.conf",
					     "/usr/lib/spale/spale.conf.d/*.conf"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		glob_t found = {0};
		char *path = NULL;

		if (glob(places[i], 0, NULL, &found) == 0)
			path = strdup(found.gl_pathv[0]);
		globfree(&found);
		if (path)
			return path;
	}
	return NULL;
}

static void report_sentence(const char *sentence)
{
	report_error("%s", sentence);
}

static int make_directory(const char *path)
{
	/* The service's user reads it; who has no business with clients does not. */
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	report_error("%s: %s", path, strerror(errno));
	return -errno;
}

/* The server's public key: of the key that it has, or of a new one, which goes to OUTPUTS. */
static int provide_server(KeyOutputs *outputs, PublicKey *ret_key)
{
	_cleanup_free_ char *error = NULL;
	_cleanup_key_pair_ KeyPair pair;
	int r;

	if (access(SERVER_KEY, F_OK) == 0) {
		r = key_output_find_server(SERVER_PUBLIC, SERVER_KEY, ret_key, &error);
		if (r < 0)
			report_error("%s", error ? error : strerror(-r));
		return r;
	}
	r = key_output_generate(&pair);
	if (r >= 0)
		r = key_outputs_add_private(outputs, SPALE_CONFDIR, "server", ".key",
					    &pair.private_key);
	if (r >= 0)
		r = key_outputs_add_public(outputs, SPALE_CONFDIR, "server", ".key.pub",
					   &pair.public_key);
	if (r < 0)
		report_error("no key can be made for the server: %s", strerror(-r));
	else
		*ret_key = pair.public_key;
	return r;
}

static int provide_client(const SetupPlan *plan, const PublicKey *server, KeyOutputs *outputs)
{
	_cleanup_key_pair_ KeyPair pair;
	int r = key_output_generate(&pair);

	if (r >= 0)
		r = key_outputs_add_public(outputs, CLIENTS_DIRECTORY, plan->client, ".pem",
					   &pair.public_key);
	if (r >= 0)
		r = key_outputs_add_bundle(outputs, ".",
					   plan->key_file ? plan->key_file : plan->client,
					   plan->key_file ? "" : ".key", server, &pair.private_key);
	if (r < 0)
		report_error("no key can be made for the client: %s", strerror(-r));
	return r;
}

static void say_written(const SetupPlan *plan, const KeyOutputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++)
		say(plan, "Wrote %s (%s).\n", outputs->items[i].path, outputs->items[i].what);
}

/* spale.conf, in log-only mode or not. */
static ExitCode write_configuration(const SetupPlan *plan, bool log_only, bool replace)
{
	_cleanup_free_ char *text = NULL, *ports = port_list_format(&plan->ports);
	int r;

	if (!ports ||
	    asprintf(&text,
		     "# Made by 'spalectl setup': spale.conf(5) describes every key.\n"
		     "[Protect]\n"
		     "Interfaces=%s\n"
		     "Ports=%s\n"
		     "%s"
		     "\n"
		     "[Knock]\n"
		     "Ports=%u\n",
		     plan->interface, ports,
		     log_only ? "# Counts what would be dropped, and drops nothing, until "
				"'spalectl confirm' or\n"
				"# 'spalectl log-only off --permanent' says otherwise.\n"
				"LogOnly=yes\n"
			      : "",
		     plan->knock_port) < 0) {
		text = NULL;
		return bus_filled(-ENOMEM);
	}
	r = file_write(AT_FDCWD, CONFIGURATION, text, strlen(text), 0644,
		       FILE_SYNC | (replace ? FILE_REPLACE : 0));
	if (r < 0) {
		report_error("%s: %s", CONFIGURATION, strerror(-r));
		return EXIT_CODE_FAILED;
	}
	return EXIT_CODE_DONE;
}

ExitCode setup_write_files(const SetupPlan *plan)
{
	_cleanup_key_outputs_ KeyOutputs server_files = {.count = 0}, client_files = {.count = 0};
	PublicKey server;

	if (make_directory(SPALE_CONFDIR) < 0 || make_directory(CLIENTS_DIRECTORY) < 0 ||
	    provide_server(&server_files, &server) < 0 ||
	    provide_client(plan, &server, &client_files) < 0 ||
	    key_outputs_write(&server_files, false, report_sentence) < 0)
		return EXIT_CODE_FAILED;
	if (key_outputs_write(&client_files, plan->force, report_sentence) < 0 ||
	    write_configuration(plan, true, plan->force) != EXIT_CODE_DONE) {
		key_outputs_undo(&client_files, report_sentence);
		key_outputs_undo(&server_files, report_sentence);
		return EXIT_CODE_FAILED;
	}
	say_written(plan, &server_files);
	say_written(plan, &client_files);
	say(plan, "Wrote %s.\n", CONFIGURATION);
	return EXIT_CODE_DONE;
}

static int forget(const char *path)
{
	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	report_error("%s cannot be removed: %s", path, strerror(errno));
	return -errno;
}

ExitCode setup_forget_changes(const SetupPlan *plan)
{
	static const char *const suffixes[] = {".pem", ".conf", ".removed"};

	if (!plan->force)
		return EXIT_CODE_DONE;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s%s", KEPT_CLIENTS, plan->client, suffixes[i]) < 0) {
			path = NULL;
			return bus_filled(-ENOMEM);
		}
		if (forget(path) < 0)
			return EXIT_CODE_FAILED;
	}
	return forget(KEPT_POLICY) < 0 || forget(KEPT_TRIAL) < 0 ? EXIT_CODE_FAILED
								 : EXIT_CODE_DONE;
}

/* Runs systemctl with two words, quietly. */
static int systemctl(const char *verb, const char *unit)
{
	const char *argv[] = {"systemctl", "--quiet", verb, unit, NULL};
	int error, status;
	pid_t pid;

	error = posix_spawnp(&pid, "systemctl", NULL, NULL, (char *const *)argv, environ);
	if (error)
		return -error;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

/* Whether spaled answers on the bus, where the name of one that has gone can last for a while. */
static bool is_there(sd_bus *bus)
{
	return sd_bus_call_method(bus, SPALE_BUS_NAME, SPALE_BUS_PATH, "org.freedesktop.DBus.Peer",
				  "Ping", NULL, NULL, NULL) >= 0;
}

ExitCode setup_start_service(const SetupPlan *plan)
{
	const struct timespec pause = {.tv_nsec = BUS_WAIT_NS};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code;

	if (systemctl("enable", UNIT) < 0 || systemctl("restart", UNIT) < 0) {
		report_error("%s does not start: 'journalctl -u spaled' says why; keys and "
			     "configuration are written",
			     UNIT);
		return EXIT_CODE_FAILED;
	}
	say(plan, "Started %s, which drops nothing yet.\n", UNIT);
	code = bus_open(false, &bus);
	if (code != EXIT_CODE_DONE)
		return code;
	for (int i = 0; i < BUS_TRIES && !is_there(bus); i++)
		nanosleep(&pause, NULL);
	if (is_there(bus))
		return EXIT_CODE_DONE;
	report_error("spaled runs, but is not on the bus: 'journalctl -u spaled' says why. It "
		     "drops nothing");
	return EXIT_CODE_NOT_RUNNING;
}

ExitCode setup_check_interface(const SetupPlan *plan)
{
	_cleanup_record_ Record manager = {0}, interface = {0};
	const Value *outdated;
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code;

	code = bus_open(false, &bus);
	if (code == EXIT_CODE_DONE)
		code = objects_manager(bus, &manager);
	if (code != EXIT_CODE_DONE)
		return code;
	outdated = record_get(&manager, "reload_failed");
	if (outdated->kind == VALUE_BOOL && outdated->boolean) {
		report_error("spaled cannot use the configuration that was written ('journalctl -u "
			     "spaled' says why), and follows the one that it had before");
		return EXIT_CODE_FAILED;
	}
	code = objects_interface(bus, plan->interface, &interface);
	if (code == EXIT_CODE_DONE && strcmp(record_get_text(&interface, "state"), "attached") == 0)
		return EXIT_CODE_DONE;
	report_error(
		"%s is not protected ('journalctl -u spaled' says why): so nothing is dropped, "
		"it stays in log-only mode",
		plan->interface);
	return EXIT_CODE_FAILED;
}

/* The public key of the client's file, as spaled shows it. */
static int read_client_pem(const SetupPlan *plan, char pem[static PEM_TEXT_MAX])
{
	_cleanup_free_ char *path = NULL, *error = NULL;
	PublicKey key;
	int r;

	if (asprintf(&path, "%s/%s.pem", CLIENTS_DIRECTORY, plan->client) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = key_file_read_public(AT_FDCWD, path, &key, &error);
	return r < 0 ? r : pem_format_public(&key, pem);
}

ExitCode setup_check_client(const SetupPlan *plan)
{
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	const Value *enabled;
	char pem[PEM_TEXT_MAX];
	ExitCode code;
	int r;

	code = bus_open(false, &bus);
	if (code != EXIT_CODE_DONE)
		return code;
	r = read_client_pem(plan, pem);
	if (r < 0)
		return bus_filled(r);
	code = objects_client(bus, plan->client, &record);
	enabled = record_get(&record, "enabled");
	if (code == EXIT_CODE_DONE && enabled->kind == VALUE_BOOL && enabled->boolean &&
	    strcmp(record_get_text(&record, "public_key"), pem) == 0)
		return EXIT_CODE_DONE;
	report_error("spaled does not take the new key of %s ('journalctl -u spaled' says why; "
		     "--force forgets what was said of this client before): so nothing is "
		     "dropped, it stays in log-only mode",
		     plan->client);
	return EXIT_CODE_FAILED;
}

ExitCode setup_add_grant(const SetupPlan *plan)
{
	const PortList every_port = PORT_LIST_NULL;
	const GrantOrder order = {
		.source = plan->address,
		.ports = &every_port,
		.idle = GRANT_SECONDS,
		.lifetime = GRANT_SECONDS,
		.interface = *plan->zone ? plan->zone : NULL,
		.permanent = true,
	};
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code;

	if (!plan->address)
		return EXIT_CODE_DONE;
	code = bus_open(false, &bus);
	if (code == EXIT_CODE_DONE)
		code = grant_add(bus, &order, &record);
	if (code == EXIT_CODE_DONE)
		say(plan, "Granted %s, where you come from, every protected port for 24 hours.\n",
		    plan->address);
	else
		report_error("so nothing is dropped: it stays in log-only mode");
	return code;
}

/* Takes LogOnly=yes out of the configuration; puts it back where spaled does not follow. */
static ExitCode enforce_for_good(sd_bus *bus, const SetupPlan *plan)
{
	ExitCode code = write_configuration(plan, false, true);

	if (code != EXIT_CODE_DONE) {
		report_error("so nothing is dropped: it stays in log-only mode");
		return code;
	}
	code = bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "Reload", NULL, NULL);
	if (code != EXIT_CODE_DONE) {
		write_configuration(plan, true, true);
		return code;
	}
	say(plan, "It enforces now.\n");
	return EXIT_CODE_DONE;
}

ExitCode setup_enforce(const SetupPlan *plan)
{
	char text[DURATION_TEXT_MAX];
	_cleanup_bus_ sd_bus *bus = NULL;
	ExitCode code;

	if (plan->mode == SETUP_LOG_ONLY) {
		say(plan, "It is in log-only mode: it counts what it would drop, and drops "
			  "nothing.\n");
		return EXIT_CODE_DONE;
	}
	code = bus_open(false, &bus);
	if (code != EXIT_CODE_DONE)
		return code;
	if (plan->mode == SETUP_ENFORCE)
		return enforce_for_good(bus, plan);
	code = bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "Trial", NULL, "t",
			plan->trial_seconds);
	if (code == EXIT_CODE_DONE)
		say(plan,
		    "It enforces for %s, and then drops nothing any more, unless 'spalectl "
		    "confirm' is called before.\n",
		    format_duration(plan->trial_seconds * NSEC_PER_SEC, text));
	return code;
}
