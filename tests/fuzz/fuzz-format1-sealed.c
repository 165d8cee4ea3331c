/* SPDX-License-Identifier: MIT */
/*
 * Knocks of format 1 as a client makes them, then changed on their way: what was sealed opens as
 * it was, and not one changed byte goes unnoticed.
 *
 * Input: three private keys (server, client, ephemeral) and a message, then changes of two bytes
 * each: position, and what is XORed to the byte there.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "knock/format1.h"
#include "knock/hpke.h"

struct input {
	Secret server, client, ephemeral;
	Format1 message;
};

static int open_as_server(const Secret *server, const uint8_t *datagram, Format1 *ret_message)
{
	_cleanup_free_ uint8_t *copy = fuzz_copy(datagram, SPALE_FORMAT1_SIZE);
	_cleanup_secret_ Secret shared = {0};
	PublicKey server_public = hpke_public_key(server);
	PublicKey sender = format1_sender(copy);
	int r;

	r = hpke_dh(server, &sender, &shared);
	if (r < 0)
		return r;
	return format1_open(copy, server, &server_public, &shared, ret_message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t datagram[SPALE_FORMAT1_SIZE], sealed[SPALE_FORMAT1_SIZE];
	struct input input = {0};
	PublicKey server_public;
	Format1 message = {0};
	size_t taken = size < sizeof(input) ? size : sizeof(input);

	if (size > 0)
		memcpy(&input, data, taken);
	server_public = hpke_public_key(&input.server);
	FUZZ_CHECK(format1_seal(&input.message, &server_public, &input.client, &input.ephemeral,
				sealed) == 0);
	FUZZ_CHECK(open_as_server(&input.server, sealed, &message) == 0);
	FUZZ_CHECK(message.time_step == input.message.time_step);
	FUZZ_CHECK(memcmp(message.nonce, input.message.nonce, sizeof(message.nonce)) == 0);

	memcpy(datagram, sealed, sizeof(datagram));
	for (size_t i = taken; i + 1 < size; i += 2)
		datagram[data[i] % SPALE_FORMAT1_SIZE] ^= data[i + 1];
	if (memcmp(datagram, sealed, sizeof(datagram)) == 0)
		return 0;
	memset(&message, 0xa5, sizeof(message));
	FUZZ_CHECK(open_as_server(&input.server, datagram, &message) < 0);
	FUZZ_CHECK(message.time_step == 0xa5a5a5a5);

	/* Another server opens none. */
	input.server.bytes[8] ^= 1;
	FUZZ_CHECK(open_as_server(&input.server, sealed, &message) < 0);
	return 0;
}
