/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <locale.h>

#include "ctl/record.h"
#include "ctl/table.h"

static const Column columns[] = {
	{"NAME", "name", 0},
	{"COUNT", "count", COLUMN_RIGHT},
	{"STATE", "state", COLUMN_GOOD_BAD},
};

/* Adds a row to LIST. */
static void add(RecordList *list, const char *name, uint64_t count, const char *state)
{
	_cleanup_record_ Record record = {0};

	assert_int_equal(record_set_text(&record, "name", name), 0);
	assert_int_equal(record_set_number(&record, "count", count), 0);
	if (state)
		assert_int_equal(record_set_text(&record, "state", state), 0);
	assert_int_equal(record_list_add(list, &record), 0);
}

/* LIST as a table is TEXT. */
static void assert_table(const TableStyle *style, const RecordList *list, const char *text)
{
	_cleanup_free_ char *printed = NULL;
	size_t size;
	FILE *f = open_memstream(&printed, &size);

	assert_int_equal(table_print(f, style, columns, ARRAY_SIZE(columns), list, "things"), 0);
	fclose(f);
	assert_string_equal(printed, text);
}

static void test_aligned(void **state)
{
	_cleanup_record_list_ RecordList list = {0};

	(void)state;
	add(&list, "caf\xc3\xa9", 7, "active");
	add(&list, "\xe6\xbc\xa2", 12345678, NULL);
	assert_table(&(TableStyle){0}, &list,
		     "NAME     COUNT  STATE\n"
		     "caf\xc3\xa9         7  active\n"
		     "\xe6\xbc\xa2    12345678  -\n"
		     "\n"
		     "2 things\n");
	assert_table(&(TableStyle){.no_legend = true}, &list,
		     "caf\xc3\xa9         7  active\n"
		     "\xe6\xbc\xa2    12345678  -\n");
}

static void test_unknown_number(void **state)
{
	_cleanup_record_list_ RecordList list = {0};

	(void)state;
	add(&list, "known", UINT64_MAX - 1, "active");
	add(&list, "unknown", UINT64_MAX, "active");
	assert_table(&(TableStyle){.no_legend = true}, &list,
		     "known    18446744073709551614  active\n"
		     "unknown                     -  active\n");
}

static void test_empty(void **state)
{
	const RecordList list = {0};

	(void)state;
	assert_table(&(TableStyle){0}, &list, "No things.\n");
	assert_table(&(TableStyle){.no_legend = true}, &list, "");
}

static void test_narrow(void **state)
{
	_cleanup_record_list_ RecordList list = {0};

	(void)state;
	add(&list, "a-name-that-is-far-too-long", 7, "active");
	assert_table(&(TableStyle){.width = 30}, &list,
		     "NAME             COUNT  STATE\n"
		     "a-name-that-is\xe2\x80\xa6      7  active\n"
		     "\n"
		     "1 thing\n");
	/* Less than something is not shown at all. */
	assert_table(&(TableStyle){.width = 1}, &list,
		     "NAME      COUNT  STATE\n"
		     "a-name-\xe2\x80\xa6      7  active\n"
		     "\n"
		     "1 thing\n");
}

static void test_coloured_and_escaped(void **state)
{
	_cleanup_record_list_ RecordList list = {0};

	(void)state;
	add(&list, "\033[2J", 1, "active");
	assert_table(&(TableStyle){.colour = true, .no_legend = true}, &list,
		     "\\x1b[2J  1  \033[32mactive\033[0m\n");
	assert_table(&(TableStyle){.no_legend = true}, &list, "\\x1b[2J  1  active\n");
}

static void test_one_record(void **state)
{
	static const Column rows[] = {
		{"Name", "name", 0}, {"Long title", "count", 0}, {"No", "no", 0}};
	_cleanup_record_list_ RecordList list = {0};
	_cleanup_free_ char *printed = NULL;
	size_t size;
	FILE *f = open_memstream(&printed, &size);

	(void)state;
	add(&list, "alice", 3, NULL);
	assert_int_equal(
		table_print_record(f, &(TableStyle){0}, rows, ARRAY_SIZE(rows), list.records[0]),
		0);
	fclose(f);
	assert_string_equal(printed, "      Name: alice\nLong title: 3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_unknown_number),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_coloured_and_escaped),
		cmocka_unit_test(test_one_record),
	};

	if (!setlocale(LC_ALL, "C.UTF-8"))
		return 77;
	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
