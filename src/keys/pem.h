/* SPDX-License-Identifier: MIT */
/*
 * X25519 keys in PEM, as openssl writes them: PKCS#8 private keys, SubjectPublicKeyInfo public ones
 * (RFC 7468, RFC 8410). GnuTLS's only door.
 *
 * Texts are untrusted: other blocks (certificates, other algorithms) are passed over only where
 * the function says so. Private bytes are erased wherever they were.
 */
#pragma once

#include <stddef.h>

#include "util/secret.h"

/* Room for either PEM form of an X25519 key and NUL. */
#define PEM_TEXT_MAX 256

/*
 * Finds the first X25519 private key in SIZE bytes of PEM text. Returns 0, -ENOENT (no private key
 * in it), -ENOTSUP (encrypted, or of another algorithm), -EBADMSG (damaged) or -ENOMEM.
 */
int pem_parse_private(const char *text, size_t size, Secret *ret_key);

/*
 * Finds the first X25519 public key. Returns as above, and -EKEYREJECTED for one that is not
 * canonical or of small order.
 */
int pem_parse_public(const char *text, size_t size, PublicKey *ret_key);

/* Whether there is a private key, of whatever kind and state. */
bool pem_has_private(const char *text, size_t size);

/* What a return of the first two says of the key, for a person: "is missing", "is damaged", … */
const char *pem_error(int error);

/* Writes the PEM form, with its final newline, and returns 0 or a negative errno. */
int pem_format_private(const Secret *key, char text[static PEM_TEXT_MAX]);
int pem_format_public(const PublicKey *key, char text[static PEM_TEXT_MAX]);

/* Fresh private key from the system's random numbers (getrandom(2)). 0 or a negative errno. */
int pem_generate(Secret *ret_key);
