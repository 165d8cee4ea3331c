/* SPDX-License-Identifier: MIT */
/*
 * The keys of the configuration: the table that is its grammar, and how keys are found in it.
 *
 * Inside of config.c and config-show.c; everybody else sees policy/config.h only.
 */
#pragma once

#include "policy/grammar.h"

/* Rows of the two tables. */
#define CONFIG_KEYS	     28
#define CONFIG_OVERRIDE_KEYS 3

/* In the order of --show-config. The objects are Configs. */
extern const GrammarKey config_keys[];

/* What spale 0.3 had behind the upper-cased name of a client. The objects are ClientOverrides. */
extern const GrammarKey config_override_keys[];

/* How a key is called in texts: "[Grant] Idle=". */
#define CONFIG_KEY_NAME_MAX 64
const char *config_key_name(const GrammarKey *key, char text[static CONFIG_KEY_NAME_MAX]);

/* The row of SECTION and NAME, or NULL; whether there is a row of that section at all. */
const GrammarKey *config_key_find(const char *section, const char *name);
bool config_key_section_exists(const char *section);

/* The key that had this name in spale 0.3, and which of its names it is; NULL: none. */
const GrammarKey *config_key_find_legacy(const char *name, size_t *ret_which);

/* The row of <CLIENT>_PORTS and the like, with the length of <CLIENT>; NULL: it is none. */
const GrammarKey *config_key_find_override(const char *name, size_t *ret_length);
