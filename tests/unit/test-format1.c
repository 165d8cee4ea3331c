/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "knock/format1.h"
#include "knock/hpke.h"
#include "util/cleanup.h"
#include "util/parse.h"

#include "hex.h"
#include "small-order.h"

/* Cases that tests/vectors/format1.txt holds. */
#define VECTORS 32

static const uint8_t aad[SPALE_FORMAT1_AAD_SIZE] = SPALE_FORMAT1_AAD;

static const HpkeParameters parameters = {
	.variant = HPKE_SPALE1,
	.info = aad,
	.info_size = sizeof(aad),
};

/* The keys of both sides. */
typedef struct Keys {
	Secret server, client, ephemeral, static_shared;
	PublicKey server_public, client_public;
} Keys;

static void keys_complete(Keys *keys)
{
	keys->server_public = hpke_public_key(&keys->server);
	keys->client_public = hpke_public_key(&keys->client);
	assert_int_equal(hpke_dh(&keys->server, &keys->client_public, &keys->static_shared), 0);
}

static Keys known_keys(void)
{
	Keys keys;

	hex_read("3ca22a6d1cda1bb9480949ec5329d3bf0b080ca4c45879c95eddb55c70b80b82", &keys.server,
		 sizeof(keys.server));
	hex_read("2def0cb58ffcf83d1062dd085c8aceca7f4c0c3fd05912d847b61f3e54121f05", &keys.client,
		 sizeof(keys.client));
	hex_read("c94619e1af28971c8fa7957192b7e62a71ca2dcdde0a7cc4a8a9e741d600ab13",
		 &keys.ephemeral, sizeof(keys.ephemeral));
	keys_complete(&keys);
	return keys;
}

static const Format1 known_message = {
	.time_step = 58792320,
	.nonce = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
};

static const char known_datagram[] =
	"f0f4f9e96c54aeed3f323de8534fffd7e0577e4ce269896716bcb95643c8712b"
	"f7674cc8cd7baa5872d1f33dbaffe3314239f6197ddf5ded1746760bfc847e0e"
	"8d5f0f145a88b973eed0c6400bb93c50d8c6b5a6315100f6c2ff4379da24482a69";

static int seal(const Keys *keys, const Format1 *message, uint8_t *ret_datagram)
{
	return format1_seal(message, &keys->server_public, &keys->client, &keys->ephemeral,
			    ret_datagram);
}

static int open_datagram(const Keys *keys, const uint8_t *datagram, Format1 *ret_message)
{
	return format1_open(datagram, &keys->server, &keys->server_public, &keys->static_shared,
			    ret_message);
}

static void assert_opens(const Keys *keys, const uint8_t *datagram, const Format1 *expected)
{
	Format1 message;

	assert_int_equal(open_datagram(keys, datagram, &message), 0);
	assert_int_equal(message.time_step, expected->time_step);
	assert_memory_equal(message.nonce, expected->nonce, sizeof(message.nonce));
}

/* DATAGRAM is refused with ERROR, and nothing is returned. */
static void assert_refused(const Keys *keys, const uint8_t *datagram, int error)
{
	Format1 message, untouched;

	memset(&message, 0x5a, sizeof(message));
	untouched = message;
	assert_int_equal(open_datagram(keys, datagram, &message), error);
	assert_memory_equal(&message, &untouched, sizeof(message));
}

/* The known answer of spale-protocol(7). */
static void test_known_answer(void **state)
{
	Keys keys = known_keys();
	uint8_t datagram[SPALE_FORMAT1_SIZE];
	PublicKey sender;

	(void)state;
	assert_int_equal(seal(&keys, &known_message, datagram), 0);
	assert_hex(datagram, sizeof(datagram), known_datagram);
	assert_opens(&keys, datagram, &known_message);
	sender = format1_sender(datagram);
	assert_memory_equal(&sender, &keys.client_public, sizeof(sender));
}

/* The value of the line "NAME value" that comes next in FILE; -1 at its end. */
static int read_value(FILE *file, const char *name, char value[static 512])
{
	char line[512];
	size_t size = strlen(name);

	do {
		if (!fgets(line, sizeof(line), file))
			return -1;
	} while (line[0] == '#' || line[0] == '\n');
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, name, size) != 0 || line[size] != ' ')
		fail_msg("\"%s\" where %s is expected", line, name);
	snprintf(value, 512, "%s", line + size + 1);
	return 0;
}

static void read_hex(FILE *file, const char *name, void *ret, size_t size)
{
	char value[512];

	assert_int_equal(read_value(file, name, value), 0);
	hex_read(value, ret, size);
}

/* Answers that another implementation gave: every value, in both directions. */
static void test_vectors(void **state)
{
	_cleanup_fclose_ FILE *file = fopen(VECTORS_DIRECTORY "/format1.txt", "re");
	char value[512];
	size_t cases = 0;

	(void)state;
	assert_non_null(file);
	for (; read_value(file, "server_private", value) == 0; cases++) {
		uint8_t datagram[SPALE_FORMAT1_SIZE], expected[SPALE_FORMAT1_SIZE];
		PublicKey server_public, enc;
		Secret static_shared;
		HpkeContext context, known;
		Format1 message;
		Keys keys;

		hex_read(value, &keys.server, sizeof(keys.server));
		read_hex(file, "server_public", &server_public, sizeof(server_public));
		read_hex(file, "client_private", &keys.client, sizeof(keys.client));
		read_hex(file, "ephemeral_private", &keys.ephemeral, sizeof(keys.ephemeral));
		assert_int_equal(read_value(file, "time_step", value), 0);
		assert_int_equal(parse_u32(value, 0, UINT32_MAX, &message.time_step), 0);
		read_hex(file, "nonce", message.nonce, sizeof(message.nonce));
		read_hex(file, "static_shared", &static_shared, sizeof(static_shared));
		read_hex(file, "key", known.key, sizeof(known.key));
		read_hex(file, "base_nonce", known.base_nonce, sizeof(known.base_nonce));
		read_hex(file, "datagram", expected, sizeof(expected));

		keys_complete(&keys);
		assert_memory_equal(&keys.server_public, &server_public, sizeof(server_public));
		assert_memory_equal(&keys.static_shared, &static_shared, sizeof(static_shared));
		assert_int_equal(hpke_setup_sender(&parameters, &server_public, &keys.client,
						   &keys.ephemeral, &enc, &context),
				 0);
		assert_memory_equal(&context, &known, sizeof(known));
		assert_int_equal(seal(&keys, &message, datagram), 0);
		assert_memory_equal(datagram, expected, sizeof(expected));
		assert_opens(&keys, expected, &message);
	}
	assert_int_equal(cases, VECTORS);
}

/* Whichever bit of a datagram was changed on the way, it is refused. */
static void test_every_bit(void **state)
{
	Keys keys = known_keys();
	uint8_t datagram[SPALE_FORMAT1_SIZE];

	(void)state;
	hex_read(known_datagram, datagram, sizeof(datagram));
	for (size_t bit = 0; bit < 8 * sizeof(datagram); bit++) {
		datagram[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(&keys, datagram, -EBADMSG);
		datagram[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_opens(&keys, datagram, &known_message);
}

static void test_not_for_us(void **state)
{
	Keys keys = known_keys(), other = keys;
	uint8_t datagram[SPALE_FORMAT1_SIZE];

	(void)state;
	hex_read(known_datagram, datagram, sizeof(datagram));

	/* sealed for another server */
	other.server.bytes[5] ^= 1;
	keys_complete(&other);
	assert_refused(&other, datagram, -EBADMSG);

	/* opened as if another client had sent it */
	other = keys;
	other.client.bytes[5] ^= 1;
	keys_complete(&other);
	assert_refused(&other, datagram, -EBADMSG);

	/* a public key that does not belong to the private one */
	other = keys;
	other.server_public.bytes[5] ^= 1;
	assert_refused(&other, datagram, -EBADMSG);

	/* one client names itself as the other, which it cannot seal for */
	other = keys;
	other.client.bytes[5] ^= 1;
	assert_int_equal(seal(&other, &known_message, datagram), 0);
	memcpy(datagram, &keys.client_public, sizeof(keys.client_public));
	assert_refused(&keys, datagram, -EBADMSG);
}

static void test_nonsense(void **state)
{
	Keys keys = known_keys();
	uint8_t datagram[SPALE_FORMAT1_SIZE];
	uint32_t random = 1;

	(void)state;
	memset(datagram, 0, sizeof(datagram));
	assert_refused(&keys, datagram, -EKEYREJECTED);
	memset(datagram, 0xff, sizeof(datagram));
	assert_refused(&keys, datagram, -EBADMSG);
	for (int i = 0; i < 200; i++) {
		for (size_t j = 0; j < sizeof(datagram); j++) {
			random = random * 1664525 + 1013904223;
			datagram[j] = (uint8_t)(random >> 24);
		}
		assert_refused(&keys, datagram, -EBADMSG);
		memcpy(datagram, &keys.client_public, sizeof(keys.client_public));
		assert_refused(&keys, datagram, -EBADMSG);
	}
}

static void test_small_order(void **state)
{
	Keys keys = known_keys(), bad;
	uint8_t datagram[SPALE_FORMAT1_SIZE], untouched[SPALE_FORMAT1_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(small_order_points); i++) {
		PublicKey point;

		hex_read(small_order_points[i], &point, sizeof(point));
		for (int top_bit = 0; top_bit < 2; top_bit++) {
			if (top_bit)
				point.bytes[31] |= 0x80;
			hex_read(known_datagram, datagram, sizeof(datagram));
			memcpy(datagram + SPALE_FORMAT1_ENC_OFFSET, &point, sizeof(point));
			assert_refused(&keys, datagram, -EKEYREJECTED);

			bad = keys;
			bad.server_public = point;
			memset(datagram, 0x5a, sizeof(datagram));
			memcpy(untouched, datagram, sizeof(untouched));
			assert_int_equal(seal(&bad, &known_message, datagram), -EKEYREJECTED);
			assert_memory_equal(datagram, untouched, sizeof(untouched));
		}
	}

	bad = keys;
	secret_done(&bad.static_shared);
	hex_read(known_datagram, datagram, sizeof(datagram));
	assert_refused(&bad, datagram, -EKEYREJECTED);
}

/* Seals PLAIN as a client would that means something else by it. */
static void seal_plain(const Keys *keys, HpkeVariant variant,
		       const uint8_t plain[static SPALE_FORMAT1_PLAIN_SIZE], uint8_t *ret_datagram)
{
	HpkeParameters other = parameters;
	HpkeContext context;
	PublicKey enc;

	other.variant = variant;
	assert_int_equal(hpke_setup_sender(&other, &keys->server_public, &keys->client,
					   &keys->ephemeral, &enc, &context),
			 0);
	memcpy(ret_datagram, &keys->client_public, sizeof(keys->client_public));
	memcpy(ret_datagram + SPALE_FORMAT1_ENC_OFFSET, &enc, sizeof(enc));
	hpke_seal(&context, aad, sizeof(aad), plain, SPALE_FORMAT1_PLAIN_SIZE,
		  ret_datagram + SPALE_FORMAT1_CT_OFFSET);
}

static void test_version(void **state)
{
	uint8_t plain[SPALE_FORMAT1_PLAIN_SIZE] = {0, 1, 2, 3, 4, 5};
	uint8_t datagram[SPALE_FORMAT1_SIZE];
	Keys keys = known_keys();
	static const Format1 expected = {.time_step = 0x01020304, .nonce = {5}};

	(void)state;
	for (unsigned int version = 0; version < 256; version++) {
		plain[0] = (uint8_t)version;
		seal_plain(&keys, HPKE_SPALE1, plain, datagram);
		if (version == SPALE_FORMAT1_VERSION)
			assert_opens(&keys, datagram, &expected);
		else
			assert_refused(&keys, datagram, -EPROTONOSUPPORT);
	}
}

/* HPKE as published is not format 1: the departures are not optional. */
static void test_rfc9180_is_another_format(void **state)
{
	static const uint8_t plain[SPALE_FORMAT1_PLAIN_SIZE] = {SPALE_FORMAT1_VERSION};
	uint8_t datagram[SPALE_FORMAT1_SIZE];
	Keys keys = known_keys();

	(void)state;
	seal_plain(&keys, HPKE_RFC9180, plain, datagram);
	assert_refused(&keys, datagram, -EBADMSG);
}

/* ---- no traces ------------------------------------------------------------------------------ */

/* Seal and open run on this stack, which can be searched afterwards. */
static _Alignas(64) uint8_t stack[256 * 1024];
static ucontext_t caller, callee;

static struct {
	Keys keys;
	uint8_t datagram[SPALE_FORMAT1_SIZE];
	Format1 message;
	int result;
} work;

static void do_seal(void)
{
	work.result = seal(&work.keys, &known_message, work.datagram);
}

static void do_open(void)
{
	work.result = open_datagram(&work.keys, work.datagram, &work.message);
}

/* Leaves a secret behind, as nothing that is tested should. */
static void do_leak(void)
{
	Secret copy = work.keys.static_shared;

	/* Tells the compiler that somebody reads it. */
	__asm__ volatile("" : : "r"(&copy) : "memory");
	work.result = 0;
}

static int run_on_stack(void (*function)(void))
{
	memset(stack, 0, sizeof(stack));
	work.result = 1;
	assert_int_equal(getcontext(&callee), 0);
	callee.uc_stack.ss_sp = stack;
	callee.uc_stack.ss_size = sizeof(stack);
	callee.uc_link = &caller;
	makecontext(&callee, function, 0);
	assert_int_equal(swapcontext(&caller, &callee), 0);
	return work.result;
}

/* Whether either half of a 32-byte secret, or all of a shorter one, lies on the stack. */
static bool is_on_stack(const char *hex)
{
	uint8_t secret[SPALE_KEY_SIZE];
	size_t size = strlen(hex) / 2, step = size == sizeof(secret) ? size / 2 : size;

	hex_read(hex, secret, size);
	for (size_t i = 0; i < size; i += step) {
		if (memmem(stack, sizeof(stack), secret + i, step))
			return true;
	}
	return false;
}

#define STATIC_SHARED "ac3677c242796b87687e80fec76f33a45d46c99da86edfd2f39801cf3d78127b"

static void assert_no_traces(void)
{
	static const struct {
		const char *name, *hex;
	} secrets[] = {
		{"DH(skE, pkR)",
		 "7014252d2b42f3d3406bf7e5e72ede53a31cc6ac3e776272c7075cb82c00120e"},
		{"DH(skS, pkR)", STATIC_SHARED},
		{"eae_prk", "f5e05ed9c8c07600790c3bb52ba76631523a974bd1d0b9fd5a0bc51404de6388"},
		{"shared_secret",
		 "c1f2ee3a69e9ef7a4956e980cc6f6aa94442c507e43532e379aa763fc591309a"},
		{"secret", "19a5bcd6b214afadc793ad7cf2097b42ab6d6bf4bb66c23ef9e5d7115b9a54b8"},
		{"key", "4d122813f8d88c981fdf4c4fe4e2935c61c12400d9def203669b86ea0af72b88"},
		{"base_nonce", "af578fe923f32a0f9c71647f"},
		{"plaintext", "0381198000010203"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		if (is_on_stack(secrets[i].hex))
			fail_msg("%s is left on the stack", secrets[i].name);
	}
}

/* What was derived on the way is erased, whether it ended well or not. */
static void test_no_traces(void **state)
{
	static const Keys zero;

	(void)state;
	work.keys = known_keys();
	assert_int_equal(run_on_stack(do_leak), 0);
	assert_true(is_on_stack(STATIC_SHARED));

	assert_int_equal(run_on_stack(do_seal), 0);
	assert_hex(work.datagram, sizeof(work.datagram), known_datagram);
	assert_no_traces();
	assert_int_equal(run_on_stack(do_open), 0);
	assert_int_equal(work.message.time_step, known_message.time_step);
	assert_no_traces();

	work.datagram[SPALE_FORMAT1_SIZE - 1] ^= 1;
	assert_int_equal(run_on_stack(do_open), -EBADMSG);
	assert_no_traces();
	memcpy(work.datagram + SPALE_FORMAT1_ENC_OFFSET, &zero, SPALE_KEY_SIZE);
	assert_int_equal(run_on_stack(do_open), -EKEYREJECTED);
	assert_no_traces();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answer),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_not_for_us),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_small_order),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_rfc9180_is_another_format),
		cmocka_unit_test(test_no_traces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
