/* SPDX-License-Identifier: MIT */
#include "bus/paths.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include <spale/bus-names.h>

#include "util/cleanup.h"
#include "util/parse.h"

const char *paths_of_grant(uint64_t id, char text[static PATHS_TEXT_MAX])
{
	snprintf(text, PATHS_TEXT_MAX, "%s/%" PRIu64, SPALE_BUS_GRANT_PREFIX, id);
	return text;
}

/* As sd_bus_path_encode(3) escapes names, without its memory. */
static const char *encode(const char *prefix, const char *name, char text[static PATHS_TEXT_MAX])
{
	size_t used = (size_t)snprintf(text, PATHS_TEXT_MAX, "%s/%s", prefix, name[0] ? "" : "_");

	for (const char *p = name; *p && used + sizeof("_xx") <= PATHS_TEXT_MAX; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
		bool digit = *p >= '0' && *p <= '9';

		/* A digit in front is escaped, too. */
		if (letter || (digit && p > name))
			text[used++] = *p;
		else
			used += (size_t)snprintf(text + used, PATHS_TEXT_MAX - used, "_%02x",
						 (unsigned char)*p);
	}
	text[used] = '\0';
	return text;
}

const char *paths_of_client(const char *name, char text[static PATHS_TEXT_MAX])
{
	return encode(SPALE_BUS_CLIENT_PREFIX, name, text);
}

const char *paths_of_interface(const char *name, char text[static PATHS_TEXT_MAX])
{
	return encode(SPALE_BUS_INTERFACE_PREFIX, name, text);
}

int paths_read_id(const char *path, uint64_t *ret_id)
{
	const char *number = path + strlen(SPALE_BUS_GRANT_PREFIX "/");

	if (strncmp(path, SPALE_BUS_GRANT_PREFIX "/", strlen(SPALE_BUS_GRANT_PREFIX "/")) != 0 ||
	    (number[0] == '0' && number[1]) || parse_u64(number, 0, UINT64_MAX, ret_id) < 0)
		return -ENOENT;
	return 0;
}

int paths_read_name(const char *path, const char *prefix, char text[static PATHS_TEXT_MAX])
{
	_cleanup_free_ char *name = NULL;
	int r = sd_bus_path_decode(path, prefix, &name);

	if (r == -ENOMEM)
		return r;
	/* The prefix itself is no object. */
	if (r <= 0 || !name[0] || strlen(name) >= PATHS_TEXT_MAX)
		return -ENOENT;
	memcpy(text, name, strlen(name) + 1);
	return 0;
}
