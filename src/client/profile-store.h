/* SPDX-License-Identifier: MIT */
/*
 * Where profiles are: each is a directory with the files "config" (client/profile.h) and "key" (a
 * bundle, keys/key-file.h), in $XDG_CONFIG_HOME/spale, ~/.config/spale or ~/.spale.
 *
 * Functions report what goes wrong (client/report.h) and return a negative errno. Names are valid
 * ones (profile_name_is_valid()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/profile.h"
#include "keys/key-file.h"
#include "util/cleanup.h"

/* A profile that was read. */
typedef struct Profile {
	char *directory;
	char *config_path;
	char *key_path;
	char *text; /* what settings point into */
	ProfileSettings settings;
} Profile;

void profile_done(Profile *profile);
#define _cleanup_profile_ _cleanup_(profile_done)

/* One line of a list of profiles. */
typedef struct ProfileName {
	char *name;
	char *directory;
	bool hidden; /* behind one of the same name in an earlier place */
} ProfileName;

typedef struct ProfileNames {
	ProfileName *items;
	size_t count;
} ProfileNames;

void profile_names_done(ProfileNames *names);
#define _cleanup_profile_names_ _cleanup_(profile_names_done)

/*
 * Looks for a profile in the three places, in this order, and warns when there are several. Returns
 * 0, -ENOENT (there is none: not reported) or an error.
 */
int profile_store_find(const char *name, Profile *ret_profile);

/* All profiles of all places, sorted by name. */
int profile_store_list(ProfileNames *ret_names);

/*
 * Writes a profile: files 0600, directories 0700. Where there is one of that name: -EEXIST, or with
 * OVERWRITE it is replaced. *RET_DIRECTORY is freed by the caller.
 */
int profile_store_create(const char *name, const ProfileSettings *settings, const PublicKey *server,
			 const KeyPair *client, bool overwrite, char **ret_directory);

/* Writes SETTINGS to PROFILE, and with SERVER and CLIENT (both or none) a new key. */
int profile_store_update(const Profile *profile, const ProfileSettings *settings,
			 const PublicKey *server, const KeyPair *client);

/* Removes the profile, unless its directory holds what does not belong to one. */
int profile_store_delete(const Profile *profile);
