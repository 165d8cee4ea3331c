/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "making.h"

/* Each refused value has exactly one line to its name, and nothing else is said. */
static void assert_refused(const char *section, const char *line, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *error = NULL;
	_cleanup_making_ Making making = {0};

	assert_true(asprintf(&text, "%s[%s]\n%s\n", REQUIRED, section, line) > 0);
	assert_true(asprintf(&error, "error f:7: [%s] %s\n", section, expected) > 0);
	making = make(text);
	assert_int_equal(making.result, -EINVAL);
	assert_said(&making.diagnostics, error);
}

#define MIRROR	     "Mirror= cannot take "
#define MIRROR_TAKES "; it takes no, own, or FAMILY TABLE SET4 SET6 of nftables"

#if SPALE_NFTABLES
static void test_mirror(void **state)
{
	_cleanup_making_ Making own = make(REQUIRED "[Nftables]\nMirror=Own\n");
	_cleanup_making_ Making sets =
		make(REQUIRED "[Nftables]\nMirror=ip6 my-table  set_4\ta/set.6\n");
	_cleanup_making_ Making no = make(REQUIRED "[Nftables]\nMirror=own\nMirror=no\n");
	const MirrorTarget *target = &sets.config->mirror;

	(void)state;
	assert_said(&own.diagnostics, "");
	assert_int_equal(own.config->mirror.mode, MIRROR_OWN);
	assert_said(&sets.diagnostics, "");
	assert_int_equal(target->mode, MIRROR_SETS);
	assert_string_equal(target->family, "ip6");
	assert_string_equal(target->table, "my-table");
	assert_string_equal(target->set4, "set_4");
	assert_string_equal(target->set6, "a/set.6");
	assert_int_equal(no.config->mirror.mode, MIRROR_NO);
}

static void test_refused_mirrors(void **state)
{
	static const char *const wrong[] = {"yes",
					    "inet",
					    "inet filter a",
					    "inet filter a b c",
					    "inet filter a 4b",
					    "inet filter a b;c",
					    "inet . a b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_free_ char *line = NULL, *expected = NULL;
		bool is_family = strncmp(wrong[i], "inet", 4) == 0;

		assert_true(asprintf(&line, "Mirror=%s", wrong[i]) > 0);
		assert_true(asprintf(&expected, MIRROR "\"%s\"%s" MIRROR_TAKES, wrong[i],
				     is_family ? ""
					       : ": the family is inet, ip, ip6, netdev or "
						 "bridge") > 0);
		assert_refused("Nftables", line, expected);
	}
	assert_refused("Nftables", "Mirror=inet filter a a",
		       MIRROR
		       "\"inet filter a a\": a set holds addresses of one family" MIRROR_TAKES);
}

/* Names as long as nftables takes them, and no longer. */
static void test_long_names(void **state)
{
	char name[MIRROR_NAME_MAX + 2], line[sizeof(name) + sizeof(REQUIRED) + 64];

	(void)state;
	for (size_t length = MIRROR_NAME_MAX; length <= MIRROR_NAME_MAX + 1; length++) {
		memset(name, 'n', length);
		name[length] = '\0';
		snprintf(line, sizeof(line), REQUIRED "[Nftables]\nMirror=ip t %s b\n", name);
		_cleanup_making_ Making making = make(line);
		assert_int_equal(making.result, length > MIRROR_NAME_MAX ? -EINVAL : 0);
	}
}
#else
static void test_mirror(void **state)
{
	_cleanup_making_ Making no = make(REQUIRED "[Nftables]\nMirror=no\n");

	(void)state;
	assert_said(&no.diagnostics, "");
}

static void test_refused_mirrors(void **state)
{
	(void)state;
	assert_refused("Nftables", "Mirror=own",
		       MIRROR
		       "\"own\": this spaled was built without support for nftables" MIRROR_TAKES);
	assert_refused("Nftables", "Mirror=inet filter a b",
		       MIRROR "\"inet filter a b\": this spaled was built without support for "
			      "nftables" MIRROR_TAKES);
}

static void test_long_names(void **state)
{
	test_refused_mirrors(state);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_refused_mirrors),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
