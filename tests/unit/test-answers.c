/* SPDX-License-Identifier: MIT */
/* Whoever changed something has the answer when all of it is done, and not before. */
#include "bus-pair.h"
#include "order-world.h"
#include "very-many.h"

#include "bus/answers.h"

#define PATH	  "/org/spale1"
#define INTERFACE "org.spale1.Test"

/* What the caller was answered. */
typedef struct Answered {
	size_t numbers, errors, nothing;
	uint32_t last;
} Answered;

typedef struct World {
	Fixture *fixture;
	BusPair pair;
	BusContext context;
	ServiceHooks hooks;
	size_t changes; /* that the service heard of */
	Answered answered;
} World;

static void on_change(void *userdata)
{
	((World *)userdata)->changes++;
}

/* The server: "Number" is answered with one that grows, "Fail" with an error. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
	World *world = userdata;

	(void)ret_error;
	if (sd_bus_message_is_method_call(call, INTERFACE, "Number") > 0)
		return answers_give(&world->context, call, 0, NULL, "u", ++world->answered.last);
	if (sd_bus_message_is_method_call(call, INTERFACE, "Nothing") > 0)
		return answers_give(&world->context, call, 0, NULL, NULL);
	if (sd_bus_message_is_method_call(call, INTERFACE, "Fail") > 0)
		return answers_give(&world->context, call, -ENOKEY, "no such thing", NULL);
	return 0;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	Answered *answered = userdata;
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	uint32_t number;

	(void)ret_error;
	if (error) {
		assert_string_equal(error->name, "org.spale1.Error.NoSuchClient");
		assert_string_equal(error->message, "no such thing");
		answered->errors++;
	} else if (sd_bus_message_is_empty(reply) > 0) {
		answered->nothing++;
	} else {
		assert_true(sd_bus_message_read(reply, "u", &number) > 0);
		/* In the order of the calls. */
		assert_int_equal(number, ++answered->numbers);
	}
	return 1;
}

static void call(World *world, const char *member)
{
	assert_true(sd_bus_call_method_async(world->pair.caller, NULL, NULL, PATH, INTERFACE,
					     member, on_reply, &world->answered, NULL) >= 0);
}

static void begin(World *world, Fixture *fixture)
{
	*world = (World){.fixture = fixture, .pair = bus_pair_new()};
	world->hooks = (ServiceHooks){.changed = on_change, .userdata = world};
	world->context = (BusContext){
		.manager = fixture->manager,
		.hooks = &world->hooks,
		.bus = world->pair.server,
	};
	assert_int_equal(answers_new(&world->context, &world->context.answers), 0);
	assert_true(sd_bus_add_filter(world->pair.server, NULL, on_call, world) >= 0);
}

static void end(World *world)
{
	answers_free(world->context.answers);
	bus_pair_done(&world->pair);
}

static void assert_answered(const World *world, size_t numbers, size_t nothing, size_t errors)
{
	assert_int_equal(world->answered.numbers, numbers);
	assert_int_equal(world->answered.nothing, nothing);
	assert_int_equal(world->answered.errors, errors);
}

static void test_at_once(void **data)
{
	World world;

	begin(&world, *data);
	call(&world, "Number");
	call(&world, "Fail");
	call(&world, "Nothing");
	bus_pair_run(&world.pair);
	assert_answered(&world, 1, 1, 1);
	assert_int_equal(world.changes, 3);
	end(&world);
}

static void test_waits(void **data)
{
	World world;

	begin(&world, *data);
	very_many_revoke(world.fixture);
	call(&world, "Number");
	call(&world, "Fail");
	call(&world, "Nothing");
	call(&world, "Number");
	bus_pair_run(&world.pair);
	/* The service heard of each, so that it goes on with what was ordered. */
	assert_int_equal(world.changes, 4);
	assert_answered(&world, 0, 0, 0);
	while (very_many_go_on(world.fixture)) {
		bus_pair_run(&world.pair);
		assert_answered(&world, 0, 0, 0);
	}
	bus_pair_run(&world.pair);
	assert_state(world.fixture, 0, 0);
	assert_answered(&world, 2, 1, 1);
	end(&world);
}

/* What was ordered later keeps nobody waiting. */
static void test_waits_for_what_was_before(void **data)
{
	World world;

	begin(&world, *data);
	very_many_revoke(world.fixture);
	call(&world, "Number");
	bus_pair_run(&world.pair);
	very_many_revoke(world.fixture);
	call(&world, "Nothing");
	bus_pair_run(&world.pair);
	assert_answered(&world, 0, 0, 0);
	while (world.answered.numbers == 0) {
		assert_true(very_many_go_on(world.fixture));
		bus_pair_run(&world.pair);
	}
	assert_answered(&world, 1, 0, 0);
	while (very_many_go_on(world.fixture))
		;
	bus_pair_run(&world.pair);
	assert_answered(&world, 1, 1, 0);
	end(&world);
}

/* What was done is no error because too many wait. */
static void test_too_many(void **data)
{
	World world;

	begin(&world, *data);
	very_many_revoke(world.fixture);
	for (size_t i = 0; i < ANSWERS_MAX; i++)
		call(&world, "Number");
	bus_pair_run(&world.pair);
	assert_answered(&world, 0, 0, 0);
	call(&world, "Nothing");
	bus_pair_run(&world.pair);
	assert_answered(&world, 0, 1, 0);
	while (very_many_go_on(world.fixture))
		;
	bus_pair_run(&world.pair);
	assert_answered(&world, ANSWERS_MAX, 1, 0);
	end(&world);
}

/* The bus goes while some wait: the manager tells nobody who is not there. */
static void test_bus_goes(void **data)
{
	World world;

	begin(&world, *data);
	very_many_revoke(world.fixture);
	call(&world, "Number");
	bus_pair_run(&world.pair);
	end(&world);
	while (very_many_go_on(world.fixture))
		;
	assert_answered(&world, 0, 0, 0);
	assert_state(world.fixture, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waits_for_what_was_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bus_goes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
