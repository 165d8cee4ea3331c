/* SPDX-License-Identifier: MIT */
#include "daemon/interfaces.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "daemon/journal.h"

static void nameindexp(struct if_nameindex **interfaces)
{
	if (*interfaces)
		if_freenameindex(*interfaces);
}

size_t interfaces_find(const InterfaceList *list, const char *name)
{
	size_t i = 0;

	while (i < list->count && strcmp(list->items[i].name, name) != 0)
		i++;
	return i;
}

static void add(InterfaceList *list, const char *name)
{
	struct Interface *interface = &list->items[list->count++];

	snprintf(interface->name, sizeof(interface->name), "%s", name);
	interface->index = if_nametoindex(name);
}

/* Adds NAME if it is not there. */
static int add_once(InterfaceList *list, const char *name)
{
	if (strlen(name) >= IF_NAMESIZE) {
		journal_line(LOG_LEVEL_ERROR, "interface %s: names have at most %d characters",
			     name, IF_NAMESIZE - 1);
		return -ENODEV;
	}
	if (interfaces_find(list, name) < list->count)
		return 0;
	if (list->count == ARRAY_SIZE(list->items)) {
		journal_line(LOG_LEVEL_ERROR, "Interfaces= means more than %zu interfaces",
			     ARRAY_SIZE(list->items));
		return -E2BIG;
	}
	add(list, name);
	return 0;
}

static int add_matching(InterfaceList *list, const struct if_nameindex *existing,
			const char *pattern)
{
	bool any = false;
	int r = 0;

	for (; r == 0 && existing->if_index != 0; existing++) {
		if (strcmp(existing->if_name, "lo") == 0 ||
		    fnmatch(pattern, existing->if_name, 0) != 0)
			continue;
		any = true;
		r = add_once(list, existing->if_name);
	}
	if (!any)
		journal_line(LOG_LEVEL_WARNING,
			     "no interface matches \"%s\", so it protects nothing", pattern);
	return r;
}

int interfaces_resolve(const StringList *wanted, InterfaceList *ret_list)
{
	_cleanup_(nameindexp) struct if_nameindex *existing = if_nameindex();
	InterfaceList list = {.count = 0};
	int r = 0;

	if (!existing) {
		r = -errno;
		journal_line(LOG_LEVEL_ERROR, "the interfaces cannot be listed: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; r == 0 && i < wanted->count; i++)
		r = strpbrk(wanted->items[i], "*?[")
			    ? add_matching(&list, existing, wanted->items[i])
			    : add_once(&list, wanted->items[i]);
	if (r == 0)
		*ret_list = list;
	return r;
}

static const char *mode_name(Mode mode)
{
	switch (mode) {
	case MODE_TC:
		return "tc";
	case MODE_XDP:
		return "xdp";
	}
	return "?";
}

static void detach(InterfaceList *attached, Enforcer *enforcer, size_t position)
{
	const char *name = attached->items[position].name;

	if (enforcer_detach(enforcer, name) < 0)
		journal_line(LOG_LEVEL_WARNING, "interface %s: %s", name, enforcer_error(enforcer));
	attached->items[position] = attached->items[--attached->count];
}

int interfaces_attach(InterfaceList *attached, Enforcer *enforcer, const InterfaceList *wanted,
		      Mode mode)
{
	size_t before = attached->count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < wanted->count; i++) {
		const char *name = wanted->items[i].name;

		if (interfaces_find(attached, name) < attached->count)
			continue;
		r = attached->count < ARRAY_SIZE(attached->items)
			    ? enforcer_attach(enforcer, name, mode)
			    : enforcer_fail(enforcer, -E2BIG,
					    "no more than %d interfaces can be attached",
					    SPALE_SLOTS);
		if (r == 0)
			add(attached, name);
	}
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "%s", enforcer_error(enforcer));
		while (attached->count > before)
			detach(attached, enforcer, attached->count - 1);
	}
	for (size_t i = before; i < attached->count; i++)
		journal_event(JOURNAL_INTERFACE_ATTACHED,
			      &(JournalFields){.interface = attached->items[i].name,
					       .detail = mode_name(mode)});
	return r;
}

void interfaces_detach_others(InterfaceList *attached, Enforcer *enforcer,
			      const InterfaceList *wanted)
{
	for (size_t i = 0; i < attached->count;)
		if (interfaces_find(wanted, attached->items[i].name) == wanted->count)
			detach(attached, enforcer, i);
		else
			i++;
}

void interfaces_detach_lost(InterfaceList *attached, Enforcer *enforcer)
{
	for (size_t i = 0; i < attached->count;) {
		const struct Interface *interface = &attached->items[i];

		if (if_nametoindex(interface->name) == interface->index) {
			i++;
			continue;
		}
		journal_event(JOURNAL_INTERFACE_LOST,
			      &(JournalFields){.interface = interface->name,
					       .detail = "it was removed or renamed"});
		detach(attached, enforcer, i);
	}
}
