/* SPDX-License-Identifier: MIT */
/*
 * PEM: damaged texts are refused with a code that has a sentence, sound ones are written so that
 * they read the same, and neither leaves anything behind. Input: a text; its first 32 bytes are
 * taken as a key as well.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "keys/pem.h"
#include "knock/hpke.h"

static bool is_known_error(int r)
{
	return r == -ENOENT || r == -ENOTSUP || r == -EBADMSG || r == -EKEYREJECTED;
}

static void check_private(const Secret *key)
{
	char text[PEM_TEXT_MAX];
	_cleanup_secret_ Secret again = {0};
	PublicKey public_key;

	FUZZ_CHECK(pem_format_private(key, text) == 0);
	FUZZ_CHECK(strlen(text) < PEM_TEXT_MAX && text[strlen(text) - 1] == '\n');
	FUZZ_CHECK(pem_parse_private(text, strlen(text), &again) == 0);
	FUZZ_CHECK(secret_equal(key->bytes, again.bytes, sizeof(again.bytes)));
	FUZZ_CHECK(pem_parse_public(text, strlen(text), &public_key) == -ENOENT);
}

static void check_public(const PublicKey *key)
{
	char text[PEM_TEXT_MAX];
	PublicKey again;
	Secret private_key;
	int r;

	FUZZ_CHECK(pem_format_public(key, text) == 0);
	FUZZ_CHECK(strlen(text) < PEM_TEXT_MAX && text[strlen(text) - 1] == '\n');
	r = pem_parse_public(text, strlen(text), &again);
	if (hpke_public_key_is_usable(key))
		FUZZ_CHECK(r == 0 && secret_equal(key->bytes, again.bytes, sizeof(again.bytes)));
	else
		FUZZ_CHECK(r == -EKEYREJECTED);
	FUZZ_CHECK(pem_parse_private(text, strlen(text), &private_key) == -ENOENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *text = fuzz_copy(data, size);
	_cleanup_secret_ Secret private_key = {{0xa5, 0x5a}};
	PublicKey public_key = {{0xa5, 0x5a}};
	const PublicKey untouched = public_key;
	int r;

	r = pem_parse_private((const char *)text, size, &private_key);
	if (r == 0) {
		check_private(&private_key);
	} else {
		FUZZ_CHECK(is_known_error(r) && pem_error(r));
		FUZZ_CHECK(memcmp(&private_key, &untouched, sizeof(untouched)) == 0);
	}

	r = pem_parse_public((const char *)text, size, &public_key);
	if (r == 0) {
		FUZZ_CHECK(hpke_public_key_is_usable(&public_key));
		check_public(&public_key);
	} else {
		FUZZ_CHECK(is_known_error(r) && pem_error(r));
		FUZZ_CHECK(memcmp(&public_key, &untouched, sizeof(untouched)) == 0);
	}

	if (size >= SPALE_KEY_SIZE) {
		memcpy(private_key.bytes, data, SPALE_KEY_SIZE);
		memcpy(public_key.bytes, data, SPALE_KEY_SIZE);
		check_private(&private_key);
		check_public(&public_key);
	}
	return 0;
}
