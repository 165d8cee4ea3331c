/* SPDX-License-Identifier: MIT */
#include "util/name.h"

#include <string.h>

static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

bool name_is_valid(const char *text)
{
	size_t length = strlen(text);

	if (length == 0 || length > NAME_LENGTH_MAX || !strchr(first, text[0]))
		return false;
	while (*text && (*text == '.' || strchr(first, *text)))
		text++;
	return *text == '\0';
}
