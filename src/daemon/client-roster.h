/* SPDX-License-Identifier: MIT */
/*
 * The clients' files as they were read last: texts and keys, of which a ClientSet is made as often
 * as one is wanted, so that one client can be changed without reading the others again.
 *
 * Reads no files (client-files) and knows of no change (manager-clients). Logs nothing.
 */
#pragma once

#include "policy/client.h"
#include "policy/config.h"
#include "policy/diagnostics.h"

/* One client. Everything is its own. */
typedef struct ClientRecord {
	char *name;
	char *pem_path;
	char *conf_path;
	char *changes_path; /* NULL: enrolled */
	PublicKey key;
	bool is_enrolled; /* over D-Bus: its files are in the state directory */
	bool is_unusable; /* refused, and that was said */
	char *conf;	  /* content of NAME.conf beside its NAME.pem, NULL: none */
	size_t conf_size;
	char *changes; /* what was changed over D-Bus of one that the administrator wrote */
	size_t changes_size;
} ClientRecord;

void client_record_done(ClientRecord *record);
#define _cleanup_client_record_ _cleanup_(client_record_done)

typedef struct ClientRoster {
	ClientRecord *items; /* by name */
	size_t count;
} ClientRoster;

void client_roster_done(ClientRoster *roster);
#define _cleanup_client_roster_ _cleanup_(client_roster_done)

/* The client of this name or key, or NULL. */
ClientRecord *client_roster_find(const ClientRoster *roster, const char *name);
const ClientRecord *client_roster_find_key(const ClientRoster *roster, const PublicKey *key);

/* Called with what there is to say of a client; an error refuses it. */
typedef void (*ClientRosterReport)(const ClientRecord *record, const Diagnostics *diagnostics,
				   void *userdata);

/*
 * Makes the set of those that are usable, of which each one that turns out not to be is left out
 * and told to REPORT (NULL: nobody). Returns 0 or -ENOMEM.
 */
int client_roster_build(const ClientRoster *roster, const Config *config, ClientRosterReport report,
			void *userdata, ClientSet **ret_clients);

/*
 * The same as it would be with RECORD instead of the client of the same NAME; NULL: without it.
 * Returns as client_set_add() does if RECORD cannot be used, which DIAGNOSTICS has the reason for.
 */
int client_roster_try(const ClientRoster *roster, const Config *config, const char *name,
		      const ClientRecord *record, Diagnostics *diagnostics,
		      ClientSet **ret_clients);

/* Room for one more, so that client_roster_put() cannot fail. Returns 0 or -ENOMEM. */
int client_roster_reserve(ClientRoster *roster);

/* RECORD, which is emptied, takes the place of the one of its name, or its own. */
void client_roster_put(ClientRoster *roster, ClientRecord *record);
void client_roster_remove(ClientRoster *roster, const char *name);
