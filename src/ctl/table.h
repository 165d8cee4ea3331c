/* SPDX-License-Identifier: MIT */
/*
 * Records as tables for people: columns as wide as what is in them, in characters and not bytes; on
 * a terminal that is too narrow the widest ones are cut. What others wrote is escaped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ctl/record.h"

typedef enum ColumnFlags {
	COLUMN_RIGHT = 1 << 0,	  /* numbers */
	COLUMN_ABSOLUTE = 1 << 1, /* times as they are, besides how long that is */
	COLUMN_GOOD_BAD = 1 << 2, /* coloured by what it says */
} ColumnFlags;

typedef struct Column {
	const char *title;
	const char *field;
	ColumnFlags flags;
} Column;

/* How to print. */
typedef struct TableStyle {
	size_t width; /* columns of the terminal; 0: none to keep to */
	bool colour;
	bool no_legend; /* neither titles nor the number of rows */
	uint64_t now_real_usec;
} TableStyle;

/* A row for each record. WHAT names several of them ("grants"), one without its s. 0 or -ENOMEM. */
int table_print(FILE *f, const TableStyle *style, const Column columns[], size_t count,
		const RecordList *list, const char *what);

/* A line for each column of one record: "Title: value". Fields that it lacks are left out. */
int table_print_record(FILE *f, const TableStyle *style, const Column columns[], size_t count,
		       const Record *record);

/* VALUE as text for people that the caller frees. NULL: no memory. */
char *table_format(const TableStyle *style, const Value *value, ColumnFlags flags);
