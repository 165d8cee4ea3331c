/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "util/ports.h"

/* LIST is what TEXT says, as port_list_format() writes it. */
static void assert_list(const PortList *list, const char *text)
{
	_cleanup_free_ char *formatted = port_list_format(list);

	assert_non_null(formatted);
	assert_string_equal(formatted, text);
}

/* A list of the items in TEXT, which single spaces separate. */
static PortList list_of(const char *text)
{
	PortList list = PORT_LIST_NULL;
	char item[64];

	while (*text) {
		size_t size = strcspn(text, " ");

		snprintf(item, sizeof(item), "%.*s", (int)size, text);
		if (port_list_add_text(&list, item) != 0)
			fail_msg("%s is a port", item);
		text += size + strspn(text + size, " ");
	}
	return list;
}

static void test_protocols(void **state)
{
	(void)state;
	assert_string_equal(port_protocol_name(IPPROTO_TCP), "tcp");
	assert_string_equal(port_protocol_name(IPPROTO_UDP), "udp");
	assert_string_equal(port_protocol_name(IPPROTO_SCTP), "sctp");
	assert_string_equal(port_protocol_name(IPPROTO_DCCP), "dccp");
	assert_string_equal(port_protocol_name(IPPROTO_UDPLITE), "udplite");
	assert_null(port_protocol_name(0));
	assert_null(port_protocol_name(IPPROTO_ICMP));
	assert_null(port_protocol_name(255));
}

static void test_items(void **state)
{
	static const struct {
		const char *text, *list;
	} rows[] = {
		{"22", "22/tcp 22/udp"},
		{"22/tcp", "22/tcp"},
		{"22/TCP", "22/tcp"},
		{"53/Udp", "53/udp"},
		{"00022/tcp", "22/tcp"},
		{"1/sctp", "1/sctp"},
		{"65535/dccp", "65535/dccp"},
		{"1-65535/udplite", "1-65535/udplite"},
		{"8000-8010", "8000-8010/tcp 8000-8010/udp"},
		{"8000-8000/tcp", "8000/tcp"},
		{"1-65535", "1-65535/tcp 1-65535/udp"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_port_list_ PortList list = list_of(rows[i].text);

		assert_list(&list, rows[i].list);
	}
}

static void test_items_refused(void **state)
{
	static const char *const texts[] = {
		"",	     " ",	   "0",		 "0/tcp",      "65536",
		"65536/tcp", "100000",	   "000022",	 "4294967318", "18446744073709551638",
		"-22",	     "+22",	   "22-",	 "-",	       "22-21",
		"22-21/tcp", "0-22",	   "22-65536",	 "22--23",     "22-23-24",
		"22- 23",    "22 -23",	   " 22",	 "22 ",	       "22\n",
		"22,23",     "22;",	   "22/",	 "/tcp",       "/",
		"22//tcp",   "22/tcp/udp", "22/tcp ",	 "22/ tcp",    "22 /tcp",
		"22/icmp",   "22/6",	   "22/tcpx",	 "22/tc",      "22/tcp,23",
		"tcp/22",    "ssh",	   "ssh/tcp",	 "0x16",       "22.0",
		"2 2",	     "*",	   "22/tcp-udp", "22-/tcp",    "-22/tcp",
		"22/any",    "\xd9\xa2",   "22\x01",
	};
	_cleanup_port_list_ PortList list = list_of("80/tcp");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (port_list_add_text(&list, texts[i]) != -EINVAL)
			fail_msg("\"%s\" is no port", texts[i]);
		assert_list(&list, "80/tcp");
	}
}

static void test_very_long_item(void **state)
{
	static char text[100000];
	_cleanup_port_list_ PortList list = PORT_LIST_NULL;

	(void)state;
	memset(text, '1', sizeof(text) - 1);
	assert_int_equal(port_list_add_text(&list, text), -EINVAL);
	memset(text, '-', sizeof(text) - 1);
	assert_int_equal(port_list_add_text(&list, text), -EINVAL);
	memset(text, '/', sizeof(text) - 1);
	assert_int_equal(port_list_add_text(&list, text), -EINVAL);
	assert_int_equal(list.count, 0);
}

static void test_ranges_refused(void **state)
{
	static const PortRange ranges[] = {
		{IPPROTO_TCP, 0, 0},	{IPPROTO_TCP, 0, 22}, {IPPROTO_TCP, 23, 22},
		{IPPROTO_ICMP, 22, 22}, {0, 22, 22},	      {255, 22, 22},
	};
	_cleanup_port_list_ PortList list = PORT_LIST_NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		assert_int_equal(port_list_add(&list, ranges[i]), -EINVAL);
	assert_int_equal(list.count, 0);
	assert_null(list.ranges);
}

/* What overlaps or adjoins becomes one; the order of writing does not matter. */
static void test_merge(void **state)
{
	static const struct {
		const char *items, *list;
	} rows[] = {
		{"", ""},
		{"22/tcp 22/tcp 22/tcp", "22/tcp"},
		{"22 22/udp 22/tcp", "22/tcp 22/udp"},
		{"23/tcp 22/tcp", "22-23/tcp"},
		{"22/tcp 23/udp", "22/tcp 23/udp"},
		{"24/tcp 22/tcp", "22/tcp 24/tcp"},
		{"24/tcp 22/tcp 23/tcp", "22-24/tcp"},
		{"10-20/tcp 30-40/tcp 50-60/tcp 15-55/tcp", "10-60/tcp"},
		{"10-20/tcp 30-40/tcp 50-60/tcp 21-29/tcp", "10-40/tcp 50-60/tcp"},
		{"10-20/tcp 30-40/tcp 50-60/tcp 1-65535/tcp", "1-65535/tcp"},
		{"1-65535/tcp 22/tcp", "1-65535/tcp"},
		{"10-20/tcp 12-14/tcp", "10-20/tcp"},
		{"10-20/tcp 5-9/tcp", "5-20/tcp"},
		{"10-20/tcp 5-8/tcp", "5-8/tcp 10-20/tcp"},
		{"10-20/tcp 21-25/tcp", "10-25/tcp"},
		{"10-20/tcp 22-25/tcp", "10-20/tcp 22-25/tcp"},
		{"10-20/udp 10-20/tcp 15-25/udp", "10-20/tcp 10-25/udp"},
		{"65535/tcp 1/udp", "65535/tcp 1/udp"},
		{"65535/udp 65534/udp 1/udp 2/udp", "1-2/udp 65534-65535/udp"},
		{"7/udplite 7/sctp 7/dccp 7/udp 7/tcp", "7/tcp 7/udp 7/dccp 7/sctp 7/udplite"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_port_list_ PortList list = list_of(rows[i].items);
		_cleanup_port_list_ PortList same = list_of(rows[i].list);

		assert_list(&list, rows[i].list);
		assert_true(port_list_equal(&list, &same));
	}
}

/* 4096 ranges fit; the next is refused whole, a merging one is not. */
static void test_full(void **state)
{
	_cleanup_port_list_ PortList list = PORT_LIST_NULL, before = PORT_LIST_NULL;

	(void)state;
	for (uint32_t i = 0; i < PORT_LIST_MAX - 1; i++) {
		uint16_t port = (uint16_t)(3 * i + 1);

		assert_int_equal(port_list_add(&list, (PortRange){IPPROTO_TCP, port, port}), 0);
	}
	assert_int_equal(list.count, PORT_LIST_MAX - 1);
	assert_int_equal(port_list_copy(&list, &before), 0);

	/* One would fit, two do not, and neither stays. */
	assert_int_equal(port_list_add_text(&list, "50000"), -E2BIG);
	assert_true(port_list_equal(&list, &before));

	assert_int_equal(port_list_add_text(&list, "50000/tcp"), 0);
	assert_int_equal(list.count, PORT_LIST_MAX);
	assert_int_equal(port_list_add_text(&list, "50002/tcp"), -E2BIG);
	assert_int_equal(port_list_add_text(&list, "50000/udp"), -E2BIG);
	assert_int_equal(list.count, PORT_LIST_MAX);
	assert_false(port_list_contains(&list, IPPROTO_TCP, 50002));

	assert_int_equal(port_list_add_text(&list, "50001/tcp"), 0);
	assert_int_equal(list.count, PORT_LIST_MAX);
	assert_int_equal(port_list_add_text(&list, "1-49999/tcp"), 0);
	assert_list(&list, "1-50001/tcp");
}

/* Two lists that fit, with more in common than a list may hold. */
static void test_intersect_too_big(void **state)
{
	_cleanup_port_list_ PortList even = PORT_LIST_NULL, odd = PORT_LIST_NULL;
	PortList untouched = {.ranges = (PortRange *)state, .count = 7}, result = untouched;

	/* Ranges of three that overlap by one at either end: nearly twice as many common ports. */
	for (uint32_t i = 0; i < PORT_LIST_MAX; i++) {
		uint16_t port = (uint16_t)(4 * i + 1);

		assert_int_equal(port_list_add(&even, (PortRange){IPPROTO_UDP, port, port + 2}), 0);
		port += 2;
		assert_int_equal(port_list_add(&odd, (PortRange){IPPROTO_UDP, port, port + 2}), 0);
	}
	assert_int_equal(port_list_intersect(&even, &odd, &result), -E2BIG);
	assert_ptr_equal(result.ranges, untouched.ranges);
	assert_int_equal(result.count, untouched.count);
}

static void test_intersect(void **state)
{
	static const struct {
		const char *a, *b, *both;
	} rows[] = {
		{"", "", ""},
		{"", "22", ""},
		{"22", "23", ""},
		{"22/tcp", "22/udp", ""},
		{"22", "22/tcp", "22/tcp"},
		{"10-20/tcp", "20-30/tcp", "20/tcp"},
		{"10-20/tcp", "21-30/tcp", ""},
		{"1-65535", "22/tcp 53/udp 7/sctp", "22/tcp 53/udp"},
		{"10-20/tcp 30-40/tcp", "15-35/tcp", "15-20/tcp 30-35/tcp"},
		{"10-50/tcp", "1-11/tcp 13/tcp 49-60/tcp", "10-11/tcp 13/tcp 49-50/tcp"},
		{"65535/tcp 1/udp", "65535/udp 1/tcp", ""},
		{"1-10/tcp 1-10/udp", "5-15/tcp 5-15/udp", "5-10/tcp 5-10/udp"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_port_list_ PortList a = list_of(rows[i].a), b = list_of(rows[i].b);
		_cleanup_port_list_ PortList one = PORT_LIST_NULL, other = PORT_LIST_NULL;

		assert_int_equal(port_list_intersect(&a, &b, &one), 0);
		assert_list(&one, rows[i].both);
		assert_int_equal(port_list_intersect(&b, &a, &other), 0);
		assert_true(port_list_equal(&one, &other));
	}
}

static void test_subtract(void **state)
{
	static const struct {
		const char *a, *b, *left;
	} rows[] = {
		{"", "22", ""},
		{"22", "", "22/tcp 22/udp"},
		{"22", "22", ""},
		{"22", "22/tcp", "22/udp"},
		{"22/tcp", "21-23/tcp", ""},
		{"22/tcp", "23/tcp 21/tcp 22/udp", "22/tcp"},
		{"10-20/tcp", "15/tcp", "10-14/tcp 16-20/tcp"},
		{"10-20/tcp", "1-10/tcp 20-30/tcp", "11-19/tcp"},
		{"10-20/tcp", "12/tcp 14-15/tcp 19/tcp", "10-11/tcp 13/tcp 16-18/tcp 20/tcp"},
		{"1-65535/tcp", "1/tcp 65535/tcp", "2-65534/tcp"},
		{"1-10/tcp 1-10/udp", "5-15/tcp 10/udp", "1-4/tcp 1-9/udp"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_port_list_ PortList a = list_of(rows[i].a), b = list_of(rows[i].b);
		_cleanup_port_list_ PortList left = PORT_LIST_NULL;

		assert_int_equal(port_list_subtract(&a, &b, &left), 0);
		assert_list(&left, rows[i].left);
	}
}

static void test_copy_and_equal(void **state)
{
	_cleanup_port_list_ PortList list = list_of("22 80-90/tcp"), copy = PORT_LIST_NULL;
	_cleanup_port_list_ PortList empty = PORT_LIST_NULL, nothing = PORT_LIST_NULL;

	(void)state;
	assert_int_equal(port_list_copy(&list, &copy), 0);
	assert_true(port_list_equal(&list, &copy));
	assert_ptr_not_equal(list.ranges, copy.ranges);
	assert_int_equal(port_list_add_text(&copy, "91/tcp"), 0);
	assert_false(port_list_equal(&list, &copy));
	assert_list(&list, "22/tcp 80-90/tcp 22/udp");

	assert_int_equal(port_list_copy(&empty, &nothing), 0);
	assert_true(port_list_equal(&empty, &nothing));
	assert_false(port_list_equal(&empty, &list));
	assert_int_equal(port_list_ports(&empty), 0);
	assert_false(port_list_contains(&empty, IPPROTO_TCP, 22));
	port_list_done(&copy);
	assert_null(copy.ranges);
	assert_int_equal(copy.count, 0);
}

/* A list against a plain table of ports, after each of many random additions. */
static void test_against_a_table(void **state)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE};
	static bool table[ARRAY_SIZE(protocols)][128];
	_cleanup_port_list_ PortList list = PORT_LIST_NULL;
	uint32_t random = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint16_t first, last;
		size_t p, ports = 0;

		if (round % 50 == 0) {
			port_list_done(&list);
			memset(table, 0, sizeof(table));
		}
		random = random * 1664525 + 1013904223;
		p = (random >> 28) % ARRAY_SIZE(protocols);
		first = (uint16_t)(1 + (random >> 8) % 120);
		last = (uint16_t)(first + (random >> 16) % 4);
		assert_int_equal(port_list_add(&list, (PortRange){protocols[p], first, last}), 0);
		for (uint16_t port = first; port <= last; port++)
			table[p][port] = true;

		for (p = 0; p < ARRAY_SIZE(protocols); p++) {
			for (uint16_t port = 0; port < 128; port++) {
				assert_int_equal(port_list_contains(&list, protocols[p], port),
						 table[p][port]);
				ports += table[p][port];
			}
		}
		assert_int_equal(port_list_ports(&list), ports);
		for (size_t i = 1; i < list.count; i++) {
			const PortRange *before = &list.ranges[i - 1], *range = &list.ranges[i];

			assert_true(before->protocol < range->protocol ||
				    (before->protocol == range->protocol &&
				     before->last + 1 < range->first));
		}
	}
}

static void test_format(void **state)
{
	static const PortRange one = {IPPROTO_TCP, 22, 22};
	static const PortRange widest = {IPPROTO_UDPLITE, 65534, 65535};
	char text[PORT_RANGE_TEXT_MAX];
	_cleanup_port_list_ PortList all = list_of("1-65535/udplite 1-65535 1-65535/sctp");

	(void)state;
	assert_string_equal(port_range_format(&one, text), "22/tcp");
	assert_string_equal(port_range_format(&widest, text), "65534-65535/udplite");
	assert_list(&all, "1-65535/tcp 1-65535/udp 1-65535/sctp 1-65535/udplite");
	assert_int_equal(port_list_ports(&all), 4 * 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocols),      cmocka_unit_test(test_items),
		cmocka_unit_test(test_items_refused),  cmocka_unit_test(test_very_long_item),
		cmocka_unit_test(test_ranges_refused), cmocka_unit_test(test_merge),
		cmocka_unit_test(test_full),	       cmocka_unit_test(test_intersect_too_big),
		cmocka_unit_test(test_intersect),      cmocka_unit_test(test_subtract),
		cmocka_unit_test(test_copy_and_equal), cmocka_unit_test(test_against_a_table),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
