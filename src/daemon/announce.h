/* SPDX-License-Identifier: MIT */
/*
 * How what happens is told: to the journal, and at the same points to the observers, so that both
 * tell the same. Knows what an event carries, and how many lines strangers may cause.
 */
#pragma once

#include "daemon/journal.h"
#include "daemon/observer.h"
#include "enforce/enforcer.h"

/* Lines about refused knocks: bounded, for strangers cause them. */
typedef struct AnnounceLimit {
	uint64_t since_mono_ns; /* begin of the second that is counted */
	unsigned said;
	uint64_t unsaid;
} AnnounceLimit;

/* Whom to tell besides the journal. All zero: nobody. */
typedef struct Announcer {
	const ManagerObserver *observers[MANAGER_OBSERVERS_MAX]; /* borrowed */
	size_t observer_count;
	AnnounceLimit refused;
	const char *caller; /* who asked for what is announced, or NULL; borrowed */
} Announcer;

/* A new grant, and one that goes on for longer. UNTIL: its deadline, UINT64_MAX for none. */
void announce_grant_added(const Announcer *announcer, const Grant *grant, uint64_t until_real_usec);
void announce_grant_extended(const Announcer *announcer, const Grant *grant,
			     uint64_t until_real_usec);

/* GRANT has lost PORTS, and goes on with others. */
void announce_grant_narrowed(const Announcer *announcer, const Grant *grant, const PortList *ports,
			     const char *reason);

/* A grant that was decided anew, with another result: the journal has why (a reload). */
void announce_grant_redecided(const Announcer *announcer, const Grant *grant);

/* A grant that is gone, and why, in a word and in a sentence, which may be NULL. */
void announce_grant_gone(const Announcer *announcer, const Grant *grant, GrantEnd end,
			 const char *reason, const char *detail);

/* UNTIL: the deadline of GRANT, UINT64_MAX for none. */
void announce_accepted(const Announcer *announcer, const struct spale_knock *knock,
		       const Grant *grant, uint64_t until_real_usec);

/* CLIENT: whose key is in front, which nobody has proven; NULL: nobody's. */
void announce_refused(Announcer *announcer, const struct spale_knock *knock, const char *client,
		      Refusal refusal, uint64_t now_mono_ns);

/*
 * Who was enrolled, changed or removed, where AFTER replaces BEFORE. CALLER: who asked for it over
 * D-Bus; NULL: the files changed.
 */
void announce_clients(const Announcer *announcer, const ClientSet *before, const ClientSet *after,
		      const char *caller);

/* A packet that was denied, as the kernel samples them. LOG_ONLY: it passed all the same. */
void announce_denied(const Announcer *announcer, const struct spale_event *event, bool log_only);

/* What is attached has changed; the journal knows of each. */
void announce_interfaces(const Announcer *announcer);

/* The configuration is another one; the journal knows why. */
void announce_policy(const Announcer *announcer);

/* A reload, which FAILED or not. DETAIL may be NULL. */
void announce_reload(const Announcer *announcer, bool failed, const char *detail);

/* Something that was ordered, and could not be done at once, is done. */
void announce_done(const Announcer *announcer);

/* Says how many lines were left out, once their second is over. When to call again. */
uint64_t announce_flush(Announcer *announcer, uint64_t now_mono_ns);
