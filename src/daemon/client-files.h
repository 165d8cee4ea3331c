/* SPDX-License-Identifier: MIT */
/*
 * The enrolled clients as they are on disk: NAME.pem and NAME.conf in ClientsDirectory=, and what
 * was done over D-Bus in the directory clients of the state directory, which is read after it:
 * there NAME.pem and NAME.conf are a client that was enrolled, NAME.conf alone has settings that
 * count before those of the administrator's client of this name, and NAME.removed stands for none.
 * What was enrolled or removed stands in place of the administrator's files of the same name.
 *
 * Reads files; what they mean is policy/client.h's business. Logs nothing.
 */
#pragma once

#include "daemon/client-roster.h"

#define CLIENT_MASK_SUFFIX ".removed"

/* Called for each reason why a client is refused. NAME: the stem of its file's name. */
typedef void (*ClientFilesRefused)(const char *name, const Diagnostic *why, void *userdata);

/* Where it goes what there is to say: about one client, and the rest. */
typedef struct ClientFilesReport {
	Diagnostics *diagnostics;
	ClientFilesRefused refused;
	void *userdata; /* of refused */
} ClientFilesReport;

/*
 * Reads every NAME.pem with its NAME.conf (STATE_DIRECTORY NULL: the administrator's alone). A
 * client with something unusable is left out and told, the others are taken; one key in two files
 * counts for neither. TO also gets the rest: errors (a directory cannot be read), warnings and
 * notices.
 *
 * A NAME.conf of the administrator's that has vanished from beside its NAME.pem counts as ROSTER
 * has it: who replaces it, or removes both, lifts no restriction for a moment. To forget, begin
 * with an empty one. ROSTER is brought up to date if 0 is returned. Returns 0 (also with no client
 * at all: a warning), -EINVAL (see diagnostics) or -ENOMEM.
 */
int client_files_load(const Config *config, const char *state_directory, ClientRoster *roster,
		      const ClientFilesReport *to, ClientSet **ret_clients);
