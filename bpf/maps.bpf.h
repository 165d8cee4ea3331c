/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every map, and who writes it. All of them are declared, and pinned by name where a loader of
 * objects wants that; nothing that the daemon writes lives in .bss. Keys, values and sizes:
 * spale/bpf-abi.h.
 *
 * Included by each program once: maps and constants are defined here.
 */
#ifndef SPALE_MAPS_BPF_H
#define SPALE_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "spale/bpf-abi.h"

/* Set before loading, one program instance for each interface. The defaults are usable. */
const volatile __u32 slot = 0;
const volatile __u32 header_kind = SPALE_HEADER_ETHERNET;
const volatile __u32 fine_clock = 0; /* Linux before 5.11: see clock.bpf.h */

/*
 * An address of either family, in network byte order. Written by halves and read by any part: a CPU
 * that has just stored words must wait before it can load the half that they make.
 */
struct address {
	union {
		__u64 halves[2];
		__u32 words[4];
		__u8 bytes[16];
	};
};

/*
 * Nobody writes it: its size is the number, so that a daemon can tell whose maps another loader
 * made before there is anything in them, and no loader puts two ABIs into one directory.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_ABI);
	__type(key, __u32);
	__type(value, __u32);
} abi SEC(".maps");

/* Daemon writes (through mmap, a bit at a time), packet path reads. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct spale_ports);
} ports SEC(".maps");

/* Daemon writes, packet path reads. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct spale_settings);
} settings SEC(".maps");

/* Daemon adds, replaces and removes; packet path writes last_mono_ns of what is there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_GRANTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_grant_key);
	__type(value, struct spale_grant);
} grants SEC(".maps");

/*
 * Packet path adds, daemon reads, and clears what a new grant counts in. Not in the grants: for
 * each packet that would write to a line that all CPUs read.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_GRANT_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} grant_packets SEC(".maps");

/* Daemon writes, packet path reads. The value says only that the prefix is there. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_ALLOW_ROOM);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_allow4_key);
	__type(value, __u32);
} allow4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_ALLOW_ROOM);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_allow6_key);
	__type(value, __u32);
} allow6 SEC(".maps");

/* Daemon writes, packet path reads. */
struct client_key {
	__u8 bytes[32];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_CLIENTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct client_key);
	__type(value, __u32);
} clients SEC(".maps");

/* Daemon writes, packet path reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_KNOCK_ADDRESSES_ROOM);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, __u32);
} knock_addrs SEC(".maps");

/* Daemon writes, packet path reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_VLANS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_vlan_key);
	__type(value, __u32);
} vlans SEC(".maps");

/* Daemon writes, packet path reads. An array, for the lookup of a slot is inlined: no call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} asking SEC(".maps");

/* Daemon writes, packet path reads. The value says only that the station is there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_STATIONS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_station);
	__type(value, __u32);
} stations SEC(".maps");

/* Packet path writes, nobody else looks: an LRU, for outsiders make it grow. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_SEEN_MAX);
	__type(key, struct spale_seen_key);
	__type(value, __u32);
} seen SEC(".maps");

/* Packet path writes, nobody else looks: an LRU, for outsiders make it grow. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_BUCKETS_MAX);
	__type(key, struct address);
	__type(value, __u64);
} buckets SEC(".maps");

/* Buckets of enum spale_total. Packet path writes, nobody else looks. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_TOTAL_BUCKETS);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

/* struct spale_knock: packet path produces, daemon consumes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_KNOCKS_RING);
} knocks SEC(".maps");

/* Packet path writes, nobody else looks: an LRU, for outsiders make it grow. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_ATTEMPTS_MAX);
	__type(key, struct address);
	__type(value, struct spale_attempts);
} attempts SEC(".maps");

/* struct spale_event: packet path produces, daemon consumes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_EVENTS_RING);
} events SEC(".maps");

/* Packet path adds, daemon reads; an interface's slot is cleared by the daemon before reuse. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_SLOTS);
	__type(key, __u32);
	__type(value, struct spale_counters);
} counters SEC(".maps");

/* Daemon writes, for the daemon that comes after it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_OWNERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct spale_owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_SESSIONS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_session_key);
	__type(value, struct spale_session);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, SPALE_ACCEPTED_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct spale_accepted_key);
	__type(value, __u64);
} accepted SEC(".maps");

/* A CPU's last reading of the clock, and the tick that it is of (gate_now()). Packet path only. */
struct tick {
	__u64 jiffies;
	__u64 mono_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tick);
} ticks SEC(".maps");

/* The element of a one-element array; the lookup is inlined: no helper call. */
static __always_inline const struct spale_ports *maps_ports(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ports, &zero);
}

static __always_inline const struct spale_settings *maps_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

#endif
