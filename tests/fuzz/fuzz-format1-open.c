/* SPDX-License-Identifier: MIT */
/*
 * Knocks of format 1 as an outsider sends them: any bytes, opened with a server's key. Nobody
 * but the holder of an enrolled key can make one that opens, so none does but the known answer of
 * the corpus. Input: a datagram; shorter ones are filled up with zeros.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "knock/format1.h"
#include "knock/hpke.h"

/* skRm of RFC 9180, appendix A.2.3, with which the known answer was made. */
static const Secret server = {{0x3c, 0xa2, 0x2a, 0x6d, 0x1c, 0xda, 0x1b, 0xb9, 0x48, 0x09, 0x49,
			       0xec, 0x53, 0x29, 0xd3, 0xbf, 0x0b, 0x08, 0x0c, 0xa4, 0xc4, 0x58,
			       0x79, 0xc9, 0x5e, 0xdd, 0xb5, 0x5c, 0x70, 0xb8, 0x0b, 0x82}};

#define KNOWN_TIME_STEP 58792320u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *datagram = calloc(1, SPALE_FORMAT1_SIZE);
	_cleanup_secret_ Secret shared = {0};
	PublicKey server_public, sender;
	Format1 message = {.time_step = 1};
	int r;

	FUZZ_CHECK(datagram);
	if (size > 0)
		memcpy(datagram, data, size < SPALE_FORMAT1_SIZE ? size : SPALE_FORMAT1_SIZE);

	server_public = hpke_public_key(&server);
	sender = format1_sender(datagram);
	FUZZ_CHECK(memcmp(sender.bytes, datagram, sizeof(sender.bytes)) == 0);
	r = hpke_dh(&server, &sender, &shared);
	if (r < 0) {
		FUZZ_CHECK(r == -EKEYREJECTED && !hpke_public_key_is_usable(&sender));
		return 0;
	}
	r = format1_open(datagram, &server, &server_public, &shared, &message);
	if (r < 0) {
		FUZZ_CHECK(r == -EBADMSG || r == -EKEYREJECTED || r == -EPROTONOSUPPORT);
		FUZZ_CHECK(message.time_step == 1);
	} else {
		FUZZ_CHECK(message.time_step == KNOWN_TIME_STEP);
	}
	return 0;
}
