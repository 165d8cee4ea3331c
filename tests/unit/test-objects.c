/* SPDX-License-Identifier: MIT */
/* What is asked of objects that there are not. */
#include "bus-pair.h"
#include "order-world.h"

#include "bus/objects.h"

typedef struct World {
	BusPair pair;
	BusContext context;
} World;

/* A call that is authorised. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	if (!sd_bus_message_is_method_call(call, NULL, NULL))
		return 0;
	return objects_check(userdata, sd_bus_message_get_path(call), ret_error);
}

static void begin(World *world, Fixture *fixture)
{
	*world = (World){.pair = bus_pair_new()};
	world->context = (BusContext){.manager = fixture->manager, .bus = world->pair.server};
	assert_true(sd_bus_add_filter(world->pair.server, NULL, on_call, &world->context) >= 0);
	assert_true(objects_add(&world->context, &grant_object_type) >= 0);
	assert_true(objects_add(&world->context, &client_object_type) >= 0);
	assert_true(objects_add(&world->context, &interface_object_type) >= 0);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const sd_bus_error *error = sd_bus_message_get_error(reply);

	(void)ret_error;
	snprintf(userdata, 64, "%s", error ? error->name : "");
	return 1;
}

/* The name of the error that a call without arguments, or with one, is answered with. */
static const char *ask(World *world, const char *path, const char *interface, const char *member,
		       const char *argument)
{
	static char text[64];

	strcpy(text, "no answer");
	assert_true(sd_bus_call_method_async(world->pair.caller, NULL, NULL, path, interface,
					     member, on_reply, text, argument ? "s" : NULL,
					     argument) >= 0);
	bus_pair_run(&world->pair);
	return text;
}

/* Every call is answered with what is not there, also those that objects of this kind have not. */
static void test_nothing_there(void **data)
{
	static const struct {
		const char *path, *interface, *error;
	} rows[] = {
		{"/grant/999", "org.spale1.Grant", "org.spale1.Error.NoSuchGrant"},
		{"/client/nobody", "org.spale1.Client", "org.spale1.Error.NoSuchClient"},
		{"/client/_xx", "org.spale1.Client", "org.spale1.Error.NoSuchClient"},
		{"/interface/99", "org.spale1.Interface", "org.spale1.Error.NoSuchInterface"},
		{"/interface/none0", "org.spale1.Interface", "org.spale1.Error.NoSuchInterface"},
		{"/grant/x", "org.spale1.Grant", SD_BUS_ERROR_UNKNOWN_OBJECT},
		{"/grant/1/2", "org.spale1.Grant", SD_BUS_ERROR_UNKNOWN_OBJECT},
	};
	World world;

	begin(&world, *data);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *interface = rows[i].interface, *error = rows[i].error;
		char path[64];

		snprintf(path, sizeof(path), SPALE_BUS_PATH "%s", rows[i].path);
		assert_string_equal(ask(&world, path, "org.freedesktop.DBus.ObjectManager",
					"GetManagedObjects", NULL),
				    error);
		assert_string_equal(
			ask(&world, path, "org.freedesktop.DBus.Properties", "GetAll", interface),
			error);
		assert_string_equal(ask(&world, path, "org.freedesktop.DBus.Introspectable",
					"Introspect", NULL),
				    error);
		assert_string_equal(ask(&world, path, interface, "Remove", NULL), error);
		assert_string_equal(ask(&world, path, interface, "Revoke", NULL), error);
		assert_string_equal(ask(&world, path, SPALE_BUS_MANAGER, "Reload", NULL), error);
	}
	bus_pair_done(&world.pair);
}

static void test_something_there(void **data)
{
	Fixture *fixture = *data;
	char path[64];
	World world;

	begin(&world, fixture);
	assert_int_equal(add_source(fixture, "192.0.2.7", "22/tcp"), 0);
	snprintf(path, sizeof(path), SPALE_BUS_GRANT_PREFIX "/%llu",
		 (unsigned long long)first_grant(fixture)->id);
	assert_string_equal(
		ask(&world, path, "org.freedesktop.DBus.Introspectable", "Introspect", NULL), "");
	assert_string_equal(ask(&world, SPALE_BUS_CLIENT_PREFIX "/alice",
				"org.freedesktop.DBus.Introspectable", "Introspect", NULL),
			    "");
	assert_string_equal(ask(&world, SPALE_BUS_CLIENT_PREFIX,
				"org.freedesktop.DBus.Introspectable", "Introspect", NULL),
			    "");
	assert_string_equal(
		ask(&world, SPALE_BUS_CLIENT_PREFIX "/alice", SPALE_BUS_MANAGER, "Reload", NULL),
		SD_BUS_ERROR_UNKNOWN_METHOD);
	bus_pair_done(&world.pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_something_there, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
