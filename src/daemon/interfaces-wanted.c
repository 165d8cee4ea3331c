/* SPDX-License-Identifier: MIT */
#include "daemon/interfaces-wanted.h"

#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <string.h>

#include "daemon/journal.h"

bool interfaces_wanted_is_pattern(const char *wanted)
{
	return strpbrk(wanted, "*?[");
}

bool interfaces_wanted_by_name(const Config *config, const char *name)
{
	for (size_t i = 0; i < config->interfaces.count; i++)
		if (strcmp(config->interfaces.items[i], name) == 0)
			return true;
	return false;
}

static bool matches(const char *pattern, const EnforcerInterface *interface)
{
	return interfaces_wanted_is_pattern(pattern) && !interface->is_loopback &&
	       fnmatch(pattern, interface->name, 0) == 0;
}

bool interfaces_wanted(const Config *config, const EnforcerInterface *interface)
{
	for (size_t i = 0; i < config->interfaces.count; i++)
		if (matches(config->interfaces.items[i], interface))
			return true;
	return interfaces_wanted_by_name(config, interface->name);
}

int interfaces_wanted_check(const Config *config, const EnforcerInterface *present, size_t count)
{
	for (size_t i = 0; i < config->interfaces.count; i++) {
		const char *wanted = config->interfaces.items[i];
		size_t j = 0;

		if (!interfaces_wanted_is_pattern(wanted)) {
			if (strlen(wanted) < IF_NAMESIZE)
				continue;
			journal_line(LOG_LEVEL_ERROR,
				     "interface %s: names have at most %d characters", wanted,
				     IF_NAMESIZE - 1);
			return -ENODEV;
		}
		while (j < count && !matches(wanted, &present[j]))
			j++;
		if (j == count)
			journal_line(LOG_LEVEL_WARNING,
				     "no interface matches \"%s\", so it protects nothing", wanted);
	}
	return 0;
}
