/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "enforce/nftables-change.h"
#include "util/parse.h"

#define NOW  (1000 * NSEC_PER_SEC)
#define LATE (NOW + 100 * NSEC_PER_SEC)

static NftablesElement element_of(uint32_t number, uint64_t end_mono_ns)
{
	NftablesElement element = {
		.first = address_from_ipv4((struct in_addr){htonl(0x0a000000U + number)}),
		.protocol = IPPROTO_TCP,
		.first_port = 22,
		.last_port = 22,
		.end_mono_ns = end_mono_ns,
		.comment = "spale: alice",
	};

	element.last = element.first;
	return element;
}

static NftablesElements elements_of(uint32_t count, uint64_t end_mono_ns)
{
	NftablesElements elements = {0};

	for (uint32_t number = 0; number < count; number++) {
		const NftablesElement element = element_of(number, end_mono_ns);

		assert_int_equal(nftables_elements_add(&elements, &element), 0);
	}
	return elements;
}

static size_t count_ends(const NftablesElements *elements, uint64_t end_mono_ns)
{
	size_t count = 0;

	for (size_t i = 0; i < elements->count; i++)
		count += elements->items[i].end_mono_ns == end_mono_ns;
	return count;
}

#define MANY (NFTABLES_REMOVALS_MAX * 3)

static void test_removals_in_portions(void **state)
{
	_cleanup_nftables_elements_ NftablesElements have = elements_of(MANY, LATE), want = {0};

	(void)state;
	assert_int_equal(nftables_change_postpone(&have, &want, true, NOW), 1);
	assert_int_equal(want.count, MANY - NFTABLES_REMOVALS_MAX);
	/* As few as this go at once. */
	have.count = NFTABLES_REMOVALS_MAX;
	want.count = 0;
	assert_int_equal(nftables_change_postpone(&have, &want, true, NOW), 0);
	assert_int_equal(want.count, 0);
}

/* What is in the way of something new has to go with it. */
static void test_removals_that_make_room(void **state)
{
	_cleanup_nftables_elements_ NftablesElements have = elements_of(MANY, LATE), want = {0};
	NftablesElement wide = element_of(0, LATE);

	(void)state;
	wide.last = have.items[MANY - 1].last;
	assert_int_equal(nftables_elements_add(&want, &wide), 0);
	assert_int_equal(nftables_change_postpone(&have, &want, true, NOW), 0);
	assert_int_equal(want.count, 1);
}

static void test_renewals_in_portions(void **state)
{
	_cleanup_nftables_elements_ NftablesElements have = elements_of(MANY, LATE);
	_cleanup_nftables_elements_ NftablesElements want = elements_of(MANY, 2 * LATE);
	_cleanup_nftables_elements_ NftablesElements ending = elements_of(MANY, NOW + NSEC_PER_SEC);

	(void)state;
	/* Where the kernel changes times in place, all at once. */
	assert_int_equal(nftables_change_postpone(&have, &want, true, NOW), 0);
	assert_int_equal(count_ends(&want, 2 * LATE), MANY);
	/* What would end meanwhile does not wait. */
	assert_int_equal(nftables_change_postpone(&ending, &want, false, NOW), 0);
	assert_int_equal(count_ends(&want, 2 * LATE), MANY);
	assert_int_equal(nftables_change_postpone(&have, &want, false, NOW), 1);
	assert_int_equal(count_ends(&want, 2 * LATE), NFTABLES_REMOVALS_MAX);
	assert_int_equal(count_ends(&want, LATE), MANY - NFTABLES_REMOVALS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removals_in_portions),
		cmocka_unit_test(test_removals_that_make_room),
		cmocka_unit_test(test_renewals_in_portions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
