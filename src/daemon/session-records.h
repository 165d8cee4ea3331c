/* SPDX-License-Identifier: MIT */
/*
 * The sources that clients had grants for, kept in the kernel beside the grants, so that a new
 * daemon can end the conversations of a client who loses the right to them.
 */
#pragma once

#include "enforce/enforcer.h"
#include "policy/client.h"
#include "util/address.h"
#include "util/ports.h"

/* A source that a client had a grant for. */
typedef struct SessionOrigin {
	Prefix source;
	Address address; /* within source: where its last knock came from */
	uint32_t ifindex;
	PortList ports;
} SessionOrigin;

void session_origin_done(SessionOrigin *origin);

/* Whose an origin is. */
typedef struct SessionOwner {
	const PublicKey *key;
	const char *name;
} SessionOwner;

/*
 * Keeps ORIGIN over an older one of the same source. NUMBER: a later one's is higher. Where there
 * are too many ranges of ports, what lies between close ones is kept as well. Returns 0 or a
 * negative errno; then enforcer_error() says why.
 */
int session_records_put(Enforcer *enforcer, const SessionOwner *owner, const SessionOrigin *origin,
			uint64_t number);

/* Forgets what is kept for this source. Same returns. */
int session_records_delete(Enforcer *enforcer, const SessionOwner *owner,
			   const SessionOrigin *origin);

/* Called for each origin, which it takes over (and leaves empty). OWNER: during the call only. */
typedef void (*SessionRecord)(const SessionOwner *owner, SessionOrigin *origin, uint64_t number,
			      void *userdata);

/*
 * Calls CALLBACK for each origin that was kept, in the order of their numbers. What cannot be
 * understood is left out. Returns 0, -ENOMEM or what the enforcer says.
 */
int session_records_recall(Enforcer *enforcer, SessionRecord callback, void *userdata);
