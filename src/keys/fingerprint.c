/* SPDX-License-Identifier: MIT */
#include "keys/fingerprint.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

int fingerprint_format(const PublicKey *key, char text[static FINGERPRINT_TEXT_MAX])
{
	uint8_t hash[32];
	gnutls_datum_t digits = {0};
	int size;

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, key->bytes, sizeof(key->bytes), hash) < 0)
		return -EIO;
	if (gnutls_base64_encode2(&(gnutls_datum_t){hash, sizeof(hash)}, &digits) < 0)
		return -ENOMEM;
	size = (int)digits.size;
	while (size > 0 && digits.data[size - 1] == '=')
		size--;
	snprintf(text, FINGERPRINT_TEXT_MAX, "SHA256:%.*s", size, (const char *)digits.data);
	gnutls_free(digits.data);
	return 0;
}
