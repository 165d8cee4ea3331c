/* SPDX-License-Identifier: MIT */
#include "daemon/journal.h"

#include <errno.h>
#include <spale/message-ids.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Which line of this file it was tells nobody anything. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "util/cleanup.h"
#include "util/parse.h"
#include "util/utf8.h"

/* Where journald takes entries. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* /dev/null. */
#define NULL_DEVICE makedev(1, 3)

static LogLevel lowest = LOG_LEVEL_INFO;

void journal_set_level(LogLevel level)
{
	lowest = level;
}

/* The priorities of syslog(3). */
static int priority(LogLevel level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return 7;
	case LOG_LEVEL_INFO:
		return 6;
	case LOG_LEVEL_WARNING:
		return 4;
	case LOG_LEVEL_ERROR:
		return 3;
	}
	return 3;
}

/*
 * Whether lines are for the journal itself: where stderr goes there, as $JOURNAL_STREAM says
 * (systemd.exec(5)), and where it goes nowhere, in a service: then journald was not there when the
 * service was started.
 */
static bool is_journal_stream(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0)
		return false;
	if (!stream)
		return getenv("NOTIFY_SOCKET") && S_ISCHR(st.st_mode) && st.st_rdev == NULL_DEVICE;
	snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, here) == 0;
}

/*
 * TEXT with nothing in it that could end the line, or the quotes around it, or that journalctl does
 * not show.
 */
static void put_escaped(FILE *f, const char *text, bool quoted)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		size_t size = utf8_character_size(p);

		if (quoted && (*p == '"' || *p == '\\')) {
			fprintf(f, "\\%c", *p);
		} else if (size == 0 || *p < 0x20 || *p == 0x7f) {
			fprintf(f, "\\x%02x", *p);
		} else {
			fwrite(p, 1, size, f);
			p += size - 1;
		}
	}
}

/* ---- entries ------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *message_id;
	LogLevel level;
} events[JOURNAL_EVENT_COUNT] = {
#define JOURNAL_ROW(name, text, level)                                                             \
	[JOURNAL_##name] = {text, SPALE_MESSAGE_##name, LOG_LEVEL_##level},
	JOURNAL_EVENTS(JOURNAL_ROW)
#undef JOURNAL_ROW
};

/* What an event's fields are called in a line and in the journal, in the order of the line. */
static const struct {
	const char *key; /* NULL: not as a field of the line */
	const char *name;
	size_t offset;
	bool always_quoted;
} known_fields[] = {
	{"client", SPALE_FIELD_CLIENT, offsetof(JournalFields, client), false},
	{"source", SPALE_FIELD_SOURCE, offsetof(JournalFields, source), false},
	{"ports", SPALE_FIELD_PORTS, offsetof(JournalFields, ports), true},
	{"reason", SPALE_FIELD_REASON, offsetof(JournalFields, reason), false},
	{"grant", SPALE_FIELD_GRANT, offsetof(JournalFields, grant), false},
	{"until", SPALE_FIELD_UNTIL, offsetof(JournalFields, until), false},
	{"interface", SPALE_FIELD_INTERFACE, offsetof(JournalFields, interface), false},
	{"caller", SPALE_FIELD_CALLER, offsetof(JournalFields, caller), true},
	{NULL, SPALE_FIELD_DETAIL, offsetof(JournalFields, detail), false},
};

/* NULL: left out. */
static const char *field_value(const JournalFields *fields, size_t i)
{
	const char *value = *(const char *const *)((const char *)fields + known_fields[i].offset);

	return value && value[0] != '\0' ? value : NULL;
}

/* An entry of the journal in the making: MESSAGE, PRIORITY, MESSAGE_ID, and the fields above. */
typedef struct Entry {
	struct iovec items[3 + ARRAY_SIZE(known_fields)];
	int count;
} Entry;

static void entry_done(Entry *entry)
{
	for (int i = 0; i < entry->count; i++)
		free(entry->items[i].iov_base);
}
#define _cleanup_entry_ _cleanup_(entry_done)

/* Without memory the entry lacks a field: better than to lack the entry. */
static void __attribute__((format(printf, 2, 3))) entry_add(Entry *entry, const char *format, ...)
{
	char *text;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length >= 0)
		entry->items[entry->count++] = (struct iovec){text, (size_t)length};
}

/* What to say: a line, and what the journal gets besides. */
typedef struct Line {
	LogLevel level;
	JournalEvent event; /* JOURNAL_EVENT_COUNT: none */
	const JournalFields *fields;
	char *text;
	size_t size;
	FILE *f;
} Line;

/* Whether journald took it. Its library is silent about a socket that is not there. */
static bool send_to_journal(const Line *line)
{
	_cleanup_entry_ Entry entry = {.count = 0};
	const char *value;

	if (access(JOURNAL_SOCKET, W_OK) < 0)
		return false;
	entry_add(&entry, "MESSAGE=%s", line->text);
	entry_add(&entry, "PRIORITY=%d", priority(line->level));
	if (line->event != JOURNAL_EVENT_COUNT)
		entry_add(&entry, "MESSAGE_ID=%s", events[line->event].message_id);
	for (size_t i = 0; line->fields && i < ARRAY_SIZE(known_fields); i++) {
		value = field_value(line->fields, i);
		if (value)
			entry_add(&entry, "%s=%s", known_fields[i].name, value);
	}
	return sd_journal_sendv(entry.items, entry.count) == 0;
}

/* Writes it in one piece, so that no other process's line comes between. */
static void write_to_stderr(const char *text, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(STDERR_FILENO, text + done, size - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break; /* nobody is left who could be told */
	}
}

static bool line_begin(Line *line)
{
	line->f = line->level >= lowest ? open_memstream(&line->text, &line->size) : NULL;
	return line->f;
}

static void line_end(Line *line)
{
	_cleanup_free_ char *text = NULL, *whole = NULL;
	bool is_stream = is_journal_stream();
	int r = fclose(line->f), length;

	text = line->text;
	if (r != 0 || (is_stream && send_to_journal(line)))
		return;
	length = is_stream ? asprintf(&whole, "<%d>%s\n", priority(line->level), text)
			   : asprintf(&whole, "%s\n", text);
	if (length >= 0)
		write_to_stderr(whole, (size_t)length);
	else
		whole = NULL;
}

/* " key=value"; what is not a plain word stands in quotes. */
static void put_field(FILE *f, const char *key, const char *value, bool always_quoted)
{
	bool quoted = always_quoted || strpbrk(value, " \t\"\\=") != NULL;

	fprintf(f, " %s=%s", key, quoted ? "\"" : "");
	put_escaped(f, value, quoted);
	if (quoted)
		putc('"', f);
}

void journal_event(JournalEvent event, const JournalFields *fields)
{
	Line line = {.level = events[event].level, .event = event, .fields = fields};
	bool any = false;

	if (!line_begin(&line))
		return;
	fputs(events[event].text, line.f);
	for (size_t i = 0; i < ARRAY_SIZE(known_fields); i++) {
		const char *value = field_value(fields, i);

		if (!value || !known_fields[i].key)
			continue;
		if (!any)
			putc(':', line.f);
		put_field(line.f, known_fields[i].key, value, known_fields[i].always_quoted);
		any = true;
	}
	if (fields->detail && fields->detail[0] != '\0') {
		fputs(any ? " (" : ": ", line.f);
		put_escaped(line.f, fields->detail, false);
		if (any)
			putc(')', line.f);
	}
	line_end(&line);
}

void journal_line(LogLevel level, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list arguments;
	Line line = {.level = level, .event = JOURNAL_EVENT_COUNT};

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (!text || !line_begin(&line))
		return;
	put_escaped(line.f, text, false);
	line_end(&line);
}

void journal_diagnostic(const Diagnostic *diagnostic)
{
	static const struct {
		const char *name;
		LogLevel level;
	} severities[] = {
		[SEVERITY_NOTICE] = {"notice", LOG_LEVEL_INFO},
		[SEVERITY_WARNING] = {"warning", LOG_LEVEL_WARNING},
		[SEVERITY_ERROR] = {"error", LOG_LEVEL_ERROR},
	};
	const char *origin = diagnostic->origin;

	journal_line(severities[diagnostic->severity].level, "%s%s%s: %s", origin ?: "",
		     origin ? ": " : "", severities[diagnostic->severity].name, diagnostic->text);
}

void journal_diagnostics(const Diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++)
		journal_diagnostic(&diagnostics->items[i]);
	if (diagnostics->dropped > 0)
		journal_line(diagnostics->errors > 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			     "%zu more of these are not shown", diagnostics->dropped);
}

const char *journal_format_time(uint64_t real_usec, char text[static JOURNAL_TIME_MAX])
{
	time_t seconds = (time_t)(real_usec / USEC_PER_SEC);
	struct tm tm;
	char zone[8];

	if (!localtime_r(&seconds, &tm) ||
	    strftime(text, JOURNAL_TIME_MAX - 1, "%Y-%m-%dT%H:%M:%S", &tm) == 0 ||
	    strftime(zone, sizeof(zone), "%z", &tm) != 5) {
		snprintf(text, JOURNAL_TIME_MAX, "@%ju", (uintmax_t)seconds);
		return text;
	}
	/* ISO 8601 has a colon in the offset of its extended form. */
	snprintf(text + strlen(text), JOURNAL_TIME_MAX - strlen(text), "%.3s:%s", zone, zone + 3);
	return text;
}
