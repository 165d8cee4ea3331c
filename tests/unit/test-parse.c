/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/parse.h"

#define MIN  (60 * NSEC_PER_SEC)
#define HOUR (60 * MIN)
#define DAY  (24 * HOUR)
#define WEEK (7 * DAY)

/* A value that no row below expects: what is left when nothing was written. */
#define UNTOUCHED 0x5a5a5a5a5a5a5a5aULL

typedef int (*Reader)(const char *text, uint64_t *ret);

/* One text, and what a reader makes of it: VALUE if RESULT is 0, else nothing. */
typedef struct Row {
	const char *text;
	int result;
	uint64_t value;
} Row;

static void assert_row(Reader reader, const Row *row)
{
	uint64_t value = UNTOUCHED;
	uint64_t expected = row->result == 0 ? row->value : UNTOUCHED;
	int result = reader(row->text, &value);

	if (result != row->result || value != expected)
		fail_msg("\"%s\": %d, %" PRIu64 " instead of %d, %" PRIu64, row->text, result,
			 value, row->result, expected);
}

#define assert_rows(reader, rows)                                                                  \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(rows); i_++)                                   \
			assert_row((reader), &(rows)[i_]);                                         \
	} while (0)

/* What no reader of numbers, durations, rates or timestamps takes. */
static const char *const garbage[] = {
	"",    " ",	"\n",	 "-",	     "+",	  "x",
	".",   "/",	"1 ",	 " 1",	     "\t1",	  "1\n",
	"1\r", "+1",	"-2",	 "--1",	     "-0",	  "0x10",
	"1e3", "1.5",	"1,000", "1_0",	     "1-",	  "1;",
	"1x1", "1\x01", "nan",	 "inf",	     "Infinity",  "-infinity",
	"-1s", "-1 ",	"-10",	 "\xd9\xa1", "1\xc2\xa0", "\xef\xbc\x91",
	"0b1", "yes",	"1'000", "(1)",
};

static int any_u64(const char *text, uint64_t *ret)
{
	return parse_u64(text, 0, UINT64_MAX, ret);
}

static int some_u64(const char *text, uint64_t *ret)
{
	return parse_u64(text, 10, 20, ret);
}

static void test_u64(void **state)
{
	static const Row any[] = {
		{"0", 0, 0},
		{"1", 0, 1},
		{"010", 0, 10},
		{"0000000000000000000000000000007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"018446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"18446744073709551620", -ERANGE, 0},
		{"28446744073709551615", -ERANGE, 0},
		{"184467440737095516150", -ERANGE, 0},
		{"184467440737095516160", -ERANGE, 0},
		{"1844674407370955161600000", -ERANGE, 0},
		{"99999999999999999999999999999999999999", -ERANGE, 0},
		{"99999999999999999999999999999999999999x", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"1s", -EINVAL, 0},
	};
	static const Row some[] = {
		{"10", 0, 10},	    {"20", 0, 20},     {"15", 0, 15},	   {"9", -ERANGE, 0},
		{"21", -ERANGE, 0}, {"0", -ERANGE, 0}, {"9x", -EINVAL, 0},
	};

	(void)state;
	assert_rows(any_u64, any);
	assert_rows(some_u64, some);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_row(any_u64, &(Row){garbage[i], -EINVAL, 0});
}

static void test_u32(void **state)
{
	uint32_t value = 7;

	(void)state;
	assert_int_equal(parse_u32("4294967296", 0, UINT32_MAX, &value), -ERANGE);
	assert_int_equal(parse_u32("18446744073709551617", 0, UINT32_MAX, &value), -ERANGE);
	assert_int_equal(parse_u32("65536", 1, 65535, &value), -ERANGE);
	assert_int_equal(parse_u32("0", 1, 65535, &value), -ERANGE);
	assert_int_equal(parse_u32("", 0, UINT32_MAX, &value), -EINVAL);
	assert_int_equal(parse_u32("-1", 0, UINT32_MAX, &value), -EINVAL);
	assert_int_equal(value, 7);
	assert_int_equal(parse_u32("4294967295", 0, UINT32_MAX, &value), 0);
	assert_int_equal(value, UINT32_MAX);
	assert_int_equal(parse_u32("65535", 1, 65535, &value), 0);
	assert_int_equal(value, 65535);
}

static void test_bool(void **state)
{
	static const char *const yes[] = {"yes", "Yes", "YES", "true", "TRUE", "on", "oN", "1"};
	static const char *const no[] = {"no", "No", "NO", "false", "False", "off", "OFF", "0"};
	static const char *const neither[] = {"",     "y",    "n",	   "t",	     "f",  "2",
					      "01",   "00",   "-1",	   "yess",   "ye", " yes",
					      "yes ", "no\n", "truefalse", "enable", "+1"};
	bool value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		value = false;
		assert_int_equal(parse_bool(yes[i], &value), 0);
		assert_true(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		value = true;
		assert_int_equal(parse_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(neither); i++) {
		value = i % 2;
		assert_int_equal(parse_bool(neither[i], &value), -EINVAL);
		assert_int_equal(value, i % 2);
	}
}

static void test_duration(void **state)
{
	static const Row rows[] = {
		{"0", 0, 0},
		{"90", 0, 90 * NSEC_PER_SEC},
		{"060", 0, 60 * NSEC_PER_SEC},
		{"0s", 0, 0},
		{"infinity", 0, DURATION_INFINITY},
		{"-1", 0, DURATION_INFINITY},
		{"1ns", 0, 1},
		{"1nsec", 0, 1},
		{"1us", 0, 1000},
		{"1usec", 0, 1000},
		{"1µs", 0, 1000},
		{"500ms", 0, 500000000},
		{"500msec", 0, 500000000},
		{"1s", 0, NSEC_PER_SEC},
		{"1sec", 0, NSEC_PER_SEC},
		{"1second", 0, NSEC_PER_SEC},
		{"2seconds", 0, 2 * NSEC_PER_SEC},
		{"5m", 0, 5 * MIN},
		{"5min", 0, 5 * MIN},
		{"1minute", 0, MIN},
		{"5minutes", 0, 5 * MIN},
		{"1h", 0, HOUR},
		{"1hr", 0, HOUR},
		{"1hour", 0, HOUR},
		{"2hours", 0, 2 * HOUR},
		{"1d", 0, DAY},
		{"1day", 0, DAY},
		{"2days", 0, 2 * DAY},
		{"1w", 0, WEEK},
		{"1week", 0, WEEK},
		{"2weeks", 0, 2 * WEEK},
		{"1h 30min", 0, 90 * MIN},
		{"1h30min", 0, 90 * MIN},
		{"5 min", 0, 5 * MIN},
		{"1 h \t 30  min", 0, 90 * MIN},
		{"30min 1h", 0, 90 * MIN},
		{"1h 1h", 0, 2 * HOUR},
		{"9223372036s", 0, 9223372036 * NSEC_PER_SEC},
		{"9223372036854775807ns", 0, INT64_MAX},
		{"9223372036854775808ns", -ERANGE, 0},
		{"9223372036854775807ns 1ns", -ERANGE, 0},
		{"18446744073709551615ns", -ERANGE, 0},
		{"18446744073709551615ns 1ns", -ERANGE, 0},
		{"9223372037", -ERANGE, 0},
		{"18446744074", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"15251w", -ERANGE, 0},
		{"18446744073709551616s 1s", -ERANGE, 0},
		{"15251w 1s", -ERANGE, 0},
		{"99999999999999999999999999w", -ERANGE, 0},
		{"99999999999999999999999999w 1s", -ERANGE, 0},
		{"99999999999999999999999999x", -EINVAL, 0},
		{"99999999999999999999999999w x", -EINVAL, 0},
		{"1h 30", -EINVAL, 0},
		{"30 1h", -EINVAL, 0},
		{"5 5", -EINVAL, 0},
		{"5 min ", -EINVAL, 0},
		{" 5min", -EINVAL, 0},
		{"5min\n", -EINVAL, 0},
		{"5\nmin", -EINVAL, 0},
		{"min", -EINVAL, 0},
		{"min5", -EINVAL, 0},
		{"5 min5", -EINVAL, 0},
		{"1.5h", -EINVAL, 0},
		{"1h,30min", -EINVAL, 0},
		{"1h-30min", -EINVAL, 0},
		{"1h -1", -EINVAL, 0},
		{"1h infinity", -EINVAL, 0},
		{"infinity ", -EINVAL, 0},
		{"INFINITY", -EINVAL, 0},
		{"1H", -EINVAL, 0},
		{"5M", -EINVAL, 0},
		{"1month", -EINVAL, 0},
		{"1y", -EINVAL, 0},
		{"1sex", -EINVAL, 0},
		{"1se", -EINVAL, 0},
	};

	(void)state;
	assert_rows(parse_duration, rows);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_row(parse_duration, &(Row){garbage[i], -EINVAL, 0});
}

static void test_rate(void **state)
{
	static const Row rows[] = {
		{"3", 0, 333333333},
		{"1", 0, NSEC_PER_SEC},
		{"3/s", 0, 333333333},
		{"2000/s", 0, 500000},
		{"100/min", 0, 600000000},
		{"1/10s", 0, 10 * NSEC_PER_SEC},
		{"1/10", 0, 10 * NSEC_PER_SEC},
		{"2/1h30min", 0, 45 * MIN},
		{"10/ms", 0, 100000},
		{"1/week", 0, WEEK},
		{"1000000000/s", 0, 1},
		{"1/9223372036854775807ns", 0, INT64_MAX},
		{"1000000001/s", -ERANGE, 0},
		{"2/ns", -ERANGE, 0},
		{"0", -ERANGE, 0},
		{"0/s", -ERANGE, 0},
		{"1/0s", -ERANGE, 0},
		{"1/0", -ERANGE, 0},
		{"0/0", -ERANGE, 0},
		{"18446744073709551615/s", -ERANGE, 0},
		{"18446744073709551616/s", -ERANGE, 0},
		{"18446744073709551616/", -EINVAL, 0},
		{"1/9223372036854775808ns", -ERANGE, 0},
		{"3/", -EINVAL, 0},
		{"/s", -EINVAL, 0},
		{"3s", -EINVAL, 0},
		{"3 /s", -EINVAL, 0},
		{"3/ s", -EINVAL, 0},
		{"3/s ", -EINVAL, 0},
		{"3//s", -EINVAL, 0},
		{"3/s/s", -EINVAL, 0},
		{"3/-1", -EINVAL, 0},
		{"3/infinity", -EINVAL, 0},
		{"-3/s", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"infinity", -EINVAL, 0},
		{"3/fortnight", -EINVAL, 0},
		{"3/s10", -EINVAL, 0},
		{"3/min 5s", -EINVAL, 0},
		{"1.5/s", -EINVAL, 0},
	};

	(void)state;
	assert_rows(parse_rate, rows);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_row(parse_rate, &(Row){garbage[i], -EINVAL, 0});
}

static void test_timestamp(void **state)
{
	static const Row rows[] = {
		{"1970-01-01", 0, 0},
		{"1970-01-01 00:00:01", 0, USEC_PER_SEC},
		{"2026-01-31", 0, 1769817600 * USEC_PER_SEC},
		{"2026-01-31 18:30", 0, 1769884200 * USEC_PER_SEC},
		{"2026-01-31T18:30", 0, 1769884200 * USEC_PER_SEC},
		{"2026-01-31T18:30Z", 0, 1769884200 * USEC_PER_SEC},
		{"2026-01-31T18:30:05Z", 0, 1769884205 * USEC_PER_SEC},
		{"2026-01-31 18:30:05", 0, 1769884205 * USEC_PER_SEC},
		{"2024-02-29", 0, 1709164800 * USEC_PER_SEC},
		{"2000-02-29", 0, 951782400 * USEC_PER_SEC},
		{"2038-01-19 03:14:08", 0, 2147483648 * USEC_PER_SEC},
		{"9999-12-31 23:59:59", 0, 253402300799 * USEC_PER_SEC},
		{"1969-12-31", -ERANGE, 0},
		{"0000-01-01", -ERANGE, 0},
		{"2026-00-01", -ERANGE, 0},
		{"2026-13-01", -ERANGE, 0},
		{"2026-99-01", -ERANGE, 0},
		{"2026-01-00", -ERANGE, 0},
		{"2026-01-32", -ERANGE, 0},
		{"2026-04-31", -ERANGE, 0},
		{"2026-02-29", -ERANGE, 0},
		{"2100-02-29", -ERANGE, 0},
		{"2024-02-30", -ERANGE, 0},
		{"2026-01-31 24:00", -ERANGE, 0},
		{"2026-01-31 18:60", -ERANGE, 0},
		{"2026-01-31 18:30:60", -ERANGE, 0},
		{"2026-01-31Z", -EINVAL, 0},
		{"2026-01-31 ", -EINVAL, 0},
		{"2026-01-31T", -EINVAL, 0},
		{" 2026-01-31", -EINVAL, 0},
		{"2026-1-31", -EINVAL, 0},
		{"2026-01-1", -EINVAL, 0},
		{"2026-01", -EINVAL, 0},
		{"2026", -EINVAL, 0},
		{"26-01-31", -EINVAL, 0},
		{"02026-01-31", -EINVAL, 0},
		{"20260131", -EINVAL, 0},
		{"2026/01/31", -EINVAL, 0},
		{"-026-01-31", -EINVAL, 0},
		{"2026-+1-31", -EINVAL, 0},
		{"2026- 1-31", -EINVAL, 0},
		{"2026-01-31 18", -EINVAL, 0},
		{"2026-01-31 18:", -EINVAL, 0},
		{"2026-01-31 18:3", -EINVAL, 0},
		{"2026-01-31 8:30", -EINVAL, 0},
		{"2026-01-31 18:30:", -EINVAL, 0},
		{"2026-01-31 18:30:5", -EINVAL, 0},
		{"2026-01-31 18:30:05.5", -EINVAL, 0},
		{"2026-01-31 18:30:05ZZ", -EINVAL, 0},
		{"2026-01-31 18:30:05 Z", -EINVAL, 0},
		{"2026-01-31 18:30:05+01:00", -EINVAL, 0},
		{"2026-01-31  18:30", -EINVAL, 0},
		{"2026-01-31t18:30", -EINVAL, 0},
		{"2026-01-31T18:30z", -EINVAL, 0},
		{"1769884205", -EINVAL, 0},
		{"tomorrow", -EINVAL, 0},
	};

	(void)state;
	assert_rows(parse_timestamp, rows);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_row(parse_timestamp, &(Row){garbage[i], -EINVAL, 0});
}

/* The local time zone has no say. */
static void test_timestamp_is_utc(void **state)
{
	uint64_t usec;

	(void)state;
	assert_int_equal(setenv("TZ", "XYZ-05:30", 1), 0);
	assert_int_equal(parse_timestamp("2026-07-31 18:30", &usec), 0);
	assert_int_equal(unsetenv("TZ"), 0);
	assert_int_equal(usec, 1785522600 * USEC_PER_SEC);
}

static void test_format_duration(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{0, "0"},
		{DURATION_INFINITY, "infinity"},
		{1, "1ns"},
		{999, "999ns"},
		{1000, "1us"},
		{1001, "1us 1ns"},
		{500000000, "500ms"},
		{NSEC_PER_SEC, "1s"},
		{60 * NSEC_PER_SEC, "1min"},
		{90 * NSEC_PER_SEC, "1min 30s"},
		{300 * NSEC_PER_SEC, "5min"},
		{90 * MIN, "1h 30min"},
		{12 * HOUR, "12h"},
		{DAY, "1d"},
		{WEEK, "1w"},
		{WEEK + NSEC_PER_SEC, "1w 1s"},
		{INT64_MAX, "15250w 1d 23h 47min 16s 854ms 775us 807ns"},
		{UINT64_MAX - 1, "30500w 3d 23h 34min 33s 709ms 551us 614ns"},
	};
	char text[DURATION_TEXT_MAX];
	uint64_t again;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(format_duration(rows[i].ns, text), rows[i].text);
		if (rows[i].ns > INT64_MAX && rows[i].ns != DURATION_INFINITY)
			continue;
		assert_int_equal(parse_duration(text, &again), 0);
		assert_int_equal(again, rows[i].ns);
	}
}

static void test_very_long(void **state)
{
	static char text[100000];
	uint64_t value = UNTOUCHED;

	(void)state;
	memset(text, '9', sizeof(text) - 1);
	assert_int_equal(any_u64(text, &value), -ERANGE);
	assert_int_equal(parse_duration(text, &value), -ERANGE);
	assert_int_equal(parse_rate(text, &value), -ERANGE);
	assert_int_equal(parse_timestamp(text, &value), -EINVAL);
	memset(text, '0', sizeof(text) - 1);
	assert_int_equal(any_u64(text, &value), 0);
	assert_int_equal(value, 0);
	memset(text, ' ', sizeof(text) - 1);
	assert_int_equal(parse_duration(text, &value), -EINVAL);
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "1s", 3);
	assert_int_equal(parse_duration(text, &value), 0);
	assert_int_equal(value, strlen(text) / 2 * NSEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_u32),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_timestamp),
		cmocka_unit_test(test_timestamp_is_utc),
		cmocka_unit_test(test_format_duration),
		cmocka_unit_test(test_very_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
