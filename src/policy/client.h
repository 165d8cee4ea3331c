/* SPDX-License-Identifier: MIT */
/*
 * Enrolled clients: a public key with a name and what it may do, and the set of all of them.
 *
 * A ClientSet is immutable once filled; a reload makes a new one. Pure: keys and texts come from
 * keys/ and the daemon. Names and texts are untrusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/diagnostics.h"
#include "util/name.h"
#include "util/secret.h"

/* Names are those of util/name.h. */
#define CLIENT_NAME_MAX NAME_LENGTH_MAX
#define CLIENTS_MAX	65536

typedef struct Client {
	char name[CLIENT_NAME_MAX + 1];
	PublicKey key;
	bool enabled;
	bool has_ports; /* else: every protected port */
	PortList ports; /* what Ports= names; empty with has_ports: opens nothing */
	bool has_idle, has_grace, has_lifetime; /* else the configuration's */
	uint64_t idle_ns, grace_ns, lifetime_ns;
	uint64_t not_before_real_usec; /* 0: none */
	uint64_t not_after_real_usec;  /* UINT64_MAX: none */
	PrefixList allowed_sources;    /* empty without has_allowed_sources: any */
	bool has_allowed_sources;
	bool needs_no_match; /* RequireSourceMatch=no; else auto, which is all that there is */
} Client;

/* The rule of util/name.h. */
bool client_name_is_valid(const char *name);

/* Whether two clients are one in all that is above. */
bool client_equal(const Client *a, const Client *b);

typedef struct ClientSet ClientSet;

ClientSet *client_set_new(void);
void client_set_free(ClientSet *set);
DEFINE_CLEANUP(ClientSet, client_set_free)
#define _cleanup_client_set_ _cleanup_(client_set_freep)

/*
 * Adds a client. CONF_TEXT is the content of its NAME.conf ([Client] section) or NULL, CONF_PATH
 * names it in diagnostics; an override of CONFIG (spale 0.3) counts where NAME.conf says nothing.
 * A client whose settings are unusable is not added, and DIAGNOSTICS says why: one bad client
 * does not keep the others out.
 * Returns 0 (added), -EINVAL (see diagnostics), -EEXIST (the key or the name is there already:
 * said in diagnostics too), -E2BIG (CLIENTS_MAX) or -ENOMEM.
 */
int client_set_add(ClientSet *set, const Config *config, const char *name, const PublicKey *key,
		   const char *conf_path, const char *conf_text, size_t conf_size,
		   Diagnostics *diagnostics);

/* A text of settings ([Client] section), and the file's name in diagnostics. */
typedef struct ClientText {
	const char *path;
	const char *text; /* NULL: none */
	size_t size;
} ClientText;

/* The same with two texts: what CHANGES says counts, and CONF where it is silent. */
int client_set_add_changed(ClientSet *set, const Config *config, const char *name,
			   const PublicKey *key, const ClientText *conf, const ClientText *changes,
			   Diagnostics *diagnostics);

/* Whether KEY of [Client] takes a list: 1, 0, or -ENOENT (there is no such key). */
int client_key_is_list(const char *key);

/* Removes the client of this key and name (one key in two files counts for neither). */
void client_set_remove(ClientSet *set, const char *name);

/* The set owns what these return; NULL: none. By key: not in constant time, for keys are public. */
const Client *client_set_by_key(const ClientSet *set, const PublicKey *key);
const Client *client_set_by_name(const ClientSet *set, const char *name);

size_t client_set_count(const ClientSet *set);
const Client *client_set_get(const ClientSet *set, size_t index);
