/* SPDX-License-Identifier: MIT */
/*
 * HPKE (RFC 9180), single-shot, with one fixed suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
 * ChaCha20-Poly1305; modes Auth and AuthPSK; sequence number 0.
 *
 * Pure: bytes in, bytes out. nettle's only door, together with the rest of knock/. All inputs but
 * the own private keys are untrusted. An all-zero Diffie-Hellman result is refused.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "util/secret.h"

#define HPKE_TAG_SIZE	16
#define HPKE_NONCE_SIZE 12

typedef enum HpkeVariant {
	HPKE_RFC9180, /* as published */
	HPKE_SPALE1,  /* the departures of knock format 1, see spale-protocol(7) */
} HpkeVariant;

/* What sender and receiver both know before the message. */
typedef struct HpkeParameters {
	HpkeVariant variant;
	const uint8_t *info;
	size_t info_size;
	const uint8_t *psk; /* NULL: mode Auth; else mode AuthPSK */
	size_t psk_size;    /* at least 32 with a psk */
	const uint8_t *psk_id;
	size_t psk_id_size;
} HpkeParameters;

/* The AEAD key and nonce of one message (RFC 9180, section 5.1). Erased by hpke_context_done(). */
typedef struct HpkeContext {
	uint8_t key[32];
	uint8_t base_nonce[HPKE_NONCE_SIZE];
} HpkeContext;

void hpke_context_done(HpkeContext *context);
#define _cleanup_hpke_context_ _cleanup_(hpke_context_done)

/* X25519 (RFC 7748). Returns 0, or -EKEYREJECTED when the result is all zero. */
int hpke_dh(const Secret *private_key, const PublicKey *public_key, Secret *ret_shared);

/* The public key of a private one. */
PublicKey hpke_public_key(const Secret *private_key);

/*
 * Whether KEY is a canonical encoding (below 2^255 - 19, top bit clear) of a point that yields a
 * shared secret at all (not of small order): only such keys are enrolled.
 */
bool hpke_public_key_is_usable(const PublicKey *key);

/*
 * Sender: makes the context from the recipient's public key, the own static private key and the
 * ephemeral private key (fresh random bytes for each message; given by the caller, so that known
 * answers can be tested). *RET_ENC is the ephemeral public key, to be sent.
 * Returns 0, -EKEYREJECTED (a Diffie-Hellman result is all zero) or -EINVAL (a psk under 32 bytes,
 * without psk_id, or with HPKE_SPALE1).
 */
int hpke_setup_sender(const HpkeParameters *parameters, const PublicKey *recipient,
		      const Secret *sender, const Secret *ephemeral, PublicKey *ret_enc,
		      HpkeContext *ret_context);

/*
 * Receiver: the same from the other side. STATIC_SHARED is hpke_dh(recipient's private key,
 * sender's public key), which stays the same for each pair and is cached by the caller, so
 * that a message costs one X25519. RECIPIENT_PUBLIC is the public key of RECIPIENT.
 * Returns the same.
 */
int hpke_setup_receiver(const HpkeParameters *parameters, const Secret *recipient,
			const PublicKey *recipient_public, const PublicKey *sender,
			const Secret *static_shared, const PublicKey *enc,
			HpkeContext *ret_context);

/* Seals PLAIN_SIZE bytes into CT, which has room for PLAIN_SIZE + HPKE_TAG_SIZE. */
void hpke_seal(const HpkeContext *context, const uint8_t *aad, size_t aad_size,
	       const uint8_t *plain, size_t plain_size, uint8_t *ct);

/*
 * Opens CT_SIZE bytes into PLAIN, which has room for CT_SIZE - HPKE_TAG_SIZE; erased on failure.
 * Returns 0, or -EBADMSG when it was not sealed so.
 */
int hpke_open(const HpkeContext *context, const uint8_t *aad, size_t aad_size, const uint8_t *ct,
	      size_t ct_size, uint8_t *plain);
