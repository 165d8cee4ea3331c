/* SPDX-License-Identifier: MIT */
#include "client/profile-commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <spale/wire.h>

#include "client/profile-store.h"
#include "client/report.h"
#include "keys/key-file.h"
#include "util/cleanup.h"

/* A client's key file, as --key names it. */
static int read_key(const char *path, PublicKey *ret_server, KeyPair *ret_client)
{
	_cleanup_free_ char *error = NULL;
	int r = key_file_read_bundle(path, ret_server, ret_client, &error);

	if (r < 0)
		report_error("%s", error ? error : strerror(-r));
	/* Wrong usage is something else. */
	return r == -EINVAL ? -EBADMSG : r;
}

static int find(const char *name, Profile *ret_profile)
{
	int r = profile_store_find(name, ret_profile);

	if (r == -ENOENT)
		report_error("no profile is named '%s': 'spale-send profile list' shows them",
			     name);
	return r == -EINVAL ? -EBADMSG : r;
}

static int create(const Options *options)
{
	_cleanup_key_pair_ KeyPair client;
	_cleanup_free_ char *directory = NULL;
	PublicKey server;
	int r;

	r = read_key(options->key, &server, &client);
	if (r < 0)
		return r;
	r = profile_store_create(options->name, &options->settings, &server, &client,
				 options->overwrite, &directory);
	if (r < 0)
		return r;
	printf("Profile '%s' is in %s. To knock: spale-send %s\n", options->name, directory,
	       options->name);
	return 0;
}

static int list(const Options *options)
{
	_cleanup_profile_names_ ProfileNames names = {0};
	int r = profile_store_list(&names);

	if (r < 0)
		return r;
	for (size_t i = 0; i < names.count; i++) {
		const ProfileName *item = &names.items[i];

		if (options->verbose)
			printf("%s\t%s/%s%s\n", item->name, item->directory, item->name,
			       item->hidden ? "\tnot used: hidden by the one above" : "");
		else if (!item->hidden)
			printf("%s\n", item->name);
	}
	if (names.count == 0)
		report_detail("there are no profiles: 'spale-send profile create' makes one");
	return 0;
}

static int show(const Options *options)
{
	_cleanup_profile_ Profile profile = {0};
	_cleanup_key_pair_ KeyPair client;
	const ProfileSettings *s = &profile.settings;
	PublicKey server;
	int r;

	r = find(options->name, &profile);
	if (r < 0)
		return r;
	printf("name:      %s\n", options->name);
	printf("directory: %s\n", profile.directory);
	printf("host:      %s\n", s->host ? s->host : "not set");
	if (s->port)
		printf("port:      %u\n", s->port);
	else
		printf("port:      not set\n");
	printf("step:      %u\n", s->step_sec ? s->step_sec : SPALE_TIME_STEP);
	printf("count:     %u\n", s->count ? s->count : 1);
	printf("source:    %s\n", s->source ? s->source : "any");
	printf("key:       %s\n", profile.key_path);
	/* What is shown is what would be sent: a profile without its key is not one. */
	fflush(stdout);
	return read_key(profile.key_path, &server, &client);
}

static int set(const Options *options)
{
	_cleanup_profile_ Profile profile = {0};
	_cleanup_key_pair_ KeyPair client;
	ProfileSettings settings;
	PublicKey server;
	int r;

	r = find(options->name, &profile);
	if (r < 0)
		return r;
	if (options->key) {
		r = read_key(options->key, &server, &client);
		if (r < 0)
			return r;
	}
	settings = profile_merge(&profile.settings, &options->settings);
	if (!settings.host || !settings.port) {
		report_error("%s names no %s: give --%s too", profile.config_path,
			     settings.host ? "port" : "host", settings.host ? "port" : "host");
		return -EBADMSG;
	}
	r = profile_store_update(&profile, &settings, options->key ? &server : NULL,
				 options->key ? &client : NULL);
	return r == -EINVAL ? -EBADMSG : r;
}

/* Asks on the terminal. Returns 0, -ECANCELED (no), or -EINVAL (there is none to ask on). */
static int confirm(const char *name, const char *directory)
{
	_cleanup_free_ char *answer = NULL;
	size_t size = 0;
	ssize_t n;

	if (!isatty(STDIN_FILENO)) {
		report_error("without a terminal to ask on, 'profile delete' needs --yes");
		return -EINVAL;
	}
	fprintf(stderr, "Delete profile '%s' with its key (%s)? [y/N] ", name, directory);
	n = getline(&answer, &size, stdin);
	if (n > 0 && answer[n - 1] == '\n')
		answer[n - 1] = '\0';
	if (n > 0 && (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0))
		return 0;
	report_error("not deleted");
	return -ECANCELED;
}

static int delete (const Options *options)
{
	_cleanup_profile_ Profile profile = {0};
	int r;

	r = find(options->name, &profile);
	if (r < 0)
		return r;
	if (!options->yes) {
		r = confirm(options->name, profile.directory);
		if (r < 0)
			return r;
	}
	r = profile_store_delete(&profile);
	return r == -EINVAL ? -EBADMSG : r;
}

int profile_commands_run(const Options *options)
{
	switch (options->command) {
	case COMMAND_CREATE:
		return create(options);
	case COMMAND_LIST:
		return list(options);
	case COMMAND_SHOW:
		return show(options);
	case COMMAND_SET:
		return set(options);
	case COMMAND_DELETE:
		return delete (options);
	case COMMAND_SEND:
	case COMMAND_HELP:
	case COMMAND_VERSION:
		break;
	}
	return 0;
}
