/* SPDX-License-Identifier: MIT */
#include "util/secret.h"

#include <stdlib.h>
#include <string.h>

#include <nettle/memops.h>

void secret_erase(void *p, size_t size)
{
	explicit_bzero(p, size);
}

void secret_done(Secret *secret)
{
	secret_erase(secret, sizeof(*secret));
}

void secret_free(void *p, size_t size)
{
	if (!p)
		return;
	secret_erase(p, size);
	free(p);
}

bool secret_equal(const void *a, const void *b, size_t size)
{
	return memeql_sec(a, b, size);
}

bool secret_is_zero(const void *p, size_t size)
{
	const uint8_t *bytes = p;
	/* volatile: the compiler may not leave the loop at the first byte that decides */
	volatile uint8_t seen = 0;

	for (size_t i = 0; i < size; i++)
		seen |= bytes[i];
	return seen == 0;
}
