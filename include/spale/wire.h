/* SPDX-License-Identifier: MIT */
/*
 * The knock as it lies on the wire: sizes and offsets that client and daemon share.
 *
 * Types and constants only. spale-protocol(7) describes the format in words.
 */
#ifndef SPALE_WIRE_H
#define SPALE_WIRE_H

/* A key of X25519 (RFC 7748): private, public or shared. */
#define SPALE_KEY_SIZE 32

/* Seconds of a time step of format 1. */
#define SPALE_TIME_STEP 30

/* Format 1: pkS[32] || enc[32] || ct[33]. */
#define SPALE_FORMAT1_SIZE	    97
#define SPALE_FORMAT1_SENDER_OFFSET 0
#define SPALE_FORMAT1_ENC_OFFSET    32
#define SPALE_FORMAT1_CT_OFFSET	    64
#define SPALE_FORMAT1_CT_SIZE	    33

/* Its plaintext: version[1] || time_step[4] || nonce[12]. */
#define SPALE_FORMAT1_PLAIN_SIZE 17
#define SPALE_FORMAT1_NONCE_SIZE 12
#define SPALE_FORMAT1_VERSION	 1

/* What HPKE takes as info and as aad for format 1. */
#define SPALE_FORMAT1_AAD                                                                          \
	{                                                                                          \
		0, 0, 0, 0, 0, 0, 1                                                                \
	}
#define SPALE_FORMAT1_AAD_SIZE 7

#endif
