/* SPDX-License-Identifier: MIT */
#include "policy/config-keys.h"

#include <stdio.h>
#include <string.h>

#include "policy/client.h"
#include "util/parse.h"

#define HOUR_NS	      (3600 * NSEC_PER_SEC)
#define SHORTEST_RATE (NSEC_PER_SEC / 1000000)
#define LONGEST_RATE  HOUR_NS

#define AT(field) offsetof(Config, field)

/* The grammar: what exists, in the order of --show-config. */
const GrammarKey config_keys[] = {
	{"Protect", "Interfaces", &grammar_interfaces,
	 "names of interfaces, or patterns of glob(7)", AT(interfaces), .legacy = {"IFACE"},
	 .option = "-i"},
	{"Protect", "Mode", &grammar_mode, "tc or xdp", AT(mode), .fallback = "tc",
	 .legacy = {"MODE"}},
	{"Protect", "Ports", &grammar_ports, GRAMMAR_ALLOWED_PORTS, AT(protected_ports),
	 .legacy = {"PROTECTED_PORTS"}},
	{"Protect", "Scope", &grammar_scope, "local or all", AT(scope), .fallback = "local"},
	{"Protect", "KeepEstablished", &grammar_bool, "yes or no", AT(keep_established),
	 .fallback = "yes"},
	{"Protect", "AlwaysAllow", &grammar_prefixes, GRAMMAR_ALLOWED_PREFIXES, AT(always_allow),
	 .fallback = "", .legacy = {"ALWAYS_ALLOW"}},
	{"Protect", "LogOnly", &grammar_bool, "yes or no", AT(log_only), .fallback = "no",
	 .legacy = {"LOG_ONLY"}},
	{"Protect", "LogDenied", &grammar_no_rate, "a rate from 1/h to 10/s such as 1/10s, or no",
	 AT(denied_interval_ns), .min = NSEC_PER_SEC / 10, .max = LONGEST_RATE,
	 .fallback = "1/10s"},

	{"Knock", "Ports", &grammar_udp_ports, "UDP ports such as 62201 or 62201/udp",
	 AT(knock_ports), .legacy = {"LISTEN_PORT"}, .option = "-S"},
	{"Knock", "Addresses", &grammar_addresses,
	 "any, or addresses of this host; 0.0.0.0 and :: are any of their family",
	 .fallback = "any", .legacy = {"LISTEN_ADDR", "LISTEN_ADDR6"}},
	{"Knock", "Formats", &grammar_formats, "1", .fallback = "1"},
	{"Knock", "RateLimit", &grammar_no_rate,
	 "a rate from 1/h to 1000000/s such as 3/s or 100/min, or no", AT(source_interval_ns),
	 .min = SHORTEST_RATE, .max = LONGEST_RATE, .fallback = "3/s", .legacy = {"SPA_RL_RATE"}},
	{"Knock", "RateBurst", &grammar_u32, "a number from 1 to 100000", AT(source_burst),
	 .min = 1, .max = 100000, .fallback = "10", .legacy = {"SPA_RL_BURST"}},
	{"Knock", "TotalRateLimit", &grammar_rate, "a rate from 1/h to 1000000/s such as 2000/s",
	 AT(total_interval_ns), .min = SHORTEST_RATE, .max = LONGEST_RATE, .fallback = "2000/s"},
	{"Knock", "ServerKey", &grammar_paths, "up to 4 paths", AT(server_keys),
	 .fallback = "server.key", .legacy = {"SERVER_KEY"}},
	{"Knock", "ClientsDirectory", &grammar_path, "a path", AT(clients_directory),
	 .fallback = "clients", .legacy = {"CLIENTS_DIR"}},

	{"Grant", "Idle", &grammar_duration, GRAMMAR_ALLOWED_SECOND, AT(idle_ns),
	 .min = NSEC_PER_SEC, .fallback = "60s", .legacy = {"IDLE_SEC"}},
	{"Grant", "Grace", &grammar_duration, GRAMMAR_ALLOWED_DURATION, AT(grace_ns),
	 .fallback = "300s", .legacy = {"GRACE_SEC"}},
	{"Grant", "Lifetime", &grammar_duration, GRAMMAR_ALLOWED_SECOND, AT(lifetime_ns),
	 .min = NSEC_PER_SEC, .fallback = "12h", .legacy_fallback = "infinity"},
	{"Grant", "Prefix4", &grammar_u8, "a prefix length from 16 to 32", AT(prefix4), .min = 16,
	 .max = 32, .fallback = "32"},
	{"Grant", "Prefix6", &grammar_u8, "a prefix length from 32 to 128", AT(prefix6), .min = 32,
	 .max = 128, .fallback = "128"},
	{"Grant", "RequireSourceMatch", &grammar_source_match, "auto or no", .fallback = "auto"},
	{"Grant", "RequireDestinationMatch", &grammar_destination_match, "no", .fallback = "no"},

	{"Nftables", "Mirror", &grammar_mirror, "no, own, or FAMILY TABLE SET4 SET6 of nftables",
	 AT(mirror), .fallback = "no"},

	{"Log", "Level", &grammar_log_level, "debug, info, warning or error", AT(log_level),
	 .fallback = "info", .legacy = {"LOG_LEVEL"}},

	{"Attach", "Pin", &grammar_bool, "yes or no", AT(pin), .fallback = "no"},
	{"Attach", "PinDirectory", &grammar_path, "a path", AT(pin_directory),
	 .fallback = "/sys/fs/bpf/spale"},
	{"Attach", "External", &grammar_bool, "yes or no", AT(external), .fallback = "no"},
};

/* What spale 0.3 had behind the upper-cased name of a client. */
const GrammarKey config_override_keys[] = {
	{"Client", "Ports", &grammar_ports, GRAMMAR_ALLOWED_PORTS, offsetof(ClientOverride, ports),
	 offsetof(ClientOverride, has_ports), .legacy = {"_PORTS"}},
	{"Client", "Idle", &grammar_duration, GRAMMAR_ALLOWED_SECOND,
	 offsetof(ClientOverride, idle_ns), offsetof(ClientOverride, has_idle), .min = NSEC_PER_SEC,
	 .legacy = {"_IDLE_SEC"}},
	{"Client", "Grace", &grammar_duration, GRAMMAR_ALLOWED_DURATION,
	 offsetof(ClientOverride, grace_ns), offsetof(ClientOverride, has_grace),
	 .legacy = {"_GRACE_SEC"}},
};

_Static_assert(ARRAY_SIZE(config_keys) == CONFIG_KEYS, "CONFIG_KEYS");
_Static_assert(ARRAY_SIZE(config_override_keys) == CONFIG_OVERRIDE_KEYS, "CONFIG_OVERRIDE_KEYS");

const char *config_key_name(const GrammarKey *key, char text[static CONFIG_KEY_NAME_MAX])
{
	snprintf(text, CONFIG_KEY_NAME_MAX, "[%s] %s=", key->section, key->name);
	return text;
}

const GrammarKey *config_key_find(const char *section, const char *name)
{
	return grammar_find(config_keys, CONFIG_KEYS, section, name);
}

bool config_key_section_exists(const char *section)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		if (strcmp(config_keys[i].section, section) == 0)
			return true;
	}
	return false;
}

const GrammarKey *config_key_find_legacy(const char *name, size_t *ret_which)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(config_keys[i].legacy); j++) {
			const char *legacy = config_keys[i].legacy[j];

			if (legacy && strcmp(legacy, name) == 0) {
				*ret_which = j;
				return &config_keys[i];
			}
		}
	}
	return NULL;
}

const GrammarKey *config_key_find_override(const char *name, size_t *ret_length)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < CONFIG_OVERRIDE_KEYS; i++) {
		const char *suffix = config_override_keys[i].legacy[0];
		size_t size = strlen(suffix);
		char client[CLIENT_NAME_MAX + 1] = {0};

		if (length <= size || length - size > CLIENT_NAME_MAX ||
		    strcmp(name + length - size, suffix) != 0)
			continue;
		memcpy(client, name, length - size);
		if (!client_name_is_valid(client) ||
		    strpbrk(client, "abcdefghijklmnopqrstuvwxyz") != NULL)
			continue;
		*ret_length = length - size;
		return &config_override_keys[i];
	}
	return NULL;
}
