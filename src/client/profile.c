/* SPDX-License-Identifier: MIT */
#include "client/profile.h"

#include <errno.h>
#include <limits.h>
#include <spale/wire.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/report.h"
#include "client/target.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* Longest host name or address with zone that is taken. */
#define HOST_LENGTH_MAX 255

/* It ends up in a line of a file, and in messages. */
static bool host_is_valid(const char *text)
{
	size_t length = strlen(text);

	if (length == 0 || length > HOST_LENGTH_MAX)
		return false;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return false;
	return true;
}

static int set_host(ProfileSettings *settings, const char *value)
{
	if (!host_is_valid(value))
		return -EINVAL;
	settings->host = value;
	return 0;
}

static int set_port(ProfileSettings *settings, const char *value)
{
	uint32_t port;
	int r = parse_u32(value, 1, UINT16_MAX, &port);

	if (r < 0)
		return r;
	settings->port = (uint16_t)port;
	return 0;
}

static int set_step(ProfileSettings *settings, const char *value)
{
	return parse_u32(value, 1, PROFILE_STEP_MAX, &settings->step_sec);
}

static int set_count(ProfileSettings *settings, const char *value)
{
	return parse_u32(value, 1, PROFILE_COUNT_MAX, &settings->count);
}

static int set_source(ProfileSettings *settings, const char *value)
{
	if (*value && !target_source_is_valid(value))
		return -EINVAL;
	settings->source = value;
	return 0;
}

static const struct {
	const char *key;
	int (*set)(ProfileSettings *settings, const char *value);
	const char *allowed;
} keys[] = {
	{"HOST", set_host, "a host name or an address"},
	{"PORT", set_port, "a number from 1 to 65535"},
	{"STEP", set_step, "seconds from 1 to 86400"},
	{"COUNT", set_count, "a number from 1 to 1000"},
	{"SOURCE", set_source, "an IPv4 or IPv6 address of this machine, or nothing"},
};

int profile_set(ProfileSettings *settings, const char *key, const char *value,
		const char **ret_allowed)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcasecmp(key, keys[i].key) != 0)
			continue;
		if (keys[i].set(settings, value) == 0)
			return 0;
		*ret_allowed = keys[i].allowed;
		return -EINVAL;
	}
	return -ENOENT;
}

ProfileSettings profile_merge(const ProfileSettings *base, const ProfileSettings *over)
{
	return (ProfileSettings){
		.host = over->host ? over->host : base->host,
		.source = over->source ? over->source : base->source,
		.port = over->port ? over->port : base->port,
		.step_sec = over->step_sec ? over->step_sec : base->step_sec,
		.count = over->count ? over->count : base->count,
	};
}

static char *trim(char *text)
{
	static const char blanks[] = " \t\r";
	char *end;

	text += strspn(text, blanks);
	end = text + strlen(text);
	while (end > text && strchr(blanks, end[-1]))
		end--;
	*end = '\0';
	return text;
}

static int parse_line(char *line, const char *path, size_t number, ProfileSettings *settings)
{
	const char *allowed = NULL;
	char *equals, *key, *value;
	int r;

	line = trim(line);
	if (!*line || *line == '#')
		return 0;
	equals = strchr(line, '=');
	if (!equals) {
		report_error("%s:%zu: '%s' is not of the form KEY=VALUE", path, number, line);
		return -EINVAL;
	}
	*equals = '\0';
	key = trim(line);
	value = trim(equals + 1);
	/* Nothing behind the sign: as if the line were not there. */
	if (!*value)
		return 0;
	r = profile_set(settings, key, value, &allowed);
	if (r == -ENOENT)
		report_warning("%s:%zu: unknown key '%s' is ignored", path, number, key);
	else if (r < 0)
		report_error("%s:%zu: %s='%s' is not usable: it takes %s", path, number, key, value,
			     allowed);
	return r == -ENOENT ? 0 : r;
}

int profile_parse(char *text, size_t size, const char *path, ProfileSettings *ret_settings)
{
	ProfileSettings settings = {0};
	size_t number = 0;

	if (memchr(text, '\0', size)) {
		report_error("%s is not a text: it holds a NUL byte", path);
		return -EINVAL;
	}
	for (char *next = text; next;) {
		char *line = strsep(&next, "\n");
		int r = parse_line(line, path, ++number, &settings);

		if (r < 0)
			return r;
	}
	*ret_settings = settings;
	return 0;
}

char *profile_format(const ProfileSettings *settings)
{
	bool has_source = settings->source && *settings->source;
	char *text = NULL;
	int n;

	n = asprintf(&text, "HOST=%s\nPORT=%u\nSTEP=%u\nCOUNT=%u\n%s%s%s",
		     settings->host ? settings->host : "", settings->port,
		     settings->step_sec ? settings->step_sec : SPALE_TIME_STEP,
		     settings->count ? settings->count : 1, has_source ? "SOURCE=" : "",
		     has_source ? settings->source : "", has_source ? "\n" : "");
	return n < 0 ? NULL : text;
}

bool profile_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > NAME_MAX || *name == '.' || *name == '-' || strstr(name, ".."))
		return false;
	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '/')
			return false;
	return true;
}
