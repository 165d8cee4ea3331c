/* SPDX-License-Identifier: MIT */
/*
 * Who wants to hear what happens in the manager: the bus, the nftables mirror. They are told where
 * the journal is (daemon/announce.h), after it happened.
 */
#pragma once

#include <stdbool.h>

#include <spale/bpf-abi.h>

#include "policy/client.h"
#include "policy/grant-table.h"
#include "policy/refusal.h"

/* Observers of one manager at most. */
#define MANAGER_OBSERVERS_MAX 4

/* Why a grant is gone. Words as on the bus: "expired", "revoked", "closed", "replaced". */
typedef enum GrantEnd {
	GRANT_EXPIRED,
	GRANT_REVOKED,
	GRANT_CLOSED,
	GRANT_REPLACED,
} GrantEnd;

/*
 * Any may be NULL. What they get is valid during the call only; they may not call the manager's
 * changing functions. Knocks that are refused and packets that are denied come as seldom as the
 * journal's lines about them, for strangers cause them.
 */
typedef struct ManagerObserver {
	void (*grant_added)(void *userdata, const Grant *grant);
	void (*grant_changed)(void *userdata, const Grant *grant); /* renewed, extended, re-decided
								    */
	void (*grant_removed)(void *userdata, const Grant *grant, GrantEnd end); /* a copy of it */
	void (*knock_accepted)(void *userdata, const char *client, const Address *source,
			       const PortList *ports);
	/* CLIENT: whose key is in front, which nobody has proven; NULL: nobody's. */
	void (*knock_refused)(void *userdata, const char *client, const Address *source,
			      Refusal refusal);
	void (*access_denied)(void *userdata, const struct spale_event *event);
	void (*client_added)(void *userdata, const Client *client);
	void (*client_changed)(void *userdata, const Client *client);
	void (*client_removed)(void *userdata, const char *name);
	void (*interfaces_changed)(void *userdata);
	void (*policy_changed)(void *userdata); /* anything of manager_config(), or a trial */
	void (*reloaded)(void *userdata, bool failed);
	void (*done)(void *userdata); /* something of what was ordered: manager_has_done() */
	void *userdata;
} ManagerObserver;
