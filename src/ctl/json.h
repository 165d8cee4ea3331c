/* SPDX-License-Identifier: MIT */
/*
 * Records as JSON. json-c's only door.
 *
 * A record is an object with its fields' names as keys; numbers, truth values and texts are what
 * they are; ports are an array of texts ("22/tcp"); a list is an array, names with numbers are an
 * object; a duration is a number of seconds or "infinity", a time text in UTC or "infinity"; null
 * is what there is not.
 */
#pragma once

#include <stdio.h>

#include "ctl/record.h"

/* RECORD as a string that the caller frees, on one line, or PRETTY on several. NULL: no memory. */
char *json_format(const Record *record, bool pretty);

/* LIST as an array with a line for each record. 0 or -ENOMEM. */
int json_print_list(FILE *f, const RecordList *list);
