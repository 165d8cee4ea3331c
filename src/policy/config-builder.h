/* SPDX-License-Identifier: MIT */
/*
 * What a ConfigBuilder holds. Inside of config.c and config-show.c; everybody else sees
 * policy/config.h only.
 *
 * The builder keeps what was said, and where; a Config is made of that as often as one is wanted.
 */
#pragma once

#include "policy/config.h"
#include "policy/config-keys.h"

/* One value that a file or an option gave, known to be readable by itself. */
typedef struct ConfigEntry {
	const GrammarKey *key;
	char *client; /* of an override, in upper case; else NULL */
	char *origin;
	char *text;
	bool option;
	bool legacy;
} ConfigEntry;

struct ConfigBuilder {
	char *directory;
	ConfigEntry *entries; /* in the order in which they came */
	size_t count;
	size_t room;
	bool legacy;		   /* a file used a key of spale 0.3 */
	bool seen[CONFIG_KEYS][2]; /* its keys in the present file */
	bool refused[CONFIG_KEYS]; /* a value of this key was unusable, which was said */
};

/* The entries of a key that count: options beat files, and nothing before an empty value counts. */
typedef struct ConfigSelection {
	const GrammarKey *key;
	bool option;
	size_t from;
	size_t count;
} ConfigSelection;

/* The entries of KEY that count, and whether ENTRY is one of them. */
ConfigSelection config_select(const ConfigBuilder *builder, const GrammarKey *key);
bool config_selection_has(const ConfigSelection *selection, const ConfigEntry *entry);

/* What counts where nothing was said; NULL: the key is required. */
const char *config_fallback(const ConfigBuilder *builder, const GrammarKey *key);

/* Reads everything into CONFIG, which config_done() empties. Returns 0 or -ENOMEM. */
int config_build(const ConfigBuilder *builder, Diagnostics *diagnostics, Config *config);

void config_done(Config *config);
#define _cleanup_config_done_ _cleanup_(config_done)
