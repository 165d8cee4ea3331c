/* SPDX-License-Identifier: MIT */
/*
 * The server's keys, in the order of ServerKey=, as files or a systemd credential give them.
 *
 * Owns private keys: erased by key_ring_done(). Logs nothing.
 */
#pragma once

#include "keys/key-file.h"
#include "policy/config.h"
#include "policy/diagnostics.h"

typedef struct KeyRing {
	KeyPair pairs[CONFIG_SERVER_KEYS_MAX];
	size_t count;
} KeyRing;

void key_ring_done(KeyRing *ring);
#define _cleanup_key_ring_ _cleanup_(key_ring_done)

/* FROM is empty, and erased, afterwards. TO held nothing that has to be erased. */
void key_ring_move(KeyRing *to, KeyRing *from);

/*
 * Reads every key that CONFIG names. Where $CREDENTIALS_DIRECTORY has a file of the same name with
 * more than a blank in it, that one is read in its place (systemd.exec(5), "LoadCredential="). One
 * that is unusable is an error in DIAGNOSTICS, one that others than owner and group may read is a
 * warning. Returns 0, -EACCES (all that is wrong is that a file may not be read), -EINVAL or
 * -ENOMEM; *RET_RING is set on 0 only.
 */
int key_ring_load(const Config *config, Diagnostics *diagnostics, KeyRing *ret_ring);
