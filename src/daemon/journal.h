/* SPDX-License-Identifier: MIT */
/*
 * The one place from which the daemon speaks: events that an administrator audits, with fields, and
 * plain lines. Goes to stderr as readable lines, one an event:
 *
 *     knock accepted: client=alice source=192.0.2.7 ports="22/tcp" until=2026-01-31T18:30:05+01:00
 *
 * Where stderr is the journal's own stream ($JOURNAL_STREAM) each is sent to journald instead: the
 * line as MESSAGE, and PRIORITY, MESSAGE_ID and fields (spale/message-ids.h); if journald is out of
 * sight it is a line with its priority in front, as in sd-daemon(3). Control characters are escaped
 * in the line, so that one event is one line. Secrets never.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/diagnostics.h"

/* X(NAME, "text", level). Each has a MESSAGE_ID in spale/message-ids.h and an entry in the catalog.
 */
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
	X(ACCESS_DENIED, "access denied", INFO)                                                    \
	X(CLIENT_ENROLLED, "client enrolled", INFO)                                                \
	X(CLIENT_CHANGED, "client changed", INFO)                                                  \
	X(CLIENT_REMOVED, "client removed", INFO)                                                  \
	X(CLIENT_REFUSED, "client refused", WARNING)                                               \
	X(POLICY_CHANGED, "policy changed", INFO)                                                  \
	X(LAST_GOOD, "the configuration is unusable, the last good one is in force", ERROR)        \
	X(INTERFACE_ATTACHED, "interface attached", INFO)                                          \
	X(INTERFACE_LOST, "interface lost", WARNING)                                               \
	X(NFTABLES_LOST, "nftables mirror lost", WARNING)                                          \
	X(NFTABLES_RESTORED, "nftables mirror restored", INFO)

typedef enum JournalEvent {
#define JOURNAL_ENUM(name, text, level) JOURNAL_##name,
	JOURNAL_EVENTS(JOURNAL_ENUM)
#undef JOURNAL_ENUM
		JOURNAL_EVENT_COUNT,
} JournalEvent;

/* What an event carries, as spale/message-ids.h has it; NULL or empty fields are left out. */
typedef struct JournalFields {
	const char *client;
	const char *source;
	const char *ports;
	const char *reason;
	const char *grant;
	const char *until;
	const char *interface;
	const char *caller;
	const char *detail; /* free text, at the end, in parentheses behind fields */
} JournalFields;

/* Lines below LEVEL are left out from now on. */
void journal_set_level(LogLevel level);

/* Says that EVENT happened, on one line. */
void journal_event(JournalEvent event, const JournalFields *fields);

/* A plain line that is no event. */
void journal_line(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a reader had to say: "FILE:LINE: error: text". */
void journal_diagnostic(const Diagnostic *diagnostic);

/* Everything that a reader had to say. */
void journal_diagnostics(const Diagnostics *diagnostics);

/* Room for a time in text. */
#define JOURNAL_TIME_MAX 40

/* REAL_USEC as local time with its offset (ISO 8601), into TEXT; returns TEXT. */
const char *journal_format_time(uint64_t real_usec, char text[static JOURNAL_TIME_MAX]);
