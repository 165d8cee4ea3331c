/* SPDX-License-Identifier: MIT */
/* UTF-8 in bytes that anybody may have written: names of interfaces, what logs are told. */
#pragma once

#include <stddef.h>

/* How many bytes of P, which is not at its NUL, are a character; 0: none is. */
size_t utf8_character_size(const unsigned char *p);

/*
 * TEXT, any bytes, with \xNN in place of each that is part of no character: text cut off in the
 * midst of one, too. To be freed; NULL when there is no memory.
 */
char *utf8_escape(const char *text);

/* The same for a terminal, where control characters (C0, DEL, C1) may not come either. */
char *utf8_escape_controls(const char *text);
