/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "knock/hpke.h"
#include "util/cleanup.h"

#include "hex.h"
#include "small-order.h"

#define RFC_INFO  "4f6465206f6e2061204772656369616e2055726e"
#define RFC_AAD	  "436f756e742d30"
#define RFC_PLAIN "4265617574792069732074727574682c20747275746820626561757479"

/* A message of RFC 9180, or of format 1, whose every value is known. */
typedef struct Case {
	const char *ephemeral, *recipient, *sender;	    /* private keys */
	const char *enc, *recipient_public, *sender_public; /* NULL: not published */
	const char *info, *psk, *psk_id;
	const char *key, *base_nonce;
	const char *aad, *plain, *ct;
	HpkeVariant variant;
} Case;

static const Case rfc9180_auth = {
	.ephemeral = "c94619e1af28971c8fa7957192b7e62a71ca2dcdde0a7cc4a8a9e741d600ab13",
	.recipient = "3ca22a6d1cda1bb9480949ec5329d3bf0b080ca4c45879c95eddb55c70b80b82",
	.sender = "2def0cb58ffcf83d1062dd085c8aceca7f4c0c3fd05912d847b61f3e54121f05",
	.enc = "f7674cc8cd7baa5872d1f33dbaffe3314239f6197ddf5ded1746760bfc847e0e",
	.recipient_public = "1a478716d63cb2e16786ee93004486dc151e988b34b475043d3e0175bdb01c44",
	.sender_public = "f0f4f9e96c54aeed3f323de8534fffd7e0577e4ce269896716bcb95643c8712b",
	.info = RFC_INFO,
	.key = "b071fd1136680600eb447a845a967d35e9db20749cdf9ce098bcc4deef4b1356",
	.base_nonce = "d20577dff16d7cea2c4bf780",
	.aad = RFC_AAD,
	.plain = RFC_PLAIN,
	.ct = "ab1a13c9d4f01a87ec3440dbd756e2677bd2ecf9df0ce7ed73869b98e00c09be"
	      "111cb9fdf077347aeb88e61bdf",
	.variant = HPKE_RFC9180,
};

static const Case rfc9180_auth_psk = {
	.ephemeral = "5e6dd73e82b856339572b7245d3cbb073a7561c0bee52873490e305cbb710410",
	.recipient = "7b36a42822e75bf3362dfabbe474b3016236408becb83b859a6909e22803cb0c",
	.sender = "90761c5b0a7ef0985ed66687ad708b921d9803d51637c8d1cb72d03ed0f64418",
	.enc = "656a2e00dc9990fd189e6e473459392df556e9a2758754a09db3f51179a3fc02",
	.info = RFC_INFO,
	.psk = "0247fd33b913760fa1fa51e1892d9f307fbe65eb171e8132c2af18555a738b82",
	.psk_id = "456e6e796e20447572696e206172616e204d6f726961",
	.key = "49c7e6d7d2d257aded2a746fe6a9bf12d4de8007c4862b1fdffe8c35fb65054c",
	.base_nonce = "abac79931e8c1bcb8a23960a",
	.aad = RFC_AAD,
	.plain = RFC_PLAIN,
	.ct = "9aa52e29274fc6172e38a4461361d2342585d3aeec67fb3b721ecd63f059577c"
	      "7fe886be0ede01456ebc67d597",
	.variant = HPKE_RFC9180,
};

static const Case format1 = {
	.ephemeral = "c94619e1af28971c8fa7957192b7e62a71ca2dcdde0a7cc4a8a9e741d600ab13",
	.recipient = "3ca22a6d1cda1bb9480949ec5329d3bf0b080ca4c45879c95eddb55c70b80b82",
	.sender = "2def0cb58ffcf83d1062dd085c8aceca7f4c0c3fd05912d847b61f3e54121f05",
	.enc = "f7674cc8cd7baa5872d1f33dbaffe3314239f6197ddf5ded1746760bfc847e0e",
	.recipient_public = "1a478716d63cb2e16786ee93004486dc151e988b34b475043d3e0175bdb01c44",
	.sender_public = "f0f4f9e96c54aeed3f323de8534fffd7e0577e4ce269896716bcb95643c8712b",
	.info = "00000000000001",
	.key = "4d122813f8d88c981fdf4c4fe4e2935c61c12400d9def203669b86ea0af72b88",
	.base_nonce = "af578fe923f32a0f9c71647f",
	.aad = "00000000000001",
	/* version 1, time step 58792320, nonce 00 to 0b */
	.plain = "0103811980000102030405060708090a0b",
	.ct = "8d5f0f145a88b973eed0c6400bb93c50d8c6b5a6315100f6c2ff4379da24482a69",
	.variant = HPKE_SPALE1,
};

/* A Case as bytes. */
typedef struct Message {
	Secret ephemeral, recipient, sender, static_shared;
	PublicKey enc, recipient_public, sender_public;
	uint8_t info[32], psk[32], psk_id[32], aad[16], plain[64], ct[64];
	size_t aad_size, plain_size, ct_size;
	HpkeParameters parameters;
} Message;

static size_t read_text(const char *hex, uint8_t *ret, size_t room)
{
	assert_in_range(strlen(hex), 0, 2 * room);
	hex_read(hex, ret, strlen(hex) / 2);
	return strlen(hex) / 2;
}

static void message_read(const Case *known, Message *ret)
{
	*ret = (Message){.parameters = {.variant = known->variant, .info = ret->info}};
	hex_read(known->ephemeral, &ret->ephemeral, sizeof(ret->ephemeral));
	hex_read(known->recipient, &ret->recipient, sizeof(ret->recipient));
	hex_read(known->sender, &ret->sender, sizeof(ret->sender));
	ret->enc = hpke_public_key(&ret->ephemeral);
	ret->recipient_public = hpke_public_key(&ret->recipient);
	ret->sender_public = hpke_public_key(&ret->sender);
	assert_int_equal(hpke_dh(&ret->recipient, &ret->sender_public, &ret->static_shared), 0);

	ret->parameters.info_size = read_text(known->info, ret->info, sizeof(ret->info));
	if (known->psk) {
		ret->parameters.psk = ret->psk;
		ret->parameters.psk_size = read_text(known->psk, ret->psk, sizeof(ret->psk));
		ret->parameters.psk_id = ret->psk_id;
		ret->parameters.psk_id_size =
			read_text(known->psk_id, ret->psk_id, sizeof(ret->psk_id));
	}
	ret->aad_size = read_text(known->aad, ret->aad, sizeof(ret->aad));
	ret->plain_size = read_text(known->plain, ret->plain, sizeof(ret->plain));
	ret->ct_size = read_text(known->ct, ret->ct, sizeof(ret->ct));
}

static int setup_receiver(const Message *message, HpkeContext *ret_context)
{
	return hpke_setup_receiver(&message->parameters, &message->recipient,
				   &message->recipient_public, &message->sender_public,
				   &message->static_shared, &message->enc, ret_context);
}

static int setup_sender(const Message *message, PublicKey *ret_enc, HpkeContext *ret_context)
{
	return hpke_setup_sender(&message->parameters, &message->recipient_public, &message->sender,
				 &message->ephemeral, ret_enc, ret_context);
}

static void check_case(const Case *known)
{
	_cleanup_hpke_context_ HpkeContext context;
	Message message;
	PublicKey enc;
	uint8_t ct[64], plain[64];

	message_read(known, &message);
	if (known->recipient_public)
		assert_hex(&message.recipient_public, 32, known->recipient_public);
	if (known->sender_public)
		assert_hex(&message.sender_public, 32, known->sender_public);

	assert_int_equal(setup_sender(&message, &enc, &context), 0);
	assert_hex(&enc, sizeof(enc), known->enc);
	assert_hex(context.key, sizeof(context.key), known->key);
	assert_hex(context.base_nonce, sizeof(context.base_nonce), known->base_nonce);
	hpke_seal(&context, message.aad, message.aad_size, message.plain, message.plain_size, ct);
	assert_int_equal(message.plain_size + HPKE_TAG_SIZE, message.ct_size);
	assert_memory_equal(ct, message.ct, message.ct_size);

	hpke_context_done(&context);
	assert_int_equal(setup_receiver(&message, &context), 0);
	assert_hex(context.key, sizeof(context.key), known->key);
	assert_hex(context.base_nonce, sizeof(context.base_nonce), known->base_nonce);
	assert_int_equal(hpke_open(&context, message.aad, message.aad_size, message.ct,
				   message.ct_size, plain),
			 0);
	assert_memory_equal(plain, message.plain, message.plain_size);
}

/* RFC 9180, appendix A.2.3. */
static void test_rfc9180_auth(void **state)
{
	(void)state;
	check_case(&rfc9180_auth);
}

/* RFC 9180, appendix A.2.4. */
static void test_rfc9180_auth_psk(void **state)
{
	(void)state;
	check_case(&rfc9180_auth_psk);
}

static void test_format1(void **state)
{
	(void)state;
	check_case(&format1);
}

/* RFC 7748, section 5.2; the second point has its top bit set, which X25519 leaves out. */
static void test_rfc7748(void **state)
{
	static const struct {
		const char *scalar, *point, *result;
	} rows[] = {
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	};
	static const PublicKey base = {{9}};
	Secret scalar = {{9}}, shared;
	PublicKey point = base;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		hex_read(rows[i].scalar, &scalar, sizeof(scalar));
		hex_read(rows[i].point, &point, sizeof(point));
		assert_int_equal(hpke_dh(&scalar, &point, &shared), 0);
		assert_hex(&shared, sizeof(shared), rows[i].result);
	}

	memcpy(&scalar, &base, sizeof(scalar));
	point = base;
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(hpke_dh(&scalar, &point, &shared), 0);
		memcpy(&point, &scalar, sizeof(point));
		scalar = shared;
		if (i == 1)
			assert_hex(&scalar, sizeof(scalar),
				   "422c8e7a6227d7bca1350b3e2bb7279f"
				   "7897b87bb6854b783c60e80311ae3079");
	}
	assert_hex(&scalar, sizeof(scalar),
		   "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

/* A public key is the private one times the base point. */
static void test_public_key(void **state)
{
	static const PublicKey base = {{9}};
	Secret private_key = {{0}}, shared;
	PublicKey public_key;

	(void)state;
	for (int i = 0; i < 20; i++) {
		memset(&private_key, 13 * i, sizeof(private_key));
		public_key = hpke_public_key(&private_key);
		assert_int_equal(hpke_dh(&private_key, &base, &shared), 0);
		assert_memory_equal(&public_key, &shared, sizeof(public_key));
		assert_true(hpke_public_key_is_usable(&public_key));
	}
}

/* No private key gets a secret out of a point of small order, and nothing is returned. */
static void test_small_order_yields_nothing(void **state)
{
	Secret private_key, shared;
	PublicKey point;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(small_order_points); i++) {
		hex_read(small_order_points[i], &point, sizeof(point));
		for (int top_bit = 0; top_bit < 2; top_bit++) {
			if (top_bit)
				point.bytes[31] |= 0x80;
			assert_false(hpke_public_key_is_usable(&point));
			for (int fill = 0; fill < 256; fill += 85) {
				memset(&private_key, fill, sizeof(private_key));
				memset(&shared, 0x5a, sizeof(shared));
				assert_int_equal(hpke_dh(&private_key, &point, &shared),
						 -EKEYREJECTED);
				assert_int_equal(shared.bytes[0], 0x5a);
				assert_int_equal(shared.bytes[31], 0x5a);
			}
		}
	}
}

static void test_canonical_keys_only(void **state)
{
	static const char *const usable[] = {
		/* 2, 9, p - 2, and around places where a comparison could go wrong */
		"0200000000000000000000000000000000000000000000000000000000000000",
		"0900000000000000000000000000000000000000000000000000000000000000",
		"ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"fffeffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7e",
		"1a478716d63cb2e16786ee93004486dc151e988b34b475043d3e0175bdb01c44",
		"f0f4f9e96c54aeed3f323de8534fffd7e0577e4ce269896716bcb95643c8712b",
	};
	PublicKey key;
	Secret any = {{1}}, shared;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(usable); i++) {
		hex_read(usable[i], &key, sizeof(key));
		assert_true(hpke_public_key_is_usable(&key));
		key.bytes[31] |= 0x80;
		assert_false(hpke_public_key_is_usable(&key));
		/* It is the encoding that is refused there: the point is the same. */
		assert_int_equal(hpke_dh(&any, &key, &shared), 0);
	}

	/* p + 2 to 2^255 - 1 mean 2 to 18. */
	memset(&key, 0xff, sizeof(key));
	key.bytes[31] = 0x7f;
	for (unsigned int low = 0xef; low <= 0xff; low++) {
		PublicKey reduced = {{(uint8_t)(low - 0xed)}};
		Secret other;

		key.bytes[0] = (uint8_t)low;
		assert_false(hpke_public_key_is_usable(&key));
		assert_true(hpke_public_key_is_usable(&reduced));
		assert_int_equal(hpke_dh(&any, &key, &shared), 0);
		assert_int_equal(hpke_dh(&any, &reduced, &other), 0);
		assert_memory_equal(&shared, &other, sizeof(other));
	}

	/* What would be small if nothing were masked: 2p - 1, 2p, 2p + 1. */
	memset(&key, 0xff, sizeof(key));
	for (unsigned int low = 0xd9; low <= 0xdb; low++) {
		key.bytes[0] = (uint8_t)low;
		assert_false(hpke_public_key_is_usable(&key));
	}
}

/* Keys that yield no secret are refused on each side, and nothing is written. */
static void test_setup_refuses_small_order(void **state)
{
	HpkeContext context, untouched;
	PublicKey enc, enc_untouched, point;
	Message good, bad;

	(void)state;
	memset(&context, 0x5a, sizeof(context));
	memset(&enc, 0x5a, sizeof(enc));
	untouched = context;
	enc_untouched = enc;
	message_read(&rfc9180_auth, &good);
	for (size_t i = 0; i < ARRAY_SIZE(small_order_points); i++) {
		hex_read(small_order_points[i], &point, sizeof(point));
		bad = good;
		bad.recipient_public = point;
		assert_int_equal(setup_sender(&bad, &enc, &context), -EKEYREJECTED);
		bad.recipient_public = good.recipient_public;
		bad.enc = point;
		assert_int_equal(setup_receiver(&bad, &context), -EKEYREJECTED);
	}

	/* A static secret that somebody made without looking at the result. */
	bad = good;
	secret_done(&bad.static_shared);
	assert_int_equal(setup_receiver(&bad, &context), -EKEYREJECTED);

	assert_memory_equal(&context, &untouched, sizeof(context));
	assert_memory_equal(&enc, &enc_untouched, sizeof(enc));
}

static void refuse_parameters(const Message *message)
{
	HpkeContext context, untouched;
	PublicKey enc = {{7}};
	const PublicKey enc_untouched = enc;

	memset(&context, 0x5a, sizeof(context));
	untouched = context;
	assert_int_equal(setup_sender(message, &enc, &context), -EINVAL);
	assert_int_equal(setup_receiver(message, &context), -EINVAL);
	assert_memory_equal(&context, &untouched, sizeof(context));
	assert_memory_equal(&enc, &enc_untouched, sizeof(enc));
}

static void test_bad_psk(void **state)
{
	Message message;

	(void)state;
	message_read(&rfc9180_auth_psk, &message);
	message.parameters.psk_size = 31;
	refuse_parameters(&message);
	message.parameters.psk_size = 0;
	refuse_parameters(&message);

	message_read(&rfc9180_auth_psk, &message);
	message.parameters.psk_id_size = 0;
	refuse_parameters(&message);

	message_read(&rfc9180_auth_psk, &message);
	message.parameters.variant = HPKE_SPALE1;
	refuse_parameters(&message);
}

/* The key that a receiver derives after CHANGE, which must not be the right one. */
static void assert_other_key(const Message *changed, const HpkeContext *right)
{
	HpkeContext context;

	assert_int_equal(setup_receiver(changed, &context), 0);
	assert_memory_not_equal(context.key, right->key, sizeof(context.key));
	assert_memory_not_equal(context.base_nonce, right->base_nonce, sizeof(context.base_nonce));
}

/* Everything that both must know goes into the key. */
static void test_all_inputs_bind(void **state)
{
	Message message;
	HpkeContext right;

	(void)state;
	message_read(&rfc9180_auth_psk, &message);
	assert_int_equal(setup_receiver(&message, &right), 0);

	message.info[0] ^= 1;
	assert_other_key(&message, &right);
	message.info[0] ^= 1;
	message.parameters.info_size--;
	assert_other_key(&message, &right);
	message.parameters.info_size++;
	message.psk[31] ^= 1;
	assert_other_key(&message, &right);
	message.psk[31] ^= 1;
	message.psk_id[0] ^= 1;
	assert_other_key(&message, &right);
	message.psk_id[0] ^= 1;
	message.parameters.psk = NULL;
	assert_other_key(&message, &right);
	message.parameters.psk = message.psk;
	message.recipient_public.bytes[31] ^= 0x80;
	assert_other_key(&message, &right);
	message.recipient_public.bytes[31] ^= 0x80;
	message.sender_public.bytes[31] ^= 0x80;
	assert_other_key(&message, &right);
	message.sender_public.bytes[31] ^= 0x80;
	message.enc.bytes[31] ^= 0x80;
	assert_other_key(&message, &right);
	message.enc.bytes[31] ^= 0x80;
	message.static_shared.bytes[0] ^= 1;
	assert_other_key(&message, &right);
	message.static_shared.bytes[0] ^= 1;
	message.recipient.bytes[1] ^= 1;
	assert_other_key(&message, &right);
	message.recipient.bytes[1] ^= 1;

	message_read(&format1, &message);
	assert_int_equal(setup_receiver(&message, &right), 0);
	message.parameters.variant = HPKE_RFC9180;
	assert_other_key(&message, &right);
}

/* A single bit, anywhere, and nothing of the plaintext is left. */
static void test_open_refuses(void **state)
{
	_cleanup_hpke_context_ HpkeContext context;
	static const uint8_t zero[64];
	uint8_t plain[64];
	Message message;

	(void)state;
	message_read(&rfc9180_auth, &message);
	assert_int_equal(setup_receiver(&message, &context), 0);
	for (size_t bit = 0; bit < 8 * message.ct_size; bit++) {
		memset(plain, 0x5a, sizeof(plain));
		message.ct[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(hpke_open(&context, message.aad, message.aad_size, message.ct,
					   message.ct_size, plain),
				 -EBADMSG);
		message.ct[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_memory_equal(plain, zero, message.plain_size);
		assert_int_equal(plain[message.plain_size], 0x5a);
	}
	for (size_t bit = 0; bit < 8 * message.aad_size; bit++) {
		message.aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(hpke_open(&context, message.aad, message.aad_size, message.ct,
					   message.ct_size, plain),
				 -EBADMSG);
		message.aad[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < message.ct_size; size++)
		assert_int_equal(
			hpke_open(&context, message.aad, message.aad_size, message.ct, size, plain),
			-EBADMSG);
	assert_int_equal(hpke_open(&context, NULL, 0, message.ct, message.ct_size, plain),
			 -EBADMSG);
	assert_int_equal(hpke_open(&context, message.aad, message.aad_size, message.ct,
				   message.ct_size, plain),
			 0);
}

/* Sizes around the blocks of ChaCha20 and Poly1305, with nothing written behind them. */
static void test_sizes(void **state)
{
	const HpkeContext context = {.key = {1}, .base_nonce = {2}};
	uint8_t aad[130], plain[130], ct[130 + HPKE_TAG_SIZE + 1], again[131];

	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++)
		aad[i] = plain[i] = (uint8_t)i;
	for (size_t size = 0; size <= sizeof(plain); size++) {
		memset(ct, 0x5a, sizeof(ct));
		memset(again, 0x5a, sizeof(again));
		hpke_seal(&context, aad, size, plain, size, ct);
		assert_int_equal(ct[size + HPKE_TAG_SIZE], 0x5a);
		assert_int_equal(hpke_open(&context, aad, size, ct, size + HPKE_TAG_SIZE, again),
				 0);
		assert_memory_equal(again, plain, size);
		assert_int_equal(again[size], 0x5a);
	}
}

static void test_context_done(void **state)
{
	HpkeContext context;

	(void)state;
	memset(&context, 0x5a, sizeof(context));
	hpke_context_done(&context);
	assert_true(secret_is_zero(&context, sizeof(context)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc9180_auth),
		cmocka_unit_test(test_rfc9180_auth_psk),
		cmocka_unit_test(test_format1),
		cmocka_unit_test(test_rfc7748),
		cmocka_unit_test(test_public_key),
		cmocka_unit_test(test_small_order_yields_nothing),
		cmocka_unit_test(test_canonical_keys_only),
		cmocka_unit_test(test_setup_refuses_small_order),
		cmocka_unit_test(test_bad_psk),
		cmocka_unit_test(test_all_inputs_bind),
		cmocka_unit_test(test_open_refuses),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_context_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
