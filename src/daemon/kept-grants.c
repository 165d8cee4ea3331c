/* SPDX-License-Identifier: MIT */
#include "daemon/kept-grants.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kept-file.h"
#include "policy/ini.h"
#include "util/file.h"
#include "util/parse.h"

#define FILE_NAME "grants.conf"
#define SECTION	  "Grant"

static const char head[] = "# Grants that an administrator made for good. Written by spaled.\n";

/* Room for KEPT_GRANTS_MAX with all that people write. */
#define GRANTS_FILE_MAX (16 * 1024 * 1024)

/* What is written where there is no list and no end: a line that is lost must not mean it. */
#define ALL_PORTS   "all"
#define NO_DEADLINE "infinity"

typedef struct List {
	KeptGrant *items;
	size_t count;
} List;

struct KeptGrants {
	int dir_fd; /* the caller's */
	List list;
};

static void list_done(List *list)
{
	for (size_t i = 0; i < list->count; i++)
		port_list_done(&list->items[i].ports);
	free(list->items);
	*list = (List){0};
}
#define _cleanup_list_ _cleanup_(list_done)

void kept_grants_free(KeptGrants *kept)
{
	if (!kept)
		return;
	list_done(&kept->list);
	free(kept);
}

static bool is_of(const KeptGrant *grant, const Prefix *source, const char *interface)
{
	return prefix_compare(&grant->source, source) == 0 &&
	       strcmp(grant->interface, interface ?: "") == 0;
}

/* LIST has room for one more. */
static int append(List *list, const KeptGrant *grant)
{
	KeptGrant copy = *grant;
	int r = port_list_copy(&grant->ports, &copy.ports);

	if (r == 0)
		list->items[list->count++] = copy;
	return r;
}

/* ---- reading ------------------------------------------------------------------------------- */

typedef struct Reading {
	List list;
	KeptGrant grant; /* that the lines are about */
	bool begun;
	bool unusable;		      /* it is left out */
	bool has_ports, has_deadline; /* without these two it is, too */
	Diagnostics *diagnostics;
} Reading;

static void reading_done(Reading *reading)
{
	list_done(&reading->list);
	port_list_done(&reading->grant.ports);
}
#define _cleanup_reading_ _cleanup_(reading_done)

/* The grant that is being read is complete. */
static int finish_grant(Reading *reading)
{
	List *list = &reading->list;
	KeptGrant *items;

	if (reading->begun && !reading->unusable &&
	    !(reading->has_ports && reading->has_deadline)) {
		diagnostics_add(reading->diagnostics, SEVERITY_ERROR, FILE_NAME,
				"a grant without Ports= or DeadlineUSec= is left out");
		reading->unusable = true;
	}
	if (reading->begun && !reading->unusable) {
		if (list->count == KEPT_GRANTS_MAX)
			return -E2BIG;
		items = reallocarray(list->items, list->count + 1, sizeof(*items));
		if (!items)
			return -ENOMEM;
		list->items = items;
		items[list->count++] = reading->grant;
	} else {
		port_list_done(&reading->grant.ports);
	}
	reading->grant = (KeptGrant){.deadline_real_usec = UINT64_MAX};
	reading->begun = reading->unusable = false;
	reading->has_ports = reading->has_deadline = false;
	return 0;
}

static int read_ports(Reading *reading, const char *value)
{
	KeptGrant *grant = &reading->grant;
	_cleanup_free_ char *text = strdup(value);
	char *rest = text, *item;
	int r = text ? 0 : -ENOMEM;

	reading->has_ports = true;
	if (strcmp(value, ALL_PORTS) == 0)
		return 0;
	while (r == 0 && (item = strsep(&rest, " ")))
		r = port_list_add_text(&grant->ports, item);
	return r;
}

static int read_value(Reading *reading, const char *key, const char *value)
{
	KeptGrant *grant = &reading->grant;

	if (strcmp(key, "Source") == 0)
		return prefix_parse(value, &grant->source);
	if (strcmp(key, "Ports") == 0)
		return read_ports(reading, value);
	if (strcmp(key, "Interface") == 0) {
		if (*value == '\0' || strlen(value) >= sizeof(grant->interface))
			return -EINVAL;
		snprintf(grant->interface, sizeof(grant->interface), "%s", value);
		return 0;
	}
	if (strcmp(key, "Idle") == 0) {
		grant->has_idle = true;
		return parse_duration(value, &grant->idle_ns);
	}
	if (strcmp(key, "Grace") == 0) {
		grant->has_grace = true;
		return parse_duration(value, &grant->grace_ns);
	}
	if (strcmp(key, "DeadlineUSec") == 0) {
		reading->has_deadline = true;
		if (strcmp(value, NO_DEADLINE) == 0)
			return 0;
		return parse_u64(value, 0, UINT64_MAX, &grant->deadline_real_usec);
	}
	return -EINVAL;
}

/* Source= begins a grant. */
static int read_line(const IniLine *line, void *userdata)
{
	Reading *reading = userdata;
	int r = 0;

	if (strcmp(line->key, "Source") == 0) {
		r = finish_grant(reading);
		reading->begun = true;
	}
	if (r < 0)
		return r;
	r = reading->begun && line->section && strcmp(line->section, SECTION) == 0
		    ? read_value(reading, line->key, line->value)
		    : -EINVAL;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		diagnostics_add(reading->diagnostics, SEVERITY_ERROR, line->origin,
				"%.40s=%.80s cannot be read, and this grant is left out", line->key,
				line->value);
		reading->unusable = true;
	}
	return 0;
}

static int read_file(Reading *reading, int dir_fd)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = file_read(dir_fd, FILE_NAME, GRANTS_FILE_MAX, &text, &size);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = ini_parse(FILE_NAME, text, size, reading->diagnostics, read_line, reading);
	return r < 0 ? r : finish_grant(reading);
}

int kept_grants_load(int dir_fd, Diagnostics *diagnostics, KeptGrants **ret_kept)
{
	_cleanup_kept_grants_ KeptGrants *kept = calloc(1, sizeof(*kept));
	_cleanup_reading_ Reading reading = {.diagnostics = diagnostics};
	int r;

	if (!kept)
		return -ENOMEM;
	kept->dir_fd = dir_fd;
	r = read_file(&reading, dir_fd);
	if (r < 0) {
		if (r != -ENOMEM)
			diagnostics_add(diagnostics, SEVERITY_ERROR, FILE_NAME,
					"grants made for good cannot be read: %s", strerror(-r));
		return r;
	}
	kept->list = reading.list;
	reading.list = (List){0};
	*ret_kept = TAKE_PTR(kept);
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int print_grant(FILE *stream, const KeptGrant *grant)
{
	_cleanup_free_ char *ports = port_list_format(&grant->ports);
	char source[ADDRESS_TEXT_MAX], duration[DURATION_TEXT_MAX];

	if (!ports)
		return -ENOMEM;
	fprintf(stream, "\nSource=%s\n", prefix_format(&grant->source, source));
	if (grant->interface[0])
		fprintf(stream, "Interface=%s\n", grant->interface);
	fprintf(stream, "Ports=%s\n", grant->ports.count > 0 ? ports : ALL_PORTS);
	if (grant->has_idle)
		fprintf(stream, "Idle=%s\n", format_duration(grant->idle_ns, duration));
	if (grant->has_grace)
		fprintf(stream, "Grace=%s\n", format_duration(grant->grace_ns, duration));
	if (grant->deadline_real_usec != UINT64_MAX)
		fprintf(stream, "DeadlineUSec=%" PRIu64 "\n", grant->deadline_real_usec);
	else
		fprintf(stream, "DeadlineUSec=" NO_DEADLINE "\n");
	return 0;
}

static int write_file(const KeptGrants *kept, const List *list)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *stream = NULL;
	size_t size;

	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	fprintf(stream, "%s[" SECTION "]\n", head);
	for (size_t i = 0; i < list->count; i++)
		if (print_grant(stream, &list->items[i]) < 0)
			return -ENOMEM;
	if (fflush(stream) != 0)
		return -ENOMEM;
	if (size > GRANTS_FILE_MAX)
		return -E2BIG;
	return kept_file_write(kept->dir_fd, FILE_NAME, text, size, NULL);
}

/* Keeps LIST, which is emptied, instead of what was kept. */
static int replace(KeptGrants *kept, List *list)
{
	int r = write_file(kept, list);

	if (r < 0) {
		/* The new one may be in place, and only not be sure to stay there. */
		(void)write_file(kept, &kept->list);
		return r;
	}
	list_done(&kept->list);
	kept->list = *list;
	*list = (List){0};
	return 0;
}

/* The kept ones but for that of SOURCE and INTERFACE (NULL: all), and those that are over at
 * NOW_REAL_USEC; with room for one more. */
static int copy_without(const KeptGrants *kept, const Prefix *source, const char *interface,
			uint64_t now_real_usec, List *ret_list)
{
	_cleanup_list_ List list = {
		.items = calloc(kept->list.count + 1, sizeof(*list.items)),
	};
	int r = list.items ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < kept->list.count; i++) {
		const KeptGrant *grant = &kept->list.items[i];

		if (source && is_of(grant, source, interface))
			continue;
		if (grant->deadline_real_usec > now_real_usec)
			r = append(&list, grant);
	}
	if (r < 0)
		return r;
	*ret_list = list;
	list = (List){0};
	return 0;
}

int kept_grants_put(KeptGrants *kept, const KeptGrant *grant)
{
	_cleanup_list_ List list = {0};
	int r;

	r = copy_without(kept, &grant->source, grant->interface, 0, &list);
	if (r == 0)
		r = list.count < KEPT_GRANTS_MAX ? append(&list, grant) : -E2BIG;
	return r < 0 ? r : replace(kept, &list);
}

int kept_grants_remove(KeptGrants *kept, const Prefix *source, const char *interface)
{
	_cleanup_list_ List list = {0};
	int r;

	if (!kept_grants_find(kept, source, interface))
		return -ENOENT;
	r = copy_without(kept, source, interface, 0, &list);
	return r < 0 ? r : replace(kept, &list);
}

int kept_grants_edit(KeptGrants *kept, int (*edit)(KeptGrant *grant, void *userdata),
		     void *userdata)
{
	_cleanup_list_ List list = {
		.items = calloc(kept->list.count + 1, sizeof(*list.items)),
	};
	bool changed = false;
	int r = list.items ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < kept->list.count; i++) {
		const KeptGrant *before = &kept->list.items[i];
		KeptGrant *grant = &list.items[list.count];

		r = append(&list, before);
		if (r == 0)
			r = edit(grant, userdata);
		changed = changed || r > 0 || !port_list_equal(&before->ports, &grant->ports);
		if (r > 0) {
			port_list_done(&grant->ports);
			list.count--;
		}
	}
	if (r < 0 || !changed)
		return r < 0 ? r : 0;
	return replace(kept, &list);
}

int kept_grants_clear(KeptGrants *kept)
{
	_cleanup_list_ List list = {0};

	return kept->list.count == 0 ? 0 : replace(kept, &list);
}

int kept_grants_expire(KeptGrants *kept, uint64_t now_real_usec)
{
	_cleanup_list_ List list = {0};
	int r;

	r = copy_without(kept, NULL, NULL, now_real_usec, &list);
	if (r < 0 || list.count == kept->list.count)
		return r;
	return replace(kept, &list);
}

/* ---- asking -------------------------------------------------------------------------------- */

size_t kept_grants_count(const KeptGrants *kept)
{
	return kept->list.count;
}

const KeptGrant *kept_grants_get(const KeptGrants *kept, size_t index)
{
	return index < kept->list.count ? &kept->list.items[index] : NULL;
}

const KeptGrant *kept_grants_find(const KeptGrants *kept, const Prefix *source,
				  const char *interface)
{
	for (size_t i = 0; i < kept->list.count; i++)
		if (is_of(&kept->list.items[i], source, interface))
			return &kept->list.items[i];
	return NULL;
}
