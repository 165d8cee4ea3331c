/* SPDX-License-Identifier: MIT */
/*
 * Known answers are written in hexadecimal: to bytes, and compared with bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline unsigned int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	assert_in_range(c, 'a', 'f');
	return (unsigned int)(c - 'a') + 10;
}

/* Reads exactly SIZE bytes from HEX, two lower-case digits each; fails the test otherwise. */
static inline void hex_read(const char *hex, void *ret, size_t size)
{
	uint8_t *bytes = ret;

	assert_int_equal(strlen(hex), 2 * size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
}

/* Fails the test unless the SIZE bytes at P are those of HEX. */
static inline void assert_hex(const void *p, size_t size, const char *hex)
{
	uint8_t expected[1024];

	assert_in_range(size, 0, sizeof(expected));
	hex_read(hex, expected, size);
	assert_memory_equal(p, expected, size);
}
