/* SPDX-License-Identifier: MIT */
/*
 * The daemon's configuration: immutable once made, from files and options in their order.
 *
 * spale.conf(5) describes the keys; the table in config-keys.c is the grammar, with each key's
 * default, its legacy name and its reader, and is what --show-config walks. Pure: texts in, values
 * out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/diagnostics.h"
#include "util/address.h"
#include "util/ports.h"

typedef enum Mode {
	MODE_TC,
	MODE_XDP,
} Mode;

typedef enum Scope {
	SCOPE_LOCAL, /* what this host itself receives */
	SCOPE_ALL,   /* and what it forwards to others */
} Scope;

typedef enum LogLevel {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
} LogLevel;

typedef enum MirrorMode {
	MIRROR_NO,
	MIRROR_OWN,  /* a table that the daemon makes */
	MIRROR_SETS, /* sets of the administrator's */
} MirrorMode;

/* Longest name of a table or set (NFT_NAME_MAXLEN in linux/netfilter/nf_tables.h, with the NUL). */
#define MIRROR_NAME_MAX 255

/* Where nftables shows the grants. The rest is with MIRROR_SETS only. */
typedef struct MirrorTarget {
	MirrorMode mode;
	char family[8]; /* "inet", "ip", "ip6", "netdev" or "bridge" */
	char table[MIRROR_NAME_MAX + 1];
	char set4[MIRROR_NAME_MAX + 1];
	char set6[MIRROR_NAME_MAX + 1];
} MirrorTarget;

typedef struct PrefixList {
	Prefix *items;
	size_t count;
} PrefixList;

typedef struct AddressList {
	Address *items;
	size_t count;
} AddressList;

typedef struct StringList {
	char **items;
	size_t count;
} StringList;

/* <CLIENT>_PORTS, <CLIENT>_IDLE_SEC, <CLIENT>_GRACE_SEC of spale 0.3. */
typedef struct ClientOverride {
	char *name; /* the client's name in upper case */
	bool has_ports;
	PortList ports;
	bool has_idle;
	uint64_t idle_ns;
	bool has_grace;
	uint64_t grace_ns;
} ClientOverride;

/* Limits on lists. */
#define CONFIG_INTERFACES_MAX  64
#define CONFIG_PREFIXES_MAX    65536
#define CONFIG_ADDRESSES_MAX   256
#define CONFIG_SERVER_KEYS_MAX 4
#define CONFIG_OVERRIDES_MAX   4096

typedef struct Config {
	/* [Protect] */
	StringList interfaces; /* names and glob(7) patterns */
	Mode mode;
	PortList protected_ports;
	Scope scope;
	bool keep_established; /* connections outlive their grants */
	PrefixList always_allow;
	bool log_only;
	uint64_t denied_interval_ns; /* LogDenied=: one event for each source in this time; 0: none
				      */

	/* Of no file: from then on as with log_only, while a trial is on (0: none is). */
	uint64_t trial_end_mono_ns;

	/* [Knock] */
	PortList knock_ports; /* UDP only */
	bool knock_any4;      /* every IPv4 address of this host takes knocks */
	bool knock_any6;
	AddressList knock_addresses; /* those that do, besides */
	uint64_t source_interval_ns; /* RateLimit=: one token in this time */
	uint32_t source_burst;	     /* RateBurst= */
	uint64_t total_interval_ns;  /* TotalRateLimit= */
	StringList server_keys;	     /* paths, absolute */
	char *clients_directory;     /* absolute */

	/* [Grant] */
	uint64_t idle_ns; /* DURATION_INFINITY: never */
	uint64_t grace_ns;
	uint64_t lifetime_ns;
	uint8_t prefix4; /* native: 16 to 32 */
	uint8_t prefix6; /* 32 to 128 */

	/* [Nftables] */
	MirrorTarget mirror;

	/* [Log] */
	LogLevel log_level;

	/* [Attach] */
	bool pin;	     /* what is attached outlives the daemon without a service manager */
	char *pin_directory; /* absolute */
	bool external;	     /* another loader attaches; interfaces is empty then */

	/* spale 0.3 */
	bool legacy; /* at least one legacy key was used in a file */
	ClientOverride *overrides;
	size_t override_count;
} Config;

/* Mode= in a word. */
const char *config_mode_name(Mode mode);

void config_free(Config *config);
DEFINE_CLEANUP(Config, config_free)
#define _cleanup_config_ _cleanup_(config_freep)

/* Collects what files and options say; config_builder_finish() makes the Config of it. */
typedef struct ConfigBuilder ConfigBuilder;

/* Relative paths are taken relative to DIRECTORY (absolute). NULL: no memory. */
ConfigBuilder *config_builder_new(const char *directory);
void config_builder_free(ConfigBuilder *builder);
DEFINE_CLEANUP(ConfigBuilder, config_builder_free)
#define _cleanup_config_builder_ _cleanup_(config_builder_freep)

/*
 * Adds a file; later ones win. A list key adds to what earlier ones said, an empty value empties
 * the list. What is wrong goes to DIAGNOSTICS with file, line, value and what is allowed.
 * Returns 0 or -ENOMEM; bad input is not an error here, it shows in diagnostics->errors.
 */
int config_builder_add_file(ConfigBuilder *builder, const char *path, const char *text, size_t size,
			    Diagnostics *diagnostics);

/*
 * Sets SECTION/KEY from an option of the command line ("-i"), which beats every file and, for a
 * list, replaces it. Options of spale 0.3 take its value forms. Same returns.
 */
int config_builder_add_option(ConfigBuilder *builder, const char *option, const char *section,
			      const char *key, const char *value, Diagnostics *diagnostics);

/*
 * Applies defaults and checks what only the whole can show (required keys, a knock port that is
 * protected for UDP is fine, prefix lengths, …). *RET_CONFIG is set only if DIAGNOSTICS has no
 * errors. Returns 0, -EINVAL (see diagnostics) or -ENOMEM.
 */
int config_builder_finish(ConfigBuilder *builder, Diagnostics *diagnostics, Config **ret_config);

/*
 * The effective configuration as a file that would give the same, each line followed by a comment
 * that says where the value came from. The caller frees it; NULL: no memory.
 */
char *config_builder_format(const ConfigBuilder *builder);

/* The override for a client of this name, or NULL. */
const ClientOverride *config_override(const Config *config, const char *client_name);
