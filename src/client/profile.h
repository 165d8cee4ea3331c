/* SPDX-License-Identifier: MIT */
/*
 * What a profile says: the settings of a knock, and the text of their file (KEY=VALUE lines, as
 * spale 0.3 has them). Settings come from profiles and from the command line alike.
 *
 * Where profiles are is known to client/profile-store.h. What goes wrong is reported
 * (client/report.h) unless it says otherwise, and returned as a negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits of the settings. */
#define PROFILE_COUNT_MAX 1000
#define PROFILE_STEP_MAX  86400

/* What may be said of a knock. NULL and 0: not said. Does not own its texts. */
typedef struct ProfileSettings {
	const char *host;
	const char *source; /* "": no source address, even where a profile names one */
	uint16_t port;
	uint32_t step_sec; /* seconds of a time step */
	uint32_t count;
} ProfileSettings;

/*
 * Sets one value: KEY is HOST, PORT, STEP, COUNT or SOURCE in any case, VALUE is kept by reference.
 * An empty VALUE is allowed for SOURCE only. Reports nothing.
 * Returns 0, -ENOENT (no such key) or -EINVAL; then *RET_ALLOWED says what is allowed.
 */
int profile_set(ProfileSettings *settings, const char *key, const char *value,
		const char **ret_allowed);

/* What OVER says, and what BASE says where OVER says nothing. */
ProfileSettings profile_merge(const ProfileSettings *base, const ProfileSettings *over);

/*
 * Reads the config file's TEXT, which is cut into pieces and has to live as long as *RET_SETTINGS.
 * PATH names it in reports. An unknown key is a warning, an unusable value or line an error.
 */
int profile_parse(char *text, size_t size, const char *path, ProfileSettings *ret_settings);

/* The config file for SETTINGS, with the defaults written out; freed by the caller. */
char *profile_format(const ProfileSettings *settings);

/* Whether NAME can name a profile: not empty, no '/', no "..", nothing that is hidden or an option.
 */
bool profile_name_is_valid(const char *name);
