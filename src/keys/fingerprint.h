/* SPDX-License-Identifier: MIT */
/* A short text that tells public keys apart, for people who compare them. */
#pragma once

#include "util/secret.h"

/* Room for any fingerprint and NUL. */
#define FINGERPRINT_TEXT_MAX 64

/*
 * Writes "SHA256:" and the base64 of the key's SHA-256 without padding into TEXT. Returns 0 or a
 * negative errno.
 */
int fingerprint_format(const PublicKey *key, char text[static FINGERPRINT_TEXT_MAX]);
