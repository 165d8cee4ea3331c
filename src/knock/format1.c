/* SPDX-License-Identifier: MIT */
#include "knock/format1.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "knock/hpke.h"

static const uint8_t format1_aad[SPALE_FORMAT1_AAD_SIZE] = SPALE_FORMAT1_AAD;

static const HpkeParameters format1_parameters = {
	.variant = HPKE_SPALE1,
	.info = format1_aad,
	.info_size = sizeof(format1_aad),
};

/* The plaintext as it lies in the sealed part. */
typedef struct Plain {
	uint8_t version;
	uint8_t time_step_be32[4];
	uint8_t nonce[SPALE_FORMAT1_NONCE_SIZE];
} Plain;

_Static_assert(sizeof(Plain) == SPALE_FORMAT1_PLAIN_SIZE, "laid out as on the wire");
_Static_assert(SPALE_FORMAT1_CT_SIZE == SPALE_FORMAT1_PLAIN_SIZE + HPKE_TAG_SIZE, "plain and tag");

static void plain_done(Plain *plain)
{
	secret_erase(plain, sizeof(*plain));
}

int format1_seal(const Format1 *message, const PublicKey *server, const Secret *client,
		 const Secret *ephemeral, uint8_t ret_datagram[static SPALE_FORMAT1_SIZE])
{
	_cleanup_hpke_context_ HpkeContext context;
	_cleanup_(plain_done) Plain plain = {.version = SPALE_FORMAT1_VERSION};
	uint32_t time_step_be32 = htobe32(message->time_step);
	PublicKey sender, enc;
	int r;

	r = hpke_setup_sender(&format1_parameters, server, client, ephemeral, &enc, &context);
	if (r < 0)
		return r;

	memcpy(plain.time_step_be32, &time_step_be32, sizeof(plain.time_step_be32));
	memcpy(plain.nonce, message->nonce, sizeof(plain.nonce));
	sender = hpke_public_key(client);
	memcpy(ret_datagram + SPALE_FORMAT1_SENDER_OFFSET, &sender, sizeof(sender));
	memcpy(ret_datagram + SPALE_FORMAT1_ENC_OFFSET, &enc, sizeof(enc));
	hpke_seal(&context, format1_aad, sizeof(format1_aad), (const uint8_t *)&plain,
		  sizeof(plain), ret_datagram + SPALE_FORMAT1_CT_OFFSET);
	return 0;
}

PublicKey format1_sender(const uint8_t datagram[static SPALE_FORMAT1_SIZE])
{
	PublicKey sender;

	memcpy(&sender, datagram + SPALE_FORMAT1_SENDER_OFFSET, sizeof(sender));
	return sender;
}

int format1_open(const uint8_t datagram[static SPALE_FORMAT1_SIZE], const Secret *server,
		 const PublicKey *server_public, const Secret *static_shared, Format1 *ret_message)
{
	_cleanup_hpke_context_ HpkeContext context;
	_cleanup_(plain_done) Plain plain;
	PublicKey sender = format1_sender(datagram), enc;
	uint32_t time_step_be32;
	int r;

	memcpy(&enc, datagram + SPALE_FORMAT1_ENC_OFFSET, sizeof(enc));
	r = hpke_setup_receiver(&format1_parameters, server, server_public, &sender, static_shared,
				&enc, &context);
	if (r < 0)
		return r;
	r = hpke_open(&context, format1_aad, sizeof(format1_aad),
		      datagram + SPALE_FORMAT1_CT_OFFSET, SPALE_FORMAT1_CT_SIZE, (uint8_t *)&plain);
	if (r < 0)
		return r;
	if (plain.version != SPALE_FORMAT1_VERSION)
		return -EPROTONOSUPPORT;

	memcpy(&time_step_be32, plain.time_step_be32, sizeof(time_step_be32));
	ret_message->time_step = be32toh(time_step_be32);
	memcpy(ret_message->nonce, plain.nonce, sizeof(ret_message->nonce));
	return 0;
}
