/* SPDX-License-Identifier: MIT */
/*
 * Everything that the administrator wrote, read together: configuration, server keys, clients.
 * Read at the start, at a reload and for --check-config.
 *
 * Says what is wrong with it in the journal, since it goes on behind a bad client.
 */
#pragma once

#include "daemon/client-files.h"
#include "daemon/key-ring.h"
#include "daemon/options.h"
#include "daemon/policy-layers.h"
#include "policy/client.h"
#include "policy/config.h"

typedef struct Setup {
	Config *config;
	PolicyLayers *layers; /* what it is made of */
	KeyRing keys;
	ClientSet *clients;
	ClientRoster roster;  /* what clients is made of */
	const char *fallback; /* what config is, as a sentence; NULL: what is wanted */
	bool keeps_keys;      /* the keys cannot be read any more, those in use are to stay */
	size_t refused;	      /* reasons why clients were refused */
} Setup;

void setup_done(Setup *setup);
#define _cleanup_setup_ _cleanup_(setup_done)

/*
 * Reads it all. RELOAD: server keys that may not be read any more, since privileges were dropped,
 * are no error. Returns 0, -EINVAL (unusable, and said) or -ENOMEM.
 */
int setup_load(const Options *options, bool reload, Setup *ret_setup);

/*
 * Reads the last good configuration instead, where setup_load() said -EINVAL, and keys and clients.
 * MUST_KNOCK: as with setup_load() it is an error if these two cannot be read; else there are none,
 * so that at least nothing is open. Returns 0, -ENOENT (there is none, which is not said), -EINVAL
 * (it cannot be used, and that is said) or -ENOMEM.
 */
int setup_load_good(const Options *options, bool must_knock, Setup *ret_setup);

/*
 * The last resort where what is kept in the state directory cannot be used either: what the
 * administrator's files say without it, and keys and clients if they can be read. Says nothing of
 * the files, for setup_load() did. Returns 0, -EINVAL or -ENOMEM.
 */
int setup_load_files(const Options *options, Setup *ret_setup);

/*
 * Reads the clients alone, ROSTER being that of the last time (client_files_load()). Same returns
 * as setup_load().
 */
int setup_load_clients(const Options *options, const Config *config, ClientRoster *roster,
		       ClientSet **ret_clients);

/*
 * --check-config: reads it all, says what is wrong, on stdout that nothing is. Returns 0, -EINVAL
 * (something is; a refused client counts) or -ENOMEM.
 */
int setup_check(const Options *options);

/*
 * --unpin: removes what a spaled that is gone has pinned where the configuration says. Returns 0,
 * -EINVAL (the configuration is unusable, and said) or another negative errno, said.
 */
int setup_unpin(const Options *options);

/* --show-config: prints the configuration in effect on stdout. Same returns, and what write(2)
 * says. */
int setup_show(const Options *options);
