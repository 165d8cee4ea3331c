/* SPDX-License-Identifier: MIT */
#include "bus/arguments.h"

#include <errno.h>
#include <string.h>

#include "bus-call.h"
#include "bus/errors.h"
#include "util/parse.h"

static sd_bus_message *new_call(void)
{
	return bus_call_new(SPALE_BUS_PATH, SPALE_BUS_MANAGER, "AddGrant");
}

static void ports_are_read(void **state)
{
	_cleanup_call_ sd_bus_message *call = new_call();
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_true(sd_bus_message_append(call, "a(sqq)", 3, "", 22, 22, "udp", 8000, 8010, "sctp",
					  1, 65535) >= 0);
	assert_int_equal(arguments_read_ports(bus_call_end(call), &ports, NULL), 0);
	text = port_list_format(&ports);
	assert_string_equal(text, "22/tcp 22/udp 8000-8010/udp 1-65535/sctp");
}

static void wrong_ports_are_refused(void **state)
{
	static const struct {
		const char *protocol;
		unsigned first, last;
	} rows[] = {{"tcp", 0, 0},   {"tcp", 23, 22}, {"icmp", 1, 1},
		    {"TCP", 22, 22}, {"tcp ", 1, 1},  {"tcp", 0, 65535}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_call_ sd_bus_message *call = new_call();
		_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
		PortList ports = PORT_LIST_NULL;

		assert_true(sd_bus_message_append(call, "a(sqq)", 1, rows[i].protocol,
						  rows[i].first, rows[i].last) >= 0);
		assert_int_equal(arguments_read_ports(bus_call_end(call), &ports, &error), -ERANGE);
		assert_string_equal(error.name, "org.spale1.Error.BadPort");
		assert_null(ports.ranges);
	}
}

/* sd-bus sends no error with half a character in it, and so no answer. */
static void errors_are_text(void **state)
{
	static const char umlauts[] = "xx\xc3\xa4\xc3\xa4";
	_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_call_ sd_bus_message *call = new_call(), *reply = NULL;

	(void)state;
	assert_int_equal(errors_setf(&error, -ERANGE, "\"%.5s\"", umlauts), -ERANGE);
	assert_string_equal(error.message, "\"xx\xc3\xa4\\xc3\"");
	bus_call_end(call);
	assert_true(sd_bus_message_new_method_error(call, &reply, &error) >= 0);
}

static void there_is_an_end_of_ports(void **state)
{
	_cleanup_call_ sd_bus_message *call = new_call();
	_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	PortList ports = PORT_LIST_NULL;

	(void)state;
	/* All the same, so that the list stays short. */
	assert_true(sd_bus_message_open_container(call, 'a', "(sqq)") >= 0);
	for (size_t i = 0; i <= PORT_LIST_MAX; i++)
		assert_true(sd_bus_message_append(call, "(sqq)", "tcp", 22, 22) >= 0);
	assert_true(sd_bus_message_close_container(call) >= 0);
	assert_int_equal(arguments_read_ports(bus_call_end(call), &ports, &error), -E2BIG);
	assert_string_equal(error.name, "org.spale1.Error.LimitReached");
}

static int read_prefix(const char *text, Prefix *ret_prefix)
{
	_cleanup_call_ sd_bus_message *call = new_call();

	assert_true(sd_bus_message_append(call, "s", text) >= 0);
	return arguments_read_prefix(bus_call_end(call), ret_prefix, NULL);
}

static void addresses_may_have_brackets(void **state)
{
	char text[ADDRESS_TEXT_MAX];
	Prefix prefix;

	(void)state;
	assert_int_equal(read_prefix("[2001:db8::]/64", &prefix), 0);
	assert_string_equal(prefix_format(&prefix, text), "2001:db8::/64");
	assert_int_equal(read_prefix("192.0.2.7", &prefix), 0);
	assert_int_equal(prefix.length, 128);
	assert_int_equal(read_prefix("", &prefix), -EADDRNOTAVAIL);
	assert_int_equal(read_prefix("192.0.2.7/33", &prefix), -EADDRNOTAVAIL);
	assert_int_equal(read_prefix("example.org", &prefix), -EADDRNOTAVAIL);
}

static int read_seconds(uint64_t seconds, uint64_t *ret_ns)
{
	_cleanup_call_ sd_bus_message *call = new_call();

	assert_true(sd_bus_message_append(call, "t", seconds) >= 0);
	return arguments_read_seconds(bus_call_end(call), ret_ns, NULL);
}

static void seconds_have_an_end(void **state)
{
	uint64_t ns;

	(void)state;
	assert_int_equal(read_seconds(90, &ns), 0);
	assert_int_equal(ns, 90 * NSEC_PER_SEC);
	assert_int_equal(read_seconds(UINT64_MAX, &ns), 0);
	assert_int_equal(ns, DURATION_INFINITY);
	assert_int_equal(read_seconds(UINT64_MAX - 1, &ns), -EINVAL);
	assert_int_equal(read_seconds(INT64_MAX / NSEC_PER_SEC + 1, &ns), -EINVAL);
	assert_int_equal(arguments_seconds(1), 1);
	assert_int_equal(arguments_seconds(2 * NSEC_PER_SEC), 2);
	assert_int_equal(arguments_seconds(DURATION_INFINITY), UINT64_MAX);
}

typedef struct Object {
	bool flag;
	const char *text;
	bool has_idle;
	uint64_t idle_ns;
} Object;

static int read_options(sd_bus_message *call, Object *object, sd_bus_error *error)
{
	static const ArgumentOption options[] = {
		{"flag", "b", arguments_option_bool, offsetof(Object, flag), 0},
		{"text", "s", arguments_option_text, offsetof(Object, text), 0},
		{"idle", "t", arguments_option_seconds, offsetof(Object, idle_ns),
		 offsetof(Object, has_idle)},
	};

	return arguments_read_options(bus_call_end(call), options, ARRAY_SIZE(options), object,
				      error);
}

static void options_are_read(void **state)
{
	_cleanup_call_ sd_bus_message *call = new_call(), *none = new_call();
	Object object = {0}, empty = {0};

	(void)state;
	assert_true(sd_bus_message_append(call, "a{sv}", 3, "idle", "t", UINT64_C(5), "flag", "b",
					  1, "text", "s", "x") >= 0);
	assert_int_equal(read_options(call, &object, NULL), 0);
	assert_true(object.flag && object.has_idle);
	assert_string_equal(object.text, "x");
	assert_int_equal(object.idle_ns, 5 * NSEC_PER_SEC);
	assert_true(sd_bus_message_append(none, "a{sv}", 0) >= 0);
	assert_int_equal(read_options(none, &empty, NULL), 0);
	assert_false(empty.flag || empty.text || empty.has_idle);
}

static void wrong_options_are_refused(void **state)
{
	_cleanup_call_ sd_bus_message *unknown = new_call(), *type = new_call(),
				      *twice = new_call();
	_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	Object object = {0};

	(void)state;
	assert_true(sd_bus_message_append(unknown, "a{sv}", 1, "Flag", "b", 1) >= 0);
	assert_int_equal(read_options(unknown, &object, &error), -EINVAL);
	assert_string_equal(error.name, "org.spale1.Error.BadArgument");
	assert_true(sd_bus_message_append(type, "a{sv}", 1, "flag", "u", 1) >= 0);
	assert_int_equal(read_options(type, &object, NULL), -EINVAL);
	assert_true(sd_bus_message_append(twice, "a{sv}", 2, "flag", "b", 1, "flag", "b", 0) >= 0);
	assert_int_equal(read_options(twice, &object, NULL), -EINVAL);
}

static void sizes_are_measured(void **state)
{
	_cleanup_call_ sd_bus_message *small = new_call(), *large = new_call();
	char text[2000];
	size_t size;
	const char *read;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_true(sd_bus_message_append(small, "sa(sqq)a{sv}", "192.0.2.7", 1, "tcp", 22, 22, 1,
					  "x", "v", "as", 1, "y") >= 0);
	bus_call_end(small);
	assert_int_equal(arguments_measure(small, 1000, &size), 0);
	assert_in_range(size, 40, 400);
	/* It is as before. */
	assert_true(sd_bus_message_read(small, "s", &read) > 0);
	assert_string_equal(read, "192.0.2.7");
	assert_true(sd_bus_message_append(large, "s", text) >= 0);
	bus_call_end(large);
	assert_int_equal(arguments_measure(large, 1000, &size), 0);
	assert_int_equal(size, 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_read),
		cmocka_unit_test(wrong_ports_are_refused),
		cmocka_unit_test(errors_are_text),
		cmocka_unit_test(there_is_an_end_of_ports),
		cmocka_unit_test(addresses_may_have_brackets),
		cmocka_unit_test(seconds_have_an_end),
		cmocka_unit_test(options_are_read),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(sizes_are_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
