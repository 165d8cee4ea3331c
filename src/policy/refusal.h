/* SPDX-License-Identifier: MIT */
/*
 * Why a knock was refused. A refusal is not an error: the input is untrusted, the reason is
 * counted, named and logged, and nothing is answered on the wire.
 */
#pragma once

/* X(NAME, "name", "what it means") */
#define REFUSALS(X)                                                                                \
	X(NONE, "accepted", "the knock was accepted")                                              \
	X(NOT_A_KNOCK, "not-a-knock", "the datagram has the size or form of no knock format")      \
	X(UNKNOWN_CLIENT, "unknown-client", "no client with this key is enrolled")                 \
	X(CLIENT_DISABLED, "client-disabled", "the client is disabled")                            \
	X(CLIENT_DATES, "client-dates", "the client is not valid yet, or not any more")            \
	X(FORMAT, "format", "the client may not knock in this format")                             \
	X(BAD_SEAL, "bad-seal", "not sealed by this client for a key of this server")              \
	X(BAD_KEY, "bad-key", "a key in it yields no secret")                                      \
	X(VERSION, "version", "sealed correctly, but of a version that is not known")              \
	X(CLOCK, "clock", "its time is too far from this server's clock")                          \
	X(FLOOR, "floor",                                                                          \
	  "not later than a revocation, or what was accepted before the memory was lost")          \
	X(REPLAYED, "replayed", "it was accepted before")                                          \
	X(REPLAY_FULL, "replay-full", "the client's replay memory is full for the moment")         \
	X(SOURCE, "source", "the client may not knock from this address")                          \
	X(NO_PORTS, "no-ports", "the client may open none of the protected ports")                 \
	X(TOO_MANY_PORTS, "too-many-ports", "the client may open more ports than one grant takes") \
	X(LIMIT, "limit", "the grant table is full")                                               \
	X(STATE, "state", "what was accepted could not be recorded on disk")                       \
	X(ENFORCER, "enforcer", "the kernel did not take the grant")

typedef enum Refusal {
#define REFUSAL_ENUM(name, text, meaning) REFUSAL_##name,
	REFUSALS(REFUSAL_ENUM)
#undef REFUSAL_ENUM
		REFUSAL_COUNT,
} Refusal;

/* The short name, as in the journal ("replayed"). */
const char *refusal_name(Refusal refusal);

/* The same in a sentence. */
const char *refusal_meaning(Refusal refusal);
