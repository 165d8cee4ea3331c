/* SPDX-License-Identifier: MIT */
#include "util/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "util/cleanup.h"

/* Longest finite duration: the kernel counts nanoseconds in signed 64 bits in places. */
#define DURATION_MAX_NS ((uint64_t)INT64_MAX)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Reads the digits at *TEXT and moves *TEXT behind them. Returns false if there are none. A
 * number that does not fit becomes UINT64_MAX and sets *OVERFLOW: the caller first reads on, so
 * that garbage behind it is reported as garbage.
 */
static bool read_digits(const char **text, uint64_t *ret, bool *overflow)
{
	const char *p = *text;
	uint64_t value = 0;
	bool over = false;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
		over = over || __builtin_mul_overflow(value, 10, &value) ||
		       __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);

	*text = p;
	*ret = over ? UINT64_MAX : value;
	*overflow |= over;
	return true;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	bool overflow = false;

	if (!read_digits(&text, &value, &overflow) || *text)
		return -EINVAL;
	if (overflow || value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t value;
	int r;

	r = parse_u64(text, min, max, &value);
	if (r < 0)
		return r;
	*ret = (uint32_t)value;
	return 0;
}

int parse_bool(const char *text, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"yes", true}, {"true", true},	 {"on", true},	 {"1", true},
		{"no", false}, {"false", false}, {"off", false}, {"0", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_MIN  (60 * NSEC_PER_SEC)
#define NSEC_PER_HOUR (60 * NSEC_PER_MIN)
#define NSEC_PER_DAY  (24 * NSEC_PER_HOUR)
#define NSEC_PER_WEEK (7 * NSEC_PER_DAY)

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{"ns", 1},
	{"nsec", 1},
	{"us", NSEC_PER_USEC},
	{"usec", NSEC_PER_USEC},
	{"µs", NSEC_PER_USEC},
	{"ms", NSEC_PER_MSEC},
	{"msec", NSEC_PER_MSEC},
	{"s", NSEC_PER_SEC},
	{"sec", NSEC_PER_SEC},
	{"second", NSEC_PER_SEC},
	{"seconds", NSEC_PER_SEC},
	{"m", NSEC_PER_MIN},
	{"min", NSEC_PER_MIN},
	{"minute", NSEC_PER_MIN},
	{"minutes", NSEC_PER_MIN},
	{"h", NSEC_PER_HOUR},
	{"hr", NSEC_PER_HOUR},
	{"hour", NSEC_PER_HOUR},
	{"hours", NSEC_PER_HOUR},
	{"d", NSEC_PER_DAY},
	{"day", NSEC_PER_DAY},
	{"days", NSEC_PER_DAY},
	{"w", NSEC_PER_WEEK},
	{"week", NSEC_PER_WEEK},
	{"weeks", NSEC_PER_WEEK},
};

/* Reads the unit at *TEXT and moves *TEXT behind it; false if none of ours is there. */
static bool read_unit(const char **text, uint64_t *ret_ns)
{
	size_t size = strcspn(*text, " \t0123456789");

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) == size && memcmp(*text, units[i].name, size) == 0) {
			*text += size;
			*ret_ns = units[i].ns;
			return true;
		}
	}
	return false;
}

static void skip_blanks(const char **text)
{
	while (is_blank(**text))
		(*text)++;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	uint64_t sum = 0;
	bool overflow = false, first = true;

	if (strcmp(text, "infinity") == 0 || strcmp(text, "-1") == 0) {
		*ret_ns = DURATION_INFINITY;
		return 0;
	}

	do {
		uint64_t number, unit = NSEC_PER_SEC, ns;

		if (!read_digits(&text, &number, &overflow))
			return -EINVAL;
		/* Only a number all alone may do without a unit: "1h 30" is a riddle. */
		if (!first || *text) {
			skip_blanks(&text);
			if (!read_unit(&text, &unit))
				return -EINVAL;
		}
		overflow = overflow || __builtin_mul_overflow(number, unit, &ns) ||
			   __builtin_add_overflow(sum, ns, &sum);

		if (is_blank(*text)) {
			skip_blanks(&text);
			if (!*text)
				return -EINVAL;
		}
		first = false;
	} while (*text);

	if (overflow || sum > DURATION_MAX_NS)
		return -ERANGE;
	*ret_ns = sum;
	return 0;
}

int parse_rate(const char *text, uint64_t *ret_interval_ns)
{
	uint64_t count, period = NSEC_PER_SEC;
	bool overflow = false;

	if (!read_digits(&text, &count, &overflow))
		return -EINVAL;
	if (*text == '/') {
		text++;
		if (is_digit(*text)) {
			int r = parse_duration(text, &period);

			if (r < 0)
				return r;
		} else if (!read_unit(&text, &period) || *text) {
			return -EINVAL;
		}
	} else if (*text) {
		return -EINVAL;
	}

	if (overflow || count == 0 || period / count == 0)
		return -ERANGE;
	*ret_interval_ns = period / count;
	return 0;
}

/* Reads exactly COUNT digits at *TEXT and moves *TEXT behind them. */
static bool read_fixed(const char **text, unsigned int count, unsigned int *ret)
{
	unsigned int value = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (!is_digit((*text)[i]))
			return false;
		value = value * 10 + (unsigned int)((*text)[i] - '0');
	}
	*text += count;
	*ret = value;
	return true;
}

static bool read_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

static unsigned int days_in_month(unsigned int year, unsigned int month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

int parse_timestamp(const char *text, uint64_t *ret_real_usec)
{
	unsigned int year, month, day, hour = 0, minute = 0, second = 0;
	struct tm tm = {0};

	if (!read_fixed(&text, 4, &year) || !read_char(&text, '-') ||
	    !read_fixed(&text, 2, &month) || !read_char(&text, '-') || !read_fixed(&text, 2, &day))
		return -EINVAL;
	if (*text) {
		if (!read_char(&text, ' ') && !read_char(&text, 'T'))
			return -EINVAL;
		if (!read_fixed(&text, 2, &hour) || !read_char(&text, ':') ||
		    !read_fixed(&text, 2, &minute))
			return -EINVAL;
		if (read_char(&text, ':') && !read_fixed(&text, 2, &second))
			return -EINVAL;
		read_char(&text, 'Z');
		if (*text)
			return -EINVAL;
	}

	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
	    hour > 23 || minute > 59 || second > 59)
		return -ERANGE;
	tm.tm_year = (int)year - 1900;
	tm.tm_mon = (int)month - 1;
	tm.tm_mday = (int)day;
	tm.tm_hour = (int)hour;
	tm.tm_min = (int)minute;
	tm.tm_sec = (int)second;
	*ret_real_usec = (uint64_t)timegm(&tm) * USEC_PER_SEC;
	return 0;
}

const char *format_duration(uint64_t ns, char text[static DURATION_TEXT_MAX])
{
	static const struct {
		const char *name;
		uint64_t ns;
	} steps[] = {
		{"w", NSEC_PER_WEEK},  {"d", NSEC_PER_DAY}, {"h", NSEC_PER_HOUR},
		{"min", NSEC_PER_MIN}, {"s", NSEC_PER_SEC}, {"ms", NSEC_PER_MSEC},
		{"us", NSEC_PER_USEC}, {"ns", 1},
	};
	size_t size = 0;

	if (ns == DURATION_INFINITY || ns == 0) {
		snprintf(text, DURATION_TEXT_MAX, "%s", ns ? "infinity" : "0");
		return text;
	}

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		uint64_t count = ns / steps[i].ns;

		if (!count)
			continue;
		ns -= count * steps[i].ns;
		size += (size_t)snprintf(text + size, DURATION_TEXT_MAX - size, "%s%" PRIu64 "%s",
					 size ? " " : "", count, steps[i].name);
	}
	return text;
}
