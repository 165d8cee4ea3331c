/* SPDX-License-Identifier: MIT */
/*
 * A client's settings, NAME.conf: whatever it says, the client is added with what it says, or not
 * added with a reason. Input: the client's name, a newline, the file.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "policy/client.h"

/* With overrides as spale 0.3 has them, which count where NAME.conf says nothing. */
static const char config_text[] = "IFACE=eth0\n"
				  "PROTECTED_PORTS=22 8000-8010\n"
				  "LISTEN_PORT=40000\n"
				  "ALICE_PORTS=22\n"
				  "ALICE_IDLE_SEC=60\n";

/* Made once, for it is the same for every input. */
static const Config *configuration(void)
{
	static Config *config;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_config_builder_ ConfigBuilder *builder = NULL;

	if (config)
		return config;
	builder = config_builder_new("/etc/spale");
	FUZZ_CHECK(builder);
	FUZZ_CHECK(config_builder_add_file(builder, "fuzz.conf", config_text, strlen(config_text),
					   &diagnostics) == 0);
	FUZZ_CHECK(config_builder_finish(builder, &diagnostics, &config) == 0);
	return config;
}

static void check_client(const Client *client, const char *name)
{
	FUZZ_CHECK(strcmp(client->name, name) == 0 && client_name_is_valid(client->name));
	FUZZ_CHECK(client->has_ports || client->ports.count == 0);
	FUZZ_CHECK(client->has_allowed_sources || client->allowed_sources.count == 0);
	FUZZ_CHECK(client->allowed_sources.count <= CONFIG_PREFIXES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_client_set_ ClientSet *set = client_set_new();
	const PublicKey key = {{9}};
	const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t name_size = newline ? (size_t)(newline - data) : size;
	size_t conf_size = newline ? size - name_size - 1 : 0;
	_cleanup_free_ char *name = fuzz_text(data, name_size);
	_cleanup_free_ uint8_t *conf = newline ? fuzz_copy(newline + 1, conf_size) : NULL;
	int r;

	FUZZ_CHECK(set);
	r = client_set_add(set, configuration(), name, &key, "fuzz.conf", (const char *)conf,
			   conf_size, &diagnostics);
	if (r < 0) {
		FUZZ_CHECK(r == -EINVAL && diagnostics.errors > 0);
		FUZZ_CHECK(client_set_count(set) == 0 && !client_set_by_key(set, &key));
		return 0;
	}
	FUZZ_CHECK(client_set_count(set) == 1);
	FUZZ_CHECK(client_set_by_key(set, &key) == client_set_get(set, 0));
	FUZZ_CHECK(client_set_by_name(set, name) == client_set_get(set, 0));
	check_client(client_set_get(set, 0), name);

	/* Neither the name nor the key a second time. */
	FUZZ_CHECK(client_set_add(set, configuration(), name, &(PublicKey){{10}}, "fuzz.conf", NULL,
				  0, &diagnostics) == -EEXIST);
	FUZZ_CHECK(client_set_add(set, configuration(), "other", &key, "fuzz.conf", NULL, 0,
				  &diagnostics) == -EEXIST);
	client_set_remove(set, name);
	FUZZ_CHECK(client_set_count(set) == 0);
	return 0;
}
