/* SPDX-License-Identifier: MIT */
/* A grant by hand: what the verbs grant and setup have in common. */
#pragma once

#include "ctl/bus.h"

typedef struct GrantOrder {
	const char *source;	 /* address or prefix */
	const PortList *ports;	 /* empty: every protected port */
	uint64_t idle, lifetime; /* seconds; 0: the configuration's */
	uint64_t grace;		 /* the same, unless has_grace */
	bool has_grace;
	const char *interface; /* of a link-local source; NULL: none */
	bool permanent;
} GrantOrder;

/*
 * "fe80::1%eth0", perhaps in brackets, is an address and an interface (NULL: not said), both of
 * which the caller frees. 0, or a negative errno.
 */
int grant_split_zone(const char *text, char **ret_address, char **ret_interface);

/* Adds it; RECORD gets id, object and source. */
ExitCode grant_add(sd_bus *bus, const GrantOrder *order, Record *record);
