/* SPDX-License-Identifier: MIT */
/*
 * A random policy for the differential test, told to the oracle and to the programs alike: ports,
 * grants in every state of their lives, always-allowed prefixes, clients, limits on knocks.
 */
#pragma once

#include "gate.h"
#include "oracle.h"
#include "random-bits.h"

/* Ports that a scenario is about: most packets go to one of them. */
#define SCENARIO_PORTS	     8
#define SCENARIO_KNOCK_PORTS 3 /* the first of them take knocks */

typedef struct Scenario {
	Oracle oracle;
	uint16_t ports[SCENARIO_PORTS];
	uint8_t encs[6][32]; /* few, so that knocks repeat, from few sources, so that they are
				limited */
	OracleAddress knockers[4];
} Scenario;

/* Makes another one. The times of its grants are for the next seconds. */
void scenario_make(Scenario *scenario, Random *random, uint32_t ifindex);

/* Tells it to a gate whose maps are empty. */
void scenario_apply(const Scenario *scenario, Gate *gate);

/* Takes away from GATE what scenario_apply() and the packets since then left in its maps. */
void scenario_clear(const Scenario *scenario, Gate *gate);

/* What a packet is sent at. */
typedef struct Aim {
	OracleAddress source;
	OracleAddress destination;
	bool at_grant;	  /* at one grant in particular, or just past it */
	uint8_t protocol; /* 0: any */
	uint16_t port;
} Aim;

/* Something that the scenario has an opinion of, most of the time. */
Aim scenario_aim(const Scenario *scenario, Random *random, bool ipv4);

/* A port that the scenario is about, most of the time. */
uint16_t scenario_port(const Scenario *scenario, Random *random);
