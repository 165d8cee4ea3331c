/* SPDX-License-Identifier: MIT */
/*
 * Numbers, truth values, durations, rates and timestamps: nothing is read that is not there, and
 * durations are written so that they read the same. Input: a text.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "util/parse.h"

/* No year beyond this one is of any use in a configuration. */
#define YEAR_9999_USEC (253402300800ULL * USEC_PER_SEC)

static void check_number(const char *text)
{
	char written[24];
	uint64_t value = 42, small = 42;
	uint32_t value32 = 42;
	int r = parse_u64(text, 0, UINT64_MAX, &value);

	FUZZ_CHECK(r == 0 || ((r == -EINVAL || r == -ERANGE) && value == 42));
	if (strspn(text, "0123456789") != strlen(text) || !*text)
		FUZZ_CHECK(r == -EINVAL);
	else
		FUZZ_CHECK(r != -EINVAL);
	if (r < 0)
		return;

	snprintf(written, sizeof(written), "%llu", (unsigned long long)value);
	FUZZ_CHECK(strcmp(written, text + strspn(text, "0")) == 0 || value == 0);
	r = parse_u64(text, 10, 1000, &small);
	FUZZ_CHECK(value >= 10 && value <= 1000 ? r == 0 && small == value
						: r == -ERANGE && small == 42);
	r = parse_u32(text, 0, UINT32_MAX, &value32);
	FUZZ_CHECK(value <= UINT32_MAX ? r == 0 && value32 == value
				       : r == -ERANGE && value32 == 42);
}

static void check_duration(const char *text)
{
	char written[DURATION_TEXT_MAX];
	uint64_t ns = 42, again;
	int r = parse_duration(text, &ns);

	if (r < 0) {
		FUZZ_CHECK((r == -EINVAL || r == -ERANGE) && ns == 42);
		return;
	}
	FUZZ_CHECK(ns == DURATION_INFINITY || ns <= INT64_MAX);
	FUZZ_CHECK(format_duration(ns, written) == written);
	FUZZ_CHECK(strlen(written) < DURATION_TEXT_MAX);
	FUZZ_CHECK(parse_duration(written, &again) == 0 && again == ns);
}

static void check_timestamp(const char *text)
{
	uint64_t usec = 42;
	char written[64];
	struct tm tm;
	time_t seconds;
	uint64_t again;
	int r = parse_timestamp(text, &usec);

	if (r < 0) {
		FUZZ_CHECK((r == -EINVAL || r == -ERANGE) && usec == 42);
		return;
	}
	FUZZ_CHECK(usec < YEAR_9999_USEC && usec % USEC_PER_SEC == 0);
	seconds = (time_t)(usec / USEC_PER_SEC);
	FUZZ_CHECK(gmtime_r(&seconds, &tm));
	FUZZ_CHECK(strftime(written, sizeof(written), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
	/* What was read is the day that was written: no 31st of February. */
	FUZZ_CHECK(strncmp(written, text, strlen("2026-01-31")) == 0);
	FUZZ_CHECK(parse_timestamp(written, &again) == 0 && again == usec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = fuzz_text(data, size);
	char written[DURATION_TEXT_MAX];
	uint64_t interval = 42, ns, again;
	bool truth;
	int r;

	check_number(text);
	check_duration(text);
	check_timestamp(text);

	r = parse_rate(text, &interval);
	FUZZ_CHECK(r == 0 ? interval > 0 : interval == 42);
	r = parse_bool(text, &truth);
	FUZZ_CHECK(r == 0 || r == -EINVAL);

	/* Every duration has a text, also those that no text of the input gave. */
	if (size >= sizeof(ns)) {
		memcpy(&ns, data, sizeof(ns));
		if (ns > INT64_MAX)
			ns = DURATION_INFINITY;
		format_duration(ns, written);
		FUZZ_CHECK(parse_duration(written, &again) == 0 && again == ns);
	}
	return 0;
}
