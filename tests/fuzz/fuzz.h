/* SPDX-License-Identifier: MIT */
/*
 * What every fuzz target needs: the entry point, a check that aborts, bytes as texts.
 *
 * A target is one file fuzz-NAME.c that defines LLVMFuzzerTestOneInput(). It is linked with
 * libFuzzer, or with replay-main.c, which runs it over files.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

/* Runs the target on SIZE bytes at DATA (libFuzzer's interface). Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that holds for every input. */
#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* SIZE bytes as a string of their own, which ends at the first NUL byte among them, if any. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* An exact copy of SIZE bytes, so that AddressSanitizer sees a read behind them. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	FUZZ_CHECK(copy);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}
