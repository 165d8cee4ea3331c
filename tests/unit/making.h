/* SPDX-License-Identifier: MIT */
/* A configuration in the making, for the tests of its reader. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "policy/config.h"
#include "said.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* How refusals end. */
#define PORTS	 "; it takes ports such as 22, 22/tcp or 8000-8010/udp"
#define DURATION "; it takes a duration such as 90 (seconds), 5min, 1h 30min or infinity"

#define MIN  (60 * NSEC_PER_SEC)
#define HOUR (60 * MIN)

/* What has to be said, at least. */
#define REQUIRED "[Protect]\nInterfaces=eth0\nPorts=22/tcp\n[Knock]\nPorts=62201\n"

/* A configuration in the making. */
typedef struct Making {
	ConfigBuilder *builder;
	Diagnostics diagnostics;
	Config *config;
	int result;
} Making;

static inline void making_done(Making *making)
{
	config_builder_free(making->builder);
	diagnostics_done(&making->diagnostics);
	config_free(making->config);
}

#define _cleanup_making_ _cleanup_(making_done)

static inline Making making_new(void)
{
	Making making = {.builder = config_builder_new("/etc/spale")};

	assert_non_null(making.builder);
	return making;
}

static inline void add(Making *making, const char *path, const char *text)
{
	assert_int_equal(config_builder_add_file(making->builder, path, text, strlen(text),
						 &making->diagnostics),
			 0);
}

static inline void option(Making *making, const char *name, const char *section, const char *key,
			  const char *value)
{
	assert_int_equal(config_builder_add_option(making->builder, name, section, key, value,
						   &making->diagnostics),
			 0);
}

static inline void finish(Making *making)
{
	making->result =
		config_builder_finish(making->builder, &making->diagnostics, &making->config);
	if (making->result == 0)
		assert_non_null(making->config);
	else
		assert_null(making->config);
}

static inline Making make(const char *text)
{
	Making making = making_new();

	add(&making, "f", text);
	finish(&making);
	return making;
}

static inline void assert_ports(const PortList *list, const char *expected)
{
	_cleanup_free_ char *text = port_list_format(list);

	assert_string_equal(text, expected);
}

static inline void assert_prefixes(const PrefixList *list, const char *expected)
{
	char text[1024] = "", one[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < list->count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, prefix_format(&list->items[i], one));
	}
	assert_string_equal(text, expected);
}

static inline void assert_addresses(const Config *config, bool any4, bool any6,
				    const char *expected)
{
	char text[1024] = "", one[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < config->knock_addresses.count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, address_format(&config->knock_addresses.items[i], one));
	}
	assert_string_equal(text, expected);
	assert_int_equal(config->knock_any4, any4);
	assert_int_equal(config->knock_any6, any6);
}

static inline void assert_strings(const StringList *list, const char *expected)
{
	char text[1024] = "";

	for (size_t i = 0; i < list->count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, list->items[i]);
	}
	assert_string_equal(text, expected);
}
