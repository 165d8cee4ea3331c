/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>

#include "daemon/ephemeral-ports.h"

/* 0: none; else the port that is found among TEXT. */
static unsigned find(const char *text, const char *range, const char *reserved)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	PortRange port = {0};
	int r;

	assert_int_equal(port_list_add_text(&ports, text), 0);
	r = ephemeral_ports_find(&ports, range, reserved, &port);
	assert_true(r == 0 || r == -ENOENT);
	assert_true(port.first == port.last && (r == 0) == (port.first != 0));
	return port.first;
}

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(find("22/tcp", "32768\t60999\n", "\n"), 0);
	assert_int_equal(find("32767/tcp", "32768\t60999\n", "\n"), 0);
	assert_int_equal(find("32768/tcp", "32768\t60999\n", "\n"), 32768);
	assert_int_equal(find("60999/udp", "32768\t60999\n", "\n"), 60999);
	assert_int_equal(find("61000/udp", "32768\t60999\n", "\n"), 0);
	assert_int_equal(find("1-65535/udp", "1024 2000", ""), 1024);
	assert_int_equal(find("65535/sctp", "1024 65535", ""), 65535);
}

static void test_reserved(void **state)
{
	(void)state;
	assert_int_equal(find("51820/udp", "32768\t60999\n", "8080,51820\n"), 0);
	assert_int_equal(find("51820-51822/udp", "32768\t60999\n", "51819-51821\n"), 51822);
	assert_int_equal(find("51820/udp", "32768\t60999\n", "518200,x,,\n"), 51820);
}

/* What a sandbox or a kernel of the future may show. */
static void test_unreadable_range(void **state)
{
	static const char *const texts[] = {"", "\n", "1024", "x y", "1024 99999", "0 1"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(find("40000/tcp", texts[i], ""), 40000);
		assert_int_equal(find("1024/tcp", texts[i], ""), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_unreadable_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
