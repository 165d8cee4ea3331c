/* SPDX-License-Identifier: MIT */
#include "client/profile-store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/report.h"
#include "keys/pem.h"
#include "util/file.h"

#define CONFIG_NAME "config"
#define KEY_NAME    "key"

/* $XDG_CONFIG_HOME/spale, ~/.config/spale, ~/.spale. */
#define PLACES_MAX 3

/* Most profiles that a list holds. */
#define NAMES_MAX 4096

/* The directories that may hold profiles, each once. */
typedef struct Places {
	char *directories[PLACES_MAX];
	size_t count;
} Places;

static void places_done(Places *places)
{
	for (size_t i = 0; i < places->count; i++)
		free(places->directories[i]);
}

#define _cleanup_places_ _cleanup_(places_done)

static void dirp_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define _cleanup_dir_ _cleanup_(dirp_close)

void profile_done(Profile *profile)
{
	free(profile->directory);
	free(profile->config_path);
	free(profile->key_path);
	free(profile->text);
}

void profile_names_done(ProfileNames *names)
{
	for (size_t i = 0; i < names->count; i++) {
		free(names->items[i].name);
		free(names->items[i].directory);
	}
	free(names->items);
}

static int places_add(Places *places, const char *base, const char *rest)
{
	char *directory;

	if (asprintf(&directory, "%s%s", base, rest) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < places->count; i++) {
		if (strcmp(places->directories[i], directory) == 0) {
			free(directory);
			return 0;
		}
	}
	places->directories[places->count++] = directory;
	return 0;
}

/* The home directory, or NULL; lives as long as the environment and the next getpwuid(). */
static const char *home(void)
{
	const char *directory = getenv("HOME");
	const struct passwd *user;

	if (directory && *directory == '/')
		return directory;
	user = getpwuid(getuid());
	return user && user->pw_dir && *user->pw_dir == '/' ? user->pw_dir : NULL;
}

static int places_init(Places *places)
{
	const char *config_home = getenv("XDG_CONFIG_HOME");
	const char *directory = home();
	int r = 0;

	/* A relative one is to be ignored (XDG Base Directory Specification). */
	if (config_home && *config_home == '/')
		r = places_add(places, config_home, "/spale");
	if (r == 0 && directory)
		r = places_add(places, directory, "/.config/spale");
	if (r == 0 && directory)
		r = places_add(places, directory, "/.spale");
	if (r < 0)
		return r;
	if (places->count == 0) {
		report_error("no place for profiles: neither HOME nor XDG_CONFIG_HOME is set");
		return -ENOENT;
	}
	return 0;
}

/* Whether DIRECTORY/NAME holds a config file, and is a profile thereby. */
static bool is_profile(const char *directory, const char *name)
{
	_cleanup_free_ char *path = NULL;

	return asprintf(&path, "%s/%s/" CONFIG_NAME, directory, name) >= 0 &&
	       faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int set_paths(Profile *profile, const char *place, const char *name)
{
	if (asprintf(&profile->directory, "%s/%s", place, name) < 0)
		profile->directory = NULL;
	else if (asprintf(&profile->config_path, "%s/" CONFIG_NAME, profile->directory) < 0)
		profile->config_path = NULL;
	else if (asprintf(&profile->key_path, "%s/" KEY_NAME, profile->directory) < 0)
		profile->key_path = NULL;
	return profile->key_path ? 0 : -ENOMEM;
}

static int profile_read(const char *place, const char *name, Profile *ret_profile)
{
	_cleanup_profile_ Profile profile = {0};
	size_t size = 0;
	int r;

	r = set_paths(&profile, place, name);
	if (r < 0)
		return r;
	r = file_read(AT_FDCWD, profile.config_path, FILE_SIZE_MAX, &profile.text, &size);
	if (r < 0) {
		report_error("%s: %s", profile.config_path, strerror(-r));
		return r == -ENOENT ? -EIO : r;
	}
	r = profile_parse(profile.text, size, profile.config_path, &profile.settings);
	if (r < 0)
		return r;
	*ret_profile = profile;
	profile = (Profile){0};
	return 0;
}

int profile_store_find(const char *name, Profile *ret_profile)
{
	_cleanup_places_ Places places = {0};
	const char *found = NULL;
	int r;

	r = places_init(&places);
	if (r < 0)
		return r;
	for (size_t i = 0; i < places.count; i++) {
		const char *place = places.directories[i];

		if (!is_profile(place, name))
			continue;
		if (found)
			report_warning("profile '%s' is in %s and in %s: the former is used", name,
				       found, place);
		else
			found = place;
	}
	return found ? profile_read(found, name, ret_profile) : -ENOENT;
}

static int names_add(ProfileNames *names, const char *directory, const char *name)
{
	ProfileName item = {.hidden = false};
	ProfileName *items;

	if (names->count >= NAMES_MAX) {
		report_error("more than %d profiles", NAMES_MAX);
		return -E2BIG;
	}
	items = reallocarray(names->items, names->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	names->items = items;
	item.name = strdup(name);
	item.directory = strdup(directory);
	for (size_t i = 0; i < names->count; i++)
		item.hidden |= strcmp(names->items[i].name, name) == 0;
	names->items[names->count++] = item;
	return item.name && item.directory ? 0 : -ENOMEM;
}

static int list_place(const char *directory, ProfileNames *names)
{
	_cleanup_dir_ DIR *dir = opendir(directory);
	struct dirent *entry;

	if (!dir) {
		if (errno == ENOENT)
			return 0;
		report_error("%s: %s", directory, strerror(errno));
		return -errno;
	}
	while ((entry = readdir(dir))) {
		int r;

		if (!profile_name_is_valid(entry->d_name) || !is_profile(directory, entry->d_name))
			continue;
		r = names_add(names, directory, entry->d_name);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const ProfileName *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (int)x->hidden - (int)y->hidden;
}

int profile_store_list(ProfileNames *ret_names)
{
	_cleanup_profile_names_ ProfileNames names = {0};
	_cleanup_places_ Places places = {0};
	int r;

	r = places_init(&places);
	for (size_t i = 0; r == 0 && i < places.count; i++)
		r = list_place(places.directories[i], &names);
	if (r < 0)
		return r;
	if (names.count > 0)
		qsort(names.items, names.count, sizeof(*names.items), compare_names);
	*ret_names = names;
	names = (ProfileNames){0};
	return 0;
}

static int write_file(const char *path, const char *text)
{
	int r = file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE | FILE_SYNC);

	if (r < 0)
		report_error("%s: %s", path, strerror(-r));
	return r;
}

/* Both keys, in the order that spale-keygen gives them. */
static int write_key(const char *path, const PublicKey *server, const KeyPair *client)
{
	char text[2 * PEM_TEXT_MAX];
	int r;

	r = pem_format_public(server, text);
	if (r >= 0)
		r = pem_format_private(&client->private_key, text + strlen(text));
	if (r >= 0)
		r = write_file(path, text);
	secret_erase(text, sizeof(text));
	return r;
}

/* Makes DIRECTORY and what is missing above it. */
static int make_directories(const char *directory)
{
	_cleanup_free_ char *path = strdup(directory);

	if (!path)
		return -ENOMEM;
	for (char *slash = path + 1;; slash++) {
		slash = strchrnul(slash, '/');
		char end = *slash;

		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST) {
			report_error("%s: %s", path, strerror(errno));
			return -errno;
		}
		*slash = end;
		if (!end)
			return 0;
	}
}

int profile_store_update(const Profile *profile, const ProfileSettings *settings,
			 const PublicKey *server, const KeyPair *client)
{
	_cleanup_free_ char *text = profile_format(settings);
	int r = 0;

	if (!text)
		return -ENOMEM;
	if (client)
		r = write_key(profile->key_path, server, client);
	/* The config comes last: it makes the directory a profile. */
	return r < 0 ? r : write_file(profile->config_path, text);
}

int profile_store_create(const char *name, const ProfileSettings *settings, const PublicKey *server,
			 const KeyPair *client, bool overwrite, char **ret_directory)
{
	_cleanup_profile_ Profile profile = {0};
	_cleanup_places_ Places places = {0};
	const char *place;
	bool exists = false;
	int r;

	r = places_init(&places);
	if (r < 0)
		return r;
	place = places.directories[0];
	for (size_t i = 0; i < places.count && !exists; i++) {
		exists = is_profile(places.directories[i], name);
		if (exists)
			place = places.directories[i];
	}
	if (exists && !overwrite) {
		report_error("profile '%s' exists in %s: give --overwrite to replace it", name,
			     place);
		return -EEXIST;
	}
	r = set_paths(&profile, place, name);
	if (r < 0)
		return r;
	r = make_directories(profile.directory);
	if (r >= 0)
		r = profile_store_update(&profile, settings, server, client);
	if (r < 0) {
		if (!exists) {
			unlink(profile.key_path);
			rmdir(profile.directory);
		}
		return r;
	}
	*ret_directory = TAKE_PTR(profile.directory);
	return 0;
}

/* Reports what is in DIRECTORY besides a profile. */
static int check_nothing_else(const char *directory)
{
	_cleanup_dir_ DIR *dir = opendir(directory);
	struct dirent *entry;

	if (!dir) {
		report_error("%s: %s", directory, strerror(errno));
		return -errno;
	}
	while ((entry = readdir(dir))) {
		static const char *const expected[] = {".", "..", CONFIG_NAME, KEY_NAME};
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
			known |= strcmp(entry->d_name, expected[i]) == 0;
		if (!known) {
			report_error("%s holds '%s', which is not part of a profile: move it away "
				     "first",
				     directory, entry->d_name);
			return -ENOTEMPTY;
		}
	}
	return 0;
}

int profile_store_delete(const Profile *profile)
{
	int r = check_nothing_else(profile->directory);

	if (r < 0)
		return r;
	/* The key first: what is left after a failure is still listed, and can be deleted. */
	if ((unlink(profile->key_path) < 0 && errno != ENOENT) ||
	    unlink(profile->config_path) < 0 || rmdir(profile->directory) < 0) {
		r = -errno;
		report_error("%s: %s", profile->directory, strerror(-r));
		return r;
	}
	return 0;
}
