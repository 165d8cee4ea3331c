/* SPDX-License-Identifier: MIT */
/*
 * The configuration, from several files and options: whatever they say, it is taken or complained
 * of, and what was taken is written so that it reads the same.
 *
 * Input: a text. A line "@file" begins another file, a line "@option OPTION SECTION KEY VALUE" is
 * an option of the command line; everything before the first such line is the first file.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "policy/config.h"
#include "policy/grammar.h"

#define FILES_MAX   8
#define OPTIONS_MAX 16

static void check_diagnostics(const Diagnostics *diagnostics)
{
	size_t errors = 0;

	FUZZ_CHECK(diagnostics->count <= DIAGNOSTICS_MAX);
	for (size_t i = 0; i < diagnostics->count; i++) {
		FUZZ_CHECK(diagnostics->items[i].text && diagnostics->items[i].text[0]);
		FUZZ_CHECK(!strchr(diagnostics->items[i].text, '\n'));
		errors += diagnostics->items[i].severity == SEVERITY_ERROR;
	}
	FUZZ_CHECK(diagnostics->errors >= errors);
	FUZZ_CHECK(diagnostics->errors <= errors + diagnostics->dropped);
}

static void add_file(ConfigBuilder *builder, const char *text, size_t size,
		     Diagnostics *diagnostics)
{
	_cleanup_free_ uint8_t *copy = fuzz_copy((const uint8_t *)text, size);

	FUZZ_CHECK(config_builder_add_file(builder, "fuzz.conf", (const char *)copy, size,
					   diagnostics) == 0);
}

/* LINE: "OPTION SECTION KEY VALUE", the value to the end of the line. */
static void add_option(ConfigBuilder *builder, const char *line, size_t size,
		       Diagnostics *diagnostics)
{
	_cleanup_free_ char *text = fuzz_text((const uint8_t *)line, size);
	char *rest = text, *option = strsep(&rest, " "), *section = strsep(&rest, " "),
	     *key = strsep(&rest, " ");

	if (section && key && rest)
		FUZZ_CHECK(config_builder_add_option(builder, option, section, key, rest,
						     diagnostics) == 0);
}

/* Hands the parts of the input to BUILDER. */
static void add_parts(ConfigBuilder *builder, const char *text, size_t size,
		      Diagnostics *diagnostics)
{
	static const char file[] = "@file\n", option[] = "@option ";
	const char *end = text + size, *begin = text, *p = text;
	size_t files = 0, options = 0;

	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *next = newline ? newline + 1 : end;
		bool is_file = (size_t)(end - p) >= strlen(file) && !memcmp(p, file, strlen(file));
		bool is_option =
			(size_t)(end - p) >= strlen(option) && !memcmp(p, option, strlen(option));

		if (is_file || is_option) {
			if (p > begin && files++ < FILES_MAX)
				add_file(builder, begin, (size_t)(p - begin), diagnostics);
			if (is_option && newline && options++ < OPTIONS_MAX)
				add_option(builder, p + strlen(option),
					   (size_t)(newline - p) - strlen(option), diagnostics);
			begin = next;
		}
		p = next;
	}
	if (begin < end && files < FILES_MAX)
		add_file(builder, begin, (size_t)(end - begin), diagnostics);
}

static void check_config(const Config *config)
{
	FUZZ_CHECK(config->interfaces.count >= 1);
	FUZZ_CHECK(config->interfaces.count <= CONFIG_INTERFACES_MAX);
	FUZZ_CHECK(config->protected_ports.count >= 1);
	FUZZ_CHECK(config->always_allow.count <= CONFIG_PREFIXES_MAX);
	FUZZ_CHECK(config->knock_ports.count >= 1);
	port_list_foreach (range, &config->knock_ports)
		FUZZ_CHECK(range->protocol == IPPROTO_UDP);
	FUZZ_CHECK(config->knock_any4 || config->knock_any6 || config->knock_addresses.count > 0);
	FUZZ_CHECK(config->knock_addresses.count <= CONFIG_ADDRESSES_MAX);
	FUZZ_CHECK(config->source_burst > 0);
	FUZZ_CHECK(config->server_keys.count >= 1);
	FUZZ_CHECK(config->server_keys.count <= CONFIG_SERVER_KEYS_MAX);
	for (size_t i = 0; i < config->server_keys.count; i++)
		FUZZ_CHECK(config->server_keys.items[i][0] == '/');
	FUZZ_CHECK(config->clients_directory && config->clients_directory[0] == '/');
	FUZZ_CHECK(config->prefix4 >= 16 && config->prefix4 <= 32);
	FUZZ_CHECK(config->prefix6 >= 32 && config->prefix6 <= 128);
	FUZZ_CHECK(config->override_count <= CONFIG_OVERRIDES_MAX);
	FUZZ_CHECK(!config_override(config, "no-client"));
}

static bool strings_equal(const StringList *a, const StringList *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static void check_same(const Config *a, const Config *b)
{
	FUZZ_CHECK(strings_equal(&a->interfaces, &b->interfaces));
	FUZZ_CHECK(a->mode == b->mode && a->log_only == b->log_only);
	FUZZ_CHECK(a->scope == b->scope && a->keep_established == b->keep_established);
	FUZZ_CHECK(port_list_equal(&a->protected_ports, &b->protected_ports));
	FUZZ_CHECK(prefix_list_equal(&a->always_allow, &b->always_allow));
	FUZZ_CHECK(port_list_equal(&a->knock_ports, &b->knock_ports));
	FUZZ_CHECK(a->knock_any4 == b->knock_any4 && a->knock_any6 == b->knock_any6);
	FUZZ_CHECK(a->knock_addresses.count == b->knock_addresses.count);
	for (size_t i = 0; i < a->knock_addresses.count; i++)
		FUZZ_CHECK(
			address_equal(&a->knock_addresses.items[i], &b->knock_addresses.items[i]));
	FUZZ_CHECK(a->source_interval_ns == b->source_interval_ns);
	FUZZ_CHECK(a->source_burst == b->source_burst);
	FUZZ_CHECK(a->total_interval_ns == b->total_interval_ns);
	FUZZ_CHECK(strings_equal(&a->server_keys, &b->server_keys));
	FUZZ_CHECK(strcmp(a->clients_directory, b->clients_directory) == 0);
	FUZZ_CHECK(a->idle_ns == b->idle_ns && a->grace_ns == b->grace_ns);
	FUZZ_CHECK(a->lifetime_ns == b->lifetime_ns);
	FUZZ_CHECK(a->prefix4 == b->prefix4 && a->prefix6 == b->prefix6);
	FUZZ_CHECK(a->log_level == b->log_level);
	FUZZ_CHECK(a->override_count == b->override_count);
	for (size_t i = 0; i < a->override_count; i++) {
		const ClientOverride *x = &a->overrides[i];
		const ClientOverride *y = config_override(b, x->name);

		FUZZ_CHECK(y && x->has_ports == y->has_ports && x->has_idle == y->has_idle);
		FUZZ_CHECK(x->has_grace == y->has_grace && port_list_equal(&x->ports, &y->ports));
		FUZZ_CHECK(!x->has_idle || x->idle_ns == y->idle_ns);
		FUZZ_CHECK(!x->has_grace || x->grace_ns == y->grace_ns);
	}
}

/* What --show-config prints is a configuration that gives the same. */
static void check_written(const ConfigBuilder *builder, const Config *config)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_config_builder_ ConfigBuilder *again = config_builder_new("/other");
	_cleanup_free_ char *text = config_builder_format(builder);
	_cleanup_config_ Config *same = NULL;

	FUZZ_CHECK(text && again);
	add_file(again, text, strlen(text), &diagnostics);
	if (config_builder_finish(again, &diagnostics, &same) < 0) {
		fprintf(stderr, "%s\n%s: %s\n", text, diagnostics.items[0].origin,
			diagnostics.items[0].text);
		abort();
	}
	check_same(config, same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_config_builder_ ConfigBuilder *builder = config_builder_new("/etc/spale");
	_cleanup_config_ Config *config = NULL;
	int r;

	FUZZ_CHECK(builder);
	add_parts(builder, (const char *)data, size, &diagnostics);
	r = config_builder_finish(builder, &diagnostics, &config);
	check_diagnostics(&diagnostics);
	if (r < 0) {
		FUZZ_CHECK(r == -EINVAL && diagnostics.errors > 0 && !config);
		return 0;
	}
	FUZZ_CHECK(diagnostics.errors == 0);
	check_config(config);
	check_written(builder, config);
	return 0;
}
