/* SPDX-License-Identifier: MIT */
/*
 * What a verified knock may open: the judgement, without files, sockets, clock or logging.
 */
#pragma once

#include <stdint.h>

#include "policy/client.h"
#include "policy/config.h"
#include "policy/refusal.h"
#include "util/address.h"
#include "util/ports.h"

/* Most (protocol, port) pairs that one grant may open: each is an entry in the kernel. */
#define GRANT_PORTS_MAX 1024

/* What the client asks for, and from where. */
typedef struct Request {
	Address source;
	uint32_t ifindex;      /* interface the knock came in through */
	const PortList *ports; /* NULL: every port that the client may open */
	uint64_t now_real_usec;
} Request;

/* Whose a grant is. */
typedef enum GrantOrigin {
	GRANT_ORIGIN_KNOCK,	    /* a client's */
	GRANT_ORIGIN_ADMINISTRATOR, /* an administrator's, until the next reload or restart */
	GRANT_ORIGIN_ALWAYS,	    /* an administrator's, kept for good */
} GrantOrigin;

/* What it gets. */
typedef struct Decision {
	GrantOrigin origin;
	Prefix source;	  /* masked to Prefix4= or Prefix6= */
	Address address;  /* Request.source as it was, to decide anew after a reload */
	uint32_t ifindex; /* set for a link-local source only, else 0 */
	PortList ports;
	bool has_asked;	  /* else: every port that may be opened, at any time */
	PortList asked;	  /* no other ports than these, however often it is decided anew */
	uint64_t idle_ns; /* DURATION_INFINITY: never */
	uint64_t grace_ns;
	uint64_t lifetime_ns;
} Decision;

void decision_done(Decision *decision);
#define _cleanup_decision_ _cleanup_(decision_done)

/* Whether CLIENT is enabled and within its dates: REFUSAL_NONE, _CLIENT_DISABLED, _CLIENT_DATES. */
Refusal decide_client(const Client *client, uint64_t now_real_usec);

/*
 * Judges REQUEST by CLIENT and CONFIG. *RET_DECISION is set on REFUSAL_NONE only. A list of ports
 * that filters to nothing is REFUSAL_NO_PORTS, never "every port".
 * Returns a Refusal (>= 0) or -ENOMEM.
 */
int decide(const Config *config, const Client *client, const Request *request,
	   Decision *ret_decision);

/*
 * The protected ports that an administrator's grant may open: those ASKED for, NULL: all. Returns
 * REFUSAL_NONE, _NO_PORTS, _TOO_MANY_PORTS or -ENOMEM.
 */
int decide_ports(const Config *config, const PortList *asked, PortList *ret_ports);
