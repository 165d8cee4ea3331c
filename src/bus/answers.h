/* SPDX-License-Identifier: MIT */
/*
 * Answers to calls that changed something: they wait until all is done that was ordered. Of very
 * many grants some go, or are decided anew, only after the call (manager_has_done()).
 *
 * Callers may be gone by then; the bus then throws the answer away.
 */
#pragma once

#include "bus/context.h"

/* Answers that wait at most; others go before all is done. */
#define ANSWERS_MAX 1024

typedef struct Answers Answers;

/* For the connection of CONTEXT, which is borrowed. Returns 0 or a negative errno. */
int answers_new(BusContext *context, Answers **ret_answers);
void answers_free(Answers *answers);
DEFINE_CLEANUP(Answers, answers_free)

/*
 * The end of a handler that changed something, or failed to: as context_done(), but CALL is
 * answered here, with TYPES and what follows as sd_bus_message_append() takes them (NULL: with
 * nothing), or with the error, when all that was ordered is done. Returns what the handler has to
 * return.
 */
int answers_give(const BusContext *context, sd_bus_message *call, int r, const char *error,
		 const char *types, ...);
