/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/decide.h"
#include "scarcity.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* A configuration, a client and a request that is granted; tests change what they are about. */
typedef struct Case {
	Config config;
	Client client;
	PortList asked;
	Request request;
	Decision decision;
} Case;

static void case_done(Case *c)
{
	port_list_done(&c->config.protected_ports);
	port_list_done(&c->client.ports);
	port_list_done(&c->asked);
	free(c->client.allowed_sources.items);
	decision_done(&c->decision);
}

#define _cleanup_case_ _cleanup_(case_done)

static Address address(const char *text)
{
	Address result;

	assert_int_equal(address_parse(text, &result), 0);
	return result;
}

static void set_ports(PortList *list, const char *text)
{
	char copy[256], *rest = copy, *item;

	port_list_done(list);
	*list = PORT_LIST_NULL;
	snprintf(copy, sizeof(copy), "%s", text);
	while ((item = strsep(&rest, " "))) {
		if (*item)
			assert_int_equal(port_list_add_text(list, item), 0);
	}
}

static Case case_new(void)
{
	Case c = {
		.config = {.idle_ns = 60,
			   .grace_ns = 300,
			   .lifetime_ns = 43200,
			   .prefix4 = 32,
			   .prefix6 = 128},
		.client = {.name = "alice", .enabled = true, .not_after_real_usec = UINT64_MAX},
		.request = {.source = address("192.0.2.7"), .ifindex = 3, .now_real_usec = 1000},
	};

	set_ports(&c.config.protected_ports, "22/tcp 443 8000-8010/udp");
	return c;
}

static void set_sources(Case *c, size_t count, const char *const *texts)
{
	c->client.has_allowed_sources = true;
	c->client.allowed_sources.items = calloc(count + 1, sizeof(Prefix));
	assert_non_null(c->client.allowed_sources.items);
	c->client.allowed_sources.count = count;
	for (size_t i = 0; i < count; i++)
		assert_int_equal(prefix_parse(texts[i], &c->client.allowed_sources.items[i]), 0);
}

/* Judges; a refusal must leave the decision alone. */
static int judge(Case *c)
{
	Decision decision = {.idle_ns = 12345};
	int r;

	decision_done(&c->decision);
	c->decision = (Decision){0};
	r = decide(&c->config, &c->client, &c->request, &decision);
	if (r == REFUSAL_NONE) {
		c->decision = decision;
	} else {
		assert_int_equal(decision.idle_ns, 12345);
		assert_null(decision.ports.ranges);
	}
	return r;
}

static void assert_granted(Case *c, const char *source, const char *ports)
{
	_cleanup_free_ char *text = NULL;
	char prefix[ADDRESS_TEXT_MAX];

	assert_int_equal(judge(c), REFUSAL_NONE);
	assert_string_equal(prefix_format(&c->decision.source, prefix), source);
	text = port_list_format(&c->decision.ports);
	assert_string_equal(text, ports);
	assert_true(address_equal(&c->decision.address, &c->request.source));
}

#define ALL "22/tcp 443/tcp 443/udp 8000-8010/udp"

static void test_plain(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	assert_granted(&c, "192.0.2.7", ALL);
	assert_int_equal(c.decision.ifindex, 0);
	assert_int_equal(c.decision.idle_ns, 60);
	assert_int_equal(c.decision.grace_ns, 300);
	assert_int_equal(c.decision.lifetime_ns, 43200);
}

static void test_times_of_the_client(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	c.client.has_idle = true;
	c.client.idle_ns = DURATION_INFINITY;
	c.client.has_grace = true;
	c.client.grace_ns = 0;
	c.client.has_lifetime = true;
	c.client.lifetime_ns = 1;
	assert_granted(&c, "192.0.2.7", ALL);
	assert_true(c.decision.idle_ns == DURATION_INFINITY);
	assert_int_equal(c.decision.grace_ns, 0);
	assert_int_equal(c.decision.lifetime_ns, 1);
}

static void test_disabled(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	c.client.enabled = false;
	assert_int_equal(judge(&c), REFUSAL_CLIENT_DISABLED);
	assert_int_equal(decide_client(&c.client, 1000), REFUSAL_CLIENT_DISABLED);
}

static void test_dates(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	c.client.not_before_real_usec = 1000;
	c.client.not_after_real_usec = 2000;
	c.request.now_real_usec = 999;
	assert_int_equal(judge(&c), REFUSAL_CLIENT_DATES);
	c.request.now_real_usec = 1000;
	assert_granted(&c, "192.0.2.7", ALL);
	c.request.now_real_usec = 1999;
	assert_granted(&c, "192.0.2.7", ALL);
	c.request.now_real_usec = 2000;
	assert_int_equal(judge(&c), REFUSAL_CLIENT_DATES);
	assert_int_equal(decide_client(&c.client, 2000), REFUSAL_CLIENT_DATES);
	assert_int_equal(decide_client(&c.client, 1500), REFUSAL_NONE);
}

static void test_sources(void **state)
{
	static const char *const allowed[] = {"192.0.2.0/29", "2001:db8::/64"};
	_cleanup_case_ Case c = case_new();

	(void)state;
	set_sources(&c, ARRAY_SIZE(allowed), allowed);
	assert_granted(&c, "192.0.2.7", ALL);
	c.request.source = address("192.0.2.8");
	assert_int_equal(judge(&c), REFUSAL_SOURCE);
	c.request.source = address("2001:db8::1");
	assert_granted(&c, "2001:db8::1", ALL);
	c.request.source = address("2001:db8:0:1::1");
	assert_int_equal(judge(&c), REFUSAL_SOURCE);
}

static void test_no_sources(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	set_sources(&c, 0, NULL);
	assert_int_equal(judge(&c), REFUSAL_SOURCE);
}

static void test_prefixes(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	c.config.prefix4 = 24;
	c.config.prefix6 = 56;
	assert_granted(&c, "192.0.2.0/24", ALL);
	assert_int_equal(c.decision.source.length, 96 + 24);
	c.request.source = address("2001:db8:1:2ff::1");
	assert_granted(&c, "2001:db8:1:200::/56", ALL);
	assert_int_equal(c.decision.source.length, 56);
}

/* An address that says something on one interface only is granted there only. */
static void test_link_local(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	c.request.source = address("fe80::1");
	assert_granted(&c, "fe80::1", ALL);
	assert_int_equal(c.decision.ifindex, 3);
	c.request.source = address("169.254.1.1");
	assert_granted(&c, "169.254.1.1", ALL);
	assert_int_equal(c.decision.ifindex, 3);
	c.request.source = address("fec0::1");
	assert_granted(&c, "fec0::1", ALL);
	assert_int_equal(c.decision.ifindex, 0);
}

static void test_ports_of_the_client(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	c.client.has_ports = true;
	set_ports(&c.client.ports, "1-443/tcp 8005-9000/udp");
	assert_granted(&c, "192.0.2.7", "22/tcp 443/tcp 8005-8010/udp");
	/* A list that filters to nothing grants nothing. */
	set_ports(&c.client.ports, "22/udp 8000/tcp 80");
	assert_int_equal(judge(&c), REFUSAL_NO_PORTS);
	set_ports(&c.client.ports, "");
	assert_int_equal(judge(&c), REFUSAL_NO_PORTS);
}

static void test_ports_asked_for(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	c.request.ports = &c.asked;
	set_ports(&c.asked, "22 444");
	assert_granted(&c, "192.0.2.7", "22/tcp");
	set_ports(&c.asked, "444");
	assert_int_equal(judge(&c), REFUSAL_NO_PORTS);
	/* An empty list asks for nothing; only NULL asks for everything. */
	set_ports(&c.asked, "");
	assert_int_equal(judge(&c), REFUSAL_NO_PORTS);
	/* What the client may not open stays closed, asked for or not. */
	c.client.has_ports = true;
	set_ports(&c.client.ports, "443");
	set_ports(&c.asked, "22 443/tcp");
	assert_granted(&c, "192.0.2.7", "443/tcp");
	set_ports(&c.asked, "22");
	assert_int_equal(judge(&c), REFUSAL_NO_PORTS);
}

static void test_many_ports(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	set_ports(&c.config.protected_ports, "1-1024/tcp");
	assert_granted(&c, "192.0.2.7", "1-1024/tcp");
	set_ports(&c.config.protected_ports, "1-1025/tcp");
	assert_int_equal(judge(&c), REFUSAL_TOO_MANY_PORTS);
	c.client.has_ports = true;
	set_ports(&c.client.ports, "2-1025/tcp");
	assert_granted(&c, "192.0.2.7", "2-1025/tcp");
}

/* Without a protected port there is nothing to open. */
static void test_nothing_protected(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	set_ports(&c.config.protected_ports, "");
	assert_int_equal(judge(&c), REFUSAL_NO_PORTS);
}

static void test_no_memory(void **state)
{
	_cleanup_case_ Case c = case_new();

	(void)state;
	SCARCITY_UNTIL_IT_WORKS(judge(&c), (void)0);
	c.client.has_ports = true;
	set_ports(&c.client.ports, "443 8001/udp");
	set_ports(&c.asked, "1-65535");
	c.request.ports = &c.asked;
	SCARCITY_UNTIL_IT_WORKS(judge(&c), (void)0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_times_of_the_client),
		cmocka_unit_test(test_disabled),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_no_sources),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_link_local),
		cmocka_unit_test(test_ports_of_the_client),
		cmocka_unit_test(test_ports_asked_for),
		cmocka_unit_test(test_many_ports),
		cmocka_unit_test(test_nothing_protected),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
