/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/address.h"
#include "util/cleanup.h"

static Address parsed(const char *text)
{
	Address address;

	if (address_parse(text, &address) != 0)
		fail_msg("%s is an address", text);
	return address;
}

static Prefix parsed_prefix(const char *text)
{
	Prefix prefix;

	if (prefix_parse(text, &prefix) != 0)
		fail_msg("%s is a prefix", text);
	return prefix;
}

static void test_parse_bytes(void **state)
{
	static const Address ipv4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7}};
	static const Address ipv6 = {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 1}};
	static const Address all = {
		{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
	Address address;

	(void)state;
	address = parsed("192.0.2.7");
	assert_memory_equal(&address, &ipv4, sizeof(ipv4));
	address = parsed("2001:db8::ab01");
	assert_memory_equal(&address, &ipv6, sizeof(ipv6));
	address = parsed("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
	assert_memory_equal(&address, &all, sizeof(all));
}

/* Every form that means an address, and its native form. */
static void test_parse_and_format(void **state)
{
	static const struct {
		const char *text, *native;
	} rows[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"10.0.0.1", "10.0.0.1"},
		{"::", "::"},
		{"[::]", "::"},
		{"::1", "::1"},
		{"[::1]", "::1"},
		{"[2001:DB8::A]", "2001:db8::a"},
		{"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
		{"1::8", "1::8"},
		{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
		{"fe80::1", "fe80::1"},
		{"::ffff:192.0.2.7", "192.0.2.7"},
		{"::ffff:c000:207", "192.0.2.7"},
		{"::FFFF:c000:0207", "192.0.2.7"},
		{"0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"},
		{"[::ffff:192.0.2.7]", "192.0.2.7"},
		{"::fffe:192.0.2.7", "::fffe:c000:207"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Address address = parsed(rows[i].text), again;

		assert_string_equal(address_format(&address, text), rows[i].native);
		again = parsed(text);
		assert_true(address_equal(&address, &again));
	}
}

static const char *const no_addresses[] = {
	"",
	" ",
	"0",
	"1",
	"1.2.3",
	"1.2.3.4.5",
	"1.2.3.",
	".1.2.3.4",
	"1..3.4",
	"1.2.3.4 ",
	" 1.2.3.4",
	"1.2.3.4\n",
	"1.2.3.4x",
	"1.2.3.256",
	"1.2.3.999",
	"1.2.3.4294967297",
	"1.2.3.-4",
	"+1.2.3.4",
	"1.2.3.0x4",
	"010.0.0.1",
	"10.0.0.01",
	"00.0.0.0",
	"16909060",
	"0x01020304",
	"[1.2.3.4]",
	"1,2,3,4",
	"\xd9\xa1.2.3.4",
	"localhost",
	"[]",
	"[",
	"]",
	"[::1",
	"::1]",
	"[[::1]]",
	"[::1]]",
	"[::1]:22",
	"[ ::1]",
	" [::1]",
	"[::1] ",
	":",
	":::",
	":1",
	"1:",
	"1::2::3",
	"1:2:3:4:5:6:7",
	"1:2:3:4:5:6:7:8:9",
	"1:2:3:4:5:6:7:8::",
	"::1:2:3:4:5:6:7:8",
	"12345::",
	"00001::",
	"g::",
	"-1::",
	"::1 ",
	" ::1",
	"::1\t",
	"fe80::1%eth0",
	"fe80::1%1",
	"fe80::1%",
	"[fe80::1%eth0]",
	"::1.2.3",
	"::1.2.3.4.5",
	"::1.2.3.256",
	"::010.2.3.4",
	"::ffff:010.0.0.1",
	"1.2.3.4::",
	"::1/128",
	"1.2.3.4/32",
	"1:2:3:4:5:6:7:1.2.3.4",
	"2001:db8::1,2001:db8::2",
	"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]",
};

static void test_parse_refuses(void **state)
{
	const Address before = {{1, 2, 3}};
	Address address = before;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(no_addresses); i++) {
		if (address_parse(no_addresses[i], &address) != -EINVAL)
			fail_msg("\"%s\" is no address", no_addresses[i]);
		assert_memory_equal(&address, &before, sizeof(address));
	}
}

static void test_parse_very_long(void **state)
{
	static char text[100000];
	Address address;
	Prefix prefix;

	(void)state;
	memset(text, '1', sizeof(text) - 1);
	assert_int_equal(address_parse(text, &address), -EINVAL);
	assert_int_equal(prefix_parse(text, &prefix), -EINVAL);
	memset(text, ':', sizeof(text) - 1);
	assert_int_equal(address_parse(text, &address), -EINVAL);
	text[0] = '[';
	text[sizeof(text) - 2] = ']';
	assert_int_equal(address_parse(text, &address), -EINVAL);
	memset(text, '/', sizeof(text) - 1);
	assert_int_equal(prefix_parse(text, &prefix), -EINVAL);
}

static void test_from_others(void **state)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(22)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_scope_id = 7};
	struct sockaddr other = {.sa_family = AF_UNIX};
	Address address, expected;

	(void)state;
	inet_pton(AF_INET, "198.51.100.9", &ipv4.sin_addr);
	expected = parsed("198.51.100.9");
	assert_int_equal(address_from_sockaddr((struct sockaddr *)&ipv4, &address), 0);
	assert_true(address_equal(&address, &expected));
	address = address_from_ipv4(ipv4.sin_addr);
	assert_true(address_equal(&address, &expected));

	inet_pton(AF_INET6, "2001:db8::9", &ipv6.sin6_addr);
	expected = parsed("2001:db8::9");
	assert_int_equal(address_from_sockaddr((struct sockaddr *)&ipv6, &address), 0);
	assert_true(address_equal(&address, &expected));
	address = address_from_ipv6(&ipv6.sin6_addr);
	assert_true(address_equal(&address, &expected));

	/* What a dual-stack socket says of an IPv4 peer. */
	inet_pton(AF_INET6, "::ffff:198.51.100.9", &ipv6.sin6_addr);
	assert_int_equal(address_from_sockaddr((struct sockaddr *)&ipv6, &address), 0);
	assert_true(address_is_ipv4(&address));

	assert_int_equal(address_from_sockaddr(&other, &address), -EAFNOSUPPORT);
	other.sa_family = AF_UNSPEC;
	assert_int_equal(address_from_sockaddr(&other, &address), -EAFNOSUPPORT);
}

static void test_kinds(void **state)
{
	static const struct {
		const char *text;
		bool ipv4, link_local;
	} rows[] = {
		{"0.0.0.0", true, false},
		{"169.254.0.0", true, true},
		{"169.254.255.255", true, true},
		{"169.253.255.255", true, false},
		{"169.255.0.0", true, false},
		{"::ffff:169.254.1.1", true, true},
		{"::", false, false},
		{"::169.254.1.1", false, false},
		{"::ffff:0:169.254.1.1", false, false},
		{"fe80::", false, true},
		{"fe80::1", false, true},
		{"febf:ffff::1", false, true},
		{"fec0::1", false, false},
		{"fe7f::1", false, false},
		{"fe00::1", false, false},
		{"ff80::1", false, false},
		{"2001:db8::fe80", false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Address address = parsed(rows[i].text);

		if (address_is_ipv4(&address) != rows[i].ipv4 ||
		    address_is_link_local(&address) != rows[i].link_local)
			fail_msg("%s", rows[i].text);
	}
}

static void test_senders(void **state)
{
	static const char *const can[] = {"0.0.0.1", "127.0.0.1", "223.255.255.255", "240.0.0.1",
					  "::1",     "::e000:1",  "fe80::1",	     "feff::1"};
	static const char *const cannot[] = {
		"0.0.0.0", "224.0.0.0", "239.255.255.255",  "::",
		"ff02::1", "ffff::1",	"::ffff:224.0.0.1", "::ffff:0.0.0.0"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(can); i++) {
		Address sender = parsed(can[i]), other = parsed(cannot[i]);

		if (!address_can_send(&sender))
			fail_msg("%s", can[i]);
		if (address_can_send(&other))
			fail_msg("%s", cannot[i]);
	}
}

static void test_compare(void **state)
{
	Address low = parsed("10.0.0.1"), high = parsed("10.0.1.0"), ipv6 = parsed("2001:db8::");
	Prefix wide = parsed_prefix("10.0.0.0/8"), narrow = parsed_prefix("10.0.0.0/16");
	Prefix other = parsed_prefix("11.0.0.0/8");

	(void)state;
	assert_true(address_compare(&low, &high) < 0);
	assert_true(address_compare(&high, &low) > 0);
	assert_int_equal(address_compare(&low, &low), 0);
	assert_true(address_compare(&high, &ipv6) < 0);
	assert_false(address_equal(&low, &high));
	assert_true(prefix_compare(&wide, &narrow) < 0);
	assert_true(prefix_compare(&narrow, &wide) > 0);
	assert_true(prefix_compare(&narrow, &other) < 0);
	assert_int_equal(prefix_compare(&wide, &wide), 0);
}

/* Each length, against a mask that is made bit by bit. */
static void test_mask(void **state)
{
	Address ones, masked;

	(void)state;
	memset(&ones, 0xff, sizeof(ones));
	for (unsigned int length = 0; length <= 128; length++) {
		masked = address_mask(&ones, (uint8_t)length);
		for (unsigned int bit = 0; bit < 128; bit++)
			assert_int_equal(masked.bytes[bit / 8] >> (7 - bit % 8) & 1, bit < length);
	}
	masked = address_mask(&ones, 255);
	assert_memory_equal(&masked, &ones, sizeof(ones));
}

static void test_prefix_parse_and_format(void **state)
{
	static const struct {
		const char *text;
		unsigned int length;
		const char *native;
	} rows[] = {
		{"10.0.0.0/8", 104, "10.0.0.0/8"},
		{"10.1.2.3/8", 104, "10.0.0.0/8"},
		{"10.1.2.3/31", 127, "10.1.2.2/31"},
		{"10.1.2.3/32", 128, "10.1.2.3"},
		{"10.1.2.3", 128, "10.1.2.3"},
		{"0.0.0.0/0", 96, "0.0.0.0/0"},
		{"255.255.255.255/0", 96, "0.0.0.0/0"},
		{"2001:db8::/32", 32, "2001:db8::/32"},
		{"2001:db8:ffff::1/32", 32, "2001:db8::/32"},
		{"[2001:db8::]/32", 32, "2001:db8::/32"},
		{"2001:db8::1/128", 128, "2001:db8::1"},
		{"[2001:db8::1]", 128, "2001:db8::1"},
		{"::/0", 0, "::/0"},
		{"::1/0", 0, "::/0"},
		{"ffff::/1", 1, "8000::/1"},
		{"::1/127", 127, "::/127"},
		{"::/96", 96, "::/96"},
		{"::ffff:0:0/96", 96, "0.0.0.0/0"},
		{"::ffff:10.1.2.3/104", 104, "10.0.0.0/8"},
		{"::ffff:10.1.2.3/128", 128, "10.1.2.3"},
		{"::ffff:10.1.2.3", 128, "10.1.2.3"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/127", 127,
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"},
	};
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Prefix prefix = parsed_prefix(rows[i].text), again;
		Address masked = address_mask(&prefix.address, prefix.length);

		assert_int_equal(prefix.length, rows[i].length);
		assert_true(address_equal(&masked, &prefix.address));
		assert_string_equal(prefix_format(&prefix, text), rows[i].native);
		again = parsed_prefix(text);
		assert_int_equal(prefix_compare(&prefix, &again), 0);
	}
}

static void test_prefix_refuses(void **state)
{
	static const char *const texts[] = {
		"/",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/ 8",
		"10.0.0.0 /8",
		"10.0.0.0/8 ",
		"10.0.0.0/8/8",
		"10.0.0.0/0x8",
		"10.0.0.0/8x",
		"10.0.0.0/0008",
		"10.0.0.0/255.0.0.0",
		"10/8",
		"10.0.0/8",
		"010.0.0.0/8",
		"10.0.0.0/4294967304",
		"2001:db8::/129",
		"2001:db8::/999",
		"2001:db8::/",
		"2001:db8::/-1",
		"[2001:db8::/32]",
		"[2001:db8::]32",
		"[2001:db8::]/",
		"fe80::%eth0/64",
		"::ffff:10.0.0.0/24",
		"::ffff:10.0.0.0/95",
		"::ffff:0:0/0",
		"example/8",
		"::/0\n",
		"2001:db8::/18446744073709551616",
	};
	const Prefix before = {.length = 77};
	Prefix prefix = before;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (prefix_parse(texts[i], &prefix) != -EINVAL)
			fail_msg("\"%s\" is no prefix", texts[i]);
		assert_memory_equal(&prefix, &before, sizeof(prefix));
	}
	for (size_t i = 0; i < ARRAY_SIZE(no_addresses); i++) {
		if (strchr(no_addresses[i], '/'))
			continue;
		if (prefix_parse(no_addresses[i], &prefix) != -EINVAL)
			fail_msg("\"%s\" is no prefix", no_addresses[i]);
	}
}

static void test_prefix_contains(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool inside;
	} rows[] = {
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8", "9.255.255.255", false},
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "0.0.0.0", true},
		{"0.0.0.0/0", "::", false},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "2001:db8::1", true},
		{"::/0", "::", true},
		{"::/0", "10.0.0.1", false},
		{"::/80", "10.0.0.1", false},
		{"::/80", "::1", true},
		{"::ffff:0:0/96", "10.0.0.1", true},
		{"2001:db8::/33", "2001:db8:7fff::", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"10.0.0.0/31", "10.0.0.1", true},
		{"10.0.0.0/31", "10.0.0.2", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Prefix prefix = parsed_prefix(rows[i].prefix);
		Address address = parsed(rows[i].address);

		if (prefix_contains(&prefix, &address) != rows[i].inside)
			fail_msg("%s in %s", rows[i].address, rows[i].prefix);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_bytes),
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_very_long),
		cmocka_unit_test(test_from_others),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_prefix_parse_and_format),
		cmocka_unit_test(test_prefix_refuses),
		cmocka_unit_test(test_prefix_contains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
