/* SPDX-License-Identifier: MIT */
/*
 * Keys in files: a server's private key, a client's public key, a client's key file with both.
 */
#pragma once

#include <stdbool.h>

#include "util/secret.h"

/* A server key with its public half. */
typedef struct KeyPair {
	Secret private_key;
	PublicKey public_key;
} KeyPair;

void key_pair_done(KeyPair *pair);
#define _cleanup_key_pair_ _cleanup_(key_pair_done)

/*
 * Each reads PATH and returns 0, what file_read() and pem_parse_…() return. *RET_ERROR, where
 * given, is set on failure to a sentence for people that names the path and what to do; the caller
 * frees it. It is NULL where there was no memory for it.
 */
int key_file_read_private(const char *path, KeyPair *ret_pair, char **ret_error);
int key_file_read_public(int dir_fd, const char *path, PublicKey *ret_key, char **ret_error);

/*
 * A client's key file (bundle): the server's public and the client's private key, in any order.
 * -EKEYREJECTED also when the public key is the client's own.
 */
int key_file_read_bundle(const char *path, PublicKey *ret_server, KeyPair *ret_client,
			 char **ret_error);

/* Whether others than its owner have any right to the file PATH (false: no, or no such file). */
bool key_file_is_exposed(const char *path);
