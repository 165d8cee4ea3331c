/* SPDX-License-Identifier: MIT */
#include "policy/ini.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "util/cleanup.h"

#define WHITE_SPACE " \t\r\f\v"

typedef struct Reader {
	const char *file;
	size_t line;
	char *section; /* NULL before the first one */
	/* Behind a broken header nobody knows which section a line belongs to. */
	bool lost;
	Diagnostics *diagnostics;
	IniCallback callback;
	void *userdata;
} Reader;

static void reader_done(Reader *reader)
{
	free(reader->section);
}

#define _cleanup_reader_ _cleanup_(reader_done)

/* Cuts white space off both ends of TEXT, in place. */
static char *strip(char *text)
{
	size_t length;

	text += strspn(text, WHITE_SPACE);
	length = strlen(text);
	while (length > 0 && strchr(WHITE_SPACE, text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

static int read_header(Reader *reader, char *text, const char *origin)
{
	_cleanup_free_ char *name = NULL;
	char *end = strchr(text, ']');

	reader->lost = true;
	if (!end) {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, origin,
				"\"%.80s\" lacks the closing \"]\" of a section", text);
		return 0;
	}
	*end = '\0';
	if (end[1] != '\0') {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, origin,
				"\"%.80s\" stands behind the section [%.80s], where nothing may",
				strip(end + 1), text + 1);
		return 0;
	}
	text = strip(text + 1);
	if (*text == '\0') {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, origin,
				"a section needs a name between \"[\" and \"]\"");
		return 0;
	}
	name = strdup(text);
	if (!name)
		return -ENOMEM;
	free(reader->section);
	reader->section = TAKE_PTR(name);
	reader->lost = false;
	return 0;
}

static int read_assignment(Reader *reader, char *text, const char *origin)
{
	char *equals = strchr(text, '=');
	char *key, *value;

	if (!equals) {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, origin,
				"\"%.80s\" is neither KEY=VALUE, nor a [section], nor a comment",
				text);
		return 0;
	}
	*equals = '\0';
	key = strip(text);
	value = equals + 1;
	if (*key == '\0') {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, origin,
				"there is no key in front of \"=\"");
		return 0;
	}
	if (reader->lost)
		return 0;
	if (!reader->section)
		value[strcspn(value, "#")] = '\0';
	return reader->callback(&(IniLine){.section = reader->section,
					   .key = key,
					   .value = strip(value),
					   .origin = origin},
				reader->userdata);
}

static int read_line(Reader *reader, const char *start, size_t size)
{
	_cleanup_free_ char *copy = strndup(start, size);
	_cleanup_free_ char *origin = NULL;
	char *text;

	if (!copy)
		return -ENOMEM;
	text = strip(copy);
	/* A NUL byte ends the copy early, so it is looked for in the original. */
	if (!memchr(start, '\0', size) && (*text == '\0' || *text == '#' || *text == ';'))
		return 0;
	if (asprintf(&origin, "%s:%zu", reader->file, reader->line) < 0) {
		origin = NULL;
		return -ENOMEM;
	}
	if (memchr(start, '\0', size)) {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, origin,
				"the line holds a NUL byte; this is not a text file");
		return 0;
	}
	if (*text == '[')
		return read_header(reader, text, origin);
	return read_assignment(reader, text, origin);
}

int ini_parse(const char *file, const char *text, size_t size, Diagnostics *diagnostics,
	      IniCallback callback, void *userdata)
{
	static const char byte_order_mark[3] = {'\xef', '\xbb', '\xbf'};
	_cleanup_reader_ Reader reader = {.file = file,
					  .diagnostics = diagnostics,
					  .callback = callback,
					  .userdata = userdata};
	const char *position = text;
	const char *end;

	if (size == 0)
		return 0;
	end = text + size;
	if (size >= sizeof(byte_order_mark) &&
	    memcmp(text, byte_order_mark, sizeof(byte_order_mark)) == 0) {
		diagnostics_add(
			diagnostics, SEVERITY_WARNING, file,
			"the file begins with a byte order mark, which is left out; save it "
			"as UTF-8 without one");
		position += sizeof(byte_order_mark);
	}
	while (position < end) {
		const char *newline = memchr(position, '\n', end - position);
		const char *stop = newline ? newline : end;
		int r;

		reader.line++;
		r = read_line(&reader, position, stop - position);
		if (r < 0)
			return r;
		position = newline ? newline + 1 : end;
	}
	return 0;
}
