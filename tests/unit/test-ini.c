/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/ini.h"
#include "said.h"
#include "scarcity.h"
#include "util/cleanup.h"

/* Writes each line that is handed on as "ORIGIN [SECTION] KEY=<VALUE>". */
static int collect(const IniLine *line, void *userdata)
{
	fprintf(userdata, "%s %s%s%s%s=<%s>\n", line->origin, line->section ? "[" : "",
		line->section ?: "", line->section ? "] " : "", line->key, line->value);
	return 0;
}

static void check_bytes(const char *text, size_t size, const char *lines, const char *diagnosed)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_free_ char *collected = NULL;
	size_t collected_size;
	FILE *stream = open_memstream(&collected, &collected_size);

	assert_non_null(stream);
	assert_int_equal(ini_parse("f", text, size, &diagnostics, collect, stream), 0);
	fclose(stream);
	assert_string_equal(collected, lines);
	assert_said(&diagnostics, diagnosed);
}

static void check(const char *text, const char *lines, const char *diagnosed)
{
	check_bytes(text, strlen(text), lines, diagnosed);
}

static void test_nothing(void **state)
{
	(void)state;
	check("", "", "");
	check("\n\n", "", "");
	check("  \t \r\n", "", "");
	check("# only\n; comments\n   # indented", "", "");
	check("[Empty]", "", "");
	check_bytes(NULL, 0, "", "");
}

static void test_lines(void **state)
{
	(void)state;
	check("[A]\nk=v\n", "f:2 [A] k=<v>\n", "");
	check("[A]\nk=v", "f:2 [A] k=<v>\n", "");
	check("[A]\n \tk \t = \t v w \t\n", "f:2 [A] k=<v w>\n", "");
	check("  [ A ]  \nk=\n", "f:2 [A] k=<>\n", "");
	check("[A]\nk=a=b=c\n", "f:2 [A] k=<a=b=c>\n", "");
	check("[A]\nk=1\n[B]\nk=2\n[A]\nk=3\n", "f:2 [A] k=<1>\nf:4 [B] k=<2>\nf:6 [A] k=<3>\n",
	      "");
	check("[A]\nk=1\nk=2\n", "f:2 [A] k=<1>\nf:3 [A] k=<2>\n", "");
	check("[A]\nk=[v]\n", "f:2 [A] k=<[v]>\n", "");
	check("[A]\nk=\"v\"\n", "f:2 [A] k=<\"v\">\n", "");
	/* A backslash at the end does not continue a line. */
	check("[A]\nk=v\\\nl=w\n", "f:2 [A] k=<v\\>\nf:3 [A] l=<w>\n", "");
}

static void test_carriage_returns(void **state)
{
	(void)state;
	check("[A]\r\nk=v\r\n\r\nl=\r\n", "f:2 [A] k=<v>\nf:4 [A] l=<>\n", "");
	check("k=v # c\r\nl=w\r", "f:1 k=<v>\nf:2 l=<w>\n", "");
	/* In the middle of a value it is a part of the value, for the reader of values to judge. */
	check("[A]\nk=a\rb\n", "f:2 [A] k=<a\rb>\n", "");
}

static void test_comments_behind_values(void **state)
{
	(void)state;
	/* The flat form of spale 0.3 has them … */
	check("IFACE=eth0   # the outside\n", "f:1 IFACE=<eth0>\n", "");
	check("IFACE=eth0# close\n", "f:1 IFACE=<eth0>\n", "");
	check("IFACE=# nothing left\n", "f:1 IFACE=<>\n", "");
	check("MODE=tc # a # b = c\n", "f:1 MODE=<tc>\n", "");
	check("MODE=tc ; no comment\n", "f:1 MODE=<tc ; no comment>\n", "");
	/* … sections have not. */
	check("[A]\nk=v # w\n", "f:2 [A] k=<v # w>\n", "");
	check("[A]\n#k=v\n;l=w\n", "", "");
}

static void test_not_a_line(void **state)
{
	(void)state;
	check("[A]\njust words\nk=v\n", "f:3 [A] k=<v>\n",
	      "error f:2: \"just words\" is neither KEY=VALUE, nor a [section], nor a comment\n");
	check("words\n", "",
	      "error f:1: \"words\" is neither KEY=VALUE, nor a [section], nor a comment\n");
	check("[A]\n = v\n", "", "error f:2: there is no key in front of \"=\"\n");
	/* One diagnostic is one line, whatever it quotes. */
	check("[A]\na\x1b[31m\x7f\n", "",
	      "error f:2: \"a?[31m?\" is neither KEY=VALUE, nor a [section], nor a comment\n");
}

static void test_headers(void **state)
{
	(void)state;
	check("[A\nk=v\n[B]\nk=w\n", "f:4 [B] k=<w>\n",
	      "error f:1: \"[A\" lacks the closing \"]\" of a section\n");
	check("[A] # no\nk=v\n", "",
	      "error f:1: \"# no\" stands behind the section [A], where nothing may\n");
	check("[]\nk=v\n", "", "error f:1: a section needs a name between \"[\" and \"]\"\n");
	check("[  ]\n", "", "error f:1: a section needs a name between \"[\" and \"]\"\n");
	/* Behind a broken header nothing counts for the section before it. */
	check("[A]\nk=1\n[B\nk=2\n[C]\nk=3\n", "f:2 [A] k=<1>\nf:6 [C] k=<3>\n",
	      "error f:3: \"[B\" lacks the closing \"]\" of a section\n");
}

static void test_nul_bytes(void **state)
{
	static const char inside[] = "[A]\nk=v\0w\nl=x\n";
	static const char alone[] = "\0";
	static const char comment[] = "# c\0\n";
	static const char header[] = "[A\0]\nk=v\n";

	(void)state;
	check_bytes(inside, sizeof(inside) - 1, "f:3 [A] l=<x>\n",
		    "error f:2: the line holds a NUL byte; this is not a text file\n");
	check_bytes(alone, 1, "",
		    "error f:1: the line holds a NUL byte; this is not a text file\n");
	check_bytes(comment, sizeof(comment) - 1, "",
		    "error f:1: the line holds a NUL byte; this is not a text file\n");
	check_bytes(header, sizeof(header) - 1, "f:2 k=<v>\n",
		    "error f:1: the line holds a NUL byte; this is not a text file\n");
}

static void test_byte_order_mark(void **state)
{
	(void)state;
	check("\xef\xbb\xbf[A]\nk=v\n", "f:2 [A] k=<v>\n",
	      "warning f: the file begins with a byte order mark, which is left out; save it as "
	      "UTF-8 without one\n");
	check("\xef\xbb", "",
	      "error f:1: \"\xef\xbb\" is neither KEY=VALUE, nor a [section], nor a comment\n");
}

static void test_long_line(void **state)
{
	enum { LENGTH = 500000 };
	_cleanup_free_ char *text = malloc(LENGTH + 16);
	_cleanup_free_ char *expected = malloc(LENGTH + 32);
	size_t size;

	(void)state;
	assert_non_null(text);
	assert_non_null(expected);
	size = (size_t)sprintf(text, "[A]\nk=%0*d\nl=w\n", LENGTH, 7);
	sprintf(expected, "f:2 [A] k=<%0*d>\nf:3 [A] l=<w>\n", LENGTH, 7);
	check_bytes(text, size, expected, "");
}

/* The reader must not look behind SIZE, where no NUL byte has to be. */
static void test_bounds(void **state)
{
	static const char text[] = {'[', 'A', ']', '\n', 'k', '=', 'v', 'X'};
	_cleanup_free_ char *exact = malloc(sizeof(text) - 1);

	(void)state;
	assert_non_null(exact);
	memcpy(exact, text, sizeof(text) - 1);
	check_bytes(exact, sizeof(text) - 1, "f:2 [A] k=<v>\n", "");
}

static int refuse(const IniLine *line, void *userdata)
{
	unsigned int *calls = userdata;

	(void)line;
	return ++*calls == 2 ? -EXDEV : 0;
}

static void test_callback_ends_it(void **state)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	static const char text[] = "a=1\nb=2\nc=3\n";
	unsigned int calls = 0;

	(void)state;
	assert_int_equal(ini_parse("f", text, strlen(text), &diagnostics, refuse, &calls), -EXDEV);
	assert_int_equal(calls, 2);
}

static int count(const IniLine *line, void *userdata)
{
	(void)line;
	++*(unsigned int *)userdata;
	return 0;
}

static int parse_scarcely(const char *text)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	unsigned int calls = 0;

	return ini_parse("f", text, strlen(text), &diagnostics, count, &calls);
}

static void test_no_memory(void **state)
{
	(void)state;
	SCARCITY_UNTIL_IT_WORKS(parse_scarcely("a=1\n[A]\nb=2\n[B]\nbad\nc=3\n"), (void)0);
}

static void test_many_diagnostics(void **state)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	char text[2 * (DIAGNOSTICS_MAX + 44)];
	unsigned int calls = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "x\n", 2);
	assert_int_equal(ini_parse("f", text, sizeof(text), &diagnostics, count, &calls), 0);
	assert_int_equal(diagnostics.count, DIAGNOSTICS_MAX);
	assert_int_equal(diagnostics.dropped, 44);
	assert_int_equal(diagnostics.errors, DIAGNOSTICS_MAX + 44);
	assert_int_equal(calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_carriage_returns),
		cmocka_unit_test(test_comments_behind_values),
		cmocka_unit_test(test_not_a_line),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_byte_order_mark),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_callback_ends_it),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_many_diagnostics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
