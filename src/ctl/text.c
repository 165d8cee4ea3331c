/* SPDX-License-Identifier: MIT */
#include "ctl/text.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "util/cleanup.h"
#include "util/parse.h"

/* Longest word that text_distance() compares. */
#define DISTANCE_MAX 64

/* Bytes of the next character of TEXT, of which *RET_WIDTH columns are seen; 0: not printable. */
static size_t next(const char *text, mbstate_t *state, size_t *ret_width)
{
	wchar_t character;
	size_t size = mbrtowc(&character, text, strlen(text), state);
	int width;

	*ret_width = 1;
	if (size == (size_t)-1 || size == (size_t)-2) {
		*state = (mbstate_t){0};
		return 0;
	}
	width = iswprint((wint_t)character) ? wcwidth(character) : -1;
	if (width < 0)
		return 0;
	*ret_width = (size_t)width;
	return size;
}

char *text_escape(const char *text)
{
	char *result = malloc(4 * strlen(text) + 1), *end = result;
	mbstate_t state = {0};

	if (!result)
		return NULL;
	while (*text) {
		size_t width, size = next(text, &state, &width);

		if (size == 0) {
			end += snprintf(end, sizeof("\\xff"), "\\x%02x", (unsigned char)*text);
			text++;
			continue;
		}
		end = mempcpy(end, text, size);
		text += size;
	}
	*end = '\0';
	return result;
}

size_t text_width(const char *text)
{
	mbstate_t state = {0};
	size_t sum = 0;

	while (*text) {
		size_t width, size = next(text, &state, &width);

		sum += width;
		text += size ? size : 1;
	}
	return sum;
}

size_t text_fitting(const char *text, size_t width)
{
	mbstate_t state = {0};
	const char *p = text;
	size_t sum = 0;

	while (*p) {
		size_t step, size = next(p, &state, &step);

		if (sum + step > width)
			break;
		sum += step;
		p += size ? size : 1;
	}
	return (size_t)(p - text);
}

const char *text_duration(uint64_t seconds, char text[static TEXT_TIME_MAX])
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {{"w", 604800}, {"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	size_t size = 0;

	if (seconds == TEXT_INFINITY || seconds == 0) {
		snprintf(text, TEXT_TIME_MAX, "%s", seconds ? "infinity" : "0s");
		return text;
	}
	for (size_t i = 0, shown = 0; i < ARRAY_SIZE(units) && shown < 2; i++) {
		uint64_t count = seconds / units[i].seconds;

		seconds -= count * units[i].seconds;
		/* The second unit is the one below the first, or there is none. */
		shown += shown || count ? 1 : 0;
		if (count)
			size += (size_t)snprintf(text + size, TEXT_TIME_MAX - size,
						 "%s%" PRIu64 "%s", size ? " " : "", count,
						 units[i].name);
	}
	return text;
}

const char *text_relative(uint64_t real_usec, uint64_t now_real_usec,
			  char text[static TEXT_TIME_MAX])
{
	char duration[TEXT_TIME_MAX];
	uint64_t seconds;

	if (real_usec == 0 || real_usec == TEXT_INFINITY) {
		snprintf(text, TEXT_TIME_MAX, "%s", real_usec ? "never" : "-");
		return text;
	}
	seconds = (real_usec > now_real_usec ? real_usec - now_real_usec
					     : now_real_usec - real_usec) /
		  USEC_PER_SEC;
	if (seconds == 0)
		snprintf(text, TEXT_TIME_MAX, "now");
	else if (real_usec > now_real_usec)
		snprintf(text, TEXT_TIME_MAX, "in %.40s", text_duration(seconds, duration));
	else
		snprintf(text, TEXT_TIME_MAX, "%.40s ago", text_duration(seconds, duration));
	return text;
}

const char *text_absolute(uint64_t real_usec, char text[static TEXT_TIME_MAX])
{
	time_t seconds = (time_t)(real_usec / USEC_PER_SEC);
	struct tm local;

	if (real_usec == 0 || real_usec == TEXT_INFINITY)
		snprintf(text, TEXT_TIME_MAX, "%s", real_usec ? "never" : "-");
	else if (!localtime_r(&seconds, &local) ||
		 strftime(text, TEXT_TIME_MAX, "%Y-%m-%d %H:%M:%S %Z", &local) == 0)
		snprintf(text, TEXT_TIME_MAX, "?");
	return text;
}

const char *text_rfc3339(uint64_t real_usec, char text[static TEXT_TIME_MAX])
{
	time_t seconds = (time_t)(real_usec / USEC_PER_SEC);
	struct tm utc;
	size_t size;

	if (real_usec == TEXT_INFINITY) {
		snprintf(text, TEXT_TIME_MAX, "infinity");
		return text;
	}
	size = gmtime_r(&seconds, &utc) ? strftime(text, TEXT_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &utc)
					: 0;
	if (size == 0)
		snprintf(text, TEXT_TIME_MAX, "?");
	else
		snprintf(text + size, TEXT_TIME_MAX - size, ".%06uZ",
			 (unsigned int)(real_usec % USEC_PER_SEC));
	return text;
}

/* The range of PROTOCOL with the ports of RANGE, or NULL. */
static const PortRange *find_twin(const PortList *ports, const PortRange *range, uint8_t protocol)
{
	port_list_foreach (other, ports) {
		if (other->protocol == protocol && other->first == range->first &&
		    other->last == range->last)
			return other;
	}
	return NULL;
}

static int compare_ranges(const void *a, const void *b)
{
	const PortRange *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->last != y->last)
		return x->last < y->last ? -1 : 1;
	return x->protocol - y->protocol;
}

char *text_ports(const PortList *ports)
{
	_cleanup_port_list_ PortList sorted = PORT_LIST_NULL;
	char *text = NULL;
	size_t size;
	FILE *f;

	if (ports->count == 0)
		return strdup("-");
	if (port_list_copy(ports, &sorted) < 0)
		return NULL;
	qsort(sorted.ranges, sorted.count, sizeof(sorted.ranges[0]), compare_ranges);
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	port_list_foreach (range, &sorted) {
		char one[PORT_RANGE_TEXT_MAX];
		bool both = find_twin(ports, range, IPPROTO_TCP) &&
			    find_twin(ports, range, IPPROTO_UDP);

		if (both && range->protocol == IPPROTO_UDP)
			continue;
		port_range_format(range, one);
		if (both && range->protocol == IPPROTO_TCP)
			*strchrnul(one, '/') = '\0';
		fprintf(f, "%s%s", ftell(f) > 0 ? " " : "", one);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

size_t text_distance(const char *a, const char *b, size_t limit)
{
	size_t row[DISTANCE_MAX + 1], a_size = strlen(a), b_size = strlen(b);

	if (a_size > DISTANCE_MAX || b_size > DISTANCE_MAX)
		return limit + 1;
	for (size_t j = 0; j <= b_size; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);

			best = above + 1 < best ? above + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			diagonal = above;
			row[j] = best;
		}
	}
	return row[b_size] > limit ? limit + 1 : row[b_size];
}
