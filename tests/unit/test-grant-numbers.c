/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/grant-numbers.h"
#include "util/file.h"

typedef struct Fixture {
	char directory[32];
	State *state;
	GrantTable *table;
	GrantNumbers numbers;
} Fixture;

/* Another daemon with the same state directory. */
static void begin_again(Fixture *fixture)
{
	_cleanup_free_ char *error = NULL;
	bool fresh;

	state_free(fixture->state);
	grant_table_free(fixture->table);
	assert_int_equal(state_open(fixture->directory, &fixture->state, &fresh, &error), 0);
	fixture->table = grant_table_new();
	assert_non_null(fixture->table);
	grant_numbers_begin(&fixture->numbers, fixture->state, fixture->table);
}

static int set_up(void **data)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	strcpy(fixture->directory, "/tmp/test-numbers-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	*data = fixture;
	begin_again(fixture);
	return 0;
}

static int tear_down(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	state_free(fixture->state);
	grant_table_free(fixture->table);
	snprintf(command, sizeof(command), "rm -r %s", fixture->directory);
	free(fixture);
	return system(command);
}

/* As if a grant had been made. */
static uint64_t next_number(Fixture *fixture)
{
	uint64_t number;

	grant_numbers_reserve(&fixture->numbers, fixture->table);
	number = grant_table_last_number(fixture->table) + 1;
	grant_table_skip_numbers(fixture->table, number);
	return number;
}

static void test_begin_at_1(void **data)
{
	Fixture *fixture = *data;

	assert_int_equal(next_number(fixture), 1);
	assert_int_equal(next_number(fixture), 2);
}

static void test_none_comes_again(void **data)
{
	Fixture *fixture = *data;
	uint64_t last = 0, number;

	for (int daemon = 0; daemon < 5; daemon++) {
		for (int i = 0; i < 700 * daemon + 1; i++) {
			number = next_number(fixture);
			assert_true(number > last);
			last = number;
		}
		begin_again(fixture);
	}
}

static void test_unused_reservations_do_not_pile_up(void **data)
{
	Fixture *fixture = *data;

	(void)next_number(fixture);
	for (int i = 0; i < 50; i++)
		begin_again(fixture);
	assert_in_range(next_number(fixture), 2, 2000);
}

static void test_damage_is_no_reason_to_refuse(void **data)
{
	static const char *const damaged[] = {"", "x\n", "12", "-1\n", "18446744073709551615\n"};
	Fixture *fixture = *data;

	for (size_t i = 0; i < sizeof(damaged) / sizeof(*damaged); i++) {
		assert_int_equal(file_write(state_directory_fd(fixture->state), "grant-number",
					    damaged[i], strlen(damaged[i]), 0600, FILE_REPLACE),
				 0);
		begin_again(fixture);
		assert_int_equal(next_number(fixture), 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_begin_at_1, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_none_comes_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unused_reservations_do_not_pile_up, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_damage_is_no_reason_to_refuse, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
