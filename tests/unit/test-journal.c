/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <spale/message-ids.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "daemon/announce.h"
#include "daemon/journal.h"
#include "util/parse.h"

/* What was written to stderr between begin() and end(). */
static int real_stderr = -1;
static char said[16384];

static void begin(void)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC);

	assert_true(fd >= 0);
	real_stderr = dup(STDERR_FILENO);
	assert_true(real_stderr >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
}

static const char *end(void)
{
	ssize_t size = pread(STDERR_FILENO, said, sizeof(said) - 1, 0);

	said[size > 0 ? size : 0] = '\0';
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	return said;
}

static int tear_down(void **data)
{
	(void)data;
	journal_set_level(LOG_LEVEL_INFO);
	unsetenv("JOURNAL_STREAM");
	return 0;
}

static void test_event(void **data)
{
	(void)data;
	begin();
	journal_event(JOURNAL_KNOCK_ACCEPTED,
		      &(JournalFields){.client = "alice",
				       .source = "192.0.2.7",
				       .ports = "22/tcp 80/tcp",
				       .reason = "",
				       .until = "2026-01-31T18:30:05+01:00"});
	journal_event(JOURNAL_KNOCK_REFUSED, &(JournalFields){.source = "2001:db8::1",
							      .reason = "replayed",
							      .detail = "it was accepted before"});
	journal_event(JOURNAL_STOPPED, &(JournalFields){.detail = "so it is"});
	journal_event(JOURNAL_GRANT_EXPIRED, &(JournalFields){.client = "a b",
							      .ports = "22/tcp",
							      .grant = "7",
							      .interface = "eth0"});
	assert_string_equal(
		end(),
		"knock accepted: client=alice source=192.0.2.7 ports=\"22/tcp 80/tcp\" "
		"until=2026-01-31T18:30:05+01:00\n"
		"knock refused: source=2001:db8::1 reason=replayed (it was accepted before)\n"
		"stopped: so it is\n"
		"grant expired: client=\"a b\" ports=\"22/tcp\" grant=7 interface=eth0\n");
}

/* One event is one line, whatever is in its values. */
static void test_escapes(void **data)
{
	(void)data;
	begin();
	journal_event(JOURNAL_CLIENT_REFUSED, &(JournalFields){.client = "a\nstarted: \"b\"\\",
							       .detail = "c\r\nd\x1b[1m\x7f"});
	journal_line(LOG_LEVEL_ERROR, "%s", "one\ntwo");
	assert_string_equal(end(), "client refused: client=\"a\\x0astarted: \\\"b\\\"\\\\\" "
				   "(c\\x0d\\x0ad\\x1b[1m\\x7f)\n"
				   "one\\x0atwo\n");
}

/* What is no UTF-8, as names of files may be, would hide the line from who reads the journal. */
static void test_no_utf8(void **data)
{
	(void)data;
	begin();
	journal_line(LOG_LEVEL_ERROR, "%s", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91 \xff \xc3");
	journal_line(LOG_LEVEL_ERROR, "%s", "\xc0\x80 \xe0\x80\x80 \xed\xa0\x80 \xe2\x82");
	journal_line(LOG_LEVEL_ERROR, "%s", "\xf0\x80\x80\x80 \xf4\x90\x80\x80 \x80");
	assert_string_equal(end(), "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91 \\xff \\xc3\n"
				   "\\xc0\\x80 \\xe0\\x80\\x80 \\xed\\xa0\\x80 \\xe2\\x82\n"
				   "\\xf0\\x80\\x80\\x80 \\xf4\\x90\\x80\\x80 \\x80\n");
}

static void test_event_without_fields(void **data)
{
	(void)data;
	begin();
	journal_event(JOURNAL_RELOADED, &(JournalFields){0});
	assert_string_equal(end(), "reloaded\n");
}

static void test_levels(void **data)
{
	(void)data;
	begin();
	journal_line(LOG_LEVEL_DEBUG, "debug");
	journal_set_level(LOG_LEVEL_WARNING);
	journal_line(LOG_LEVEL_INFO, "info");
	journal_event(JOURNAL_STARTED, &(JournalFields){.detail = "x"});
	journal_event(JOURNAL_RELOAD_FAILED, &(JournalFields){.detail = "x"});
	journal_set_level(LOG_LEVEL_DEBUG);
	journal_line(LOG_LEVEL_DEBUG, "debug");
	assert_string_equal(end(),
			    "reload failed, the old configuration stays in force: x\ndebug\n");
}

/* ---- journald, as these tests have it ------------------------------------------------------- */

static bool has_journald;
static char sent[16384]; /* fields as lines, an empty line behind each entry */

int __wrap_access(const char *path, int mode);
int __wrap_sd_journal_sendv(const struct iovec *items, int count);

int __wrap_access(const char *path, int mode)
{
	assert_string_equal(path, "/run/systemd/journal/socket");
	assert_int_equal(mode, W_OK);
	return has_journald ? 0 : -1;
}

int __wrap_sd_journal_sendv(const struct iovec *items, int count)
{
	size_t length = strlen(sent);

	assert_true(has_journald);
	for (int i = 0; i < count; i++)
		length += (size_t)snprintf(sent + length, sizeof(sent) - length, "%.*s\n",
					   (int)items[i].iov_len, (const char *)items[i].iov_base);
	snprintf(sent + length, sizeof(sent) - length, "\n");
	return 0;
}

/* As begin(), with stderr as the journal's stream. */
static void begin_stream(bool journald)
{
	char stream[64];
	struct stat st;

	begin();
	has_journald = journald;
	sent[0] = '\0';
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

/* An entry has the line, and each field as it is. */
static void test_entry(void **data)
{
	(void)data;
	begin_stream(true);
	journal_event(JOURNAL_KNOCK_REFUSED, &(JournalFields){.client = "a\nb",
							      .source = "2001:db8::1",
							      .ports = "",
							      .reason = "replayed",
							      .interface = "eth0",
							      .detail = "it was"});
	journal_event(JOURNAL_GRANT_ADDED, &(JournalFields){.client = "alice",
							    .source = "192.0.2.7",
							    .ports = "22/tcp 80/tcp",
							    .grant = "7",
							    .until = "infinity",
							    .caller = "uid=0 name=:1.5"});
	journal_line(LOG_LEVEL_ERROR, "%s", "one\ntwo");
	journal_line(LOG_LEVEL_DEBUG, "not said");
	assert_string_equal(end(), "");
	assert_string_equal(sent, "MESSAGE=knock refused: client=a\\x0ab source=2001:db8::1 "
				  "reason=replayed interface=eth0 (it was)\n"
				  "PRIORITY=4\n"
				  "MESSAGE_ID=" SPALE_MESSAGE_KNOCK_REFUSED "\n"
				  "SPALE_CLIENT=a\nb\n"
				  "SPALE_SOURCE=2001:db8::1\n"
				  "SPALE_REASON=replayed\n"
				  "SPALE_INTERFACE=eth0\n"
				  "SPALE_DETAIL=it was\n\n"
				  "MESSAGE=grant added: client=alice source=192.0.2.7 "
				  "ports=\"22/tcp 80/tcp\" grant=7 until=infinity "
				  "caller=\"uid=0 name=:1.5\"\n"
				  "PRIORITY=6\n"
				  "MESSAGE_ID=" SPALE_MESSAGE_GRANT_ADDED "\n"
				  "SPALE_CLIENT=alice\n"
				  "SPALE_SOURCE=192.0.2.7\n"
				  "SPALE_PORTS=22/tcp 80/tcp\n"
				  "SPALE_GRANT=7\n"
				  "SPALE_UNTIL=infinity\n"
				  "SPALE_CALLER=uid=0 name=:1.5\n\n"
				  "MESSAGE=one\\x0atwo\n"
				  "PRIORITY=3\n\n");
}

/* The priority is for the journal's stream and for nobody else. */
static void test_priority(void **data)
{
	(void)data;
	begin_stream(false);
	journal_line(LOG_LEVEL_ERROR, "error");
	journal_event(JOURNAL_STARTED, &(JournalFields){.detail = "x"});
	assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	journal_line(LOG_LEVEL_ERROR, "error");
	assert_string_equal(end(), "<3>error\n<6>started: x\nerror\n");
}

static void test_diagnostics(void **data)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};

	(void)data;
	diagnostics_add(&diagnostics, SEVERITY_ERROR, "a.conf:3", "is %s", "wrong");
	diagnostics_add(&diagnostics, SEVERITY_WARNING, NULL, "beware");
	diagnostics_add(&diagnostics, SEVERITY_NOTICE, "b.conf", "note");
	begin();
	journal_diagnostics(&diagnostics);
	assert_string_equal(end(), "a.conf:3: error: is wrong\nwarning: beware\n"
				   "b.conf: notice: note\n");
	for (size_t i = 0; i < DIAGNOSTICS_MAX; i++)
		diagnostics_add(&diagnostics, SEVERITY_WARNING, NULL, "beware");
	begin();
	journal_diagnostics(&diagnostics);
	assert_non_null(strstr(end(), "\n3 more of these are not shown\n"));
}

static void test_time(void **data)
{
	char text[JOURNAL_TIME_MAX];

	(void)data;
	assert_int_equal(setenv("TZ", "XYZ-5:30", 1), 0);
	tzset();
	assert_string_equal(journal_format_time(1763769600ULL * USEC_PER_SEC, text),
			    "2025-11-22T05:30:00+05:30");
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	assert_string_equal(journal_format_time(1763769600ULL * USEC_PER_SEC, text),
			    "2025-11-22T00:00:00+00:00");
	assert_non_null(journal_format_time(UINT64_MAX, text));
}

/* Strangers cannot fill the log, and what they tried is not lost either. */
static void test_limit(void **data)
{
	const struct spale_knock knock = {.source = {[10] = 0xff, 0xff, 192, 0, 2, 7}};
	Announcer announcer = {0};
	uint64_t now_ns = 100 * NSEC_PER_SEC;
	size_t lines = 0;

	(void)data;
	begin();
	for (size_t i = 0; i < 100; i++)
		announce_refused(&announcer, &knock, NULL, REFUSAL_REPLAYED, now_ns);
	assert_int_equal(announce_flush(&announcer, now_ns), now_ns + NSEC_PER_SEC);
	for (const char *p = end(); *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 10);
	assert_non_null(strstr(said, "knock refused: source=192.0.2.7 reason=replayed (it was "));

	begin();
	assert_true(announce_flush(&announcer, now_ns + NSEC_PER_SEC) == SPALE_NEVER_NS);
	assert_string_equal(end(), "90 more knocks were refused\n");
}

static void test_denied(void **data)
{
	struct spale_event event = {
		.source = {0x20, 0x01, 0x0d, 0xb8, [15] = 7},
		.count = 1,
		.ifindex = 1,
		.port = 22,
		.protocol = IPPROTO_TCP,
		.reason = SPALE_REASON_DENIED,
	};

	(void)data;
	begin();
	announce_denied(&(Announcer){0}, &event, false);
	event.count = 12;
	event.protocol = IPPROTO_UDP;
	event.reason = SPALE_REASON_ENDED;
	announce_denied(&(Announcer){0}, &event, true);
	assert_string_equal(end(),
			    "access denied: source=2001:db8::7 ports=\"22/tcp\" reason=denied "
			    "interface=lo (1 packet)\n"
			    "access denied: source=2001:db8::7 ports=\"22/udp\" reason=grant-ended "
			    "interface=lo (12 packets, passed: log-only)\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_event),    TEST(test_escapes),
		TEST(test_no_utf8),  TEST(test_event_without_fields),
		TEST(test_levels),   TEST(test_entry),
		TEST(test_priority), TEST(test_diagnostics),
		TEST(test_time),     TEST(test_limit),
		TEST(test_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
