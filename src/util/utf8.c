/* SPDX-License-Identifier: MIT */
#include "util/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

size_t utf8_character_size(const unsigned char *p)
{
	size_t size = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;

	if (*p < 0x80)
		return 1;
	if (*p < 0xc2 || *p > 0xf4)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Written longer than it has to be; half of a pair of UTF-16; beyond the last one. */
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90) ||
	    (*p == 0xed && p[1] >= 0xa0) || (*p == 0xf4 && p[1] >= 0x90))
		return 0;
	return size;
}

static bool is_control(const unsigned char *p, size_t size)
{
	return *p < 0x20 || *p == 0x7f || (size == 2 && *p == 0xc2 && p[1] < 0xa0);
}

static char *escape(const char *text, bool controls)
{
	char *escaped = NULL;
	size_t size;
	FILE *f = open_memstream(&escaped, &size);

	if (!f)
		return NULL;
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		size_t length = utf8_character_size(p);

		if (length == 0 || (controls && is_control(p, length))) {
			fprintf(f, "\\x%02x", *p++);
		} else {
			fwrite(p, 1, length, f);
			p += length;
		}
	}
	if (fclose(f) != 0) {
		free(escaped);
		return NULL;
	}
	return escaped;
}

char *utf8_escape(const char *text)
{
	return escape(text, false);
}

char *utf8_escape_controls(const char *text)
{
	return escape(text, true);
}
