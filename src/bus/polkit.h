/* SPDX-License-Identifier: MIT */
/*
 * Asks polkit whether a caller may do something, without waiting: the answer comes from the event
 * loop. No answer in time, an error and no polkit at all are a no.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "bus/examine.h"

typedef enum PolkitAnswer {
	POLKIT_NO,
	POLKIT_YES,
	POLKIT_CHALLENGE, /* yes, if somebody could be asked for a password */
} PolkitAnswer;

/* Called once. The question is freed by whoever asked, also from here. */
typedef void (*PolkitAnswered)(PolkitAnswer answer, void *userdata);

typedef struct Polkit Polkit; /* one question */

/* Whose call it is: SENDER is a unique name on BUS. */
typedef struct PolkitSubject {
	sd_bus *bus;
	const char *sender;
	const char *member;
	bool interactive;
} PolkitSubject;

/*
 * Asks whether SUBJECT may do what QUESTION says. INTERACTIVE: somebody may be asked for a
 * password, and has two minutes. Returns 0 or a negative errno.
 */
int polkit_ask(const PolkitSubject *subject, const Question *question, PolkitAnswered answered,
	       void *userdata, Polkit **ret_polkit);

/* Forgets a question; where it is not answered yet, polkit is told so. NULL is fine. */
void polkit_free(Polkit *polkit);
DEFINE_CLEANUP(Polkit, polkit_free)
#define _cleanup_polkit_ _cleanup_(polkit_freep)
