/* SPDX-License-Identifier: MIT */
#include "daemon/setup.h"

#include <errno.h>
#include <string.h>

#include "daemon/client-files.h"
#include "daemon/ephemeral-ports.h"
#include "daemon/journal.h"
#include "enforce/pins.h"
#include "util/process.h"

/* Most lines about refused clients each time that they are read: there may be ten thousands. */
#define REFUSED_LINES_MAX 20

void setup_done(Setup *setup)
{
	config_free(setup->config);
	policy_layers_free(setup->layers);
	client_set_free(setup->clients);
	client_roster_done(&setup->roster);
	key_ring_done(&setup->keys);
	*setup = (Setup){0};
}

/* A ClientFilesRefused: the daemon goes on without this client. */
static void client_refused(const char *name, const Diagnostic *why, void *userdata)
{
	_cleanup_free_ char *detail = NULL;
	Setup *setup = userdata;

	if (++setup->refused > REFUSED_LINES_MAX)
		return;
	if (asprintf(&detail, "%s: %s", why->origin ?: name, why->text) < 0)
		detail = NULL;
	journal_event(JOURNAL_CLIENT_REFUSED,
		      &(JournalFields){.client = name, .detail = detail ?: why->text});
}

/* The same for --check-config, where it is an error like any other. */
static void client_wrong(const char *name, const Diagnostic *why, void *userdata)
{
	Setup *setup = userdata;

	(void)name;
	setup->refused++;
	journal_diagnostic(why);
}

static int load_config(const Options *options, Setup *setup)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	int r;

	r = policy_layers_load(options, &diagnostics, &setup->layers, &setup->config, NULL);
	journal_diagnostics(&diagnostics);
	return r;
}

static int load_keys(bool reload, Setup *setup)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	int r;

	r = key_ring_load(setup->config, &diagnostics, &setup->keys);
	if (r == -EACCES && reload) {
		setup->keeps_keys = true;
		journal_line(LOG_LEVEL_WARNING,
			     "the server keys may not be read any more, so those "
			     "in use stay; a restart takes new ones");
		return 0;
	}
	journal_diagnostics(&diagnostics);
	return r == -EACCES ? -EINVAL : r;
}

static int load_clients(const Options *options, const Config *config, ClientFilesRefused refused,
			Setup *setup)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	const ClientFilesReport to = {&diagnostics, refused, setup};
	_cleanup_free_ char *buffer = NULL;
	const char *directory = options_state_directory(options, &buffer);
	int r;

	if (!directory)
		return -ENOMEM;
	r = client_files_load(config, directory, &setup->roster, &to, &setup->clients);
	journal_diagnostics(&diagnostics);
	if (refused == client_refused && setup->refused > REFUSED_LINES_MAX)
		journal_line(LOG_LEVEL_WARNING,
			     "%zu more reasons to refuse clients: \"spaled --check-config\" says "
			     "all of them",
			     setup->refused - REFUSED_LINES_MAX);
	return r;
}

int setup_load_clients(const Options *options, const Config *config, ClientRoster *roster,
		       ClientSet **ret_clients)
{
	Setup setup = {.roster = *roster}; /* moved there and back */
	int r = load_clients(options, config, client_refused, &setup);

	*roster = setup.roster;
	if (r == 0)
		*ret_clients = setup.clients;
	return r;
}

int setup_load(const Options *options, bool reload, Setup *ret_setup)
{
	_cleanup_setup_ Setup setup = {0};
	int r;

	r = load_config(options, &setup);
	if (r == 0)
		r = load_keys(reload, &setup);
	if (r == 0)
		r = load_clients(options, setup.config, client_refused, &setup);
	if (r < 0)
		return r;
	ephemeral_ports_warn(&setup.config->protected_ports);
	*ret_setup = setup;
	setup = (Setup){0};
	return 0;
}

/*
 * Reads keys and clients for a configuration in place of the one that is wanted. Unless MUST_KNOCK,
 * what cannot be read is left out.
 */
static int load_rest(const Options *options, bool must_knock, Setup *setup)
{
	int r = load_keys(false, setup);

	if (r == -EINVAL && !must_knock)
		r = 0;
	if (r == 0)
		r = load_clients(options, setup->config, client_refused, setup);
	if (r == -EINVAL && !must_knock) {
		setup->clients = client_set_new();
		r = setup->clients ? 0 : -ENOMEM;
	}
	return r;
}

int setup_load_good(const Options *options, bool must_knock, Setup *ret_setup)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_setup_ Setup setup = {
		.fallback = "the configuration is unusable, the last good one is in force",
	};
	int r;

	r = policy_layers_load_good(options, &diagnostics, &setup.layers, &setup.config);
	/* What there is to say of old keys and the like was said when it was put into force. */
	for (size_t i = 0; r == -EINVAL && i < diagnostics.count; i++)
		journal_diagnostic(&diagnostics.items[i]);
	if (r == 0)
		r = load_rest(options, must_knock, &setup);
	if (r < 0)
		return r;
	*ret_setup = setup;
	setup = (Setup){0};
	return 0;
}

int setup_load_files(const Options *options, Setup *ret_setup)
{
	_cleanup_config_sources_ ConfigSources sources = {0};
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_setup_ Setup setup = {
		.fallback = "what the state directory keeps of the configuration is unusable, only "
			    "the administrator's files are in force",
	};
	int r;

	r = config_files_read(options, &diagnostics, &sources);
	if (r == 0)
		r = config_sources_build(&sources, NULL, 0, options, &diagnostics, &setup.config,
					 NULL);
	if (r == 0)
		r = load_rest(options, false, &setup);
	if (r < 0)
		return r;
	journal_line(LOG_LEVEL_ERROR, "%s", setup.fallback);
	*ret_setup = setup;
	setup = (Setup){0};
	return 0;
}

int setup_check(const Options *options)
{
	_cleanup_setup_ Setup setup = {0};
	int keys, clients, r;

	r = process_forbid_dumps();
	if (r == 0)
		r = load_config(options, &setup);
	if (r < 0)
		return r;
	/* Whatever else is wrong is said in the same run. */
	keys = load_keys(false, &setup);
	clients = load_clients(options, setup.config, client_wrong, &setup);
	if (keys == -ENOMEM || clients == -ENOMEM)
		return -ENOMEM;
	if (keys < 0 || clients < 0 || setup.refused > 0)
		return -EINVAL;
	ephemeral_ports_warn(&setup.config->protected_ports);
	return puts("configuration is usable") < 0 || fflush(stdout) != 0 ? -errno : 0;
}

int setup_unpin(const Options *options)
{
	_cleanup_setup_ Setup setup = {0};
	_cleanup_free_ char *error = NULL;
	int r;

	r = load_config(options, &setup);
	if (r < 0)
		return r;
	r = pins_remove(setup.config->pin_directory, &error);
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "%s", error ?: strerror(-r));
	/* -EINVAL would be the configuration's. */
	return r == -EINVAL ? -EIO : r;
}

int setup_show(const Options *options)
{
	_cleanup_config_builder_ ConfigBuilder *builder = NULL;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_policy_layers_ PolicyLayers *layers = NULL;
	_cleanup_config_ Config *config = NULL;
	_cleanup_free_ char *text = NULL;
	int r;

	r = policy_layers_load(options, &diagnostics, &layers, &config, &builder);
	journal_diagnostics(&diagnostics);
	if (r < 0)
		return r;
	text = config_builder_format(builder);
	if (!text)
		return -ENOMEM;
	return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? -errno : 0;
}
