/* SPDX-License-Identifier: MIT */
/*
 * Fresh keys, and the files that they go to: all files of a run are written, or none.
 *
 * What is made here holds private keys: it is erased by the cleanup function.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "keys/key-file.h"
#include "keys/pem.h"

/* Most files that one run writes. */
#define KEY_OUTPUTS_MAX 3

/* A file to write, and what it replaces. */
typedef struct KeyOutput {
	char *path;
	const char *what; /* for people */
	mode_t mode;
	char text[2 * PEM_TEXT_MAX];
	bool written;
	char *old_text; /* NULL: there was none */
	size_t old_size;
	mode_t old_mode;
} KeyOutput;

typedef struct KeyOutputs {
	KeyOutput items[KEY_OUTPUTS_MAX];
	size_t count;
} KeyOutputs;

void key_outputs_done(KeyOutputs *outputs);
#define _cleanup_key_outputs_ _cleanup_(key_outputs_done)

/* Says one sentence of what went wrong. */
typedef void (*KeyOutputReport)(const char *sentence);

/* A new pair. 0 or a negative errno: there are no random numbers. */
int key_output_generate(KeyPair *ret_pair);

/*
 * Each adds the file DIRECTORY/NAME SUFFIX ("." is left out of its path), private ones with mode
 * 0600. 0, -E2BIG or -ENOMEM.
 */
int key_outputs_add_private(KeyOutputs *outputs, const char *directory, const char *name,
			    const char *suffix, const Secret *key);
int key_outputs_add_public(KeyOutputs *outputs, const char *directory, const char *name,
			   const char *suffix, const PublicKey *key);
int key_outputs_add_bundle(KeyOutputs *outputs, const char *directory, const char *name,
			   const char *suffix, const PublicKey *server, const Secret *client);

/*
 * Writes all of them; with FORCE, in the place of others, which are put back on failure. What is in
 * the way is said with REPORT. 0 or a negative errno.
 */
int key_outputs_write(KeyOutputs *outputs, bool force, KeyOutputReport report);

/* Puts back what was there before key_outputs_write(). */
void key_outputs_undo(KeyOutputs *outputs, KeyOutputReport report);

/*
 * The public key of the server installed here, from the file PUBLIC_PATH, or else derived from
 * PRIVATE_PATH. 0 or a negative errno, with *RET_ERROR as of key-file.h.
 */
int key_output_find_server(const char *public_path, const char *private_path, PublicKey *ret_key,
			   char **ret_error);
