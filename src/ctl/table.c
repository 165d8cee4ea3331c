/* SPDX-License-Identifier: MIT */
#include "ctl/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl/text.h"
#include "util/cleanup.h"

/* Between two columns. */
#define GAP 2

/* What a cut cell ends in: one column. */
#define ELLIPSIS (MB_CUR_MAX > 1 ? "…" : "~")

/* Narrower than this no column is cut. */
#define WIDTH_MIN 8

#define COLOUR_TITLE "\033[1m"
#define COLOUR_GOOD  "\033[32m"
#define COLOUR_WARN  "\033[33m"
#define COLOUR_BAD   "\033[31m"
#define COLOUR_END   "\033[0m"

/* Text of the cells, row by row. */
typedef struct Cells {
	char **texts;
	size_t count;
} Cells;

static void cells_done(Cells *cells)
{
	for (size_t i = 0; i < cells->count; i++)
		free(cells->texts[i]);
	free(cells->texts);
}

#define _cleanup_cells_ _cleanup_(cells_done)

static char *format_items(const Value *value)
{
	_cleanup_free_ char *joined = NULL;
	size_t size;
	FILE *f = open_memstream(&joined, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < value->list.count; i++) {
		fprintf(f, "%s%s", i ? " " : "", value->list.items[i].text);
		if (value->kind == VALUE_NUMBERS)
			fprintf(f, " %" PRIu64, value->list.items[i].number);
		if (value->kind == VALUE_NUMBERS && i + 1 < value->list.count)
			fputc(',', f);
	}
	if (fclose(f) != 0)
		return NULL;
	return text_escape(*joined ? joined : "-");
}

static char *format_time(const TableStyle *style, uint64_t real_usec, ColumnFlags flags)
{
	char relative[TEXT_TIME_MAX], absolute[TEXT_TIME_MAX];
	char *text = NULL;

	text_relative(real_usec, style->now_real_usec, relative);
	if (!(flags & COLUMN_ABSOLUTE) || real_usec == 0 || real_usec == TEXT_INFINITY)
		return strdup(relative);
	if (asprintf(&text, "%s (%s)", text_absolute(real_usec, absolute), relative) < 0)
		return NULL;
	return text;
}

char *table_format(const TableStyle *style, const Value *value, ColumnFlags flags)
{
	char text[TEXT_TIME_MAX];

	switch (value->kind) {
	case VALUE_NONE:
		return strdup("-");
	case VALUE_TEXT:
		return text_escape(*value->text ? value->text : "-");
	case VALUE_NUMBER:
		if (value->number == UINT64_MAX)
			return strdup("-");
		snprintf(text, sizeof(text), "%" PRIu64, value->number);
		return strdup(text);
	case VALUE_BOOL:
		return strdup(value->boolean ? "yes" : "no");
	case VALUE_TIME:
		return format_time(style, value->number, flags);
	case VALUE_DURATION:
		return strdup(text_duration(value->number, text));
	case VALUE_PORTS:
		return text_ports(&value->ports);
	case VALUE_LIST:
	case VALUE_NUMBERS:
		return format_items(value);
	}
	return NULL;
}

/* What is well, what is to be looked at, and what is wrong. */
static const char *colour_of(const TableStyle *style, const char *text, ColumnFlags flags)
{
	static const struct {
		const char *text, *colour;
	} colours[] = {
		{"active", COLOUR_GOOD},  {"attached", COLOUR_GOOD}, {"enforcing", COLOUR_GOOD},
		{"grace", COLOUR_WARN},	  {"log-only", COLOUR_WARN}, {"trial", COLOUR_WARN},
		{"missing", COLOUR_WARN}, {"partial", COLOUR_WARN},  {"ok", COLOUR_GOOD},
		{"failing", COLOUR_BAD},  {"lost", COLOUR_BAD},
	};

	if (!style->colour || !(flags & COLUMN_GOOD_BAD))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(colours); i++) {
		if (strncasecmp(text, colours[i].text, strlen(colours[i].text)) == 0)
			return colours[i].colour;
	}
	return NULL;
}

/* One cell of at most WIDTH columns, filled up with blanks unless it is the last one. */
static void print_cell(FILE *f, const char *text, size_t width, bool right, bool last,
		       const char *colour)
{
	size_t bytes = strlen(text), columns = text_width(text);
	bool cut = columns > width;

	if (cut) {
		bytes = text_fitting(text, width - 1);
		columns = width;
	}
	if (right)
		fprintf(f, "%*s", (int)(width - columns), "");
	fprintf(f, "%s%.*s%s%s", colour ? colour : "", (int)bytes, text, cut ? ELLIPSIS : "",
		colour ? COLOUR_END : "");
	if (!last)
		fprintf(f, "%*s", (int)(GAP + (right ? 0 : width - columns)), "");
}

/* Takes columns away from the widest one, until all fit into WIDTH or none can be cut. */
static void squeeze(size_t widths[], size_t count, size_t width)
{
	size_t sum = (count - 1) * GAP;

	for (size_t i = 0; i < count; i++)
		sum += widths[i];
	while (sum > width) {
		size_t widest = 0;

		for (size_t i = 1; i < count; i++)
			widest = widths[i] > widths[widest] ? i : widest;
		if (widths[widest] <= WIDTH_MIN)
			return;
		widths[widest]--;
		sum--;
	}
}

static int fill(const TableStyle *style, const Column columns[], size_t count,
		const RecordList *list, Cells *cells)
{
	cells->texts = calloc(list->count * count, sizeof(*cells->texts));
	if (!cells->texts)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < count; j++) {
			const Value *value = record_get(list->records[i], columns[j].field);
			char *text = table_format(style, value, columns[j].flags);

			if (!text)
				return -ENOMEM;
			cells->texts[cells->count++] = text;
		}
	}
	return 0;
}

static void print_titles(FILE *f, const TableStyle *style, const Column columns[], size_t count,
			 const size_t widths[])
{
	if (style->colour)
		fputs(COLOUR_TITLE, f);
	for (size_t j = 0; j < count; j++)
		print_cell(f, columns[j].title, widths[j], columns[j].flags & COLUMN_RIGHT,
			   j + 1 == count, NULL);
	fprintf(f, "%s\n", style->colour ? COLOUR_END : "");
}

int table_print(FILE *f, const TableStyle *style, const Column columns[], size_t count,
		const RecordList *list, const char *what)
{
	_cleanup_free_ size_t *widths = calloc(count, sizeof(*widths));
	_cleanup_cells_ Cells cells = {0};
	int r;

	if (!widths)
		return -ENOMEM;
	if (list->count == 0) {
		if (!style->no_legend)
			fprintf(f, "No %s.\n", what);
		return 0;
	}
	r = fill(style, columns, count, list, &cells);
	if (r < 0)
		return r;
	for (size_t j = 0; j < count; j++)
		widths[j] = style->no_legend ? 1 : text_width(columns[j].title);
	for (size_t i = 0; i < cells.count; i++) {
		size_t width = text_width(cells.texts[i]);

		widths[i % count] = width > widths[i % count] ? width : widths[i % count];
	}
	if (style->width)
		squeeze(widths, count, style->width);

	if (!style->no_legend)
		print_titles(f, style, columns, count, widths);
	for (size_t i = 0; i < cells.count; i++) {
		size_t j = i % count;

		print_cell(f, cells.texts[i], widths[j], columns[j].flags & COLUMN_RIGHT,
			   j + 1 == count, colour_of(style, cells.texts[i], columns[j].flags));
		if (j + 1 == count)
			fputc('\n', f);
	}
	if (!style->no_legend)
		fprintf(f, "\n%zu %.*s\n", list->count,
			(int)(strlen(what) - (list->count == 1 ? 1 : 0)), what);
	return 0;
}

int table_print_record(FILE *f, const TableStyle *style, const Column columns[], size_t count,
		       const Record *record)
{
	size_t width = 0;

	for (size_t j = 0; j < count; j++)
		width = text_width(columns[j].title) > width ? text_width(columns[j].title) : width;
	for (size_t j = 0; j < count; j++) {
		const Value *value = record_get(record, columns[j].field);
		_cleanup_free_ char *text = NULL;
		const char *colour;

		if (value->kind == VALUE_NONE)
			continue;
		text = table_format(style, value, columns[j].flags);
		if (!text)
			return -ENOMEM;
		colour = colour_of(style, text, columns[j].flags);
		fprintf(f, "%*s%s: %s%s%s\n", (int)(width - text_width(columns[j].title)), "",
			columns[j].title, colour ? colour : "", text, colour ? COLOUR_END : "");
	}
	return 0;
}
