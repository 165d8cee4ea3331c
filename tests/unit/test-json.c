/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/json.h"

static void test_values(void **state)
{
	_cleanup_record_ Record record = {0};
	Value ports = {.kind = VALUE_PORTS}, list = {.kind = VALUE_LIST},
	      numbers = {.kind = VALUE_NUMBERS};
	_cleanup_free_ char *json = NULL;

	(void)state;
	assert_int_equal(port_list_add_text(&ports.ports, "22"), 0);
	assert_int_equal(value_add_item(&list, "a/b", 0), 0);
	assert_int_equal(value_add_item(&numbers, "denied", UINT64_MAX), 0);
	record_set_text(&record, "text", "a\"\n\033");
	record_set(&record, "ports", ports);
	record_set(&record, "list", list);
	record_set(&record, "numbers", numbers);
	record_set_bool(&record, "yes", true);
	record_set(&record, "nothing", (Value){0});
	record_set_text(&record, "empty", "");
	record_set_number(&record, "unknown", UINT64_MAX);
	record_set_number(&record, "many", UINT64_MAX - 1);
	record_set(&record, "never_yet", (Value){.kind = VALUE_TIME});
	record_set(&record, "time", (Value){.kind = VALUE_TIME, .number = 1763769600000000});
	record_set(&record, "never", (Value){.kind = VALUE_TIME, .number = UINT64_MAX});
	record_set(&record, "span", (Value){.kind = VALUE_DURATION, .number = 90});
	record_set(&record, "always", (Value){.kind = VALUE_DURATION, .number = UINT64_MAX});
	json = json_format(&record, false);
	assert_string_equal(json,
			    "{\"text\":\"a\\\"\\n\\u001b\",\"ports\":[\"22/tcp\",\"22/udp\"],"
			    "\"list\":[\"a/b\"],\"numbers\":{\"denied\":18446744073709551615},"
			    "\"yes\":true,\"nothing\":null,\"empty\":null,\"unknown\":null,"
			    "\"many\":18446744073709551614,\"never_yet\":null,"
			    "\"time\":\"2025-11-22T00:00:00.000000Z\",\"never\":\"infinity\","
			    "\"span\":90,\"always\":\"infinity\"}");
}

/* LIST as JSON is TEXT. */
static void assert_list(const RecordList *list, const char *text)
{
	_cleanup_free_ char *printed = NULL;
	size_t size;
	FILE *f = open_memstream(&printed, &size);

	assert_int_equal(json_print_list(f, list), 0);
	fclose(f);
	assert_string_equal(printed, text);
}

static void test_lists(void **state)
{
	_cleanup_record_list_ RecordList list = {0};

	(void)state;
	assert_list(&list, "[]\n");
	for (uint64_t i = 1; i <= 3; i++) {
		_cleanup_record_ Record record = {0};

		record_set_number(&record, "n", i);
		assert_int_equal(record_list_add(&list, &record), 0);
	}
	assert_list(&list, "[\n{\"n\":1},\n{\"n\":2},\n{\"n\":3}\n]\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
