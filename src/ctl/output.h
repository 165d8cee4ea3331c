/* SPDX-License-Identifier: MIT */
/*
 * Where results go: collected, then written to standard output, through a pager when that is a
 * terminal and they are longer than it.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "ctl/record.h"
#include "ctl/table.h"

typedef struct Output {
	bool json;
	bool no_pager;
	bool no_legend;
} Output;

/* How tables look now: the terminal's width, colour (not with NO_COLOR, or into a file), the time.
 */
TableStyle output_style(const Output *output);

/* Records as JSON or as a table; WHAT names them. Returns 0, or a negative errno, reported. */
int output_list(const Output *output, const Column columns[], size_t count, const RecordList *list,
		const char *what);

/* The same for one record. */
int output_record(const Output *output, const Column columns[], size_t count, const Record *record);

/* What was done, for people: a line, and nothing with JSON, where RECORD is what is said. */
int __attribute__((format(printf, 3, 4)))
output_done(const Output *output, const Record *record, const char *format, ...);

/* Says where standard output could not be written (a full disk). 0 or a negative errno. */
int output_flush(void);
