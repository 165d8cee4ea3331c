/* SPDX-License-Identifier: MIT */
#include "keys/pem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "knock/hpke.h"
#include "util/cleanup.h"

#define PRIVATE_LABEL "PRIVATE KEY"
#define PUBLIC_LABEL  "PUBLIC KEY"

#define BOUNDARY_BEGIN "-----BEGIN "
#define BOUNDARY_END   "-----END "
#define BOUNDARY_TAIL  "-----"

/*
 * What precedes the 32 bytes of a key in DER (RFC 8410): an OneAsymmetricKey of version 1, and a
 * SubjectPublicKeyInfo, both with the algorithm 1.3.101.110. GnuTLS 3.7 reads such keys but cannot
 * be given raw ones.
 */
static const uint8_t private_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
					 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20};
static const uint8_t public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
					0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00};

/* A piece of a text that somebody else owns. */
typedef struct Slice {
	const char *p;
	size_t size;
} Slice;

typedef struct Block {
	Slice label;
	Slice body;    /* what is between the boundary lines */
	bool complete; /* has its END line */
} Block;

static void datum_done(gnutls_datum_t *datum)
{
	if (!datum->data)
		return;
	secret_erase(datum->data, datum->size);
	gnutls_free(datum->data);
}

static void x509_privkey_done(gnutls_x509_privkey_t *key)
{
	if (*key)
		gnutls_x509_privkey_deinit(*key);
}

static void pubkey_done(gnutls_pubkey_t *key)
{
	if (*key)
		gnutls_pubkey_deinit(*key);
}

#define _cleanup_datum_	       _cleanup_(datum_done)
#define _cleanup_x509_privkey_ _cleanup_(x509_privkey_done)
#define _cleanup_pubkey_       _cleanup_(pubkey_done)

static bool slice_equal(Slice a, Slice b)
{
	return a.size == b.size && memcmp(a.p, b.p, a.size) == 0;
}

static bool slice_is(Slice slice, const char *text)
{
	return slice_equal(slice, (Slice){text, strlen(text)});
}

static bool slice_ends_with(Slice slice, const char *text)
{
	size_t size = strlen(text);

	return slice.size >= size && memcmp(slice.p + slice.size - size, text, size) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Cuts the first line off REST, without its line ending and the blanks before that. */
static bool next_line(Slice *rest, Slice *ret_line)
{
	const char *newline;
	size_t size;

	if (rest->size == 0)
		return false;
	newline = memchr(rest->p, '\n', rest->size);
	size = newline ? (size_t)(newline - rest->p) + 1 : rest->size;
	*ret_line = (Slice){rest->p, size};
	rest->p += size;
	rest->size -= size;
	while (ret_line->size > 0 && is_blank(ret_line->p[ret_line->size - 1]))
		ret_line->size--;
	return true;
}

/* Whether LINE is BOUNDARY, a label and five dashes; *RET_LABEL is the label. */
static bool is_boundary(Slice line, const char *boundary, Slice *ret_label)
{
	size_t front = strlen(boundary), back = strlen(BOUNDARY_TAIL);

	if (line.size < front + back || memcmp(line.p, boundary, front) != 0 ||
	    memcmp(line.p + line.size - back, BOUNDARY_TAIL, back) != 0)
		return false;
	*ret_label = (Slice){line.p + front, line.size - front - back};
	return true;
}

/* Moves REST behind the next block; text between blocks is allowed (RFC 7468, section 5.2). */
static bool next_block(Slice *rest, Block *ret_block)
{
	Slice line, label;

	do {
		if (!next_line(rest, &line))
			return false;
	} while (!is_boundary(line, BOUNDARY_BEGIN, &label));

	*ret_block = (Block){.label = label, .body.p = rest->p};
	for (;;) {
		Slice before = *rest, end_label;

		ret_block->body.size = (size_t)(before.p - ret_block->body.p);
		if (!next_line(rest, &line))
			return true;
		if (is_boundary(line, BOUNDARY_BEGIN, &end_label)) {
			/* The block was cut off, and this is the next one. */
			*rest = before;
			return true;
		}
		if (is_boundary(line, BOUNDARY_END, &end_label)) {
			ret_block->complete = slice_equal(label, end_label);
			return true;
		}
	}
}

/* The value of a base64 digit (RFC 4648, section 4), or -1. */
static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *digit = memchr(digits, c, sizeof(digits) - 1);

	return digit ? (int)(digit - digits) : -1;
}

static int error_from_gnutls(int error)
{
	switch (error) {
	case GNUTLS_E_MEMORY_ERROR:
		return -ENOMEM;
	case GNUTLS_E_UNKNOWN_PK_ALGORITHM:
	case GNUTLS_E_UNIMPLEMENTED_FEATURE:
	case GNUTLS_E_ECC_UNSUPPORTED_CURVE:
		return -ENOTSUP;
	}
	return -EBADMSG;
}

/* The DER of BLOCK. Not by GnuTLS, which would leave a copy of the text in freed memory. */
static int block_decode(const Block *block, gnutls_datum_t *ret_der)
{
	_cleanup_datum_ gnutls_datum_t der = {0};
	uint32_t bits = 0;
	size_t digits = 0, pads = 0;

	if (!block->complete)
		return -EBADMSG;
	der.data = gnutls_malloc(block->body.size / 4 * 3 + 3);
	if (!der.data)
		return -ENOMEM;
	for (size_t i = 0; i < block->body.size; i++) {
		char c = block->body.p[i];
		int digit;

		if (is_blank(c))
			continue;
		digit = c == '=' ? 0 : base64_digit(c);
		if (digit < 0 || (pads > 0 && c != '='))
			return -EBADMSG;
		pads += c == '=';
		bits = bits << 6 | (uint32_t)digit;
		if (++digits % 4 != 0)
			continue;
		der.data[der.size++] = (uint8_t)(bits >> 16);
		der.data[der.size++] = (uint8_t)(bits >> 8);
		der.data[der.size++] = (uint8_t)bits;
	}
	if (digits == 0 || digits % 4 != 0 || pads > 2)
		return -EBADMSG;
	/* What is padded away has to be zero: one text for each key. */
	for (size_t i = 0; i < pads; i++)
		if (der.data[--der.size] != 0)
			return -EBADMSG;
	*ret_der = der;
	der = (gnutls_datum_t){0};
	return 0;
}

static int block_private(const Block *block, uint8_t ret_key[static SPALE_KEY_SIZE])
{
	_cleanup_datum_ gnutls_datum_t der = {0}, x = {0}, y = {0}, k = {0};
	_cleanup_x509_privkey_ gnutls_x509_privkey_t key = NULL;
	gnutls_ecc_curve_t curve;
	int r;

	r = block_decode(block, &der);
	if (r < 0)
		return r;
	r = gnutls_x509_privkey_init(&key);
	if (r < 0)
		return error_from_gnutls(r);
	r = gnutls_x509_privkey_import_pkcs8(key, &der, GNUTLS_X509_FMT_DER, NULL,
					     GNUTLS_PKCS_PLAIN);
	if (r < 0)
		return error_from_gnutls(r);
	if (gnutls_x509_privkey_get_pk_algorithm(key) != GNUTLS_PK_ECDH_X25519)
		return -ENOTSUP;
	r = gnutls_x509_privkey_export_ecc_raw(key, &curve, &x, &y, &k);
	if (r < 0)
		return error_from_gnutls(r);
	if (k.size != SPALE_KEY_SIZE)
		return -EBADMSG;
	memcpy(ret_key, k.data, SPALE_KEY_SIZE);
	return 0;
}

static int block_public(const Block *block, uint8_t ret_key[static SPALE_KEY_SIZE])
{
	_cleanup_datum_ gnutls_datum_t der = {0}, x = {0}, y = {0};
	_cleanup_pubkey_ gnutls_pubkey_t key = NULL;
	gnutls_ecc_curve_t curve;
	PublicKey public_key;
	int r;

	r = block_decode(block, &der);
	if (r < 0)
		return r;
	r = gnutls_pubkey_init(&key);
	if (r < 0)
		return error_from_gnutls(r);
	r = gnutls_pubkey_import(key, &der, GNUTLS_X509_FMT_DER);
	if (r < 0)
		return error_from_gnutls(r);
	if (gnutls_pubkey_get_pk_algorithm(key, NULL) != GNUTLS_PK_ECDH_X25519)
		return -ENOTSUP;
	r = gnutls_pubkey_export_ecc_raw2(key, &curve, &x, &y, 0);
	if (r < 0)
		return error_from_gnutls(r);
	if (x.size != SPALE_KEY_SIZE)
		return -EBADMSG;
	memcpy(public_key.bytes, x.data, SPALE_KEY_SIZE);
	if (!hpke_public_key_is_usable(&public_key))
		return -EKEYREJECTED;
	memcpy(ret_key, public_key.bytes, SPALE_KEY_SIZE);
	return 0;
}

/*
 * The first key in blocks of exactly LABEL that DECODE takes. Keys of other algorithms are passed
 * over ("RSA PRIVATE KEY", and what decodes to -ENOTSUP); anything else wrong ends the search.
 */
static int find_key(const char *text, size_t size, const char *label,
		    int (*decode)(const Block *block, uint8_t *ret_key),
		    uint8_t ret_key[static SPALE_KEY_SIZE])
{
	Slice rest = {text, size};
	int result = -ENOENT;
	Block block;

	while (next_block(&rest, &block)) {
		int r;

		if (!slice_ends_with(block.label, label))
			continue;
		r = slice_is(block.label, label) ? decode(&block, ret_key) : -ENOTSUP;
		if (r != -ENOTSUP)
			return r;
		result = -ENOTSUP;
	}
	return result;
}

int pem_parse_private(const char *text, size_t size, Secret *ret_key)
{
	return find_key(text, size, PRIVATE_LABEL, block_private, ret_key->bytes);
}

int pem_parse_public(const char *text, size_t size, PublicKey *ret_key)
{
	return find_key(text, size, PUBLIC_LABEL, block_public, ret_key->bytes);
}

bool pem_has_private(const char *text, size_t size)
{
	Slice rest = {text, size};
	Block block;

	while (next_block(&rest, &block))
		if (slice_ends_with(block.label, PRIVATE_LABEL))
			return true;
	return false;
}

const char *pem_error(int error)
{
	switch (error) {
	case -ENOENT:
		return "is missing";
	case -ENOTSUP:
		return "is encrypted or of another algorithm: only plain X25519 keys work";
	case -EBADMSG:
		return "is damaged";
	case -EKEYREJECTED:
		return "is one that nobody may use: not canonical, or of small order";
	}
	return strerror(-error);
}

/* Writes DER as PEM. */
static int format(const char *label, const void *der, size_t der_size,
		  char text[static PEM_TEXT_MAX])
{
	gnutls_datum_t data = {(unsigned char *)der, (unsigned int)der_size};
	_cleanup_datum_ gnutls_datum_t pem = {0};
	int r;

	r = gnutls_pem_base64_encode2(label, &data, &pem);
	if (r < 0)
		return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO;
	if (pem.size >= PEM_TEXT_MAX)
		return -EMSGSIZE;
	memcpy(text, pem.data, pem.size);
	text[pem.size] = '\0';
	return 0;
}

int pem_format_private(const Secret *key, char text[static PEM_TEXT_MAX])
{
	uint8_t der[sizeof(private_prefix) + SPALE_KEY_SIZE];
	int r;

	memcpy(der, private_prefix, sizeof(private_prefix));
	memcpy(der + sizeof(private_prefix), key->bytes, SPALE_KEY_SIZE);
	r = format(PRIVATE_LABEL, der, sizeof(der), text);
	secret_erase(der, sizeof(der));
	return r;
}

int pem_format_public(const PublicKey *key, char text[static PEM_TEXT_MAX])
{
	uint8_t der[sizeof(public_prefix) + SPALE_KEY_SIZE];

	memcpy(der, public_prefix, sizeof(public_prefix));
	memcpy(der + sizeof(public_prefix), key->bytes, SPALE_KEY_SIZE);
	return format(PUBLIC_LABEL, der, sizeof(der), text);
}

int pem_generate(Secret *ret_key)
{
	_cleanup_secret_ Secret key;
	ssize_t n;

	/* Up to 256 bytes are never cut short by a signal once the pool is ready (getrandom(2)). */
	do
		n = getrandom(key.bytes, sizeof(key.bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n != sizeof(key.bytes))
		return -EIO;
	*ret_key = key;
	return 0;
}
