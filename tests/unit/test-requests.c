/* SPDX-License-Identifier: MIT */
#include "bus/requests.h"

#include <errno.h>
#include <string.h>

#include "bus-call.h"

static sd_bus_message *new_call(void)
{
	return bus_call_new(SPALE_BUS_PATH, SPALE_BUS_MANAGER, "EnrollClient");
}

static const char *value_of(const ClientSettings *settings, const char *key)
{
	for (size_t i = 0; i < settings->count; i++)
		if (strcmp(settings->items[i].key, key) == 0)
			return settings->items[i].value;
	fail_msg("there is no %s", key);
	return NULL;
}

static void settings_become_a_file(void **state)
{
	_cleanup_call_ sd_bus_message *call = new_call();
	_cleanup_client_settings_ ClientSettings settings = {.count = 0};

	(void)state;
	assert_true(sd_bus_message_append(call, "a{sv}", 6, "Ports", "a(sqq)", 2, "tcp", 22, 22, "",
					  80, 81, "Idle", "t", UINT64_C(90), "Lifetime", "t",
					  UINT64_MAX, "NotBefore", "t", UINT64_C(1769884205000000),
					  "AllowedSources", "as", 2, "192.0.2.0/24",
					  "[2001:db8::1]", "Enabled", "b", 0) >= 0);
	assert_int_equal(requests_read_settings(bus_call_end(call), true, &settings, NULL), 0);
	assert_string_equal(value_of(&settings, "Ports"), "22/tcp 80-81/tcp 80-81/udp");
	assert_string_equal(value_of(&settings, "Idle"), "1min 30s");
	assert_string_equal(value_of(&settings, "Lifetime"), "infinity");
	assert_string_equal(value_of(&settings, "NotBefore"), "2026-01-31T18:30:05Z");
	assert_string_equal(value_of(&settings, "AllowedSources"), "192.0.2.0/24 2001:db8::1");
	assert_string_equal(value_of(&settings, "Enabled"), "no");
}

static void nothing_stands_for_not_written(void **state)
{
	_cleanup_call_ sd_bus_message *call = new_call();
	_cleanup_client_settings_ ClientSettings settings = {.count = 0};

	(void)state;
	assert_true(sd_bus_message_append(call, "a{sv}", 4, "Ports", "a(sqq)", 0, "NotBefore", "t",
					  UINT64_C(0), "NotAfter", "t", UINT64_MAX,
					  "AllowedSources", "as", 0) >= 0);
	assert_int_equal(requests_read_settings(bus_call_end(call), false, &settings, NULL), 0);
	assert_int_equal(settings.count, 4);
	for (size_t i = 0; i < settings.count; i++)
		assert_null(settings.items[i].value);
}

static void wrong_settings_are_refused(void **state)
{
	_cleanup_call_ sd_bus_message *enabled = new_call(), *time = new_call(),
				      *match = new_call();
	ClientSettings settings = {.count = 0};

	(void)state;
	assert_true(sd_bus_message_append(enabled, "a{sv}", 1, "Enabled", "b", 1) >= 0);
	assert_int_equal(requests_read_settings(bus_call_end(enabled), false, &settings, NULL),
			 -EINVAL);
	assert_true(sd_bus_message_append(time, "a{sv}", 1, "NotAfter", "t", UINT64_C(5)) >= 0);
	assert_int_equal(requests_read_settings(bus_call_end(time), true, &settings, NULL),
			 -EINVAL);
	assert_true(sd_bus_message_append(match, "a{sv}", 2, "Idle", "t", UINT64_C(5),
					  "RequireSourceMatch", "s", "maybe") >= 0);
	assert_int_equal(requests_read_settings(bus_call_end(match), true, &settings, NULL),
			 -EINVAL);
	assert_int_equal(settings.count, 0);
}

static int read_key(const char *text, PublicKey *ret_key)
{
	_cleanup_call_ sd_bus_message *call = new_call();

	assert_true(sd_bus_message_append(call, "s", text) >= 0);
	return requests_read_key(bus_call_end(call), ret_key, NULL);
}

static void keys_have_two_forms(void **state)
{
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MCowBQYDK2VuAyEAJ6TLQ/XtVIcHZxrKHdTOiHyj9ClERvx+W3y/J1rSFQg=\n"
				  "-----END PUBLIC KEY-----\n";
	PublicKey a, b;

	(void)state;
	assert_int_equal(read_key(pem, &a), 0);
	assert_int_equal(read_key("J6TLQ/XtVIcHZxrKHdTOiHyj9ClERvx+W3y/J1rSFQg=", &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(read_key("", &b), -EKEYREJECTED);
	assert_int_equal(read_key("J6TLQ/XtVIcHZxrKHdTOiHyj9ClERvx+W3y/J1rSFQ==", &b),
			 -EKEYREJECTED);
	/* Of small order. */
	assert_int_equal(read_key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &b),
			 -EKEYREJECTED);
}

static void grants_are_read_whole(void **state)
{
	_cleanup_call_ sd_bus_message *call = new_call(), *wrong = new_call();
	_cleanup_add_grant_call_ AddGrantCall add = {0};
	AddGrantCall none = {0};

	(void)state;
	assert_true(sd_bus_message_append(call, "sa(sqq)a{sv}", "fe80::7", 1, "tcp", 22, 22, 3,
					  "interface", "s", "eth0", "permanent", "b", 1, "grace",
					  "t", UINT64_C(0)) >= 0);
	assert_int_equal(requests_read_add_grant(bus_call_end(call), &add, NULL), 0);
	assert_string_equal(add.request.interface, "eth0");
	assert_true(add.request.permanent && add.request.has_grace && !add.request.has_idle);
	assert_int_equal(add.ports.count, 1);
	assert_true(sd_bus_message_append(wrong, "sa(sqq)a{sv}", "fe80::7", 1, "tcp", 22, 22, 1,
					  "lifetim", "t", UINT64_C(1)) >= 0);
	assert_int_equal(requests_read_add_grant(bus_call_end(wrong), &none, NULL), -EINVAL);
	assert_null(none.ports.ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_become_a_file),
		cmocka_unit_test(nothing_stands_for_not_written),
		cmocka_unit_test(wrong_settings_are_refused),
		cmocka_unit_test(keys_have_two_forms),
		cmocka_unit_test(grants_are_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
