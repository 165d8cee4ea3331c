/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "making.h"

/* Each refused value has exactly one line to its name, and nothing else is said. */
static void assert_refused(const char *section, const char *line, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *error = NULL;
	_cleanup_making_ Making making = {0};

	assert_true(asprintf(&text, "%s[%s]\n%s\n", REQUIRED, section, line) > 0);
	assert_true(asprintf(&error, "error f:7: [%s] %s\n", section, expected) > 0);
	making = make(text);
	assert_int_equal(making.result, -EINVAL);
	assert_said(&making.diagnostics, error);
}

/* ---- defaults ---------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
	_cleanup_making_ Making making = make(REQUIRED);
	const Config *config = making.config;

	(void)state;
	assert_said(&making.diagnostics, "");
	assert_strings(&config->interfaces, "eth0");
	assert_int_equal(config->mode, MODE_TC);
	assert_ports(&config->protected_ports, "22/tcp");
	assert_prefixes(&config->always_allow, "");
	assert_int_equal(config->scope, SCOPE_LOCAL);
	assert_true(config->keep_established);
	assert_false(config->log_only);
	assert_int_equal(config->denied_interval_ns, 10 * NSEC_PER_SEC);
	assert_ports(&config->knock_ports, "62201/udp");
	assert_addresses(config, true, true, "");
	assert_int_equal(config->source_interval_ns, NSEC_PER_SEC / 3);
	assert_int_equal(config->source_burst, 10);
	assert_int_equal(config->total_interval_ns, NSEC_PER_SEC / 2000);
	assert_strings(&config->server_keys, "/etc/spale/server.key");
	assert_string_equal(config->clients_directory, "/etc/spale/clients");
	assert_int_equal(config->idle_ns, MIN);
	assert_int_equal(config->grace_ns, 5 * MIN);
	assert_int_equal(config->lifetime_ns, 12 * HOUR);
	assert_int_equal(config->prefix4, 32);
	assert_int_equal(config->prefix6, 128);
	assert_int_equal(config->mirror.mode, MIRROR_NO);
	assert_int_equal(config->log_level, LOG_LEVEL_INFO);
	assert_false(config->legacy);
	assert_int_equal(config->override_count, 0);
}

static void test_required(void **state)
{
	_cleanup_making_ Making making = make("");

	(void)state;
	assert_int_equal(making.result, -EINVAL);
	assert_said(&making.diagnostics,
		    "error [Protect] Interfaces= is required (legacy: IFACE, option -i)\n"
		    "error [Protect] Ports= is required (legacy: PROTECTED_PORTS)\n"
		    "error [Knock] Ports= is required (legacy: LISTEN_PORT, option -S)\n");
}

static void test_everything(void **state)
{
	_cleanup_making_ Making making = make(
		"[Protect]\nInterfaces=eth0, wg* ens[0-9]\nMode=XDP\nPorts=22 8000-8010/udp\n"
		"Scope=All\nKeepEstablished=no\nAlwaysAllow=192.0.2.7 2001:db8::/32\nLogOnly=yes\n"
		"LogDenied=2/min\n[Knock]\nPorts=62201/udp,443\nAddresses=198.51.100.1 "
		"2001:db8::1\nFormats=1\n"
		"RateLimit=100/min\nRateBurst=5\nTotalRateLimit=500/s\n"
		"ServerKey=server.key /run/old.key\nClientsDirectory=/srv/spale clients\n"
		"[Grant]\nIdle=90\nGrace=0\nLifetime=1h 30min\nPrefix4=24\nPrefix6=64\n"
		"RequireSourceMatch=auto\nRequireDestinationMatch=no\n[Log]\nLevel=debug\n");
	const Config *config = making.config;

	(void)state;
	assert_said(&making.diagnostics, "");
	assert_strings(&config->interfaces, "eth0 wg* ens[0-9]");
	assert_int_equal(config->mode, MODE_XDP);
	assert_ports(&config->protected_ports, "22/tcp 22/udp 8000-8010/udp");
	assert_prefixes(&config->always_allow, "192.0.2.7 2001:db8::/32");
	assert_int_equal(config->scope, SCOPE_ALL);
	assert_false(config->keep_established);
	assert_true(config->log_only);
	assert_int_equal(config->denied_interval_ns, MIN / 2);
	assert_ports(&config->knock_ports, "443/udp 62201/udp");
	assert_addresses(config, false, false, "198.51.100.1 2001:db8::1");
	assert_int_equal(config->source_interval_ns, MIN / 100);
	assert_int_equal(config->source_burst, 5);
	assert_int_equal(config->total_interval_ns, NSEC_PER_SEC / 500);
	assert_strings(&config->server_keys, "/etc/spale/server.key /run/old.key");
	assert_string_equal(config->clients_directory, "/srv/spale clients");
	assert_int_equal(config->idle_ns, 90 * NSEC_PER_SEC);
	assert_int_equal(config->grace_ns, 0);
	assert_int_equal(config->lifetime_ns, 90 * MIN);
	assert_int_equal(config->prefix4, 24);
	assert_int_equal(config->prefix6, 64);
	assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
}

/* ---- values ------------------------------------------------------------------------------ */

#define INTERFACES "; it takes names of interfaces, or patterns of glob(7)"
#define PREFIXES                                                                                   \
	"; it takes addresses and prefixes such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32"

static void test_refused_in_protect(void **state)
{
	(void)state;
	assert_refused("Protect", "Interfaces=a/b", "Interfaces= cannot take \"a/b\"" INTERFACES);
	assert_refused("Protect", "Interfaces=eth0:1",
		       "Interfaces= cannot take \"eth0:1\"" INTERFACES);
	assert_refused("Protect", "Interfaces=..", "Interfaces= cannot take \"..\"" INTERFACES);
	assert_refused("Protect", "Interfaces=eth0 interface0123456",
		       "Interfaces= cannot take \"interface0123456\": names of interfaces have 15 "
		       "characters at most" INTERFACES);
	assert_refused("Protect", "Mode=tcx", "Mode= cannot take \"tcx\"; it takes tc or xdp");
	assert_refused("Protect", "Ports=22 x", "Ports= cannot take \"x\"" PORTS);
	assert_refused("Protect", "Ports=0", "Ports= cannot take \"0\"" PORTS);
	assert_refused("Protect", "Ports=65536", "Ports= cannot take \"65536\"" PORTS);
	assert_refused("Protect", "Ports=30-20", "Ports= cannot take \"30-20\"" PORTS);
	assert_refused("Protect", "Ports=22/icmp", "Ports= cannot take \"22/icmp\"" PORTS);
	assert_refused("Protect", "Ports=22#ssh", "Ports= cannot take \"22#ssh\"" PORTS);
	assert_refused("Protect", "Ports=,", "Ports= cannot take \",\"" PORTS);
	assert_refused("Protect", "Scope=some",
		       "Scope= cannot take \"some\"; it takes local or all");
	assert_refused("Protect", "KeepEstablished=tcp",
		       "KeepEstablished= cannot take \"tcp\"; it takes yes or no");
	assert_refused("Protect", "AlwaysAllow=192.0.2.7 192.0.2.256",
		       "AlwaysAllow= cannot take \"192.0.2.256\"" PREFIXES);
	assert_refused("Protect", "AlwaysAllow=192.0.2.0/33",
		       "AlwaysAllow= cannot take \"192.0.2.0/33\"" PREFIXES);
	assert_refused("Protect", "AlwaysAllow=example.org",
		       "AlwaysAllow= cannot take \"example.org\"" PREFIXES);
	assert_refused("Protect", "LogOnly=maybe",
		       "LogOnly= cannot take \"maybe\"; it takes yes or no");
	assert_refused("Protect", "LogDenied=11/s",
		       "LogDenied= cannot take \"11/s\"; it takes a rate from 1/h to 10/s such as "
		       "1/10s, or no");
	assert_refused("Protect", "LogDenied=yes",
		       "LogDenied= cannot take \"yes\"; it takes a rate from 1/h to 10/s such as "
		       "1/10s, or no");
}

#define KNOCK_PORTS "; it takes UDP ports such as 62201 or 62201/udp"
#define SOURCE_RATE "; it takes a rate from 1/h to 1000000/s such as 3/s or 100/min, or no"
#define TOTAL_RATE  "; it takes a rate from 1/h to 1000000/s such as 2000/s"

static void test_refused_in_knock(void **state)
{
	(void)state;
	assert_refused("Knock", "Ports=62201/tcp",
		       "Ports= cannot take \"62201/tcp\": a knock is one UDP datagram" KNOCK_PORTS);
	assert_refused("Knock", "Ports=-1", "Ports= cannot take \"-1\"" KNOCK_PORTS);
	assert_refused("Knock", "Addresses=eth0",
		       "Addresses= cannot take \"eth0\"; it takes any, or addresses of this host; "
		       "0.0.0.0 and :: are any of their family");
	assert_refused("Knock", "Formats=1 2",
		       "Formats= cannot take \"2\": format 2 is not available in this version; it "
		       "takes 1");
	assert_refused("Knock", "Formats=3", "Formats= cannot take \"3\"; it takes 1");
	assert_refused("Knock", "RateLimit=fast", "RateLimit= cannot take \"fast\"" SOURCE_RATE);
	assert_refused("Knock", "RateLimit=1/2h", "RateLimit= cannot take \"1/2h\"" SOURCE_RATE);
	assert_refused("Knock", "RateLimit=1000001/s",
		       "RateLimit= cannot take \"1000001/s\"" SOURCE_RATE);
	assert_refused("Knock", "RateBurst=0",
		       "RateBurst= cannot take \"0\"; it takes a number from 1 to 100000");
	assert_refused("Knock", "RateBurst=100001",
		       "RateBurst= cannot take \"100001\"; it takes a number from 1 to 100000");
	assert_refused("Knock", "TotalRateLimit=no",
		       "TotalRateLimit= cannot take \"no\"" TOTAL_RATE);
	assert_refused("Knock", "TotalRateLimit=0", "TotalRateLimit= cannot take \"0\"" TOTAL_RATE);
	assert_refused("Knock", "ServerKey=a b c d e", "ServerKey= has too many items at \"e\"");
}

#define MATCH ": a knock of format 1, the only one of this version, does not state it; it takes "

static void test_refused_in_grant(void **state)
{
	(void)state;
	assert_refused("Grant", "Idle=soon",
		       "Idle= cannot take \"soon\"" DURATION ", from 1 second");
	assert_refused("Grant", "Idle=0", "Idle= cannot take \"0\"" DURATION ", from 1 second");
	assert_refused("Grant", "Idle=999ms",
		       "Idle= cannot take \"999ms\"" DURATION ", from 1 second");
	assert_refused("Grant", "Grace=-2", "Grace= cannot take \"-2\"" DURATION);
	assert_refused("Grant", "Grace=1h 30", "Grace= cannot take \"1h 30\"" DURATION);
	assert_refused("Grant", "Lifetime=0s",
		       "Lifetime= cannot take \"0s\"" DURATION ", from 1 second");
	assert_refused("Grant", "Prefix4=15",
		       "Prefix4= cannot take \"15\"; it takes a prefix length from 16 to 32");
	assert_refused("Grant", "Prefix4=33",
		       "Prefix4= cannot take \"33\"; it takes a prefix length from 16 to 32");
	assert_refused("Grant", "Prefix6=31",
		       "Prefix6= cannot take \"31\"; it takes a prefix length from 32 to 128");
	assert_refused("Grant", "Prefix6=129",
		       "Prefix6= cannot take \"129\"; it takes a prefix length from 32 to 128");
	assert_refused("Grant", "Prefix6=/64",
		       "Prefix6= cannot take \"/64\"; it takes a prefix length from 32 to 128");
	assert_refused("Grant", "RequireSourceMatch=yes",
		       "RequireSourceMatch= cannot take \"yes\"" MATCH "auto or no");
	assert_refused("Grant", "RequireSourceMatch=often",
		       "RequireSourceMatch= cannot take \"often\"; it takes auto or no");
	assert_refused("Grant", "RequireDestinationMatch=true",
		       "RequireDestinationMatch= cannot take \"true\"" MATCH "no");
	assert_refused("Grant", "RequireDestinationMatch=auto",
		       "RequireDestinationMatch= cannot take \"auto\"; it takes no");
	assert_refused("Log", "Level=loud",
		       "Level= cannot take \"loud\"; it takes debug, info, warning or error");
}

static void test_edges(void **state)
{
	_cleanup_making_ Making making =
		make("[Protect]\nInterfaces=interface012345 interface012345\nPorts=1-65535/tcp\n"
		     "[Knock]\nPorts=1-65535\nRateLimit=no\nRateBurst=100000\nTotalRateLimit=1/h\n"
		     "ServerKey=a a b c /d\n"
		     "[Grant]\nIdle=1\nGrace=infinity\nLifetime=-1\nPrefix4=16\nPrefix6=32\n"
		     "RequireSourceMatch=no\n[Log]\nLevel=warn\n");
	const Config *config = making.config;

	(void)state;
	assert_said(&making.diagnostics,
		    "warning [Protect] Ports= has 65535 ports and one grant opens 1024 at most: "
		    "each client needs Ports= of its own\n");
	assert_strings(&config->interfaces, "interface012345");
	assert_ports(&config->knock_ports, "1-65535/udp");
	assert_int_equal(config->source_interval_ns, 0);
	assert_int_equal(config->source_burst, 100000);
	assert_int_equal(config->total_interval_ns, HOUR);
	assert_strings(&config->server_keys, "/etc/spale/a /etc/spale/b /etc/spale/c /d");
	assert_int_equal(config->idle_ns, NSEC_PER_SEC);
	assert_true(config->grace_ns == DURATION_INFINITY);
	assert_true(config->lifetime_ns == DURATION_INFINITY);
	assert_int_equal(config->prefix4, 16);
	assert_int_equal(config->prefix6, 32);
	assert_int_equal(config->log_level, LOG_LEVEL_WARNING);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *value;
		bool any4, any6;
		const char *addresses;
	} rows[] = {
		{"any", true, true, ""},	{"0.0.0.0", true, false, ""},
		{"::", false, true, ""},	{":: 192.0.2.1", false, true, "192.0.2.1"},
		{"0.0.0.0,::", true, true, ""}, {"[2001:db8::1]", false, false, "2001:db8::1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = NULL;
		_cleanup_making_ Making making = {0};

		assert_true(asprintf(&text, REQUIRED "Addresses=%s\n", rows[i].value) > 0);
		making = make(text);
		assert_said(&making.diagnostics, "");
		assert_addresses(making.config, rows[i].any4, rows[i].any6, rows[i].addresses);
	}
}

/* All that is wrong is said at once, and a bad value is not called missing besides. */
static void test_several_errors(void **state)
{
	_cleanup_making_ Making making =
		make("[Protect]\nInterfaces=\nPorts=x\nMode=y\n[Knock\n[Grant]\nIdle=z\n");

	(void)state;
	assert_int_equal(making.result, -EINVAL);
	assert_int_equal(making.diagnostics.errors, 6);
	assert_said(&making.diagnostics,
		    "error f:3: [Protect] Ports= cannot take \"x\"" PORTS "\n"
		    "error f:4: [Protect] Mode= cannot take \"y\"; it takes tc or xdp\n"
		    "error f:5: \"[Knock\" lacks the closing \"]\" of a section\n"
		    "error f:7: [Grant] Idle= cannot take \"z\"" DURATION ", from 1 second\n"
		    "error [Protect] Interfaces= is required (legacy: IFACE, option -i)\n"
		    "error [Knock] Ports= is required (legacy: LISTEN_PORT, option -S)\n");
}

static void test_unknown(void **state)
{
	_cleanup_making_ Making making = make("Interfaces=eth1\n" REQUIRED
					      "IFACE=eth2\nALICE_PORTS=22\nWindow=60s\n[Protect]\n"
					      "KeepAll=yes\nports=23\n[Mirror]\nOwn=no\n");

	(void)state;
	assert_int_equal(making.result, 0);
	assert_said(
		&making.diagnostics,
		"warning f:1: unknown key Interfaces= before the first section\n"
		"warning f:7: unknown key IFACE= in [Knock]; keys of spale 0.3 stand before the "
		"first section\n"
		"warning f:8: unknown key ALICE_PORTS= in [Knock]; keys of spale 0.3 stand "
		"before the first section\n"
		"warning f:9: unknown key Window= in [Knock]\n"
		"warning f:11: unknown key KeepAll= in [Protect]\n"
		"warning f:12: unknown key ports= in [Protect]\n"
		"warning f:14: unknown section [Mirror]: Own= has no effect\n");
	assert_strings(&making.config->interfaces, "eth0");
	assert_false(making.config->legacy);
}

/* Where another loader attaches, interfaces are its business. */
static void test_external(void **state)
{
	static const char base[] = "[Attach]\nExternal=%s\nPinDirectory=pins\n[Protect]\nPorts=22\n"
				   "[Knock]\nPorts=62201\n";
	_cleanup_free_ char *external = NULL, *internal = NULL, *named = NULL;

	(void)state;
	assert_true(asprintf(&external, base, "yes") > 0);
	assert_true(asprintf(&internal, base, "no") > 0);
	assert_true(asprintf(&named, "%s[Protect]\nInterfaces=eth0\n", external) > 0);

	_cleanup_making_ Making without = make(external);
	assert_int_equal(without.result, 0);
	assert_true(without.config->external);
	assert_false(without.config->pin);
	assert_string_equal(without.config->pin_directory, "/etc/spale/pins");
	assert_int_equal(without.config->interfaces.count, 0);
	assert_said(&without.diagnostics, "");

	_cleanup_making_ Making needed = make(internal);
	assert_int_equal(needed.result, -EINVAL);
	assert_said(&needed.diagnostics,
		    "error [Protect] Interfaces= is required (legacy: IFACE, option -i)\n");

	_cleanup_making_ Making unheeded = make(named);
	assert_int_equal(unheeded.result, 0);
	assert_int_equal(unheeded.config->interfaces.count, 0);
	assert_said(&unheeded.diagnostics,
		    "warning [Protect] Interfaces= has no effect with [Attach] External=yes: "
		    "whoever loads the programs attaches them\n");
}

/* ---- several places ---------------------------------------------------------------------- */

static void test_later_lines(void **state)
{
	_cleanup_making_ Making making = making_new();

	(void)state;
	add(&making, "main",
	    REQUIRED "Ports=62202\n[Protect]\nMode=xdp\nMode=tc\nAlwaysAllow=192.0.2.9\n"
		     "AlwaysAllow=192.0.2.1,192.0.2.9\n[Grant]\nIdle=5min\n");
	add(&making, "drop-in",
	    "[Protect]\nPorts=\nPorts=443/tcp\nAlwaysAllow=192.0.2.0/24\n[Grant]\n"
	    "Idle=\n");
	finish(&making);
	assert_int_equal(making.result, 0);
	assert_said(&making.diagnostics, "");
	assert_int_equal(making.config->mode, MODE_TC);
	assert_ports(&making.config->knock_ports, "62201-62202/udp");
	assert_ports(&making.config->protected_ports, "443/tcp");
	assert_prefixes(&making.config->always_allow, "192.0.2.0/24 192.0.2.1 192.0.2.9");
	assert_int_equal(making.config->idle_ns, MIN);
}

static void test_emptied(void **state)
{
	_cleanup_making_ Making making = making_new();

	(void)state;
	add(&making, "f",
	    REQUIRED "ServerKey=/a\nServerKey=\n[Protect]\nAlwaysAllow=192.0.2.1\n"
		     "AlwaysAllow=\nInterfaces=\n");
	finish(&making);
	assert_int_equal(making.result, -EINVAL);
	assert_said(&making.diagnostics,
		    "error [Protect] Interfaces= is required (legacy: IFACE, option -i)\n");
	option(&making, "-i", "Protect", "Interfaces", "eth9");
	diagnostics_done(&making.diagnostics);
	finish(&making);
	assert_int_equal(making.result, 0);
	assert_strings(&making.config->interfaces, "eth9");
	assert_strings(&making.config->server_keys, "/etc/spale/server.key");
	assert_prefixes(&making.config->always_allow, "");
}

static void test_options(void **state)
{
	_cleanup_making_ Making making = making_new();

	(void)state;
	option(&making, "-i", "Protect", "Interfaces", "eth1,eth2");
	option(&making, "-t", "Grant", "Idle", "-1");
	add(&making, "f", REQUIRED "[Grant]\nIdle=5\nGrace=6\n");
	option(&making, "-i", "Protect", "Interfaces", "eth3");
	option(&making, "-n", "Protect", "LogOnly", "1");
	option(&making, "-g", "Grant", "Grace", "1min");
	option(&making, "-g", "Grant", "Grace", "2min");
	option(&making, "--clients", "Knock", "ClientsDirectory", "people");
	finish(&making);
	assert_int_equal(making.result, 0);
	assert_said(&making.diagnostics, "");
	assert_strings(&making.config->interfaces, "eth1 eth2 eth3");
	assert_true(making.config->log_only);
	assert_true(making.config->idle_ns == DURATION_INFINITY);
	assert_int_equal(making.config->grace_ns, 2 * MIN);
	assert_string_equal(making.config->clients_directory, "/etc/spale/people");
	assert_false(making.config->legacy);
}

static void test_bad_options(void **state)
{
	_cleanup_making_ Making making = making_new();

	(void)state;
	add(&making, "f", REQUIRED);
	option(&making, "-m", "Protect", "Mode", "tcx");
	option(&making, "-S", "Knock", "Ports", "70000");
	option(&making, "-x", "Knock", "Nonsense", "1");
	finish(&making);
	assert_int_equal(making.result, -EINVAL);
	assert_said(&making.diagnostics,
		    "error option -m: [Protect] Mode= cannot take \"tcx\"; it takes tc or xdp\n"
		    "error option -S: [Knock] Ports= cannot take \"70000\"" KNOCK_PORTS "\n"
		    "error option -x: there is no key Nonsense= in [Knock]\n");
}

/* ---- limits ------------------------------------------------------------------------------ */

static char *repeat(const char *before, size_t count, const char *format, const char *after)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	fputs(before, stream);
	for (size_t i = 0; i < count; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		fprintf(stream, format, (unsigned int)(i >> 8 & 255), (unsigned int)(i & 255));
#pragma GCC diagnostic pop
	}
	fputs(after, stream);
	fclose(stream);
	return text;
}

static void test_long_line(void **state)
{
	_cleanup_free_ char *text =
		repeat(REQUIRED "[Protect]\nAlwaysAllow=", 65536, " 10.1.%u.%u", "\n");
	_cleanup_free_ char *one_more =
		repeat(REQUIRED "[Protect]\nAlwaysAllow=", 65536, " 10.1.%u.%u", " ::1\n");
	_cleanup_making_ Making making = make(text);
	_cleanup_making_ Making larger = make(one_more);

	(void)state;
	assert_said(&making.diagnostics, "");
	assert_int_equal(making.config->always_allow.count, 65536);
	assert_said(&larger.diagnostics,
		    "error f:7: [Protect] AlwaysAllow= has too many items at \"::1\"\n");
}

/* Two values that are fine by themselves can be too much together. */
static void test_too_many_together(void **state)
{
	_cleanup_free_ char *text = repeat(REQUIRED "Addresses=", CONFIG_ADDRESSES_MAX,
					   " 10.0.%u.%u", "\nAddresses=192.0.2.1\n");
	_cleanup_making_ Making making = make(text);
	_cleanup_free_ char *clients =
		repeat("", CONFIG_OVERRIDES_MAX + 1, "C%u-%u_PORTS=1\n", REQUIRED);
	_cleanup_making_ Making many = make(clients);

	(void)state;
	assert_int_equal(making.result, -EINVAL);
	assert_said(&making.diagnostics,
		    "error f:7: [Knock] Addresses= has too many items at \"192.0.2.1\"\n");
	assert_int_equal(many.result, -EINVAL);
	assert_int_equal(many.diagnostics.errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_refused_in_protect),
		cmocka_unit_test(test_refused_in_knock),
		cmocka_unit_test(test_refused_in_grant),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_several_errors),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_later_lines),
		cmocka_unit_test(test_emptied),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_too_many_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
