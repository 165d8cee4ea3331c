/* SPDX-License-Identifier: MIT */
#include "bus/paths.h"

#include <errno.h>
#include <string.h>

#include "bus-call.h"

static void grants_go_by_number(void **state)
{
	char path[PATHS_TEXT_MAX];
	uint64_t id = 7;

	(void)state;
	assert_string_equal(paths_of_grant(UINT64_MAX, path),
			    "/org/spale1/grant/18446744073709551615");
	assert_int_equal(paths_read_id(path, &id), 0);
	assert_true(id == UINT64_MAX);
	assert_int_equal(paths_read_id("/org/spale1/grant/01", &id), -ENOENT);
	assert_int_equal(paths_read_id("/org/spale1/grant/", &id), -ENOENT);
	assert_int_equal(paths_read_id("/org/spale1/grant", &id), -ENOENT);
	assert_int_equal(paths_read_id("/org/spale1/grant/1/2", &id), -ENOENT);
	assert_int_equal(paths_read_id("/org/spale1/client/1", &id), -ENOENT);
	assert_int_equal(paths_read_id("/org/spale1/grant/18446744073709551616", &id), -ENOENT);
}

static void names_are_escaped_as_the_bus_does(void **state)
{
	static const char *const names[] = {"alice", "a.b-c",	"1st", "_",
					    "x_",    "veth0.5", "-",   "A9"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *expected = NULL;
		char path[PATHS_TEXT_MAX], name[PATHS_TEXT_MAX];

		assert_true(sd_bus_path_encode(SPALE_BUS_CLIENT_PREFIX, names[i], &expected) >= 0);
		assert_string_equal(paths_of_client(names[i], path), expected);
		assert_int_equal(sd_bus_object_path_is_valid(path), 1);
		assert_int_equal(paths_read_name(path, SPALE_BUS_CLIENT_PREFIX, name), 0);
		assert_string_equal(name, names[i]);
	}
}

static void other_paths_are_none(void **state)
{
	char name[PATHS_TEXT_MAX];

	(void)state;
	assert_int_equal(paths_read_name(SPALE_BUS_CLIENT_PREFIX, SPALE_BUS_CLIENT_PREFIX, name),
			 -ENOENT);
	assert_int_equal(paths_read_name("/org/spale1/interface/v0", SPALE_BUS_CLIENT_PREFIX, name),
			 -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grants_go_by_number),
		cmocka_unit_test(names_are_escaped_as_the_bus_does),
		cmocka_unit_test(other_paths_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
