/* SPDX-License-Identifier: MIT */
/*
 * The one place from which the daemon speaks: events that an administrator audits, with fields, and
 * plain lines. Goes to stderr as readable lines, one an event:
 *
 *     <6>knock accepted: client=alice source=192.0.2.7 ports="22/tcp" until=…
 *
 * The <N> is the priority for the journal (sd-daemon(3)); it is left out when stderr is a terminal.
 * Field values are escaped so that one event is one line. Secrets never.
 */
#pragma once

#include <stddef.h>

#include "policy/config.h"
#include "policy/diagnostics.h"

/* X(NAME, "text", level) */
#define JOURNAL_EVENTS(X)                                                                          \
	X(STARTED, "started", INFO)                                                                \
	X(STOPPED, "stopped", INFO)                                                                \
	X(RELOADED, "reloaded", INFO)                                                              \
	X(RELOAD_FAILED, "reload failed, the old configuration stays in force", ERROR)             \
	X(KNOCK_ACCEPTED, "knock accepted", INFO)                                                  \
	X(KNOCK_REFUSED, "knock refused", WARNING)                                                 \
	X(GRANT_ADDED, "grant added", INFO)                                                        \
	X(GRANT_EXTENDED, "grant extended", INFO)                                                  \
	X(GRANT_REVOKED, "grant revoked", INFO)                                                    \
	X(GRANT_EXPIRED, "grant expired", INFO)                                                    \
	X(CLIENT_REFUSED, "client refused", WARNING)                                               \
	X(INTERFACE_ATTACHED, "interface attached", INFO)                                          \
	X(INTERFACE_LOST, "interface lost", WARNING)

typedef enum JournalEvent {
#define JOURNAL_ENUM(name, text, level) JOURNAL_##name,
	JOURNAL_EVENTS(JOURNAL_ENUM)
#undef JOURNAL_ENUM
		JOURNAL_EVENT_COUNT,
} JournalEvent;

/* What an event carries; NULL or empty fields are left out. Names as in the journal: SPALE_CLIENT … */
typedef struct JournalFields {
	const char *client;
	const char *source;
	const char *ports;
	const char *reason;
	const char *grant;
	const char *until;
	const char *interface;
	const char *detail; /* free text, at the end */
} JournalFields;

/* Lines below LEVEL are left out from now on. */
void journal_set_level(LogLevel level);

void journal_event(JournalEvent event, const JournalFields *fields);

/* A plain line that is no event. */
void journal_line(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Everything that a reader had to say. */
void journal_diagnostics(const Diagnostics *diagnostics);
