/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/policy-layers.h"
#include "util/file.h"

#define MAIN                                                                                       \
	"[Protect]\nInterfaces=eth0\nPorts=22/tcp\nAlwaysAllow=192.0.2.0/24 2001:db8::/32\n"       \
	"[Knock]\nPorts=62201\n"

typedef struct Fixture {
	char directory[32]; /* both for the configuration and as state directory */
	char config_path[64];
	int dir_fd;
	Options options;
	PolicyLayers *layers;
	Config *config; /* in force */
} Fixture;

static void write_text(const Fixture *fixture, const char *name, const char *text)
{
	assert_int_equal(file_write(fixture->dir_fd, name, text, strlen(text), 0600, FILE_REPLACE),
			 0);
}

static int load(Fixture *fixture)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	PolicyLayers *layers;
	Config *config;
	int r;

	r = policy_layers_load(&fixture->options, &diagnostics, &layers, &config, NULL);
	if (r < 0)
		return r;
	policy_layers_free(fixture->layers);
	config_free(fixture->config);
	fixture->layers = layers;
	fixture->config = config;
	return 0;
}

static int set_up(void **data)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));
	char *arguments[] = {
		(char *)"spaled", (char *)"-c", NULL, (char *)"--state-directory", NULL, NULL};
	char *error;

	if (!fixture)
		return -1;
	strcpy(fixture->directory, "/tmp/test-layers-XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	fixture->dir_fd = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(fixture->config_path, sizeof(fixture->config_path), "%s/spale.conf",
		 fixture->directory);
	arguments[2] = fixture->config_path;
	arguments[4] = fixture->directory;
	if (options_parse(5, arguments, &fixture->options, &error) < 0)
		return -1;
	write_text(fixture, "spale.conf", MAIN);
	*data = fixture;
	return load(fixture);
}

static int tear_down(void **data)
{
	Fixture *fixture = *data;
	char command[64];

	policy_layers_free(fixture->layers);
	config_free(fixture->config);
	options_done(&fixture->options);
	close(fixture->dir_fd);
	snprintf(command, sizeof(command), "rm -r %s", fixture->directory);
	free(fixture);
	return system(command);
}

static Prefix prefix(const char *text)
{
	Prefix parsed;

	assert_int_equal(prefix_parse(text, &parsed), 0);
	return parsed;
}

static int change(Fixture *fixture, const PolicyChange *wanted)
{
	_cleanup_policy_proposal_ PolicyProposal proposal = {0};
	_cleanup_free_ char *error = NULL;
	int r = policy_layers_propose(fixture->layers, wanted, &proposal, &error);

	if (r < 0) {
		assert_non_null(error);
		assert_null(proposal.config);
		return r;
	}
	if (proposal.writes)
		assert_int_equal(
			policy_layers_write(fixture->layers, &proposal, fixture->dir_fd, NULL), 0);
	assert_int_equal(proposal.writes, wanted->permanent);
	config_free(fixture->config);
	fixture->config = TAKE_PTR(proposal.config);
	policy_layers_commit(fixture->layers, &proposal);
	return 0;
}

static int allow(Fixture *fixture, const char *text, bool permanent)
{
	Prefix wanted = prefix(text);

	return change(fixture, &(PolicyChange){.allow = &wanted, .permanent = permanent});
}

static int disallow(Fixture *fixture, const char *text, bool permanent)
{
	Prefix wanted = prefix(text);

	return change(fixture, &(PolicyChange){.disallow = &wanted, .permanent = permanent});
}

static int set_ports(Fixture *fixture, const char *port, bool permanent)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;

	if (port)
		assert_int_equal(port_list_add_text(&ports, port), 0);
	return change(fixture, &(PolicyChange){.ports = &ports, .permanent = permanent});
}

static int set_log_only(Fixture *fixture, bool log_only, bool permanent)
{
	return change(fixture, &(PolicyChange){.has_log_only = true,
					       .log_only = log_only,
					       .permanent = permanent});
}

/* Exactly these are allowed, in the order of Config, in CONFIG. */
static void assert_allowed(const Config *config, const char *expected)
{
	char text[256] = "", one[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < config->always_allow.count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, prefix_format(&config->always_allow.items[i], one));
	}
	assert_string_equal(text, expected);
}

static void assert_ports(const Config *config, const char *expected)
{
	_cleanup_free_ char *text = port_list_format(&config->protected_ports);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static void test_for_a_while(void **data)
{
	Fixture *fixture = *data;

	assert_int_equal(allow(fixture, "198.51.100.7", false), 0);
	assert_int_equal(disallow(fixture, "192.0.2.0/24", false), 0);
	assert_int_equal(set_ports(fixture, "443/tcp", false), 0);
	assert_int_equal(set_log_only(fixture, true, false), 0);
	assert_allowed(fixture->config, "198.51.100.7 2001:db8::/32");
	assert_ports(fixture->config, "443/tcp");
	assert_true(fixture->config->log_only);
	assert_allowed(policy_layers_lasting(fixture->layers), "192.0.2.0/24 2001:db8::/32");
	assert_ports(policy_layers_lasting(fixture->layers), "22/tcp");

	/* And back. */
	assert_int_equal(allow(fixture, "192.0.2.0/24", false), 0);
	assert_int_equal(disallow(fixture, "198.51.100.7", false), 0);
	assert_allowed(fixture->config, "192.0.2.0/24 2001:db8::/32");

	assert_int_equal(load(fixture), 0);
	assert_ports(fixture->config, "22/tcp");
	assert_false(fixture->config->log_only);
	assert_int_equal(faccessat(fixture->dir_fd, "policy.conf", F_OK, 0), -1);
}

static void test_for_good(void **data)
{
	Fixture *fixture = *data;

	assert_int_equal(allow(fixture, "198.51.100.7", true), 0);
	assert_int_equal(set_ports(fixture, "443/tcp", true), 0);
	assert_int_equal(set_log_only(fixture, true, true), 0);
	assert_int_equal(allow(fixture, "198.51.100.8", true), 0);
	assert_int_equal(load(fixture), 0);
	assert_ports(fixture->config, "443/tcp");
	assert_true(fixture->config->log_only);
	assert_allowed(fixture->config, "192.0.2.0/24 198.51.100.7 198.51.100.8 2001:db8::/32");

	/* What is added does not hide what somebody writes into a file. */
	write_text(fixture, "spale.conf", MAIN "[Protect]\nAlwaysAllow=203.0.113.1\n");
	assert_int_equal(load(fixture), 0);
	assert_allowed(fixture->config,
		       "192.0.2.0/24 198.51.100.7 198.51.100.8 203.0.113.1 2001:db8::/32");

	/* What a file says can be taken away, and the rest stays. */
	assert_int_equal(disallow(fixture, "2001:db8::/32", true), 0);
	assert_int_equal(load(fixture), 0);
	assert_allowed(fixture->config, "192.0.2.0/24 198.51.100.7 198.51.100.8 203.0.113.1");
	assert_int_equal(disallow(fixture, "198.51.100.8", true), 0);
	assert_int_equal(allow(fixture, "2001:db8::/32", true), 0);
	assert_int_equal(load(fixture), 0);
	assert_allowed(fixture->config, "192.0.2.0/24 198.51.100.7 203.0.113.1 2001:db8::/32");
	assert_ports(fixture->config, "443/tcp");
}

/* What is changed for good beats what was changed for a while. */
static void test_both(void **data)
{
	Fixture *fixture = *data;

	assert_int_equal(set_ports(fixture, "80/tcp", false), 0);
	assert_int_equal(set_ports(fixture, "443/tcp", true), 0);
	assert_ports(fixture->config, "443/tcp");
	assert_int_equal(set_log_only(fixture, true, false), 0);
	assert_int_equal(set_log_only(fixture, false, true), 0);
	assert_false(fixture->config->log_only);

	assert_int_equal(disallow(fixture, "192.0.2.0/24", false), 0);
	assert_int_equal(allow(fixture, "198.51.100.7", false), 0);
	assert_int_equal(allow(fixture, "198.51.100.7", true), 0);
	assert_allowed(fixture->config, "198.51.100.7 2001:db8::/32");
	assert_allowed(policy_layers_lasting(fixture->layers),
		       "192.0.2.0/24 198.51.100.7 2001:db8::/32");
	assert_int_equal(allow(fixture, "198.51.100.8", false), 0);
	assert_int_equal(disallow(fixture, "198.51.100.8", true), 0);
	assert_allowed(fixture->config, "198.51.100.7 2001:db8::/32");

	/* A thing for a while does not become one for good along with another. */
	assert_int_equal(load(fixture), 0);
	assert_allowed(fixture->config, "192.0.2.0/24 198.51.100.7 2001:db8::/32");
}

/* Edits that nobody has put into force stay without effect. */
static void test_files_are_not_read_again(void **data)
{
	Fixture *fixture = *data;

	write_text(fixture, "spale.conf", "[Protect]\nInterfaces=eth0\nPorts=1/tcp\n[Knock]\n");
	assert_int_equal(allow(fixture, "198.51.100.7", true), 0);
	assert_ports(fixture->config, "22/tcp");
	assert_int_equal(load(fixture), -EINVAL);
}

static void test_refuses(void **data)
{
	Fixture *fixture = *data;
	Prefix wanted = prefix("192.0.2.1");

	assert_int_equal(disallow(fixture, "192.0.2.1", false), -EADDRNOTAVAIL);
	assert_int_equal(disallow(fixture, "192.0.2.1", true), -EADDRNOTAVAIL);
	assert_int_equal(set_ports(fixture, NULL, false), -EINVAL);
	assert_int_equal(set_ports(fixture, NULL, true), -EINVAL);
	assert_int_equal(change(fixture, &(PolicyChange){.permanent = true}), -EINVAL);
	assert_int_equal(change(fixture, &(PolicyChange){.allow = &wanted, .has_log_only = true}),
			 -EINVAL);
	assert_ports(policy_layers_lasting(fixture->layers), "22/tcp");
	assert_int_equal(faccessat(fixture->dir_fd, "policy.conf", F_OK, 0), -1);
}

static void test_option_beats_it(void **data)
{
	Fixture *fixture = *data;

	for (size_t i = 0; i < OPTIONS_SETTINGS; i++)
		if (strcmp(fixture->options.settings[i].key, "LogOnly") == 0)
			fixture->options.settings[i].value = strdup("yes");
	assert_int_equal(load(fixture), 0);
	assert_int_equal(set_log_only(fixture, false, false), -EACCES);
	assert_int_equal(set_log_only(fixture, true, false), 0);
	/* What the option says is not written down. */
	assert_int_equal(allow(fixture, "198.51.100.7", true), 0);
	for (size_t i = 0; i < OPTIONS_SETTINGS; i++) {
		free(fixture->options.settings[i].value);
		fixture->options.settings[i].value = NULL;
	}
	assert_int_equal(load(fixture), 0);
	assert_false(fixture->config->log_only);
}

/* ---- the last good configuration ----------------------------------------------------------- */

static int load_good(Fixture *fixture)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	PolicyLayers *layers = NULL;
	Config *config = NULL;
	int r = policy_layers_load_good(&fixture->options, &diagnostics, &layers, &config);

	if (r < 0) {
		assert_null(layers);
		assert_int_equal(diagnostics.errors > 0, r == -EINVAL);
		return r;
	}
	policy_layers_free(fixture->layers);
	config_free(fixture->config);
	fixture->layers = layers;
	fixture->config = config;
	return 0;
}

static void test_last_good(void **data)
{
	Fixture *fixture = *data;
	_cleanup_free_ char *clients = strdup(fixture->config->clients_directory);

	assert_int_equal(load_good(fixture), -ENOENT);
	assert_int_equal(allow(fixture, "198.51.100.7", true), 0);
	assert_int_equal(set_ports(fixture, "80/tcp", false), 0);
	assert_int_equal(policy_layers_save_good(fixture->layers, fixture->dir_fd, NULL), 0);
	write_text(fixture, "spale.conf", "[Protect]\nPorts=none\n");
	assert_int_equal(load(fixture), -EINVAL);

	assert_int_equal(load_good(fixture), 0);
	assert_ports(fixture->config, "22/tcp");
	assert_allowed(fixture->config, "192.0.2.0/24 198.51.100.7 2001:db8::/32");
	assert_string_equal(fixture->config->clients_directory, clients);
	assert_int_equal(fixture->config->lifetime_ns, 12 * 3600 * 1000000000ULL);

	/* For good it is changed when the files are usable again. */
	assert_int_equal(allow(fixture, "198.51.100.8", true), -EROFS);
	assert_int_equal(allow(fixture, "198.51.100.8", false), 0);
	assert_allowed(fixture->config, "192.0.2.0/24 198.51.100.7 198.51.100.8 2001:db8::/32");

	/* It stays the last good one, whatever is changed. */
	assert_int_equal(policy_layers_save_good(fixture->layers, fixture->dir_fd, NULL), 0);
	assert_int_equal(load_good(fixture), 0);
	assert_allowed(fixture->config, "192.0.2.0/24 198.51.100.7 2001:db8::/32");
}

static void test_last_good_is_damaged(void **data)
{
	Fixture *fixture = *data;
	_cleanup_free_ char *text = NULL;
	size_t size;

	assert_int_equal(policy_layers_save_good(fixture->layers, fixture->dir_fd, NULL), 0);
	assert_int_equal(file_read(fixture->dir_fd, "last-good.conf", FILE_SIZE_MAX, &text, &size),
			 0);
	/* Cut off anywhere. */
	for (size_t length = 0; length < size; length += 97) {
		assert_int_equal(file_write(fixture->dir_fd, "last-good.conf", text, length, 0600,
					    FILE_REPLACE),
				 0);
		assert_int_equal(load_good(fixture), -EINVAL);
	}
	write_text(fixture, "last-good.conf", MAIN);
	assert_int_equal(load_good(fixture), -EINVAL);
	*strstr(text, "22/tcp") = 'x';
	write_text(fixture, "last-good.conf", text);
	assert_int_equal(load_good(fixture), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_for_a_while, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_for_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files_are_not_read_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_option_beats_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_last_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_last_good_is_damaged, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
