/* SPDX-License-Identifier: MIT */
/* UTF-8 in bytes that anybody may have written: names of interfaces, what logs are told. */
#pragma once

#include <stddef.h>

/* How many bytes of P, which is not at its NUL, are a character; 0: none is. */
size_t utf8_character_size(const unsigned char *p);
