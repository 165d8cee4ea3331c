/* SPDX-License-Identifier: MIT */
#include "knock/hpke.h"

#include <errno.h>
#include <string.h>

#include <nettle/chacha-poly1305.h>
#include <nettle/curve25519.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>

enum {
	MODE_AUTH = 0x02,
	MODE_AUTH_PSK = 0x03,
};

/* RFC 9180, section 9.5: what has less could be guessed. */
#define PSK_SIZE_MIN 32

/* Bytes that somebody else owns. */
typedef struct Bytes {
	const uint8_t *data;
	size_t size;
} Bytes;

#define BYTES(object) ((Bytes){(const uint8_t *)&(object), sizeof(object)})
#define NO_BYTES      ((Bytes){(const uint8_t *)"", 0})

/* suite_id of the KEM (section 4.1) and of HPKE as a whole (section 5.1). */
static const uint8_t kem_suite_id[] = {'K', 'E', 'M', 0x00, 0x20};
static const uint8_t hpke_suite_id[] = {'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x03};

/* The two results that AuthEncap() and AuthDecap() concatenate, in their order. */
typedef struct DhPair {
	Secret ephemeral;
	Secret fixed;
} DhPair;

/* kem_context of section 4.1. */
typedef struct KemContext {
	PublicKey enc;
	PublicKey recipient;
	PublicKey sender;
} KemContext;

/* key_schedule_context of section 5.1. Not secret: only info and psk_id went into it. */
typedef struct ScheduleContext {
	uint8_t mode;
	Secret psk_id_hash;
	Secret info_hash;
} ScheduleContext;

_Static_assert(sizeof(DhPair) == 2 * SPALE_KEY_SIZE, "hashed as it lies in memory");
_Static_assert(sizeof(KemContext) == 3 * SPALE_KEY_SIZE, "hashed as it lies in memory");
_Static_assert(sizeof(ScheduleContext) == 1 + 2 * SPALE_KEY_SIZE, "hashed as it lies in memory");

static void dh_pair_done(DhPair *pair)
{
	secret_erase(pair, sizeof(*pair));
}

static void hmac_done(struct hmac_sha256_ctx *hmac)
{
	secret_erase(hmac, sizeof(*hmac));
}

static void aead_done(struct chacha_poly1305_ctx *aead)
{
	secret_erase(aead, sizeof(*aead));
}

void hpke_context_done(HpkeContext *context)
{
	secret_erase(context, sizeof(*context));
}

int hpke_dh(const Secret *private_key, const PublicKey *public_key, Secret *ret_shared)
{
	_cleanup_secret_ Secret shared;

	curve25519_mul(shared.bytes, private_key->bytes, public_key->bytes);
	/* RFC 7748, section 6.1: a point of small order, whatever the private key. */
	if (secret_is_zero(&shared, sizeof(shared)))
		return -EKEYREJECTED;
	*ret_shared = shared;
	return 0;
}

PublicKey hpke_public_key(const Secret *private_key)
{
	PublicKey result;

	curve25519_mul_g(result.bytes, private_key->bytes);
	return result;
}

/* Whether KEY, as a little-endian number, is below 2^255 - 19. */
static bool is_canonical(const PublicKey *key)
{
	if (key->bytes[31] != 0x7f)
		return key->bytes[31] < 0x7f;
	for (size_t i = 30; i > 0; i--) {
		if (key->bytes[i] != 0xff)
			return true;
	}
	return key->bytes[0] < 0xed;
}

bool hpke_public_key_is_usable(const PublicKey *key)
{
	/*
	 * Any private key shows whether a point is of small order, since each is a multiple of
	 * the cofactors of the curve (8) and of its twist (4) and, being below 2^255, not of the
	 * large prime orders unless chosen so. This one becomes 2^254 by clamping.
	 */
	static const Secret any = {{0}};
	_cleanup_secret_ Secret shared = {{0}};

	return is_canonical(key) && hpke_dh(&any, key, &shared) == 0;
}

static void update(struct hmac_sha256_ctx *hmac, Bytes bytes)
{
	hmac_sha256_update(hmac, bytes.size, bytes.data);
}

static void update_label(struct hmac_sha256_ctx *hmac, Bytes suite_id, const char *label)
{
	static const char version[] = {'H', 'P', 'K', 'E', '-', 'v', '1'};

	update(hmac, BYTES(version));
	update(hmac, suite_id);
	hmac_sha256_update(hmac, strlen(label), (const uint8_t *)label);
}

/* LabeledExtract() of section 4. */
static void labeled_extract(Bytes suite_id, Bytes salt, const char *label, Bytes ikm,
			    Secret *ret_prk)
{
	_cleanup_(hmac_done) struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, salt.size, salt.data);
	update_label(&hmac, suite_id, label);
	update(&hmac, ikm);
	hmac_sha256_digest(&hmac, sizeof(ret_prk->bytes), ret_prk->bytes);
}

/* LabeledExpand() of section 4, for at most 32 bytes: one block of HKDF-Expand. */
static void labeled_expand(Bytes suite_id, const Secret *prk, const char *label, Bytes info,
			   uint8_t *ret, size_t size)
{
	_cleanup_(hmac_done) struct hmac_sha256_ctx hmac;
	const uint8_t size_field[] = {0, (uint8_t)size};
	const uint8_t block_number = 1;

	hmac_sha256_set_key(&hmac, sizeof(prk->bytes), prk->bytes);
	update(&hmac, BYTES(size_field));
	update_label(&hmac, suite_id, label);
	update(&hmac, info);
	update(&hmac, BYTES(block_number));
	hmac_sha256_digest(&hmac, size, ret);
}

/* VerifyPSKInputs() of section 5.1; format 1 knows no pre-shared keys. */
static int check_parameters(const HpkeParameters *parameters)
{
	if (!parameters->psk)
		return 0;
	if (parameters->variant == HPKE_SPALE1 || parameters->psk_size < PSK_SIZE_MIN ||
	    parameters->psk_id_size == 0)
		return -EINVAL;
	return 0;
}

/* ExtractAndExpand() of section 4.1. */
static void extract_and_expand(HpkeVariant variant, const DhPair *dh, const KemContext *kem_context,
			       Secret *ret_shared_secret)
{
	/* The first departure of format 1: the suite id of HPKE, not that of the KEM. */
	Bytes suite_id = variant == HPKE_SPALE1 ? BYTES(hpke_suite_id) : BYTES(kem_suite_id);
	_cleanup_secret_ Secret eae_prk;

	labeled_extract(suite_id, NO_BYTES, "eae_prk", BYTES(*dh), &eae_prk);
	labeled_expand(suite_id, &eae_prk, "shared_secret", BYTES(*kem_context),
		       ret_shared_secret->bytes, sizeof(ret_shared_secret->bytes));
}

/* KeySchedule() of section 5.1. */
static void key_schedule(const HpkeParameters *parameters, const Secret *shared_secret,
			 HpkeContext *ret_context)
{
	const Bytes suite_id = BYTES(hpke_suite_id);
	const bool has_psk = parameters->psk != NULL;
	const Bytes info = {parameters->info, parameters->info_size};
	const Bytes psk = has_psk ? (Bytes){parameters->psk, parameters->psk_size} : NO_BYTES;
	const Bytes psk_id =
		has_psk ? (Bytes){parameters->psk_id, parameters->psk_id_size} : NO_BYTES;
	ScheduleContext context = {.mode = has_psk ? MODE_AUTH_PSK : MODE_AUTH};
	_cleanup_secret_ Secret secret;

	labeled_extract(suite_id, NO_BYTES, "psk_id_hash", psk_id, &context.psk_id_hash);
	labeled_extract(suite_id, NO_BYTES, "info_hash", info, &context.info_hash);
	/* The second departure of format 1: the shared secret is the input, not the salt. */
	if (parameters->variant == HPKE_SPALE1)
		labeled_extract(suite_id, NO_BYTES, "secret", BYTES(*shared_secret), &secret);
	else
		labeled_extract(suite_id, BYTES(*shared_secret), "secret", psk, &secret);

	labeled_expand(suite_id, &secret, "key", BYTES(context), ret_context->key,
		       sizeof(ret_context->key));
	labeled_expand(suite_id, &secret, "base_nonce", BYTES(context), ret_context->base_nonce,
		       sizeof(ret_context->base_nonce));
}

int hpke_setup_sender(const HpkeParameters *parameters, const PublicKey *recipient,
		      const Secret *sender, const Secret *ephemeral, PublicKey *ret_enc,
		      HpkeContext *ret_context)
{
	_cleanup_(dh_pair_done) DhPair dh;
	_cleanup_secret_ Secret shared_secret;
	KemContext kem_context;
	int r;

	r = check_parameters(parameters);
	if (r < 0)
		return r;
	r = hpke_dh(ephemeral, recipient, &dh.ephemeral);
	if (r < 0)
		return r;
	r = hpke_dh(sender, recipient, &dh.fixed);
	if (r < 0)
		return r;

	kem_context = (KemContext){.enc = hpke_public_key(ephemeral),
				   .recipient = *recipient,
				   .sender = hpke_public_key(sender)};
	extract_and_expand(parameters->variant, &dh, &kem_context, &shared_secret);
	key_schedule(parameters, &shared_secret, ret_context);
	*ret_enc = kem_context.enc;
	return 0;
}

int hpke_setup_receiver(const HpkeParameters *parameters, const Secret *recipient,
			const PublicKey *recipient_public, const PublicKey *sender,
			const Secret *static_shared, const PublicKey *enc, HpkeContext *ret_context)
{
	_cleanup_(dh_pair_done) DhPair dh;
	_cleanup_secret_ Secret shared_secret;
	KemContext kem_context;
	int r;

	r = check_parameters(parameters);
	if (r < 0)
		return r;
	if (secret_is_zero(static_shared, sizeof(*static_shared)))
		return -EKEYREJECTED;
	r = hpke_dh(recipient, enc, &dh.ephemeral);
	if (r < 0)
		return r;

	dh.fixed = *static_shared;
	kem_context = (KemContext){.enc = *enc, .recipient = *recipient_public, .sender = *sender};
	extract_and_expand(parameters->variant, &dh, &kem_context, &shared_secret);
	key_schedule(parameters, &shared_secret, ret_context);
	return 0;
}

static void aead_init(struct chacha_poly1305_ctx *aead, const HpkeContext *context,
		      const uint8_t *aad, size_t aad_size)
{
	chacha_poly1305_set_key(aead, context->key);
	/* base_nonce itself: the sequence number is 0. */
	chacha_poly1305_set_nonce(aead, context->base_nonce);
	chacha_poly1305_update(aead, aad_size, aad);
}

void hpke_seal(const HpkeContext *context, const uint8_t *aad, size_t aad_size,
	       const uint8_t *plain, size_t plain_size, uint8_t *ct)
{
	_cleanup_(aead_done) struct chacha_poly1305_ctx aead;

	aead_init(&aead, context, aad, aad_size);
	chacha_poly1305_encrypt(&aead, plain_size, ct, plain);
	chacha_poly1305_digest(&aead, HPKE_TAG_SIZE, ct + plain_size);
}

int hpke_open(const HpkeContext *context, const uint8_t *aad, size_t aad_size, const uint8_t *ct,
	      size_t ct_size, uint8_t *plain)
{
	_cleanup_(aead_done) struct chacha_poly1305_ctx aead;
	uint8_t tag[HPKE_TAG_SIZE];
	size_t plain_size;

	if (ct_size < HPKE_TAG_SIZE)
		return -EBADMSG;
	plain_size = ct_size - HPKE_TAG_SIZE;

	aead_init(&aead, context, aad, aad_size);
	chacha_poly1305_decrypt(&aead, plain_size, plain, ct);
	chacha_poly1305_digest(&aead, sizeof(tag), tag);
	if (!memeql_sec(tag, ct + plain_size, sizeof(tag))) {
		secret_erase(plain, plain_size);
		return -EBADMSG;
	}
	return 0;
}
