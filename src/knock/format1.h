/* SPDX-License-Identifier: MIT */
/*
 * Knock format 1, the format of the spale 0.3 clients (spale-protocol(7)): seal and open.
 *
 * Pure codec: what a knock says, not whether it is fresh or what it may open. Datagrams are
 * untrusted.
 */
#pragma once

#include <stdint.h>

#include <spale/wire.h>

#include "util/secret.h"

/* What a datagram of format 1 says once it is open. */
typedef struct Format1 {
	uint32_t time_step; /* floor(unix time / SPALE_TIME_STEP), as the client saw it */
	uint8_t nonce[SPALE_FORMAT1_NONCE_SIZE];
} Format1;

/*
 * Seals MESSAGE for SERVER. EPHEMERAL is a fresh random private key. Returns 0, or
 * -EKEYREJECTED for a server key that yields no secret.
 */
int format1_seal(const Format1 *message, const PublicKey *server, const Secret *client,
		 const Secret *ephemeral, uint8_t ret_datagram[static SPALE_FORMAT1_SIZE]);

/* The client's public key at the front of a datagram: a claim until format1_open() agrees. */
PublicKey format1_sender(const uint8_t datagram[static SPALE_FORMAT1_SIZE]);

/*
 * Opens DATAGRAM with the server's key pair. STATIC_SHARED: hpke_dh(server, sender), cached by
 * the caller. Returns 0, -EBADMSG (not sealed for this server by that sender), -EKEYREJECTED (its
 * ephemeral key is of small order) or -EPROTONOSUPPORT (sealed, but not version 1).
 */
int format1_open(const uint8_t datagram[static SPALE_FORMAT1_SIZE], const Secret *server,
		 const PublicKey *server_public, const Secret *static_shared, Format1 *ret_message);
