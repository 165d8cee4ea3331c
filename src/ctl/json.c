/* SPDX-License-Identifier: MIT */
#include "ctl/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "ctl/text.h"
#include "util/cleanup.h"

static void json_putp(json_object **object)
{
	json_object_put(*object);
}

#define _cleanup_json_ _cleanup_(json_putp)

/* Adds ITEM, which is moved in whatever is returned: 0 or -ENOMEM. */
static int add_item(json_object *array, json_object *item)
{
	_cleanup_json_ json_object *owned = item;

	if (!owned || json_object_array_add(array, owned) < 0)
		return -ENOMEM;
	owned = NULL;
	return 0;
}

/* The same; an ITEM that is NULL is what JSON calls null. */
static int add_member(json_object *object, const char *name, json_object *item)
{
	_cleanup_json_ json_object *owned = item;

	if (json_object_object_add(object, name, owned) < 0)
		return -ENOMEM;
	owned = NULL;
	return 0;
}

static json_object *from_ports(const PortList *ports)
{
	_cleanup_json_ json_object *array = json_object_new_array();

	if (!array)
		return NULL;
	port_list_foreach (range, ports) {
		char text[PORT_RANGE_TEXT_MAX];

		if (add_item(array, json_object_new_string(port_range_format(range, text))) < 0)
			return NULL;
	}
	return TAKE_PTR(array);
}

static json_object *from_list(const Value *value)
{
	_cleanup_json_ json_object *array = json_object_new_array();

	for (size_t i = 0; array && i < value->list.count; i++) {
		if (add_item(array, json_object_new_string(value->list.items[i].text)) < 0)
			return NULL;
	}
	return TAKE_PTR(array);
}

static json_object *from_numbers(const Value *value)
{
	_cleanup_json_ json_object *object = json_object_new_object();

	for (size_t i = 0; object && i < value->list.count; i++) {
		json_object *item = json_object_new_uint64(value->list.items[i].number);

		if (!item || add_member(object, value->list.items[i].text, item) < 0)
			return NULL;
	}
	return TAKE_PTR(object);
}

/* 0 or -ENOMEM; *RET is NULL for what JSON calls null. */
static int from_value(const Value *value, json_object **ret)
{
	char text[TEXT_TIME_MAX];
	json_object *object = NULL;

	switch (value->kind) {
	case VALUE_NONE:
		*ret = NULL;
		return 0;
	case VALUE_TEXT:
		if (!*value->text) {
			*ret = NULL;
			return 0;
		}
		object = json_object_new_string(value->text);
		break;
	case VALUE_NUMBER:
		if (value->number == UINT64_MAX) {
			*ret = NULL;
			return 0;
		}
		object = json_object_new_uint64(value->number);
		break;
	case VALUE_BOOL:
		object = json_object_new_boolean(value->boolean);
		break;
	case VALUE_TIME:
		if (value->number == 0) {
			*ret = NULL;
			return 0;
		}
		object = json_object_new_string(text_rfc3339(value->number, text));
		break;
	case VALUE_DURATION:
		object = value->number == TEXT_INFINITY ? json_object_new_string("infinity")
							: json_object_new_uint64(value->number);
		break;
	case VALUE_PORTS:
		object = from_ports(&value->ports);
		break;
	case VALUE_LIST:
		object = from_list(value);
		break;
	case VALUE_NUMBERS:
		object = from_numbers(value);
		break;
	}
	*ret = object;
	return object ? 0 : -ENOMEM;
}

char *json_format(const Record *record, bool pretty)
{
	_cleanup_json_ json_object *object = json_object_new_object();
	int style = JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text;

	style |= pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : 0;
	for (size_t i = 0; object && i < record->count; i++) {
		json_object *item;

		if (from_value(&record->fields[i].value, &item) < 0 ||
		    add_member(object, record->fields[i].name, item) < 0)
			return NULL;
	}
	text = object ? json_object_to_json_string_ext(object, style) : NULL;
	return text ? strdup(text) : NULL;
}

int json_print_list(FILE *f, const RecordList *list)
{
	fputs("[", f);
	for (size_t i = 0; i < list->count; i++) {
		_cleanup_free_ char *text = json_format(list->records[i], false);

		if (!text)
			return -ENOMEM;
		fprintf(f, "%s\n%s", i ? "," : "", text);
	}
	fputs(list->count ? "\n]\n" : "]\n", f);
	return 0;
}
