/* SPDX-License-Identifier: MIT */
/*
 * Which grants and interfaces are objects for those who follow the object manager: what was
 * announced is listed, and is announced again when it goes. Pure.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/bus-names.h>

#include "daemon/interfaces.h"
#include "policy/hash-table.h"

/* One grant. */
typedef struct PublishedGrant {
	HashNode node;
	uint64_t id;
	size_t index; /* in Published.grants */
} PublishedGrant;

/* One interface, as it was told. */
typedef struct PublishedInterface {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	InterfaceState state;
	uint64_t problem; /* hash of the sentence */
} PublishedInterface;

typedef struct Published {
	HashTable by_id;
	PublishedGrant *grants[SPALE_BUS_GRANT_OBJECTS_MAX];
	size_t grant_count;
	PublishedInterface interfaces[INTERFACES_MAX];
	size_t interface_count;
} Published;

/* Returns 0 or -ENOMEM. */
int published_init(Published *published);
void published_done(Published *published);

/* Whether the grant of this number is published. */
bool published_has(const Published *published, uint64_t id);

/* Whether it is published now, and was not: there is room (and memory). */
bool published_add(Published *published, uint64_t id);

/* Whether it was, and is no more. */
bool published_remove(Published *published, uint64_t id);
