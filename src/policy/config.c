/* SPDX-License-Identifier: MIT */
#include "policy/config-builder.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "policy/client.h"
#include "policy/decide.h"
#include "policy/ini.h"

/* ---- objects ----------------------------------------------------------------------------- */

void config_done(Config *config)
{
	string_list_done(&config->interfaces);
	port_list_done(&config->protected_ports);
	prefix_list_done(&config->always_allow);
	port_list_done(&config->knock_ports);
	free(config->knock_addresses.items);
	string_list_done(&config->server_keys);
	free(config->clients_directory);
	free(config->pin_directory);
	for (size_t i = 0; i < config->override_count; i++) {
		free(config->overrides[i].name);
		port_list_done(&config->overrides[i].ports);
	}
	free(config->overrides);
}

const char *config_mode_name(Mode mode)
{
	switch (mode) {
	case MODE_TC:
		return "tc";
	case MODE_XDP:
		return "xdp";
	}
	return "?";
}

void config_free(Config *config)
{
	if (!config)
		return;
	config_done(config);
	free(config);
}

ConfigBuilder *config_builder_new(const char *directory)
{
	_cleanup_config_builder_ ConfigBuilder *builder = calloc(1, sizeof(*builder));

	if (!builder)
		return NULL;
	builder->directory = strdup(directory);
	if (!builder->directory)
		return NULL;
	return TAKE_PTR(builder);
}

static void entry_done(ConfigEntry *entry)
{
	free(entry->client);
	free(entry->origin);
	free(entry->text);
}

#define _cleanup_entry_ _cleanup_(entry_done)

void config_builder_free(ConfigBuilder *builder)
{
	if (!builder)
		return;
	for (size_t i = 0; i < builder->count; i++)
		entry_done(&builder->entries[i]);
	free(builder->entries);
	free(builder->directory);
	free(builder);
}

static int compare_overrides(const void *a, const void *b)
{
	return strcmp(((const ClientOverride *)a)->name, ((const ClientOverride *)b)->name);
}

const ClientOverride *config_override(const Config *config, const char *client_name)
{
	char name[CLIENT_NAME_MAX + 1];
	const ClientOverride wanted = {.name = name};
	size_t length = strlen(client_name);

	if (config->override_count == 0 || length > CLIENT_NAME_MAX)
		return NULL;
	for (size_t i = 0; i <= length; i++)
		name[i] = (char)toupper((unsigned char)client_name[i]);
	return bsearch(&wanted, config->overrides, config->override_count,
		       sizeof(*config->overrides), compare_overrides);
}

/* ---- what files and options say ---------------------------------------------------------- */

static void override_done(ClientOverride *override)
{
	port_list_done(&override->ports);
}

/* Whether ENTRY can be read at all; its text is the raw one. Says what is wrong, as NAME. */
static int check_entry(const ConfigEntry *entry, const char *name, Diagnostics *diagnostics)
{
	_cleanup_config_done_ Config scratch = {0};
	_cleanup_(override_done) ClientOverride override = {0};
	const GrammarValue value = {entry->key, name, entry->origin, entry->text};

	/* An empty value takes back what was said. */
	if (*entry->text == '\0')
		return 0;
	return grammar_read(&value, entry->client ? (void *)&override : &scratch, diagnostics);
}

/* Adds a copy of TEMPLATE if it can be read; a value that can't is said and left out. */
static int add_entry(ConfigBuilder *builder, const ConfigEntry *template, const char *name,
		     Diagnostics *diagnostics)
{
	_cleanup_entry_ ConfigEntry entry = *template;
	int r;

	entry.client = template->client ? strdup(template->client) : NULL;
	entry.origin = strdup(template->origin);
	entry.text = strdup(template->text);
	if ((template->client && !entry.client) || !entry.origin || !entry.text)
		return -ENOMEM;
	r = check_entry(&entry, name, diagnostics);
	if (r == -EINVAL && !entry.client)
		builder->refused[entry.key - config_keys] = true;
	if (r < 0)
		return r == -EINVAL ? 0 : r;
	if (entry.key->type->path && *entry.text) {
		_cleanup_free_ char *raw = entry.text;

		entry.text = grammar_resolve(entry.key->type, builder->directory, raw);
		if (!entry.text)
			return -ENOMEM;
	}
	if (builder->count == builder->room) {
		size_t room = builder->room ? builder->room * 2 : 32;
		ConfigEntry *entries = reallocarray(builder->entries, room, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		builder->entries = entries;
		builder->room = room;
	}
	builder->entries[builder->count++] = entry;
	entry = (ConfigEntry){0};
	return 0;
}

typedef struct FileReading {
	ConfigBuilder *builder;
	Diagnostics *diagnostics;
} FileReading;

static int read_override(ConfigBuilder *builder, const IniLine *line, const GrammarKey *key,
			 size_t length, Diagnostics *diagnostics)
{
	char client[CLIENT_NAME_MAX + 1] = {0};
	char name[CLIENT_NAME_MAX + 16];

	builder->legacy = true;
	memcpy(client, line->key, length);
	snprintf(name, sizeof(name), "%s=", line->key);
	diagnostics_add(diagnostics, SEVERITY_NOTICE, line->origin,
			"%s is a key of spale 0.3; its name is now %s= in [Client] of the client's "
			"own .conf file",
			name, key->name);
	if (key->type->list && *line->value == '\0')
		diagnostics_add(diagnostics, SEVERITY_WARNING, line->origin,
				"%s is empty: this client may open no port", name);
	return add_entry(builder,
			 &(ConfigEntry){.key = key,
					.client = client,
					.origin = (char *)line->origin,
					.text = (char *)line->value,
					.legacy = true},
			 name, diagnostics);
}

/* A line before the first section: spale 0.3's form. */
static int read_legacy(ConfigBuilder *builder, const IniLine *line, Diagnostics *diagnostics)
{
	size_t which = 0, length = 0;
	const GrammarKey *key = config_key_find_legacy(line->key, &which);
	char name[CONFIG_KEY_NAME_MAX], old_name[CONFIG_KEY_NAME_MAX];
	bool *seen;

	if (strcmp(line->key, "LOG_USE_SYSLOG") == 0) {
		builder->legacy = true;
		diagnostics_add(diagnostics, SEVERITY_NOTICE, line->origin,
				"LOG_USE_SYSLOG= is a key of spale 0.3 and has no effect: messages "
				"go to standard error, which systemd hands to the journal");
		return 0;
	}
	if (!key) {
		key = config_key_find_override(line->key, &length);
		if (key)
			return read_override(builder, line, key, length, diagnostics);
		diagnostics_add(diagnostics, SEVERITY_WARNING, line->origin,
				"unknown key %.80s= before the first section", line->key);
		return 0;
	}
	builder->legacy = true;
	snprintf(old_name, sizeof(old_name), "%s=", line->key);
	diagnostics_add(diagnostics, SEVERITY_NOTICE, line->origin,
			"%s is a key of spale 0.3; its name is now %s", old_name,
			config_key_name(key, name));
	seen = &builder->seen[key - config_keys][which];
	if (*seen)
		diagnostics_add(diagnostics, SEVERITY_WARNING, line->origin,
				"%s stands in this file again; spale 0.3 took the first one, this "
				"version takes %s",
				old_name, key->type->list ? "all of them" : "the last one");
	*seen = true;
	return add_entry(builder,
			 &(ConfigEntry){.key = key,
					.origin = (char *)line->origin,
					.text = (char *)line->value,
					.legacy = true},
			 old_name, diagnostics);
}

static void say_unknown(const IniLine *line, Diagnostics *diagnostics)
{
	size_t unused;
	bool legacy;

	if (!config_key_section_exists(line->section)) {
		diagnostics_add(diagnostics, SEVERITY_WARNING, line->origin,
				"unknown section [%.80s]: %.80s= has no effect", line->section,
				line->key);
		return;
	}
	legacy = config_key_find_legacy(line->key, &unused) ||
		 config_key_find_override(line->key, &unused);
	diagnostics_add(diagnostics, SEVERITY_WARNING, line->origin, "unknown key %.80s= in [%s]%s",
			line->key, line->section,
			legacy ? "; keys of spale 0.3 stand before the first section" : "");
}

static int read_line(const IniLine *line, void *userdata)
{
	const FileReading *reading = userdata;
	const GrammarKey *key;
	char name[CONFIG_KEY_NAME_MAX];

	if (!line->section)
		return read_legacy(reading->builder, line, reading->diagnostics);
	key = config_key_find(line->section, line->key);
	if (!key) {
		say_unknown(line, reading->diagnostics);
		return 0;
	}
	return add_entry(reading->builder,
			 &(ConfigEntry){.key = key,
					.origin = (char *)line->origin,
					.text = (char *)line->value},
			 config_key_name(key, name), reading->diagnostics);
}

int config_builder_add_file(ConfigBuilder *builder, const char *path, const char *text, size_t size,
			    Diagnostics *diagnostics)
{
	FileReading reading = {.builder = builder, .diagnostics = diagnostics};

	memset(builder->seen, 0, sizeof(builder->seen));
	return ini_parse(path, text, size, diagnostics, read_line, &reading);
}

int config_builder_add_option(ConfigBuilder *builder, const char *option, const char *section,
			      const char *key_text, const char *value, Diagnostics *diagnostics)
{
	const GrammarKey *key = config_key_find(section, key_text);
	_cleanup_free_ char *origin = NULL;
	char name[CONFIG_KEY_NAME_MAX];

	if (asprintf(&origin, "option %s", option) < 0) {
		origin = NULL;
		return -ENOMEM;
	}
	if (!key) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, origin, "there is no key %s= in [%s]",
				key_text, section);
		return 0;
	}
	return add_entry(
		builder,
		&(ConfigEntry){.key = key, .origin = origin, .text = (char *)value, .option = true},
		config_key_name(key, name), diagnostics);
}

/* ---- what comes of it -------------------------------------------------------------------- */

bool config_selection_has(const ConfigSelection *selection, const ConfigEntry *entry)
{
	return entry->key == selection->key && entry->option == selection->option && *entry->text;
}

ConfigSelection config_select(const ConfigBuilder *builder, const GrammarKey *key)
{
	ConfigSelection selection = {.key = key};

	for (size_t i = 0; i < builder->count; i++) {
		if (builder->entries[i].key == key && builder->entries[i].option)
			selection.option = true;
	}
	for (size_t i = 0; i < builder->count; i++) {
		const ConfigEntry *entry = &builder->entries[i];

		if (entry->key != key || entry->option != selection.option)
			continue;
		if (*entry->text == '\0') {
			selection.from = i + 1;
			selection.count = 0;
		} else if (!key->type->list) {
			selection.from = i;
			selection.count = 1;
		} else {
			selection.count++;
		}
	}
	return selection;
}

const char *config_fallback(const ConfigBuilder *builder, const GrammarKey *key)
{
	return builder->legacy && key->legacy_fallback ? key->legacy_fallback : key->fallback;
}

static void say_missing(const GrammarKey *key, Diagnostics *diagnostics)
{
	char name[CONFIG_KEY_NAME_MAX];

	diagnostics_add(diagnostics, SEVERITY_ERROR, NULL, "%s is required (legacy: %s%s%s)",
			config_key_name(key, name), key->legacy[0], key->option ? ", option " : "",
			key->option ?: "");
}

static int apply_default(const ConfigBuilder *builder, const GrammarKey *key, Config *config,
			 Diagnostics *diagnostics)
{
	const char *fallback = config_fallback(builder, key);
	_cleanup_free_ char *resolved = NULL;
	char name[CONFIG_KEY_NAME_MAX];

	if (!fallback) {
		/* A value that is there but unusable is not missing. */
		if (!builder->refused[key - config_keys])
			say_missing(key, diagnostics);
		return 0;
	}
	if (key->type->path) {
		resolved = grammar_resolve(key->type, builder->directory, fallback);
		if (!resolved)
			return -ENOMEM;
		fallback = resolved;
	}
	return grammar_read(&(GrammarValue){key, config_key_name(key, name), NULL, fallback},
			    config, diagnostics);
}

/*
 * spale 0.3 had an address for each family, any by default: naming one leaves the other as it is.
 */
static void complete_addresses(Config *config)
{
	bool has4 = config->knock_any4, has6 = config->knock_any6;

	for (size_t i = 0; i < config->knock_addresses.count; i++) {
		if (address_is_ipv4(&config->knock_addresses.items[i]))
			has4 = true;
		else
			has6 = true;
	}
	config->knock_any4 = config->knock_any4 || !has4;
	config->knock_any6 = config->knock_any6 || !has6;
}

static int apply_key(const ConfigBuilder *builder, const GrammarKey *key, Config *config,
		     Diagnostics *diagnostics);

/* Interfaces are somebody else's business where another loader attaches. */
static bool is_needless(const ConfigBuilder *builder, const GrammarKey *key)
{
	_cleanup_diagnostics_ Diagnostics ignored = {0};
	_cleanup_config_done_ Config config = {0};

	return key == config_key_find("Protect", "Interfaces") &&
	       apply_key(builder, config_key_find("Attach", "External"), &config, &ignored) == 0 &&
	       config.external;
}

static int apply_key(const ConfigBuilder *builder, const GrammarKey *key, Config *config,
		     Diagnostics *diagnostics)
{
	ConfigSelection selection = config_select(builder, key);
	bool legacy = true;
	char name[CONFIG_KEY_NAME_MAX];

	if (selection.count == 0 && !key->fallback && is_needless(builder, key))
		return 0;
	if (selection.count == 0)
		return apply_default(builder, key, config, diagnostics);
	for (size_t i = selection.from; i < builder->count; i++) {
		const ConfigEntry *entry = &builder->entries[i];
		int r;

		if (!config_selection_has(&selection, entry))
			continue;
		legacy = legacy && entry->legacy;
		r = grammar_read(&(GrammarValue){key, config_key_name(key, name), entry->origin,
						 entry->text},
				 config, diagnostics);
		if (r < 0)
			return r;
	}
	if (key->type == &grammar_addresses && legacy)
		complete_addresses(config);
	return 0;
}

/* The override of the client, which is made if there is none. Returns 0, -E2BIG or -ENOMEM. */
static int get_override(Config *config, const char *client, ClientOverride **ret_override)
{
	_cleanup_free_ char *name = NULL;
	ClientOverride *overrides;

	for (size_t i = 0; i < config->override_count; i++) {
		if (strcmp(config->overrides[i].name, client) == 0) {
			*ret_override = &config->overrides[i];
			return 0;
		}
	}
	if (config->override_count == CONFIG_OVERRIDES_MAX)
		return -E2BIG;
	overrides = reallocarray(config->overrides, config->override_count + 1, sizeof(*overrides));
	if (!overrides)
		return -ENOMEM;
	config->overrides = overrides;
	name = strdup(client);
	if (!name)
		return -ENOMEM;
	*ret_override = &config->overrides[config->override_count++];
	**ret_override = (ClientOverride){.name = TAKE_PTR(name)};
	return 0;
}

static int apply_overrides(const ConfigBuilder *builder, Config *config, Diagnostics *diagnostics)
{
	for (size_t i = 0; i < builder->count; i++) {
		const ConfigEntry *entry = &builder->entries[i];
		ClientOverride *override;
		char name[CONFIG_KEY_NAME_MAX];
		int r;

		if (!entry->client)
			continue;
		r = get_override(config, entry->client, &override);
		if (r == -E2BIG) {
			diagnostics_add(
				diagnostics, SEVERITY_ERROR, entry->origin,
				"there are settings for more than %d clients; put them into "
				"the clients' own .conf files",
				CONFIG_OVERRIDES_MAX);
			return 0;
		}
		if (r < 0)
			return r;
		/* spale 0.3 took an empty number for none; an empty list of ports opens nothing. */
		if (*entry->text == '\0' && !entry->key->type->list) {
			*(bool *)((char *) override + entry->key->present) = false;
			continue;
		}
		r = grammar_read(&(GrammarValue){entry->key, config_key_name(entry->key, name),
						 entry->origin, entry->text},
				 override, diagnostics);
		if (r < 0 && r != -EINVAL)
			return r;
	}
	if (config->override_count > 0)
		qsort(config->overrides, config->override_count, sizeof(*config->overrides),
		      compare_overrides);
	return 0;
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/* Sorted and without repetitions, so that two configurations that mean the same are the same. */
static void sort_prefixes(PrefixList *list)
{
	size_t count = 0;

	if (list->count == 0)
		return;
	qsort(list->items, list->count, sizeof(*list->items), compare_prefixes);
	for (size_t i = 0; i < list->count; i++) {
		if (count == 0 || prefix_compare(&list->items[count - 1], &list->items[i]) != 0)
			list->items[count++] = list->items[i];
	}
	list->count = count;
}

int config_build(const ConfigBuilder *builder, Diagnostics *diagnostics, Config *config)
{
	int r;

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		r = apply_key(builder, &config_keys[i], config, diagnostics);
		if (r < 0 && r != -EINVAL)
			return r;
	}
	r = apply_overrides(builder, config, diagnostics);
	if (r < 0)
		return r;
	sort_prefixes(&config->always_allow);
	config->legacy = builder->legacy;
	return 0;
}

/* Says what is allowed, but probably not what was meant. */
static void warn(const ConfigBuilder *builder, const Config *config, Diagnostics *diagnostics)
{
	size_t ports = port_list_ports(&config->protected_ports);
	char name[CONFIG_KEY_NAME_MAX];

	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const GrammarKey *key = &config_keys[i];

		if (!builder->legacy || !key->legacy_fallback ||
		    config_select(builder, key).count > 0)
			continue;
		diagnostics_add(
			diagnostics, SEVERITY_WARNING, NULL,
			"%s is not set and %s, as in spale 0.3, so a spoofed packet now and "
			"then keeps a grant for ever; set it, to %s for example",
			config_key_name(key, name), key->legacy_fallback, key->fallback);
	}
	if (config->external && config->interfaces.count > 0)
		diagnostics_add(diagnostics, SEVERITY_WARNING, NULL,
				"[Protect] Interfaces= has no effect with [Attach] External=yes: "
				"whoever loads the programs attaches them");
	if (ports > GRANT_PORTS_MAX)
		diagnostics_add(diagnostics, SEVERITY_WARNING, NULL,
				"[Protect] Ports= has %zu ports and one grant opens %d at most: "
				"each client needs Ports= of its own",
				ports, GRANT_PORTS_MAX);
}

int config_builder_finish(ConfigBuilder *builder, Diagnostics *diagnostics, Config **ret_config)
{
	_cleanup_config_ Config *config = calloc(1, sizeof(*config));
	int r;

	if (!config)
		return -ENOMEM;
	r = config_build(builder, diagnostics, config);
	if (r < 0)
		return r;
	if (diagnostics->errors > 0)
		return -EINVAL;
	warn(builder, config, diagnostics);
	if (config->external)
		string_list_done(&config->interfaces);
	*ret_config = TAKE_PTR(config);
	return 0;
}
