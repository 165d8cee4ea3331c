/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/profile.h"
#include "util/cleanup.h"

/* The text that settings point into. */
static char text[1024];

static int parse(const char *config, ProfileSettings *ret_settings)
{
	snprintf(text, sizeof(text), "%s", config);
	return profile_parse(text, strlen(text), "config", ret_settings);
}

static void assert_unset(const ProfileSettings *s)
{
	assert_null(s->host);
	assert_null(s->source);
	assert_int_equal(s->port, 0);
	assert_int_equal(s->step_sec, 0);
	assert_int_equal(s->count, 0);
}

static void test_parse(void **state)
{
	ProfileSettings s = {0};

	(void)state;
	assert_int_equal(parse("HOST=example.org\nPORT=62201\nSTEP=30\nCOUNT=1\n", &s), 0);
	assert_string_equal(s.host, "example.org");
	assert_int_equal(s.port, 62201);
	assert_int_equal(s.step_sec, 30);
	assert_int_equal(s.count, 1);
	assert_null(s.source);
}

static void test_parse_leniently(void **state)
{
	ProfileSettings s = {0};

	(void)state;
	assert_int_equal(
		parse("# mine\r\n\r\n  host = fe80::1%eth0 \r\n\tPort\t=\t1\r\n#COUNT=9\r\n"
		      "STEP=\r\nSOURCE=\r\nPORT=65535\r\nSource=[2001:db8::1]",
		      &s),
		0);
	assert_string_equal(s.host, "fe80::1%eth0");
	assert_int_equal(s.port, 65535);
	assert_int_equal(s.step_sec, 0);
	assert_int_equal(s.count, 0);
	assert_string_equal(s.source, "[2001:db8::1]");

	/* What this version does not know is passed over, aloud. */
	assert_int_equal(parse("HOST=h\nCOLOUR=blue\n", &s), 0);
	assert_string_equal(s.host, "h");
	assert_int_equal(parse("", &s), 0);
	assert_unset(&s);
}

static void test_parse_refuses(void **state)
{
	static const char *const configs[] = {
		"HOST",		 "HOST example.org\n", "HOST=a b\n",	  "HOST=a\tb\n",
		"PORT=0\n",	 "PORT=65536\n",       "PORT=-1\n",	  "PORT=22/tcp\n",
		"PORT=0x16\n",	 "PORT=99999999999\n", "PORT=22 # ssh\n", "STEP=0\n",
		"STEP=86401\n",	 "STEP=thirty\n",      "COUNT=0\n",	  "COUNT=1001\n",
		"COUNT=1.5\n",	 "SOURCE=eth0\n",      "SOURCE=1\n",	  "SOURCE=10.0.0.1/24\n",
		"SOURCE=::1%\n", "SOURCE=1.2.3.4%lo\n"};
	ProfileSettings s = {0};
	char long_host[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		assert_int_equal(parse(configs[i], &s), -EINVAL);
		assert_unset(&s);
	}
	memset(long_host, 'h', sizeof(long_host));
	memcpy(long_host, "HOST=", 5);
	long_host[sizeof(long_host) - 1] = '\0';
	assert_int_equal(parse(long_host, &s), -EINVAL);
	/* A good line before does not count. */
	assert_int_equal(parse("HOST=h\nPORT=x\n", &s), -EINVAL);
	assert_unset(&s);

	memcpy(text, "HOST=a\0b\n", 10);
	assert_int_equal(profile_parse(text, 9, "config", &s), -EINVAL);
	assert_unset(&s);
}

static void test_set(void **state)
{
	const char *allowed = NULL;
	ProfileSettings s = {0};

	(void)state;
	assert_int_equal(profile_set(&s, "host", "h", &allowed), 0);
	assert_int_equal(profile_set(&s, "source", "", &allowed), 0);
	assert_string_equal(s.source, "");
	assert_null(allowed);
	assert_int_equal(profile_set(&s, "hosts", "h", &allowed), -ENOENT);
	assert_int_equal(profile_set(&s, "", "h", &allowed), -ENOENT);
	assert_null(allowed);
	assert_int_equal(profile_set(&s, "count", "", &allowed), -EINVAL);
	assert_string_equal(allowed, "a number from 1 to 1000");
	assert_int_equal(profile_set(&s, "host", "", &allowed), -EINVAL);
	/* A line break would become another setting of the file. */
	assert_int_equal(profile_set(&s, "host", "h\nPORT=1", &allowed), -EINVAL);
	assert_string_equal(s.host, "h");
}

static void test_merge(void **state)
{
	const ProfileSettings base = {.host = "a", .source = "::1", .port = 1, .count = 2};
	const ProfileSettings over = {.source = "", .port = 3, .step_sec = 60};
	ProfileSettings s = profile_merge(&base, &over);

	(void)state;
	assert_string_equal(s.host, "a");
	assert_string_equal(s.source, "");
	assert_int_equal(s.port, 3);
	assert_int_equal(s.step_sec, 60);
	assert_int_equal(s.count, 2);
}

static void test_format(void **state)
{
	ProfileSettings s = {.host = "example.org", .port = 62201};
	_cleanup_free_ char *plain = profile_format(&s), *full = NULL, *emptied = NULL;

	(void)state;
	assert_string_equal(plain, "HOST=example.org\nPORT=62201\nSTEP=30\nCOUNT=1\n");
	s.source = "192.0.2.7";
	s.step_sec = 60;
	s.count = 3;
	full = profile_format(&s);
	assert_string_equal(full,
			    "HOST=example.org\nPORT=62201\nSTEP=60\nCOUNT=3\nSOURCE=192.0.2.7\n");
	s.source = "";
	emptied = profile_format(&s);
	assert_string_equal(emptied, "HOST=example.org\nPORT=62201\nSTEP=60\nCOUNT=3\n");

	assert_int_equal(parse(full, &s), 0);
	assert_string_equal(s.source, "192.0.2.7");
	assert_int_equal(s.count, 3);
}

static void test_names(void **state)
{
	static const char *const good[] = {"a",		  "office", "my.host", "user@host",
					   "caf\xc3\xa9", "_",	    "10.0.0.1"};
	static const char *const bad[] = {"",	  ".",	"..",	   "../x", "a/b",  "/",
					  "a..b", "-p", ".hidden", "a b",  "a\nb", "a\x7f"};
	char name[257];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(profile_name_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(profile_name_is_valid(bad[i]));
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	assert_false(profile_name_is_valid(name));
	name[255] = '\0';
	assert_true(profile_name_is_valid(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	      cmocka_unit_test(test_parse_leniently),
		cmocka_unit_test(test_parse_refuses), cmocka_unit_test(test_set),
		cmocka_unit_test(test_merge),	      cmocka_unit_test(test_format),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
