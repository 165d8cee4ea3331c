/* SPDX-License-Identifier: MIT */
/*
 * What there is to show: records of named values, which know what they are. The same records become
 * a table for people (table.h) or JSON (json.h), so that the two cannot say different things.
 *
 * A record owns its values; the names of its fields are static. Pure. Texts are untrusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/ports.h"

typedef enum ValueKind {
	VALUE_NONE,
	VALUE_TEXT,
	VALUE_NUMBER, /* UINT64_MAX: nobody knows */
	VALUE_BOOL,
	VALUE_TIME,	/* microseconds of CLOCK_REALTIME; 0: none, UINT64_MAX: never */
	VALUE_DURATION, /* seconds; UINT64_MAX: infinity */
	VALUE_PORTS,
	VALUE_LIST,    /* of texts */
	VALUE_NUMBERS, /* names and numbers */
} ValueKind;

/* An item of a list (its number is 0), or of names and numbers. */
typedef struct ValueItem {
	char *text;
	uint64_t number;
} ValueItem;

typedef struct Value {
	ValueKind kind;
	union {
		char *text;
		uint64_t number; /* VALUE_NUMBER, _TIME, _DURATION */
		bool boolean;
		PortList ports;
		struct {
			ValueItem *items;
			size_t count;
		} list; /* VALUE_LIST, VALUE_NUMBERS */
	};
} Value;

typedef struct Field {
	const char *name;
	Value value;
} Field;

typedef struct Record {
	Field *fields;
	size_t count;
} Record;

typedef struct RecordList {
	Record **records;
	size_t count;
} RecordList;

void value_done(Value *value);
#define _cleanup_value_ _cleanup_(value_done)

/* The value, which its place does not own any more. */
Value value_take(Value *value);

/* Adds a copy of TEXT to a VALUE_LIST or VALUE_NUMBERS. 0 or -ENOMEM. */
int value_add_item(Value *value, const char *text, uint64_t number);

/* The sum of VALUE_NUMBERS. */
uint64_t value_sum(const Value *value);

void record_done(Record *record);
#define _cleanup_record_ _cleanup_(record_done)

/* Adds a field, or sets the one of that NAME. VALUE is moved in, whatever is returned: 0 or
 * -ENOMEM. */
int record_set(Record *record, const char *name, Value value);
int record_set_text(Record *record, const char *name, const char *text); /* a copy */
int record_set_number(Record *record, const char *name, uint64_t number);
int record_set_bool(Record *record, const char *name, bool boolean);

/* The value of that name; a VALUE_NONE where there is none. */
const Value *record_get(const Record *record, const char *name);
/* Its text; "" where there is none. */
const char *record_get_text(const Record *record, const char *name);

void record_list_done(RecordList *list);
#define _cleanup_record_list_ _cleanup_(record_list_done)

/* Moves RECORD in, whatever is returned: 0 or -ENOMEM. */
int record_list_add(RecordList *list, Record *record);

/* By the text of the field NAME, and numbers in it by their value. */
void record_list_sort(RecordList *list, const char *name);
