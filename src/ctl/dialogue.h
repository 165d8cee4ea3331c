/* SPDX-License-Identifier: MIT */
/* Questions to the person at the terminal. */
#pragma once

#include <stdbool.h>

/* Whether there is one to ask. */
bool dialogue_is_possible(void);

/*
 * Asks QUESTION with a proposal, which an empty answer takes ("": none). The answer is the caller's
 * to free; NULL: the person, or memory, has gone.
 */
char *dialogue_ask(const char *question, const char *proposal);

/* Asks for yes or no until one of them is said. 1, 0, or -ECANCELED: the person has gone. */
int dialogue_agree(const char *question, bool proposal);
