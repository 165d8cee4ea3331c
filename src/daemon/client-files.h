/* SPDX-License-Identifier: MIT */
/*
 * The enrolled clients as the administrator wrote them: NAME.pem and NAME.conf in
 * ClientsDirectory=.
 *
 * Reads files; what they mean is policy/client.h's business. Logs nothing.
 */
#pragma once

#include "policy/client.h"
#include "policy/config.h"
#include "policy/diagnostics.h"

/* What a NAME.conf said when it was last there, for each NAME.pem. */
typedef struct ClientConf {
	char *name;
	char *text;
	size_t size;
} ClientConf;

typedef struct ClientConfs {
	ClientConf *items; /* by name */
	size_t count;
} ClientConfs;

void client_confs_done(ClientConfs *confs);
#define _cleanup_client_confs_ _cleanup_(client_confs_done)

/* Called for each reason why a client is refused. NAME: the stem of its file's name. */
typedef void (*ClientFilesRefused)(const char *name, const Diagnostic *why, void *userdata);

/*
 * Reads every NAME.pem with its NAME.conf. A client with something unusable is left out and goes to
 * REFUSED, the others are taken; one key in two files counts for neither. DIAGNOSTICS gets the
 * rest: errors (the directory cannot be read), warnings and notices.
 *
 * A NAME.conf that has vanished from beside its NAME.pem counts as CONFS has it: who replaces it,
 * or removes both, lifts no restriction for a moment. To forget, begin with empty ones. CONFS are
 * brought up to date if 0 is returned.
 * Returns 0 (also with no client at all: a warning), -EINVAL (see diagnostics) or -ENOMEM.
 */
int client_files_load(const Config *config, ClientConfs *confs, Diagnostics *diagnostics,
		      ClientFilesRefused refused, void *userdata, ClientSet **ret_clients);
