/* SPDX-License-Identifier: MIT */
/*
 * What setup can find out by itself: the interface that faces the network, where the person in
 * front of it comes from, a port for knocks. Everything is a proposal.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/address.h"
#include "util/name.h"

/* An SSH connection, as it describes itself: SSH_CONNECTION. */
typedef struct Origin {
	char client[ADDRESS_TEXT_MAX];
	char zone[IF_NAMESIZE];	       /* of a link-local client; "" otherwise */
	char server[ADDRESS_TEXT_MAX]; /* "" where it is not known */
	uint16_t server_port;	       /* 0 where it is not known */
} Origin;

/* Reads "CLIENT PORT SERVER PORT". 0 or -EINVAL. */
int surroundings_parse_connection(const char *text, Origin *ret_origin);

/*
 * Where this process's person comes from: by its environment, by that of the processes above it
 * (sudo takes it away), or by the session that logind knows. -ENOENT: not over the network, as far
 * as can be told.
 */
int surroundings_find_origin(Origin *ret_origin);

/* The interface of the default route, of IPv4 and then of IPv6. -ENOENT: there is none. */
int surroundings_find_interface(char name[static IF_NAMESIZE]);

/* A random UDP port that nothing here uses, outside of what the system gives to connections. */
int surroundings_find_port(uint16_t *ret_port);

/* A name for the first client. */
void surroundings_find_name(char name[static NAME_LENGTH_MAX + 1]);
