/* SPDX-License-Identifier: MIT */
#include "daemon/journal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/parse.h"

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

/* Whether stderr goes to the journal itself, as $JOURNAL_STREAM says (systemd.exec(5)). */
static bool is_journal_stream(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, here) == 0;
}

/* TEXT with nothing in it that could end the line, or the quotes around it. */
static void put_escaped(FILE *f, const char *text, bool quoted)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (quoted && (*p == '"' || *p == '\\'))
			fprintf(f, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(f, "\\x%02x", *p);
		else
			putc(*p, f);
	}
}

/* A line in the making. */
typedef struct Line {
	char *text;
	size_t size;
	FILE *f;
} Line;

static bool line_begin(Line *line, LogLevel level)
{
	line->f = level >= lowest ? open_memstream(&line->text, &line->size) : NULL;
	if (!line->f)
		return false;
	if (is_journal_stream())
		fprintf(line->f, "<%d>", priority(level));
	return true;
}

/* Writes it in one piece, so that no other process's line comes between. */
static void line_end(Line *line)
{
	_cleanup_free_ char *text = NULL;
	int r;

	putc('\n', line->f);
	r = fclose(line->f);
	text = line->text;
	for (size_t done = 0; r == 0 && done < line->size;) {
		ssize_t n = write(STDERR_FILENO, text + done, line->size - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break; /* nobody is left who could be told */
	}
}

static const struct {
	const char *text;
	LogLevel level;
} events[JOURNAL_EVENT_COUNT] = {
#define JOURNAL_ROW(name, text, level) [JOURNAL_##name] = {text, LOG_LEVEL_##level},
	JOURNAL_EVENTS(JOURNAL_ROW)
#undef JOURNAL_ROW
};

/* " key=value"; what is not a plain word stands in quotes. */
static bool put_field(FILE *f, const char *key, const char *value, bool always_quoted)
{
	bool quoted;

	if (!value || value[0] == '\0')
		return false;
	quoted = always_quoted || strpbrk(value, " \t\"\\=") != NULL;
	fprintf(f, " %s=%s", key, quoted ? "\"" : "");
	put_escaped(f, value, quoted);
	if (quoted)
		putc('"', f);
	return true;
}

void journal_event(JournalEvent event, const JournalFields *fields)
{
	Line line;
	bool any = false;

	if (!line_begin(&line, events[event].level))
		return;
	fprintf(line.f, "%s:", events[event].text);
	any |= put_field(line.f, "client", fields->client, false);
	any |= put_field(line.f, "source", fields->source, false);
	any |= put_field(line.f, "ports", fields->ports, true);
	any |= put_field(line.f, "reason", fields->reason, false);
	any |= put_field(line.f, "grant", fields->grant, false);
	any |= put_field(line.f, "until", fields->until, false);
	any |= put_field(line.f, "interface", fields->interface, false);
	if (fields->detail && fields->detail[0] != '\0') {
		fputs(any ? " (" : " ", line.f);
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
	Line line;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (!text || !line_begin(&line, level))
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
