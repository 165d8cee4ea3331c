/* SPDX-License-Identifier: MIT */
/*
 * Names of clients: parts of file names and of log lines, so nothing that means something else
 * there. Texts are untrusted.
 */
#pragma once

#include <stdbool.h>

/* Longest name, without its NUL. */
#define NAME_LENGTH_MAX 64

/* Whether TEXT is [A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}. */
bool name_is_valid(const char *text);
