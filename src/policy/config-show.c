/* SPDX-License-Identifier: MIT */
#include "policy/config-builder.h"

#include <errno.h>
#include <string.h>

static void print_default(FILE *stream, const ConfigBuilder *builder, const GrammarKey *key,
			  bool is_external)
{
	const char *fallback = config_fallback(builder, key);
	_cleanup_free_ char *resolved = NULL;

	if (!fallback) {
		fprintf(stream, "#%s=\n# %s\n", key->name,
			is_external ? "another loader attaches" : "required");
		return;
	}
	if (key->type->path)
		resolved = grammar_resolve(key->type, builder->directory, fallback);
	fprintf(stream, "%s=%s\n# default%s\n", key->name, resolved ?: fallback,
		fallback != key->fallback ? " of a configuration of spale 0.3" : "");
}

static int print_key(FILE *stream, const ConfigBuilder *builder, const GrammarKey *key,
		     const Config *config)
{
	ConfigSelection selection = config_select(builder, key);

	if (selection.count == 0) {
		print_default(stream, builder, key, config->external);
		return 0;
	}
	if (key->type->format) {
		_cleanup_free_ char *text = key->type->format(config);

		if (!text)
			return -ENOMEM;
		fprintf(stream, "%s=%s\n", key->name, text);
	}
	for (size_t i = selection.from; i < builder->count; i++) {
		const ConfigEntry *entry = &builder->entries[i];

		if (!config_selection_has(&selection, entry))
			continue;
		if (!key->type->format)
			fprintf(stream, "%s=%s\n", key->name, entry->text);
		fprintf(stream, "# %s\n", entry->origin);
	}
	return 0;
}

static int print_config(FILE *stream, const ConfigBuilder *builder, const Config *config)
{
	const char *section = NULL;

	for (size_t i = 0; i < builder->count; i++) {
		const ConfigEntry *entry = &builder->entries[i];

		if (entry->client)
			fprintf(stream, "%s%s=%s\n# %s\n", entry->client, entry->key->legacy[0],
				entry->text, entry->origin);
	}
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const GrammarKey *key = &config_keys[i];
		int r;

		if (!section || strcmp(section, key->section) != 0) {
			section = key->section;
			fprintf(stream, "%s[%s]\n", ftell(stream) > 0 ? "\n" : "", section);
		}
		r = print_key(stream, builder, key, config);
		if (r < 0)
			return r;
	}
	return 0;
}

char *config_builder_format(const ConfigBuilder *builder)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_config_done_ Config config = {0};
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *stream = NULL;
	size_t size;

	if (config_build(builder, &diagnostics, &config) < 0)
		return NULL;
	stream = open_memstream(&text, &size);
	if (!stream)
		return NULL;
	if (print_config(stream, builder, &config) < 0 || fflush(stream) != 0)
		return NULL;
	fclose(TAKE_PTR(stream));
	return TAKE_PTR(text);
}
