/* SPDX-License-Identifier: MIT */
#include "bus/actions.h"

#include <string.h>

#include "bus-call.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

static void what_has_no_row_is_refused(void **state)
{
	static const char *const calls[][3] = {
		{SPALE_BUS_MANAGER, "RevokeEverything", SD_BUS_ERROR_UNKNOWN_METHOD},
		{SPALE_BUS_MANAGER, "revokeAll", SD_BUS_ERROR_UNKNOWN_METHOD},
		{SPALE_BUS_GRANT, "RevokeAll", SD_BUS_ERROR_UNKNOWN_METHOD},
		{"org.spale1.Nothing", "RevokeAll", SD_BUS_ERROR_UNKNOWN_METHOD},
		{NULL, "RevokeAll", SD_BUS_ERROR_UNKNOWN_METHOD},
		{PROPERTIES, "Gets", SD_BUS_ERROR_UNKNOWN_METHOD},
		{PROPERTIES, "Get", SD_BUS_ERROR_INVALID_ARGS},
		{PROPERTIES, "Set", SD_BUS_ERROR_INVALID_ARGS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		_cleanup_call_ sd_bus_message *call =
			bus_call_end(bus_call_new(SPALE_BUS_PATH, calls[i][0], calls[i][1]));
		_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;

		assert_null(actions_judge(call, &error));
		assert_string_equal(error.name, calls[i][2]);
	}
}

static void arguments_have_their_form(void **state)
{
	_cleanup_call_ sd_bus_message *call =
		bus_call_new(SPALE_BUS_PATH, SPALE_BUS_MANAGER, "RevokeClient");
	_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;

	(void)state;
	assert_true(sd_bus_message_append(call, "u", 7) >= 0);
	bus_call_end(call);
	assert_null(actions_judge(call, &error));
	assert_string_equal(error.name, SD_BUS_ERROR_INVALID_ARGS);
}

/* The row for MEMBER (Get or Set) of a property, VALUE being what Set is given. */
static const ActionRow *judge_property(const char *member, const char *interface,
				       const char *property, const char *type, sd_bus_error *error)
{
	_cleanup_call_ sd_bus_message *call = bus_call_new(SPALE_BUS_PATH, PROPERTIES, member);

	assert_true(sd_bus_message_append(call, "ss", interface, property) >= 0);
	if (type)
		assert_true(sd_bus_message_append(call, "v", type, 1) >= 0);
	return actions_judge(bus_call_end(call), error);
}

static void properties_have_rows_of_their_own(void **state)
{
	_cleanup_error_ sd_bus_error unknown = SD_BUS_ERROR_NULL, fixed = SD_BUS_ERROR_NULL;
	_cleanup_error_ sd_bus_error type = SD_BUS_ERROR_NULL;
	const ActionRow *row;

	(void)state;
	row = judge_property("Get", SPALE_BUS_MANAGER, "LogOnly", NULL, NULL);
	assert_int_equal(row->action, ACTION_INSPECT);
	row = judge_property("Set", SPALE_BUS_MANAGER, "LogOnly", "b", NULL);
	assert_int_equal(row->action, ACTION_MANAGE_POLICY);
	assert_null(judge_property("Get", SPALE_BUS_MANAGER, "Secret", NULL, &unknown));
	assert_string_equal(unknown.name, SD_BUS_ERROR_ACCESS_DENIED);
	assert_null(judge_property("Set", SPALE_BUS_MANAGER, "GrantCount", "u", &fixed));
	assert_string_equal(fixed.name, SD_BUS_ERROR_ACCESS_DENIED);
	assert_null(judge_property("Set", SPALE_BUS_MANAGER, "LogOnly", "u", &type));
	assert_string_equal(type.name, SD_BUS_ERROR_INVALID_ARGS);
}

static void only_peer_is_free(void **state)
{
	const ActionRow *row;

	(void)state;
	for (size_t i = 0; (row = actions_get(i)); i++) {
		bool free = strcmp(row->interface, "org.freedesktop.DBus.Peer") == 0;

		assert_int_equal(row->action == ACTION_FREE, free);
		assert_int_equal(actions_name(row->action) == NULL, free);
		/* Once each, and what writes is not guarded as what reads. */
		assert_ptr_equal(actions_find(row->kind, row->interface, row->member), row);
		assert_false(row->kind == ACTION_SET && row->action == ACTION_INSPECT);
		assert_int_equal(sd_bus_interface_name_is_valid(row->interface), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_row_is_refused),
		cmocka_unit_test(arguments_have_their_form),
		cmocka_unit_test(properties_have_rows_of_their_own),
		cmocka_unit_test(only_peer_is_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
