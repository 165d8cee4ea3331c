/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "making.h"
#include "scarcity.h"

static const char legacy_file[] = "# spale configuration\n"
				  "IFACE=eth0\n"
				  "MODE=tc                   # tc|xdp\n"
				  "LISTEN_ADDR=0.0.0.0\n"
				  "LISTEN_ADDR6=::\n"
				  "LISTEN_PORT=55555         # SPA UDP port\n"
				  "\n"
				  "PROTECTED_PORTS=22,443,8443\n"
				  "IDLE_SEC=60\n"
				  "GRACE_SEC=-1\n"
				  "LOG_ONLY=0\n"
				  "SPA_RL_RATE=3\n"
				  "SPA_RL_BURST=3\n"
				  "SERVER_KEY=/etc/spale/server.key\n"
				  "CLIENTS_DIR=/etc/spale/clients     # *.pem\n"
				  "ALWAYS_ALLOW=192.168.1.10,10.0.0.0/8,2001:db8::/32\n"
				  "LOG_LEVEL=warn\n"
				  "LOG_USE_SYSLOG=1\n"
				  "ADMIN_IDLE_SEC=120\n"
				  "ADMIN_GRACE_SEC=-1\n"
				  "ADMIN_PORTS=22,8443           # subset of PROTECTED_PORTS\n"
				  "MY-LAPTOP.2_PORTS=443\n";

static void test_legacy(void **state)
{
	_cleanup_making_ Making making = make(legacy_file);
	const Config *config = making.config;
	const ClientOverride *override;

	(void)state;
	assert_int_equal(making.result, 0);
	assert_strings(&config->interfaces, "eth0");
	assert_int_equal(config->mode, MODE_TC);
	assert_addresses(config, true, true, "");
	assert_ports(&config->knock_ports, "55555/udp");
	assert_ports(&config->protected_ports, "22/tcp 443/tcp 8443/tcp 22/udp 443/udp 8443/udp");
	assert_int_equal(config->idle_ns, MIN);
	assert_true(config->grace_ns == DURATION_INFINITY);
	assert_true(config->lifetime_ns == DURATION_INFINITY);
	assert_int_equal(config->scope, SCOPE_LOCAL);
	assert_true(config->keep_established);
	assert_false(config->log_only);
	assert_int_equal(config->source_interval_ns, NSEC_PER_SEC / 3);
	assert_int_equal(config->source_burst, 3);
	assert_strings(&config->server_keys, "/etc/spale/server.key");
	assert_string_equal(config->clients_directory, "/etc/spale/clients");
	assert_prefixes(&config->always_allow, "10.0.0.0/8 192.168.1.10 2001:db8::/32");
	assert_int_equal(config->log_level, LOG_LEVEL_WARNING);
	assert_true(config->legacy);

	assert_int_equal(config->override_count, 2);
	override = config_override(config, "admin");
	assert_non_null(override);
	assert_ptr_equal(override, config_override(config, "ADMIN"));
	assert_true(override->has_ports);
	assert_ports(&override->ports, "22/tcp 8443/tcp 22/udp 8443/udp");
	assert_true(override->has_idle);
	assert_int_equal(override->idle_ns, 2 * MIN);
	assert_true(override->has_grace);
	assert_true(override->grace_ns == DURATION_INFINITY);
	override = config_override(config, "my-laptop.2");
	assert_non_null(override);
	assert_true(override->has_ports);
	assert_false(override->has_idle);
	assert_false(override->has_grace);
	assert_null(config_override(config, "adm"));
	assert_null(config_override(config, ""));
}

#define IS_LEGACY "= is a key of spale 0.3; its name is now "
#define OF_CLIENT "= in [Client] of the client's own .conf file\n"
#define LIFETIME_WARNING                                                                           \
	"warning [Grant] Lifetime= is not set and infinity, as in spale 0.3, so a spoofed packet " \
	"now and then keeps a grant for ever; set it, to 12h for example\n"

static void test_legacy_notices(void **state)
{
	_cleanup_making_ Making making = make(legacy_file);

	(void)state;
	assert_said(
		&making.diagnostics,
		"notice f:2: IFACE" IS_LEGACY "[Protect] Interfaces=\n"
		"notice f:3: MODE" IS_LEGACY "[Protect] Mode=\n"
		"notice f:4: LISTEN_ADDR" IS_LEGACY "[Knock] Addresses=\n"
		"notice f:5: LISTEN_ADDR6" IS_LEGACY "[Knock] Addresses=\n"
		"notice f:6: LISTEN_PORT" IS_LEGACY "[Knock] Ports=\n"
		"notice f:8: PROTECTED_PORTS" IS_LEGACY "[Protect] Ports=\n"
		"notice f:9: IDLE_SEC" IS_LEGACY "[Grant] Idle=\n"
		"notice f:10: GRACE_SEC" IS_LEGACY "[Grant] Grace=\n"
		"notice f:11: LOG_ONLY" IS_LEGACY "[Protect] LogOnly=\n"
		"notice f:12: SPA_RL_RATE" IS_LEGACY "[Knock] RateLimit=\n"
		"notice f:13: SPA_RL_BURST" IS_LEGACY "[Knock] RateBurst=\n"
		"notice f:14: SERVER_KEY" IS_LEGACY "[Knock] ServerKey=\n"
		"notice f:15: CLIENTS_DIR" IS_LEGACY "[Knock] ClientsDirectory=\n"
		"notice f:16: ALWAYS_ALLOW" IS_LEGACY "[Protect] AlwaysAllow=\n"
		"notice f:17: LOG_LEVEL" IS_LEGACY "[Log] Level=\n"
		"notice f:18: LOG_USE_SYSLOG= is a key of spale 0.3 and has no effect: messages "
		"go to standard error, which systemd hands to the journal\n"
		"notice f:19: ADMIN_IDLE_SEC" IS_LEGACY "Idle" OF_CLIENT
		"notice f:20: ADMIN_GRACE_SEC" IS_LEGACY "Grace" OF_CLIENT
		"notice f:21: ADMIN_PORTS" IS_LEGACY "Ports" OF_CLIENT
		"notice f:22: MY-LAPTOP.2_PORTS" IS_LEGACY "Ports" OF_CLIENT LIFETIME_WARNING);
}

static void test_legacy_with_sections(void **state)
{
	_cleanup_making_ Making making =
		make("IFACE=eth0\n[Protect]\nPorts=22\n[Knock]\nPorts=1\n[Grant]\nLifetime=1h\n");

	(void)state;
	assert_said(&making.diagnostics, "notice f:1: IFACE" IS_LEGACY "[Protect] Interfaces=\n");
	assert_true(making.config->legacy);
	assert_int_equal(making.config->lifetime_ns, HOUR);
}

/* Naming the address of one family leaves the other one as it was: any. */
static void test_legacy_addresses(void **state)
{
	static const struct {
		const char *lines;
		bool any4, any6;
		const char *addresses;
	} rows[] = {
		{"LISTEN_ADDR=192.0.2.1\n", false, true, "192.0.2.1"},
		{"LISTEN_ADDR6=2001:db8::1\n", true, false, "2001:db8::1"},
		{"LISTEN_ADDR=192.0.2.1\nLISTEN_ADDR6=2001:db8::1\n", false, false,
		 "192.0.2.1 2001:db8::1"},
		{"LISTEN_ADDR=\n", true, true, ""},
		{"LISTEN_ADDR=192.0.2.1\n[Knock]\nAddresses=192.0.2.2\n", false, false,
		 "192.0.2.1 192.0.2.2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = NULL;
		_cleanup_making_ Making making = {0};

		assert_true(asprintf(&text, "%s" REQUIRED, rows[i].lines) > 0);
		making = make(text);
		assert_int_equal(making.result, 0);
		assert_addresses(making.config, rows[i].any4, rows[i].any6, rows[i].addresses);
	}
}

static void test_legacy_oddities(void **state)
{
	_cleanup_making_ Making making = make(
		"IFACE=eth0\nIFACE=eth1\nIDLE_SEC=5\nIDLE_SEC=6\nSPA_RL_RATE=0\nMODE=\nA_PORTS=\n"
		"A_IDLE_SEC=7\nA_IDLE_SEC=\nadmin_PORTS=22\n_PORTS=22\n" REQUIRED);
	const ClientOverride *override;

	(void)state;
	assert_int_equal(making.result, 0);
	assert_said(
		&making.diagnostics,
		"notice f:1: IFACE" IS_LEGACY "[Protect] Interfaces=\n"
		"notice f:2: IFACE" IS_LEGACY "[Protect] Interfaces=\n"
		"warning f:2: IFACE= stands in this file again; spale 0.3 took the first one, "
		"this version takes all of them\n"
		"notice f:3: IDLE_SEC" IS_LEGACY "[Grant] Idle=\n"
		"notice f:4: IDLE_SEC" IS_LEGACY "[Grant] Idle=\n"
		"warning f:4: IDLE_SEC= stands in this file again; spale 0.3 took the first "
		"one, this version takes the last one\n"
		"notice f:5: SPA_RL_RATE" IS_LEGACY "[Knock] RateLimit=\n"
		"notice f:6: MODE" IS_LEGACY "[Protect] Mode=\n"
		"notice f:7: A_PORTS" IS_LEGACY "Ports" OF_CLIENT
		"warning f:7: A_PORTS= is empty: this client may open no port\n"
		"notice f:8: A_IDLE_SEC" IS_LEGACY "Idle" OF_CLIENT
		"notice f:9: A_IDLE_SEC" IS_LEGACY "Idle" OF_CLIENT
		"warning f:10: unknown key admin_PORTS= before the first section\n"
		"warning f:11: unknown key _PORTS= before the first section\n" LIFETIME_WARNING);
	assert_int_equal(making.config->idle_ns, 6 * NSEC_PER_SEC);
	assert_int_equal(making.config->source_interval_ns, 0);
	override = config_override(making.config, "a");
	assert_non_null(override);
	assert_true(override->has_ports);
	assert_int_equal(override->ports.count, 0);
	assert_false(override->has_idle);
}

static void test_legacy_errors(void **state)
{
	_cleanup_making_ Making making = make("IDLE_SEC=a minute\nADMIN_PORTS=22,http\n" REQUIRED);

	(void)state;
	assert_int_equal(making.result, -EINVAL);
	assert_said(&making.diagnostics,
		    "notice f:1: IDLE_SEC" IS_LEGACY "[Grant] Idle=\n"
		    "error f:1: IDLE_SEC= cannot take \"a minute\"" DURATION ", from 1 second\n"
		    "notice f:2: ADMIN_PORTS" IS_LEGACY "Ports" OF_CLIENT
		    "error f:2: ADMIN_PORTS= cannot take \"http\"" PORTS "\n");
}

/* ---- --show-config ----------------------------------------------------------------------- */

static void test_show_defaults(void **state)
{
	_cleanup_making_ Making making = make(REQUIRED);
	_cleanup_free_ char *text = config_builder_format(making.builder);

	(void)state;
	assert_string_equal(text,
			    "[Protect]\nInterfaces=eth0\n# f:2\nMode=tc\n# default\n"
			    "Ports=22/tcp\n# f:3\nScope=local\n# default\n"
			    "KeepEstablished=yes\n# default\nAlwaysAllow=\n"
			    "# default\nLogOnly=no\n# default\nLogDenied=1/10s\n# default\n\n"
			    "[Knock]\nPorts=62201\n# f:5\nAddresses=any\n# default\n"
			    "Formats=1\n# default\nRateLimit=3/s\n# default\nRateBurst=10\n"
			    "# default\nTotalRateLimit=2000/s\n# default\n"
			    "ServerKey=/etc/spale/server.key\n# default\n"
			    "ClientsDirectory=/etc/spale/clients\n# default\n\n"
			    "[Grant]\nIdle=60s\n# default\nGrace=300s\n# default\n"
			    "Lifetime=12h\n# default\nPrefix4=32\n# default\nPrefix6=128\n"
			    "# default\nRequireSourceMatch=auto\n# default\n"
			    "RequireDestinationMatch=no\n# default\n\n[Nftables]\nMirror=no\n# "
			    "default\n\n[Log]\nLevel=info\n"
			    "# default\n\n[Attach]\nPin=no\n# default\n"
			    "PinDirectory=/sys/fs/bpf/spale\n# default\nExternal=no\n# default\n");
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void test_show_origins(void **state)
{
	_cleanup_making_ Making making = making_new();
	_cleanup_free_ char *text = NULL;

	(void)state;
	add(&making, "main", "LISTEN_ADDR=192.0.2.1\nBOB_PORTS=22\n[Protect]\nPorts=22/tcp\n");
	add(&making, "drop-in", "[Protect]\nPorts=23\nMode=xdp\n[Knock]\nServerKey=other.key\n");
	option(&making, "-m", "Protect", "Mode", "tc");
	text = config_builder_format(making.builder);
	assert_non_null(text);
	assert_has(text, "BOB_PORTS=22\n# main:2\n\n[Protect]\n#Interfaces=\n# required\n"
			 "Mode=tc\n# option -m\nPorts=22/tcp\n# main:4\nPorts=23\n# drop-in:2\n");
	assert_has(text, "Addresses=:: 192.0.2.1\n# main:1\n");
	assert_has(text, "ServerKey=/etc/spale/other.key\n# drop-in:5\n");
	assert_has(text, "Lifetime=infinity\n# default of a configuration of spale 0.3\n");
}

/* What is shown, read again, gives the same. */
static void test_show_round_trip(void **state)
{
	_cleanup_making_ Making first = make(legacy_file);
	_cleanup_free_ char *text = config_builder_format(first.builder);
	_cleanup_making_ Making second = making_new();

	(void)state;
	add(&second, "again", text);
	finish(&second);
	assert_int_equal(second.result, 0);
	assert_strings(&second.config->interfaces, "eth0");
	assert_true(
		port_list_equal(&first.config->protected_ports, &second.config->protected_ports));
	assert_true(port_list_equal(&first.config->knock_ports, &second.config->knock_ports));
	assert_prefixes(&second.config->always_allow, "10.0.0.0/8 192.168.1.10 2001:db8::/32");
	assert_addresses(second.config, true, true, "");
	assert_true(second.config->lifetime_ns == DURATION_INFINITY);
	assert_true(second.config->grace_ns == DURATION_INFINITY);
	assert_int_equal(second.config->source_burst, 3);
	assert_int_equal(second.config->override_count, 2);
	assert_true(port_list_equal(&first.config->overrides[0].ports,
				    &second.config->overrides[0].ports));
}

/* ---- memory ------------------------------------------------------------------------------ */

static int make_scarcely(const char *text)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_config_builder_ ConfigBuilder *builder = config_builder_new("/etc/spale");
	_cleanup_config_ Config *config = NULL;
	_cleanup_free_ char *shown = NULL;
	int r;

	if (!builder)
		return -ENOMEM;
	r = config_builder_add_file(builder, "f", text, strlen(text), &diagnostics);
	if (r == 0)
		r = config_builder_add_option(builder, "-m", "Protect", "Mode", "xdp",
					      &diagnostics);
	if (r == 0)
		r = config_builder_finish(builder, &diagnostics, &config);
	if (r < 0)
		return r;
	assert_int_equal(config->mode, MODE_XDP);
	assert_int_equal(config->override_count, 2);
	shown = config_builder_format(builder);
	return shown ? 0 : -ENOMEM;
}

static void test_no_memory(void **state)
{
	(void)state;
	SCARCITY_UNTIL_IT_WORKS(make_scarcely(legacy_file), (void)0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_legacy_notices),
		cmocka_unit_test(test_legacy_with_sections),
		cmocka_unit_test(test_legacy_addresses),
		cmocka_unit_test(test_legacy_oddities),
		cmocka_unit_test(test_legacy_errors),
		cmocka_unit_test(test_show_defaults),
		cmocka_unit_test(test_show_origins),
		cmocka_unit_test(test_show_round_trip),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
