/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the programs in the kernel and the daemon agree on: keys, values, reasons.
 *
 * Types and constants only. Compiled by clang for the BPF target and by the host's compiler for
 * the daemon, so every struct is laid out by hand without holes and its size is asserted below.
 * Whoever changes a layout or a meaning here raises SPALE_ABI.
 *
 * Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d, and prefix lengths count those 128 bits (an
 * IPv4 /24 is 120). Ports are in host byte order. Times are nanoseconds of CLOCK_MONOTONIC,
 * which the packet path reads in its coarse form.
 */
#ifndef SPALE_BPF_ABI_H
#define SPALE_BPF_ABI_H

#include <linux/types.h>

#define SPALE_ABI 5u

/* A duration or a point in time that never comes. */
#define SPALE_NEVER_NS (~0ULL)

/*
 * Map "abi", in which nothing is kept, has as many elements as SPALE_ABI says: so whoever finds
 * maps that another loader made knows whose they are (External= in spale.conf(5)).
 */

/* ---- ports ------------------------------------------------------------------------------- */

/*
 * One bit for each port. The packet path first asks the set of the packet's protocol (for UDP:
 * SPALE_PORTS_UDP_WATCHED, which is SPALE_PORTS_UDP and SPALE_PORTS_KNOCK together, so that one
 * load decides for nearly all of a server's traffic).
 */
enum spale_port_set {
	SPALE_PORTS_TCP,
	SPALE_PORTS_UDP,
	SPALE_PORTS_SCTP,
	SPALE_PORTS_DCCP,
	SPALE_PORTS_UDPLITE,
	SPALE_PORTS_UDP_WATCHED,
	SPALE_PORTS_KNOCK,
	SPALE_PORT_SETS,
};

#define SPALE_PORT_WORDS (65536 / 64)

/* Map "ports", one element, mmapable: bit (port & 63) of words[set][port >> 6]. */
struct spale_ports {
	__u64 words[SPALE_PORT_SETS][SPALE_PORT_WORDS];
};

/* ---- settings ---------------------------------------------------------------------------- */

enum spale_setting_flag {
	SPALE_LOG_ONLY = 1 << 0,      /* count drops as "would drop" and pass */
	SPALE_ALLOW4 = 1 << 1,	      /* map "allow4" is not empty */
	SPALE_ALLOW6 = 1 << 2,	      /* map "allow6" is not empty */
	SPALE_KNOCK_ANY4 = 1 << 3,    /* every IPv4 address takes knocks, else map "knock_addrs" */
	SPALE_KNOCK_ANY6 = 1 << 4,    /* the same for IPv6 */
	SPALE_KNOCK_FORMAT1 = 1 << 5, /* knocks of format 1 are taken */
	SPALE_KEEP_ESTABLISHED = 1 << 6, /* packets of connections of this host pass */
	SPALE_SCOPE_LOCAL = 1 << 7,	 /* packets that are forwarded to other hosts pass */
};

/*
 * A token bucket in its virtual-scheduling form: a bucket is the time at which it will be full
 * again. A token adds interval_ns to that; it is refused when that would be more than burst_ns
 * ahead of now. interval_ns = 0: no limit.
 */
struct spale_rate {
	__u64 interval_ns;
	__u64 burst_ns;
};

/* A prefix length that grants use, with its mask. length = 0: none (and none behind it). */
struct spale_mask {
	__u8 bytes[16];
	__u32 length;
	__u32 zero;
};

/* At most two lengths a family at a time, longest first. */
#define SPALE_MASKS 2

enum spale_family {
	SPALE_IPV4,
	SPALE_IPV6,
	SPALE_FAMILIES,
};

/* Buckets that all sources share. */
enum spale_total {
	SPALE_TOTAL_ALL,
	SPALE_TOTAL_FORMAT1, /* its own, so that format 1 cannot starve later formats */
	SPALE_TOTALS,	     /* of knocks: the settings have their rates */
	SPALE_TOTAL_LOOKS = SPALE_TOTALS, /* denied packets whose source is looked up */
	SPALE_TOTAL_EVENTS,		  /* those that are reported */
	SPALE_TOTAL_BUCKETS,
};

/* Map "settings", one element. Only the daemon writes it. */
struct spale_settings {
	__u32 abi;   /* SPALE_ABI; 0 while no daemon has filled the maps */
	__u32 flags; /* enum spale_setting_flag */
	struct spale_mask masks[SPALE_FAMILIES][SPALE_MASKS];
	struct spale_rate source_rate; /* for each IPv4 address or IPv6 /64 */
	struct spale_rate total_rate[SPALE_TOTALS];
	struct spale_rate event_rate; /* the same sources; interval_ns = 0: no events are made */
	__u64 trial_end_mono_ns;      /* from then on as with SPALE_LOG_ONLY; 0: no trial is on */
};

/* ---- grants ------------------------------------------------------------------------------ */

/* Key of map "grants". */
struct spale_grant_key {
	__u8 source[16]; /* masked to prefix_length bits */
	__u32 ifindex;	 /* 0: any interface; a link-local source holds on one */
	__u16 port;
	__u8 protocol; /* IPPROTO_* */
	__u8 prefix_length;
};

/*
 * Value of map "grants". The daemon writes all of it, the packet path writes last_mono_ns only.
 * With t = last_mono_ns: passes while now < t + idle; then, while now < t + grace, passes what
 * may start a conversation, which makes it active again; ended once now >= deadline.
 */
struct spale_grant {
	__u64 last_mono_ns; /* last packet let through, to within SPALE_LAST_STEP_NS */
	__u64 idle_ns;	    /* SPALE_NEVER_NS: never idle */
	__u64 grace_ns;	    /* SPALE_NEVER_NS: grace without end */
	__u64 deadline_mono_ns;
	__u32 counter; /* the element of map "grant_packets" that it counts in; from there on: none
			*/
	__u32 zero;
};

#define SPALE_GRANTS_MAX 262144

/*
 * Map "grant_packets": per CPU, packets that a grant let through (__u64). Memory is taken for all
 * of them at once, on each CPU that the machine may have, so there are fewer than grants: 128 KiB a
 * CPU.
 */
#define SPALE_GRANT_COUNTERS 16384
#define SPALE_NO_COUNTER     (~0U)

/* last_mono_ns is written at most once in this time, not for each packet. */
#define SPALE_LAST_STEP_NS 62500000ULL

/* ---- what outlives the daemon ------------------------------------------------------------ */

/* Whose a grant is. */
enum spale_origin {
	SPALE_ORIGIN_KNOCK,
	SPALE_ORIGIN_ADMINISTRATOR,
	SPALE_ORIGIN_ALWAYS, /* an administrator's, kept for good */
};

struct spale_port_range {
	__u16 protocol; /* IPPROTO_* */
	__u16 first, last;
};

/* Ranges of ports that a grant can be limited to. */
#define SPALE_OWNER_RANGES 16

/*
 * Map "owners": number of a grant (__u64) -> whose it is, so that a new daemon can make its grant
 * table anew. The packet path has nothing to do with it.
 */
struct spale_owner {
	__u8 client_key[32];
	char client[72];  /* name, with NULs to the end */
	__u8 address[16]; /* where the last knock came from, or the source that was named */
	__u64 created_mono_ns;
	__s64 renewed_mono_ns; /* last knock */
	__u64 idle_ns;	       /* these three: of an administrator's grant */
	__u64 grace_ns;
	__u64 lifetime_ns;
	__u32 ifindex;	    /* 0: any interface */
	__u8 origin;	    /* enum spale_origin */
	__u8 prefix_length; /* of the source: address is masked to it, in an administrator's */
	__u16 ranges_used;  /* 0: whatever ports may be opened */
	struct spale_port_range ranges[SPALE_OWNER_RANGES];
};

#define SPALE_OWNERS_MAX 131072

/*
 * Map "sessions": a source that a client had a grant for -> what it had, so that a new daemon can
 * end its conversations when the right to them is lost. The packet path has nothing to do with it.
 */
struct spale_session_key {
	__u8 client_key[32];
	__u8 source[16]; /* masked to prefix_length bits */
	__u32 ifindex;	 /* 0: any interface */
	__u8 prefix_length;
	__u8 zero[3];
};

struct spale_session {
	__u64 number;	  /* later ones have higher numbers */
	char client[72];  /* name, with NULs to the end */
	__u8 address[16]; /* where the last knock came from */
	struct spale_port_range ranges[SPALE_OWNER_RANGES];
	__u16 ranges_used;
	__u16 zero[3];
};

#define SPALE_SESSIONS_MAX 131072

/*
 * Key of map "accepted", the memory of replays: one knock that was accepted -> __u64 0. With time
 * SPALE_NEVER_NS and a zero nonce: the client's floor, which is the value. The packet path has
 * nothing to do with it.
 */
struct spale_accepted_key {
	__u8 client_key[32];
	__u64 time; /* the format's own: format 1 has steps */
	__u8 nonce[12];
	__u32 format;
};

#define SPALE_ACCEPTED_MAX 262144

/* ---- always-allowed prefixes ------------------------------------------------------------- */

/* Keys of maps "allow4" and "allow6" (BPF_MAP_TYPE_LPM_TRIE); native prefix lengths. */
struct spale_allow4_key {
	__u32 prefix_length; /* 0 to 32 */
	__u8 address[4];
};

struct spale_allow6_key {
	__u32 prefix_length; /* 0 to 128 */
	__u8 address[16];
};

#define SPALE_ALLOW_MAX 65536

/* While one list replaces another of the largest size, the kernel holds both. */
#define SPALE_ALLOW_ROOM (2 * SPALE_ALLOW_MAX)

/* ---- VLANs ------------------------------------------------------------------------------- */

/*
 * Map "vlans": an interface and a tag in what it receives (TPID << 16 | VID) -> __u32 ifindex of
 * the VLAN's interface. Routes are asked for that one.
 */
struct spale_vlan_key {
	__u32 ifindex;
	__u32 tag;
};

#define SPALE_VLANS_MAX 4096

/* ---- stations ---------------------------------------------------------------------------- */

/*
 * Some interfaces receive frames for stations that are not this host: ports of bridges, parents of
 * macvlans, whatever is promiscuous. There, and nowhere else, a frame that would be dropped passes
 * if it is for another station.
 *
 * Map "asking": an interface's slot -> __u32 1: the frame's destination is asked for; 0: every
 * frame is judged, whomever it is for. Map "stations": MAC address of a device of this host,
 * whatever it is for, -> __u32 1.
 */
struct spale_station {
	__u8 address[6];
	__u8 zero[2];
};

#define SPALE_STATIONS_MAX 16384

/* ---- knocks ------------------------------------------------------------------------------ */

/* Map "clients": public key (32 bytes) of each client that may knock in format 1 -> __u32 1. */
#define SPALE_CLIENTS_MAX 65536

/* Map "knock_addrs": destination address (16 bytes) that takes knocks -> __u32 1. */
#define SPALE_KNOCK_ADDRESSES_MAX  256
#define SPALE_KNOCK_ADDRESSES_ROOM (2 * SPALE_KNOCK_ADDRESSES_MAX) /* as SPALE_ALLOW_ROOM */

/* Longest datagram of any format. */
#define SPALE_KNOCK_MAX 144

/*
 * Key of map "seen", a small memory (LRU) of the datagrams that were handed up lately. All of the
 * datagram: whoever re-sends a part of one with other bytes must not make the genuine one look
 * like a repetition.
 */
struct spale_seen_key {
	__u8 source[16];
	__u8 datagram[SPALE_KNOCK_MAX]; /* zero behind its end */
} __attribute__((aligned(8)));

#define SPALE_SEEN_MAX 4096

/* Map "buckets" (LRU): source (IPv4 address, IPv6 /64) -> __u64 time at which it is full. */
#define SPALE_BUCKETS_MAX 16384

/* Size of the ring buffer "knocks", bytes: a power of two and a multiple of the page size. */
#define SPALE_KNOCKS_RING (256 * 1024)

/* A record of the ring buffer "knocks": one datagram that looks like a knock. */
struct spale_knock {
	__u64 received_mono_ns;
	__u8 source[16];
	__u8 destination[16];
	__u32 ifindex;
	__u16 source_port;
	__u16 destination_port;
	__u16 length; /* bytes used of data */
	__u8 format;  /* 1 */
	__u8 zero[5];
	__u8 data[SPALE_KNOCK_MAX];
};

/* ---- denied attempts --------------------------------------------------------------------- */

/*
 * Packets to protected ports that were dropped (or would be, in log-only mode) are told to the
 * daemon in samples: few enough to be read by people, and to cost nothing in a flood.
 */

/* Of all sources: packets whose source is looked up, a second; events, at most in any second. */
#define SPALE_LOOKS_RATE 1000
#define SPALE_EVENTS_MAX 10

/* Map "attempts" (LRU): source (IPv4 address, IPv6 /64) -> struct spale_attempts. */
#define SPALE_ATTEMPTS_MAX 4096

struct spale_attempts {
	__u64 full_mono_ns; /* its bucket */
	__u64 count;	    /* packets looked at since the last event */
};

/* Size of the ring buffer "events", bytes; a multiple of the largest page size. */
#define SPALE_EVENTS_RING (64 * 1024)

/* A record of the ring buffer "events". */
struct spale_event {
	__u8 source[16];
	__u64 count; /* packets of that source (its /64) that were looked at since its last event */
	__u32 ifindex;
	__u16 port;
	__u8 protocol;
	__u8 reason; /* SPALE_REASON_DENIED or SPALE_REASON_ENDED */
};

/* ---- reasons ----------------------------------------------------------------------------- */

/*
 * Why a packet got its verdict: X(NAME, "name for people and D-Bus", DROP or PASS).
 * The passing of unprotected traffic is the only one that is not counted.
 * DROP: becomes "would drop" in log-only mode. TAKE: dropped in either mode, for it is a knock.
 */
#define SPALE_REASONS(X)                                                                           \
	X(UNPROTECTED, "unprotected", PASS)                                                        \
	X(FRAGMENT, "fragment", PASS)                                                              \
	X(GRANTED, "granted", PASS)                                                                \
	X(GRACE, "grace", PASS)                                                                    \
	X(ALLOWED, "always-allowed", PASS)                                                         \
	X(ESTABLISHED, "established", PASS)                                                        \
	X(FORWARDED, "forwarded", PASS)                                                            \
	X(OTHER_STATION, "other-station", PASS)                                                    \
	X(DENIED, "denied", DROP)                                                                  \
	X(ENDED, "grant-ended", DROP)                                                              \
	X(BAD_HEADER, "bad-header", DROP)                                                          \
	X(TRUNCATED, "truncated", DROP)                                                            \
	X(VLAN_DEPTH, "vlan-depth", DROP)                                                          \
	X(HEADER_DEPTH, "header-depth", DROP)                                                      \
	X(MAPPED_SOURCE, "mapped-source", DROP)                                                    \
	X(KNOCK, "knock", TAKE)                                                                    \
	X(KNOCK_REPEATED, "knock-repeated", TAKE)                                                  \
	X(KNOCK_SOURCE_RATE, "knock-source-rate", TAKE)                                            \
	X(KNOCK_TOTAL_RATE, "knock-total-rate", TAKE)                                              \
	X(KNOCK_RING_FULL, "knock-ring-full", TAKE)

enum spale_reason {
#define SPALE_REASON_ENUM(name, text, verdict) SPALE_REASON_##name,
	SPALE_REASONS(SPALE_REASON_ENUM)
#undef SPALE_REASON_ENUM
		SPALE_REASON_COUNT,
};

/* Interfaces that can be attached at a time: each has a slot in map "counters". */
#define SPALE_SLOTS 64

/* Room for reasons, so that a new one does not change the map's layout. */
#define SPALE_REASONS_MAX 32

/* Map "counters": per CPU, by the interface's slot. Packets; a GSO packet counts its segments. */
struct spale_counters {
	__u64 packets[SPALE_REASONS_MAX];    /* by enum spale_reason */
	__u64 would_drop[SPALE_REASONS_MAX]; /* the same, passed because of log-only mode */
};

/* Set for each program instance before it is loaded (rodata "header_kind"). */
enum spale_header_kind {
	SPALE_HEADER_ETHERNET,
	SPALE_HEADER_NONE, /* tun, WireGuard, ppp: the packet begins with its IP header */
};

_Static_assert(sizeof(struct spale_ports) == SPALE_PORT_SETS * 8192, "spale_ports");
_Static_assert(sizeof(struct spale_mask) == 24, "spale_mask");
_Static_assert(sizeof(struct spale_settings) == 8 + 4 * 24 + 4 * 16 + 8, "spale_settings");
_Static_assert(sizeof(struct spale_grant_key) == 24, "spale_grant_key");
_Static_assert(sizeof(struct spale_grant) == 40, "spale_grant");
_Static_assert(sizeof(struct spale_port_range) == 6, "spale_port_range");
_Static_assert(sizeof(struct spale_owner) == 264, "spale_owner");
_Static_assert(__builtin_offsetof(struct spale_owner, ranges) == 168, "spale_owner.ranges");
_Static_assert(sizeof(struct spale_session_key) == 56, "spale_session_key");
_Static_assert(sizeof(struct spale_session) == 200, "spale_session");
_Static_assert(sizeof(struct spale_accepted_key) == 56, "spale_accepted_key");
_Static_assert(sizeof(struct spale_allow4_key) == 8, "spale_allow4_key");
_Static_assert(sizeof(struct spale_allow6_key) == 20, "spale_allow6_key");
_Static_assert(sizeof(struct spale_vlan_key) == 8, "spale_vlan_key");
_Static_assert(sizeof(struct spale_station) == 8, "spale_station");
_Static_assert(sizeof(struct spale_seen_key) == 16 + SPALE_KNOCK_MAX, "spale_seen_key");
_Static_assert(sizeof(struct spale_knock) == 56 + SPALE_KNOCK_MAX, "spale_knock");
_Static_assert(__builtin_offsetof(struct spale_knock, data) == 56, "spale_knock.data");
_Static_assert(sizeof(struct spale_attempts) == 16, "spale_attempts");
_Static_assert(sizeof(struct spale_event) == 32, "spale_event");
_Static_assert(SPALE_REASON_COUNT <= SPALE_REASONS_MAX, "room for reasons");

#endif
