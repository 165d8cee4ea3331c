/* SPDX-License-Identifier: MIT */
/*
 * The enforcer: whoever makes the kernel do what the grant table says. The manager knows only this
 * interface; behind it are eBPF (enforce/ebpf.c) and, for tests, a fake (enforce/fake.c).
 *
 * Each call either does the whole of what it says or returns a negative errno and has changed
 * nothing that opens a port. Errors are returned, not logged; enforcer_error() has the sentence.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spale/bpf-abi.h>

#include "policy/client.h"
#include "policy/config.h"
#include "policy/grant-table.h"
#include "util/cleanup.h"

typedef struct Enforcer Enforcer;

/* A conversation that a socket of this host has: a TCP connection or a connected UDP socket. */
typedef struct EnforcerSession {
	Address source;	  /* of the other end */
	uint32_t ifindex; /* that the socket is bound to, 0: none */
	uint16_t port;	  /* of this end */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
} EnforcerSession;

/* Whether SESSION has to end. */
typedef bool (*EnforcerCut)(const EnforcerSession *session, void *userdata);

/* What the kernel hands up as it happens, each kind in a ring of its own. */
typedef enum EnforcerRing {
	ENFORCER_KNOCKS, /* struct spale_knock */
	ENFORCER_DENIED, /* struct spale_event: a sampled packet */
} EnforcerRing;

/* Called for each of them. MESSAGE is valid during the call only. */
typedef void (*EnforcerMessage)(const void *message, void *userdata);

/* An interface of this network namespace. */
typedef struct EnforcerInterface {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
	bool is_attached;
	/* Somebody's program is asked before ours, and could pass what ours drops. */
	bool is_behind;
	/* A daemon ended in the middle of a change: to attach ends the one too many. */
	bool is_twice;
	bool asks_for_stations; /* frames for others pass there: look again now and then */
	Mode mode; /* that it is attached in; by an earlier daemon maybe in another one than ours */
	bool is_up;
	bool is_loopback;
	bool delivers; /* to this host: it is up or has addresses, and nothing takes its packets */
	uint32_t parent_ifindex; /* of a macvlan or the like: what it is made on; else 0 */
} EnforcerInterface;

/* What enforcer_consume_changes() tells. */
enum {
	ENFORCER_INTERFACES_CHANGED = 1 << 0,
	ENFORCER_ADDRESSES_CHANGED = 1 << 1,
};

/* What is kept in the kernel for the daemon that comes after this one. */
typedef enum EnforcerRecords {
	ENFORCER_OWNERS,   /* __u64 -> struct spale_owner */
	ENFORCER_ACCEPTED, /* struct spale_accepted_key -> __u64 */
	ENFORCER_SESSIONS, /* struct spale_session_key -> struct spale_session */
} EnforcerRecords;

/* Called for each record. Key and value are valid during the call only. */
typedef void (*EnforcerRecord)(const void *key, const void *value, void *userdata);

/*
 * Where kernel objects are kept while no daemon runs. Each has a name; descriptors that are handed
 * over stay the caller's, and what is put under a name that is there replaces it.
 */
typedef struct EnforcerStore {
	int (*take)(void *userdata, const char *name); /* once; the caller closes it. -ENOENT */
	int (*put)(void *userdata, const char *name, int fd);
	void (*remove)(void *userdata, const char *name);
	void *userdata;
	const char *remedy; /* what to do about contents that cannot be used: "stop …" */
	bool is_pinned;	    /* for good: no descriptor has to be held */
	bool is_foreign; /* made by another loader: all maps are there, and nothing is attached */
	bool lets_go;	 /* what is kept ends with the enforcer; read when that is freed */
} EnforcerStore;

/* Called for each source whose knocks are being refused for their rate, until FREE. */
typedef void (*EnforcerLimited)(const Prefix *source, uint64_t free_mono_ns, void *userdata);

typedef struct EnforcerOps {
	void (*free)(Enforcer *enforcer);
	int (*set_policy)(Enforcer *enforcer, const Config *config);
	int (*policy)(Enforcer *enforcer, Config **ret_config);
	int (*set_clients)(Enforcer *enforcer, const ClientSet *clients);
	int (*apply)(Enforcer *enforcer, const EntryChanges *changes);
	int (*sync)(Enforcer *enforcer, const EntryChanges *wanted);
	int (*record_put)(Enforcer *enforcer, EnforcerRecords records, const void *key,
			  const void *value);
	int (*record_delete)(Enforcer *enforcer, EnforcerRecords records, const void *key);
	int (*records)(Enforcer *enforcer, EnforcerRecords records, EnforcerRecord callback,
		       void *userdata);
	int (*last_seen)(Enforcer *enforcer, const struct spale_grant_key *key,
			 uint64_t *ret_mono_ns);
	int (*packets)(Enforcer *enforcer, const struct spale_grant_key *key,
		       uint64_t *ret_packets);
	int (*limited)(Enforcer *enforcer, uint64_t now_mono_ns, EnforcerLimited callback,
		       void *userdata);
	int (*cut)(Enforcer *enforcer, EnforcerCut test, void *userdata);
	int (*attach)(Enforcer *enforcer, const char *interface, Mode mode);
	int (*detach)(Enforcer *enforcer, const char *interface);
	int (*counters)(Enforcer *enforcer, const char *interface,
			struct spale_counters *ret_counters);
	bool (*is_intact)(Enforcer *enforcer);
	int (*interfaces)(Enforcer *enforcer, EnforcerInterface **ret_interfaces,
			  size_t *ret_count);
	int (*changes_fd)(Enforcer *enforcer);
	int (*consume_changes)(Enforcer *enforcer);
	int (*ring_fd)(Enforcer *enforcer, EnforcerRing ring);
	int (*ring_consume)(Enforcer *enforcer, EnforcerRing ring, EnforcerMessage callback,
			    void *userdata);
} EnforcerOps;

/* First member of every implementation. */
struct Enforcer {
	const EnforcerOps *ops;
	char error[512];
};

/* Detaches everything that this process attached, unless a store keeps it, and frees. NULL is fine.
 */
void enforcer_free(Enforcer *enforcer);
DEFINE_CLEANUP(Enforcer, enforcer_free)
#define _cleanup_enforcer_ _cleanup_(enforcer_freep)

/* A sentence about the last call that failed, for people; never NULL. */
const char *enforcer_error(const Enforcer *enforcer);

/* Sets that sentence and returns ERROR (a negative errno). For implementations. */
int enforcer_fail(Enforcer *enforcer, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Puts ports, knock settings, always-allowed prefixes, rates, prefix lengths and log-only mode of
 * CONFIG into force, for all interfaces at once. A new allowed prefix is in the kernel before it
 * counts, an old one is gone when this returns. On failure the old policy stays in force.
 */
int enforcer_set_policy(Enforcer *enforcer, const Config *config);

/*
 * The protected ports and always-allowed prefixes that are in force, in a configuration that has
 * nothing else: at first those of an earlier daemon. Returns 0 or a negative errno.
 */
int enforcer_policy(Enforcer *enforcer, Config **ret_config);

/* Makes exactly the enabled clients of this set known as possible senders of knocks. */
int enforcer_set_clients(Enforcer *enforcer, const ClientSet *clients);

/*
 * Applies changes to grant entries in their order. On failure what was put is taken back. An entry
 * that is put over an old one keeps the later time of a last packet, and counts on. -E2BIG: more
 * than two prefix lengths in a family would be in use; -ENOSPC: SPALE_GRANTS_MAX.
 */
int enforcer_apply(Enforcer *enforcer, const EntryChanges *changes);

/*
 * Makes the kernel's entries of grants exactly WANTED, all of which are put. As with
 * enforcer_apply() entries that are there keep the later time of a last packet.
 */
int enforcer_sync(Enforcer *enforcer, const EntryChanges *wanted);

/* Keeps a record, over an older one of the same key; removes one, if it is there. */
int enforcer_record_put(Enforcer *enforcer, EnforcerRecords records, const void *key,
			const void *value);
int enforcer_record_delete(Enforcer *enforcer, EnforcerRecords records, const void *key);

/* Calls CALLBACK for each record; it may not change any. Returns 0 or a negative errno. */
int enforcer_records(Enforcer *enforcer, EnforcerRecords records, EnforcerRecord callback,
		     void *userdata);

/* When the kernel last let a packet through by this entry. -ENOENT: no such entry. */
int enforcer_last_seen(Enforcer *enforcer, const struct spale_grant_key *key,
		       uint64_t *ret_mono_ns);

/*
 * How many packets the kernel has let through by this entry. -ENOENT: no such entry; -ENODATA: it
 * was one too many to be counted (SPALE_GRANT_COUNTERS).
 */
int enforcer_packets(Enforcer *enforcer, const struct spale_grant_key *key, uint64_t *ret_packets);

/*
 * Tells the sources (IPv6: their /64) that have used up their share of knocks at NOW. At most
 * SPALE_BUCKETS_MAX, for the kernel remembers no more. Returns 0 or a negative errno.
 */
int enforcer_limited(Enforcer *enforcer, uint64_t now_mono_ns, EnforcerLimited callback,
		     void *userdata);

/*
 * Ends all conversations of this host for which TEST says so. Returns how many, -EOPNOTSUPP (the
 * kernel cannot) or another negative errno; as many as possible have ended then, too.
 */
int enforcer_cut(Enforcer *enforcer, EnforcerCut test, void *userdata);

/*
 * Attaches to an interface, after the maps have been filled. Never replaces somebody else's
 * program. For the other calls the interface keeps the name that it has here, even if it vanishes
 * or is renamed, until enforcer_interfaces() is called.
 * One that is attached behind somebody's program comes before it, without a gap.
 * -EINVAL: no policy is in force yet; -ENODEV: no such interface; -EALREADY: it is attached;
 * -EBUSY: somebody holds the hook or stands before us (the sentence says who); -ENOTSUP: not
 * possible there (XDP on a device without Ethernet headers); -ENOSPC: SPALE_SLOTS are attached.
 */
int enforcer_attach(Enforcer *enforcer, const char *interface, Mode mode);

/*
 * Detaches; removes a qdisc only if this process made it and nobody else uses it. An interface that
 * has vanished is fine. -ENOENT: not attached.
 */
int enforcer_detach(Enforcer *enforcer, const char *interface);

/* The counters of an attached interface, summed over the CPUs. -ENOENT: not attached. */
int enforcer_counters(Enforcer *enforcer, const char *interface,
		      struct spale_counters *ret_counters);

/*
 * Whether all that was attached still is, and before the programs of others, as far as that can be
 * told. It costs little: the kernel tells nobody of a program that somebody attached or detached.
 */
bool enforcer_is_intact(Enforcer *enforcer);

/*
 * All interfaces of the network namespace, as an array that the caller frees (NULL for none).
 * Attached ones that were renamed go by their new names from here on, and what was attached to one
 * that vanished is given up. 0 or a negative errno.
 */
int enforcer_interfaces(Enforcer *enforcer, EnforcerInterface **ret_interfaces, size_t *ret_count);

/* Descriptor that polls readable when interfaces or addresses changed; owned by the enforcer. */
int enforcer_changes_fd(Enforcer *enforcer);

/* What has changed since the last call, as flags, 0: nothing; or a negative errno. */
int enforcer_consume_changes(Enforcer *enforcer);

/* Descriptor that polls readable when something is in a ring; owned by the enforcer. */
int enforcer_ring_fd(Enforcer *enforcer, EnforcerRing ring);

/*
 * Hands over what is in a ring, up to a few hundred messages: when there are more, the descriptor
 * stays readable. Returns how many, or a negative errno.
 */
int enforcer_ring_consume(Enforcer *enforcer, EnforcerRing ring, EnforcerMessage callback,
			  void *userdata);
