/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enforce/nftables-elements.h"
#include "grant-world.h"
#include "util/ports.h"

static const NftablesForm intervals4 = {.ipv4 = true, .intervals = true, .set = "g4"};
static const NftablesForm intervals6 = {.ipv4 = false, .intervals = true, .set = "g6"};
static const NftablesForm plain4 = {.ipv4 = true, .intervals = false, .set = "p4"};

static NftablesElements project(const World *world, const NftablesForm *form, uint64_t now,
				NftablesLeftOut *left_out)
{
	NftablesElements elements = {0};

	assert_int_equal(nftables_elements_of_grants(world->table, form, now, &elements, left_out),
			 0);
	return elements;
}

/* "FIRST-LAST protocol PORT-PORT until END (comment without its beginning)", a line each. */
static void assert_elements(const NftablesElements *elements, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	size_t size;

	f = open_memstream(&text, &size);
	assert_non_null(f);
	for (size_t i = 0; i < elements->count; i++) {
		const NftablesElement *element = &elements->items[i];
		char first[ADDRESS_TEXT_MAX], last[ADDRESS_TEXT_MAX];

		assert_memory_equal(element->comment, "spale: ", 7);
		fprintf(f, "%s-%s %s %u-%u until %ju (%s)\n",
			address_format(&element->first, first),
			address_format(&element->last, last), port_protocol_name(element->protocol),
			element->first_port, element->last_port, (uintmax_t)element->end_mono_ns,
			element->comment + 7);
	}
	fclose(TAKE_PTR(f));
	assert_string_equal(text, expected);
}

static void assert_projected_as(const World *world, const NftablesForm *form, uint64_t now,
				const char *expected)
{
	NftablesLeftOut left_out = {0};
	_cleanup_nftables_elements_ NftablesElements elements =
		project(world, form, now, &left_out);

	assert_elements(&elements, expected);
	assert_int_equal(left_out.grants, 0);
	assert_string_equal(left_out.why, "");
}

/* ---- one after the other ----------------------------------------------------------------- */

static void test_apart(void **state)
{
	_cleanup_world_ World world = world_new();

	(void)state;
	assert_projected_as(&world, &intervals4, 0, "");
	knock(&world, 1, "192.0.2.7", "22/tcp 8000-8010/udp", 1000);
	knock(&world, 2, "192.0.2.6", "22/tcp", 1100);
	knock(&world, 3, "2001:db8::/64", "22", 1200);
	assert_projected_as(&world, &intervals4, 1200,
			    "192.0.2.6-192.0.2.6 tcp 22-22 until 1400 (c2)\n"
			    "192.0.2.7-192.0.2.7 tcp 22-22 until 1300 (c1)\n"
			    "192.0.2.7-192.0.2.7 udp 8000-8010 until 1300 (c1)\n");
	assert_projected_as(&world, &intervals6, 1200,
			    "2001:db8::-2001:db8::ffff:ffff:ffff:ffff tcp 22-22 until 1500 (c3)\n"
			    "2001:db8::-2001:db8::ffff:ffff:ffff:ffff udp 22-22 until 1500 (c3)\n");
	/* What has ended is not there. */
	assert_projected_as(&world, &intervals4, 1300,
			    "192.0.2.6-192.0.2.6 tcp 22-22 until 1400 (c2)\n");
}

static void test_without_intervals(void **state)
{
	_cleanup_world_ World world = world_new();
	NftablesLeftOut left_out = {0};

	(void)state;
	knock(&world, 1, "192.0.2.7", "22-24/tcp", 1000);
	knock(&world, 2, "192.0.2.7", "23/tcp", 1100);
	assert_projected_as(&world, &plain4, 1200,
			    "192.0.2.7-192.0.2.7 tcp 22-22 until 1300 (c1)\n"
			    "192.0.2.7-192.0.2.7 tcp 23-23 until 1400 (c1, c2)\n"
			    "192.0.2.7-192.0.2.7 tcp 24-24 until 1300 (c1)\n");
	knock(&world, 3, "198.51.100.0/24", "22/tcp", 1100);
	knock(&world, 4, "198.51.101.0/24", "22/tcp", 1100);
	_cleanup_nftables_elements_ NftablesElements elements =
		project(&world, &plain4, 1200, &left_out);
	assert_int_equal(elements.count, 3);
	assert_int_equal(left_out.grants, 2);
	assert_string_equal(left_out.why, "c3 has a grant for 198.51.100.0/24, which set p4 cannot "
					  "hold: it lacks \"flags interval\"");
}

static void test_on_one_interface(void **state)
{
	_cleanup_world_ World world = world_new();
	NftablesLeftOut left_out = {0};
	Decision decision = TIMES;

	(void)state;
	decision.ifindex = 3;
	knock_with(&world, 1, "fe80::7", "22/tcp", 1000, decision);
	_cleanup_nftables_elements_ NftablesElements elements =
		project(&world, &intervals6, 1000, &left_out);
	assert_int_equal(elements.count, 0);
	assert_int_equal(left_out.grants, 1);
	assert_string_equal(left_out.why, "c1 has a grant for fe80::7, which holds on one "
					  "interface: set g6 knows of none");
}

/* ---- overlaps ---------------------------------------------------------------------------- */

static void test_same_source(void **state)
{
	_cleanup_world_ World world = world_new();

	(void)state;
	knock(&world, 2, "192.0.2.7", "22-30/tcp", 1100);
	knock(&world, 1, "192.0.2.7", "25-40/tcp", 1000);
	assert_projected_as(&world, &intervals4, 1100,
			    "192.0.2.7-192.0.2.7 tcp 22-24 until 1400 (c2)\n"
			    "192.0.2.7-192.0.2.7 tcp 25-30 until 1400 (c1, c2)\n"
			    "192.0.2.7-192.0.2.7 tcp 31-40 until 1300 (c1)\n");
}

static void test_inside(void **state)
{
	_cleanup_world_ World world = world_new();

	(void)state;
	knock(&world, 1, "192.0.2.0/24", "22/tcp", 1000);
	knock(&world, 2, "192.0.2.7", "22/tcp 80/tcp", 1100);
	knock(&world, 3, "192.0.2.8/30", "80/tcp", 1200);
	assert_projected_as(&world, &intervals4, 1200,
			    "192.0.2.0-192.0.2.6 tcp 22-22 until 1300 (c1)\n"
			    "192.0.2.7-192.0.2.7 tcp 22-22 until 1400 (c1, c2)\n"
			    "192.0.2.7-192.0.2.7 tcp 80-80 until 1400 (c2)\n"
			    /* Another port is nobody's business. */
			    "192.0.2.8-192.0.2.11 tcp 80-80 until 1500 (c3)\n"
			    "192.0.2.8-192.0.2.255 tcp 22-22 until 1300 (c1)\n");
}

static void test_at_the_edges(void **state)
{
	_cleanup_world_ World world = world_new();

	(void)state;
	knock(&world, 1, "ff00::/8", "22/tcp", 1000);
	knock(&world, 2, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "22/tcp", 1100);
	knock(&world, 3, "ff00::", "22/tcp", 1200);
	assert_projected_as(&world, &intervals6, 1200,
			    "ff00::-ff00:: tcp 22-22 until 1500 (c1, c3)\n"
			    "ff00::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe tcp 22-22 until 1300 "
			    "(c1)\n"
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff-"
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff tcp 22-22 until 1400 (c1, "
			    "c2)\n");
}

static void test_comments(void **state)
{
	_cleanup_world_ World world = world_new();
	NftablesLeftOut left_out = {0};
	Client client = client_of(99);
	Decision decision = TIMES;
	EntryChanges changes = {0};
	const Grant *grant;

	(void)state;
	for (uint32_t number = 9; number > 3; number--)
		knock(&world, number, "192.0.2.7", "22/tcp", 1000);
	assert_projected_as(
		&world, &intervals4, 1100,
		"192.0.2.7-192.0.2.7 tcp 22-22 until 1300 (c4, c5, c6, c7 and others)\n");
	/* As many as there is room for; whoever comes first. */
	for (char letter = 'b'; letter >= 'a'; letter--) {
		memset(client.name, letter, CLIENT_NAME_MAX);
		client.key.bytes[0] = (uint8_t)letter;
		decision = TIMES;
		decision.source = prefix_of("192.0.2.8");
		assert_int_equal(port_list_add_text(&decision.ports, "22/tcp"), 0);
		assert_int_equal(
			grant_table_add(world.table, &client, &decision, 1000, &changes, &grant),
			0);
		entry_changes_done(&changes);
		decision_done(&decision);
	}
	_cleanup_nftables_elements_ NftablesElements elements =
		project(&world, &intervals4, 1000, &left_out);
	assert_int_equal(elements.count, 2);
	memset(client.name, 'a', CLIENT_NAME_MAX);
	assert_int_equal(strlen(elements.items[1].comment), 7 + CLIENT_NAME_MAX + 11);
	assert_memory_equal(elements.items[1].comment + 7, client.name, CLIENT_NAME_MAX);
	assert_string_equal(elements.items[1].comment + 7 + CLIENT_NAME_MAX, " and others");
}

/* ---- against an oracle ------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* When the last grant for this ends that has not ended at NOW, 0: there is none. */
static uint64_t oracle(const GrantTable *table, const Address *address, uint8_t protocol,
		       uint16_t port, uint64_t now)
{
	uint64_t end = 0;

	for (size_t i = 0; i < grant_table_count(table); i++) {
		const Grant *grant = grant_table_get(table, i);
		uint64_t own = grant_end_mono_ns(grant);

		if (own > now && own > end && prefix_contains(&grant->source, address) &&
		    port_list_contains(&grant->ports, protocol, port))
			end = own;
	}
	return end;
}

static void test_any_grants(void **state)
{
	static const uint8_t lengths[] = {120, 122, 124, 126, 127, 128, 128, 128};
	uint32_t seed = 5;
	size_t shared = 0;

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		_cleanup_world_ World world = world_new();
		NftablesLeftOut left_out = {0};
		uint32_t grants = 1 + next_random(&seed) % 12;

		for (uint32_t number = 0; number < grants; number++) {
			uint8_t length = lengths[next_random(&seed) % ARRAY_SIZE(lengths)];
			uint32_t first = 20 + next_random(&seed) % 8;
			char source[64], ports[64];

			snprintf(source, sizeof(source), "192.0.2.%u/%u", next_random(&seed) % 256,
				 length - 96u);
			snprintf(ports, sizeof(ports), "%u-%u%s", first,
				 first + next_random(&seed) % 4, number % 3 ? "/tcp" : "");
			knock(&world, number, source, ports, 1000 + next_random(&seed) % 300);
		}
		_cleanup_nftables_elements_ NftablesElements elements =
			project(&world, &intervals4, 1400, &left_out);

		for (unsigned host = 0; host < 256; host++) {
			for (unsigned i = 0; i < 32; i++) {
				const Address address = address_from_ipv4(
					(struct in_addr){htonl(0xc0000200u + host)});
				uint8_t protocol = i % 2 ? IPPROTO_TCP : IPPROTO_UDP;
				uint16_t port = (uint16_t)(18 + i / 2);
				uint64_t end = 0;

				for (size_t e = 0; e < elements.count; e++) {
					const NftablesElement *element = &elements.items[e];

					if (element->protocol != protocol ||
					    port < element->first_port ||
					    port > element->last_port ||
					    address_compare(&address, &element->first) < 0 ||
					    address_compare(&address, &element->last) > 0)
						continue;
					assert_int_equal(end, 0); /* in one at most */
					end = element->end_mono_ns;
					shared += strchr(element->comment, ',') != NULL;
				}
				assert_int_equal(
					end, oracle(world.table, &address, protocol, port, 1400));
			}
		}
	}
	assert_true(shared > 1000);
}

/* ---- lists ------------------------------------------------------------------------------- */

static void add_element(NftablesElements *elements, const char *source, uint16_t first,
			uint16_t last, uint64_t end)
{
	const Prefix prefix = prefix_of(source);
	NftablesElement element = {
		.first = prefix.address,
		.last = prefix.address,
		.protocol = IPPROTO_TCP,
		.first_port = first,
		.last_port = last,
		.end_mono_ns = end,
		.comment = "spale: c",
	};

	if (prefix.length < 128)
		element.last.bytes[15] |= (uint8_t)(0xff >> (prefix.length - 120));
	assert_int_equal(nftables_elements_add(elements, &element), 0);
	nftables_elements_sort(elements);
}

static void test_yield(void **state)
{
	_cleanup_nftables_elements_ NftablesElements elements = {0}, taken = {0};
	NftablesLeftOut left_out = {0};
	uint64_t end;

	(void)state;
	add_element(&elements, "192.0.2.0/24", 22, 22, 50);
	add_element(&elements, "192.0.2.7", 80, 90, 50);
	add_element(&elements, "192.0.2.9", 80, 90, 50);
	assert_int_equal(nftables_elements_yield(&elements, &taken, &left_out, &intervals4, &end),
			 0);
	assert_true(end == SPALE_NEVER_NS);
	add_element(&taken, "192.0.2.0/28", 90, 99, 70);
	add_element(&taken, "192.0.2.200", 22, 22, 60);
	add_element(&taken, "192.0.3.0", 1, 65535, 40);
	add_element(&taken, "192.0.2.9", 79, 79, 30);
	assert_int_equal(nftables_elements_yield(&elements, &taken, &left_out, &intervals4, &end),
			 3);
	assert_int_equal(elements.count, 0);
	assert_int_equal(end, 60);
	assert_int_equal(left_out.grants, 3);
	assert_string_equal(left_out.why,
			    "set g4 has an element of somebody else where this one belongs: c");
}

static int note_difference(const NftablesElement *have, const NftablesElement *want, void *userdata)
{
	char *end = (char *)userdata + strlen(userdata);

	sprintf(end, "%u%s%s ", have ? have->first_port : want->first_port, have ? "-" : "",
		want ? "+" : "");
	return have && have->first_port == 99 ? -ENOSPC : 0;
}

static void test_differences(void **state)
{
	_cleanup_nftables_elements_ NftablesElements have = {0}, want = {0};
	char said[128] = "";

	(void)state;
	add_element(&have, "192.0.2.1", 1, 1, 50); /* stays */
	add_element(&want, "192.0.2.1", 1, 1, 60);
	add_element(&have, "192.0.2.1", 2, 2, 50); /* another end */
	add_element(&want, "192.0.2.1", 2, 2, 61);
	add_element(&have, "192.0.2.1", 3, 3, 50); /* another comment */
	add_element(&want, "192.0.2.1", 3, 3, 50);
	strcpy(want.items[2].comment, "spale: d");
	add_element(&have, "192.0.2.1", 4, 4, 50);
	add_element(&want, "192.0.2.1", 5, 5, 50);
	add_element(&have, "192.0.2.2", 6, 6, 50);
	assert_int_equal(nftables_elements_compare_lists(&have, &want, 10, note_difference, said),
			 0);
	assert_string_equal(said, "2-+ 3-+ 4- 5+ 6- ");
	add_element(&have, "192.0.2.1", 99, 99, 50);
	assert_int_equal(nftables_elements_compare_lists(&have, &want, 10, note_difference, said),
			 -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_without_intervals),
		cmocka_unit_test(test_on_one_interface),
		cmocka_unit_test(test_same_source),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_at_the_edges),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_any_grants),
		cmocka_unit_test(test_yield),
		cmocka_unit_test(test_differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
