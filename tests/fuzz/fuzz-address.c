/* SPDX-License-Identifier: MIT */
/*
 * Addresses and prefixes: what is read is written so that it reads the same, and agrees with what
 * inet_pton(3) makes of it. Input: two texts, the second behind the first newline.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "util/address.h"

/* What the C library says of TEXT. */
static bool libc_parse(const char *text, Address *ret_address)
{
	struct in_addr address4;
	struct in6_addr address6;

	if (inet_pton(AF_INET, text, &address4) == 1)
		*ret_address = address_from_ipv4(address4);
	else if (inet_pton(AF_INET6, text, &address6) == 1)
		*ret_address = address_from_ipv6(&address6);
	else
		return false;
	return true;
}

static bool check_address(const char *text, Address *ret_address)
{
	char written[ADDRESS_TEXT_MAX];
	Address address, again, libc;
	const Address untouched = {{0xa5, 0x5a}};
	int r;

	address = untouched;
	r = address_parse(text, &address);
	if (r < 0) {
		FUZZ_CHECK(r == -EINVAL);
		FUZZ_CHECK(memcmp(&address, &untouched, sizeof(address)) == 0);
		FUZZ_CHECK(!libc_parse(text, &libc));
		return false;
	}
	if (text[0] != '[')
		FUZZ_CHECK(libc_parse(text, &libc) && address_equal(&address, &libc));

	FUZZ_CHECK(address_format(&address, written) == written);
	FUZZ_CHECK(strlen(written) < ADDRESS_TEXT_MAX);
	FUZZ_CHECK(address_parse(written, &again) == 0);
	FUZZ_CHECK(address_equal(&address, &again) && address_compare(&address, &again) == 0);
	FUZZ_CHECK(address_is_ipv4(&address) == !strchr(written, ':'));
	*ret_address = address;
	return true;
}

static bool check_prefix(const char *text, Prefix *ret_prefix)
{
	char written[ADDRESS_TEXT_MAX];
	Prefix prefix, again;
	Address masked;
	int r;

	r = prefix_parse(text, &prefix);
	if (r < 0) {
		FUZZ_CHECK(r == -EINVAL);
		return false;
	}
	FUZZ_CHECK(prefix.length <= 128);
	masked = address_mask(&prefix.address, prefix.length);
	FUZZ_CHECK(address_equal(&masked, &prefix.address));
	FUZZ_CHECK(prefix_contains(&prefix, &prefix.address));

	FUZZ_CHECK(prefix_format(&prefix, written) == written);
	FUZZ_CHECK(prefix_parse(written, &again) == 0);
	FUZZ_CHECK(prefix_compare(&prefix, &again) == 0 && prefix.length == again.length);
	*ret_prefix = prefix;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *first = fuzz_text(data, size);
	char *second = strchr(first, '\n');
	Address a, b, masked;
	Prefix p, q;
	bool have_a, have_p, inside;

	if (second)
		*second++ = '\0';
	have_a = check_address(first, &a);
	have_p = check_prefix(first, &p);
	/* Each address is a prefix too, of full length. */
	if (have_a)
		FUZZ_CHECK(have_p && p.length == 128 && address_equal(&p.address, &a));
	if (!second || !check_prefix(second, &q))
		return 0;

	if (have_a) {
		masked = address_mask(&a, q.length);
		inside = address_equal(&masked, &q.address) &&
			 address_is_ipv4(&a) == address_is_ipv4(&q.address);
		FUZZ_CHECK(prefix_contains(&q, &a) == inside);
	}
	if (check_address(second, &b) && have_a) {
		int order = address_compare(&a, &b);

		FUZZ_CHECK((order < 0) == (address_compare(&b, &a) > 0));
		FUZZ_CHECK((order == 0) == address_equal(&a, &b));
	}
	return 0;
}
