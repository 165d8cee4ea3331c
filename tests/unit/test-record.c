/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/record.h"

static void test_fields(void **state)
{
	_cleanup_record_ Record record = {0};

	(void)state;
	assert_int_equal(record_get(&record, "a")->kind, VALUE_NONE);
	assert_string_equal(record_get_text(&record, "a"), "");
	assert_int_equal(record_set_text(&record, "a", "x"), 0);
	assert_int_equal(record_set_number(&record, "b", 7), 0);
	assert_int_equal(record_set_text(&record, "a", "y"), 0);
	assert_int_equal(record.count, 2);
	assert_string_equal(record_get_text(&record, "a"), "y");
	assert_string_equal(record_get_text(&record, "b"), "");
	assert_int_equal(record_get(&record, "b")->number, 7);
}

static void test_items(void **state)
{
	_cleanup_value_ Value value = {.kind = VALUE_NUMBERS};

	(void)state;
	assert_int_equal(value_sum(&value), 0);
	assert_int_equal(value_add_item(&value, "a", 3), 0);
	assert_int_equal(value_add_item(&value, "b", 4), 0);
	assert_int_equal(value_sum(&value), 7);
	assert_int_equal(value_sum(&(Value){.kind = VALUE_NUMBER, .number = 5}), 0);
}

static void test_sort(void **state)
{
	static const char *const names[] = {"b10", "a", "b9", "c", "b1"};
	static const char *const sorted[] = {"a", "b1", "b9", "b10", "c"};
	_cleanup_record_list_ RecordList list = {0};

	(void)state;
	record_list_sort(&list, "name");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_record_ Record record = {0};

		assert_int_equal(record_set_text(&record, "name", names[i]), 0);
		assert_int_equal(record_list_add(&list, &record), 0);
		assert_int_equal(record.count, 0);
	}
	record_list_sort(&list, "name");
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		assert_string_equal(record_get_text(list.records[i], "name"), sorted[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_sort),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
