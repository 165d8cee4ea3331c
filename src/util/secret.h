/* SPDX-License-Identifier: MIT */
/*
 * Bytes that nobody else may see: erased when they go out of scope, compared in constant time.
 *
 * Any local array that held key material is declared with _cleanup_secret_ (a Secret) or erased
 * with secret_erase() on every path.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/wire.h>

#include "util/cleanup.h"

/* A 32-byte secret: private key, Diffie-Hellman result, derived key. */
typedef struct Secret {
	uint8_t bytes[SPALE_KEY_SIZE];
} Secret;

/* A public key. Not secret, yet compared in constant time all the same. */
typedef struct PublicKey {
	uint8_t bytes[SPALE_KEY_SIZE];
} PublicKey;

/* Overwrites SIZE bytes at P in a way that the compiler keeps (explicit_bzero(3)). */
void secret_erase(void *p, size_t size);

/* Cleanup function of a Secret. */
void secret_done(Secret *secret);

#define _cleanup_secret_ _cleanup_(secret_done)

/* Erases and frees SIZE bytes at P; P may be NULL. */
void secret_free(void *p, size_t size);

/* Whether the SIZE bytes at A and at B are the same, in a time that does not depend on them. */
bool secret_equal(const void *a, const void *b, size_t size);

/* Whether all SIZE bytes at P are zero, in a time that does not depend on them. */
bool secret_is_zero(const void *p, size_t size);
