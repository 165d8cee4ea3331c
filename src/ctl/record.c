/* SPDX-License-Identifier: MIT */
#include "ctl/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void value_done(Value *value)
{
	switch (value->kind) {
	case VALUE_TEXT:
		free(value->text);
		break;
	case VALUE_PORTS:
		port_list_done(&value->ports);
		break;
	case VALUE_LIST:
	case VALUE_NUMBERS:
		for (size_t i = 0; i < value->list.count; i++)
			free(value->list.items[i].text);
		free(value->list.items);
		break;
	case VALUE_NONE:
	case VALUE_NUMBER:
	case VALUE_BOOL:
	case VALUE_TIME:
	case VALUE_DURATION:
		break;
	}
	*value = (Value){0};
}

Value value_take(Value *value)
{
	Value taken = *value;

	*value = (Value){0};
	return taken;
}

int value_add_item(Value *value, const char *text, uint64_t number)
{
	_cleanup_free_ char *copy = strdup(text);
	ValueItem *items = reallocarray(value->list.items, value->list.count + 1, sizeof(*items));

	if (items)
		value->list.items = items;
	if (!items || !copy)
		return -ENOMEM;
	items[value->list.count++] = (ValueItem){.text = TAKE_PTR(copy), .number = number};
	return 0;
}

uint64_t value_sum(const Value *value)
{
	uint64_t sum = 0;

	for (size_t i = 0; value->kind == VALUE_NUMBERS && i < value->list.count; i++)
		sum += value->list.items[i].number;
	return sum;
}

void record_done(Record *record)
{
	for (size_t i = 0; i < record->count; i++)
		value_done(&record->fields[i].value);
	free(record->fields);
	*record = (Record){0};
}

int record_set(Record *record, const char *name, Value value)
{
	Field *fields;

	for (size_t i = 0; i < record->count; i++) {
		if (strcmp(record->fields[i].name, name) == 0) {
			value_done(&record->fields[i].value);
			record->fields[i].value = value;
			return 0;
		}
	}
	fields = reallocarray(record->fields, record->count + 1, sizeof(*fields));
	if (!fields) {
		value_done(&value);
		return -ENOMEM;
	}
	record->fields = fields;
	fields[record->count++] = (Field){.name = name, .value = value};
	return 0;
}

int record_set_text(Record *record, const char *name, const char *text)
{
	Value value = {.kind = VALUE_TEXT, .text = strdup(text)};

	return value.text ? record_set(record, name, value) : -ENOMEM;
}

int record_set_number(Record *record, const char *name, uint64_t number)
{
	return record_set(record, name, (Value){.kind = VALUE_NUMBER, .number = number});
}

int record_set_bool(Record *record, const char *name, bool boolean)
{
	return record_set(record, name, (Value){.kind = VALUE_BOOL, .boolean = boolean});
}

const Value *record_get(const Record *record, const char *name)
{
	static const Value none;

	for (size_t i = 0; i < record->count; i++) {
		if (strcmp(record->fields[i].name, name) == 0)
			return &record->fields[i].value;
	}
	return &none;
}

const char *record_get_text(const Record *record, const char *name)
{
	const Value *value = record_get(record, name);

	return value->kind == VALUE_TEXT ? value->text : "";
}

void record_list_done(RecordList *list)
{
	for (size_t i = 0; i < list->count; i++) {
		record_done(list->records[i]);
		free(list->records[i]);
	}
	free(list->records);
	*list = (RecordList){0};
}

int record_list_add(RecordList *list, Record *record)
{
	Record *copy = malloc(sizeof(*copy)), **records = list->records;

	/* A power of two is full. */
	if ((list->count & (list->count - 1)) == 0)
		records =
			reallocarray(records, list->count ? 2 * list->count : 1, sizeof(*records));
	if (records)
		list->records = records;
	if (!copy || !records) {
		free(copy);
		record_done(record);
		return -ENOMEM;
	}
	*copy = *record;
	*record = (Record){0};
	records[list->count++] = copy;
	return 0;
}

static int compare(const void *a, const void *b, void *name)
{
	const Record *const *x = a, *const *y = b;

	return strverscmp(record_get_text(*x, name), record_get_text(*y, name));
}

void record_list_sort(RecordList *list, const char *name)
{
	if (list->count > 0)
		qsort_r(list->records, list->count, sizeof(list->records[0]), compare,
			(void *)name);
}
