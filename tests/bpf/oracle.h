/* SPDX-License-Identifier: MIT */
/*
 * What the packet path has to answer, said a second time: the requirement of the packet path in
 * plain C for user space, slow and simple, with lists that are searched from one end to the other.
 *
 * It shares nothing with bpf/ but the names of the reasons. Whoever changes it does so from the
 * requirement, never from the programs: two opinions are worth something only while they are two.
 * Ethernet; a host without sockets and routes; knocks of format 1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

/* A source or destination. IPv4 has its four bytes in front, and zeros. */
typedef struct OracleAddress {
	bool ipv4;
	uint8_t bytes[16];
} OracleAddress;

typedef struct OraclePrefix {
	OracleAddress address;
	unsigned length; /* native: 0 to 32, 0 to 128 */
} OraclePrefix;

typedef struct OracleGrant {
	OraclePrefix source;
	uint32_t ifindex; /* 0: not link-local */
	uint8_t protocol;
	uint16_t port;
	uint64_t last_ns; /* moved by the oracle, as the programs move theirs */
	uint64_t idle_ns; /* SPALE_NEVER_NS: never idle; the same for the next two */
	uint64_t grace_ns;
	uint64_t deadline_ns;
} OracleGrant;

/* A knock that was handed up, with what came of it remembered. */
typedef struct OracleSeen {
	OracleAddress source;
	uint8_t datagram[97];
} OracleSeen;

/* Tokens that a source has used: an IPv4 address, or the first 64 bits of an IPv6 one. */
typedef struct OracleBucket {
	OracleAddress source;
	unsigned used;
} OracleBucket;

#define ORACLE_GRANTS	64
#define ORACLE_PREFIXES 16
#define ORACLE_CLIENTS	4
#define ORACLE_STATIONS 4
#define ORACLE_SEEN	512
#define ORACLE_BUCKETS	512

/* A rate without limit. */
#define ORACLE_UNLIMITED ((unsigned)-1)

typedef struct Oracle {
	uint32_t ifindex;
	uint64_t now_ns;
	bool log_only;

	/* Whether frames for stations that are not among ours pass, as on a bridge's port. */
	bool asks;
	uint8_t stations[ORACLE_STATIONS][6];

	bool protected_ports[256][65536]; /* by protocol */
	bool knock_ports[65536];
	bool knock_any4, knock_any6, format1;
	OracleAddress knock_addresses[ORACLE_PREFIXES];
	size_t knock_address_count;
	uint8_t clients[ORACLE_CLIENTS][32];
	size_t client_count;

	/* Prefix lengths that grants use, native, longest first; 0: none. */
	unsigned lengths4[SPALE_MASKS], lengths6[SPALE_MASKS];
	OracleGrant grants[ORACLE_GRANTS];
	size_t grant_count;
	OraclePrefix allowed[ORACLE_PREFIXES];
	size_t allowed_count;

	/* Tokens that never come back while the oracle is asked; ORACLE_UNLIMITED: as many as
	 * liked. */
	unsigned source_tokens, total_tokens;
	unsigned total_used;
	OracleSeen seen[ORACLE_SEEN];
	size_t seen_count;
	OracleBucket buckets[ORACLE_BUCKETS];
	size_t bucket_count;
} Oracle;

typedef struct OracleAnswer {
	enum spale_reason reason;
	bool pass;
	bool would_drop;	  /* passed because of log-only mode alone */
	struct spale_knock knock; /* with SPALE_REASON_KNOCK; received_mono_ns is not set */
} OracleAnswer;

/* Judges FRAME and remembers what a program would: packets of grants, knocks, tokens. */
OracleAnswer oracle_judge(Oracle *oracle, const uint8_t *frame, size_t size);
