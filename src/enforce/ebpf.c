/* SPDX-License-Identifier: MIT */
#include "enforce/ebpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "enforce/instances.h"
#include "enforce/kernel-policy.h"
#include "enforce/key-set.h"
#include "enforce/netlink.h"
#include "enforce/program.h"
#include "enforce/records.h"
#include "enforce/sockets.h"

/* Knocks that one call hands over at most, so that the event loop gets to its other work too. */
#define KNOCKS_AT_ONCE 256

typedef struct EbpfEnforcer {
	Enforcer base;
	ProgramMaps *program_maps;
	PolicyMaps maps;
	int grants, clients;
	int records[2]; /* by EnforcerRecords */
	struct ring_buffer *knocks;
	int changes_fd; /* of interfaces */

	KernelPolicy *policy; /* in force */
	KeySet client_keys;   /* in force */
	PrefixUse use;
	Instances instances;
	struct ring_buffer *events;

	/* During consume_knocks() or consume_events() */
	EnforcerKnock on_knock;
	EnforcerEvent on_event;
	void *userdata;
	int consumed;
} EbpfEnforcer;

static EbpfEnforcer *ebpf_of(Enforcer *enforcer)
{
	/* base is the first member. */
	return (EbpfEnforcer *)enforcer;
}

/* ---- policy and clients ------------------------------------------------------------------ */

static int ebpf_set_policy(Enforcer *enforcer, const Config *config)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);
	_cleanup_kernel_policy_ KernelPolicy *policy = NULL;
	int error = kernel_policy_make(enforcer, config, &ebpf->use, &policy);

	if (error < 0)
		return error;
	error = kernel_policy_step(&ebpf->maps, ebpf->policy, policy);
	if (error < 0) {
		kernel_policy_step(&ebpf->maps, policy, ebpf->policy);
		return enforcer_fail(enforcer, error, "the kernel does not take the policy: %s",
				     strerror(-error));
	}
	kernel_policy_free(ebpf->policy);
	ebpf->policy = TAKE_PTR(policy);
	return 0;
}

static int ebpf_set_clients(Enforcer *enforcer, const ClientSet *clients)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);
	_cleanup_key_set_ KeySet keys = {.key_size = sizeof(PublicKey)};
	int error = 0;

	for (size_t i = 0; i < client_set_count(clients) && error == 0; i++) {
		const Client *client = client_set_get(clients, i);

		if (client->enabled)
			error = key_set_add(&keys, &client->key);
	}
	if (error < 0)
		return enforcer_fail(enforcer, error, "out of memory");
	key_set_sort(&keys);
	if (keys.count > SPALE_CLIENTS_MAX)
		return enforcer_fail(enforcer, -E2BIG, "at most %d clients can be enabled",
				     SPALE_CLIENTS_MAX);

	error = key_set_delete_old(ebpf->clients, &ebpf->client_keys, &keys);
	if (error == 0)
		error = key_set_put_new(ebpf->clients, &ebpf->client_keys, &keys);
	if (error < 0) {
		key_set_delete_old(ebpf->clients, &keys, &ebpf->client_keys);
		key_set_put_new(ebpf->clients, &keys, &ebpf->client_keys);
		return enforcer_fail(enforcer, error, "the kernel does not take the clients: %s",
				     strerror(-error));
	}
	key_set_done(&ebpf->client_keys);
	ebpf->client_keys = keys;
	keys = (KeySet){0};
	return 0;
}

/* ---- grants ------------------------------------------------------------------------------ */

/* An entry as it was before a change. */
typedef struct Undo {
	bool existed;
	struct spale_grant value;
} Undo;

static uint32_t *use_of(EbpfEnforcer *ebpf, const struct spale_grant_key *key)
{
	return &ebpf->use.entries[kernel_policy_family(key)][key->prefix_length];
}

static int get_entry(EbpfEnforcer *ebpf, const struct spale_grant_key *key, Undo *ret_entry)
{
	*ret_entry = (Undo){0};
	if (bpf_map_lookup_elem(ebpf->grants, key, &ret_entry->value) == 0)
		ret_entry->existed = true;
	else if (errno != ENOENT)
		return -errno;
	return 0;
}

/*
 * Writes an entry over BEFORE. The kernel may have noted a packet since VALUE was made: time does
 * not go back. (A packet noted between our reading and writing is lost; the next one, at most
 * SPALE_LAST_STEP_NS later, is noted again.)
 */
static int put_entry(EbpfEnforcer *ebpf, const struct spale_grant_key *key,
		     const struct spale_grant *value, const Undo *before)
{
	struct spale_grant grant = *value;

	if (before->existed && grant.last_mono_ns < before->value.last_mono_ns)
		grant.last_mono_ns = before->value.last_mono_ns;
	if (bpf_map_update_elem(ebpf->grants, key, &grant, BPF_ANY) < 0)
		return -errno;
	*use_of(ebpf, key) += !before->existed;
	return 0;
}

static int delete_entry(EbpfEnforcer *ebpf, const struct spale_grant_key *key, const Undo *before)
{
	if (bpf_map_delete_elem(ebpf->grants, key) < 0 && errno != ENOENT)
		return -errno;
	*use_of(ebpf, key) -= before->existed;
	return 0;
}

static int apply_one(EbpfEnforcer *ebpf, const EntryChange *change, Undo *ret_undo)
{
	int error = get_entry(ebpf, &change->key, ret_undo);

	if (error < 0)
		return error;
	return change->put ? put_entry(ebpf, &change->key, &change->value, ret_undo)
			   : delete_entry(ebpf, &change->key, ret_undo);
}

static void take_back(EbpfEnforcer *ebpf, const EntryChange *change, const Undo *undo)
{
	Undo now;

	if (get_entry(ebpf, &change->key, &now) < 0)
		now = (Undo){.existed = change->put};
	if (undo->existed)
		put_entry(ebpf, &change->key, &undo->value, &now);
	else
		delete_entry(ebpf, &change->key, &now);
}

/* A mask that no grant needs any more costs a lookup for each denied packet. */
static void drop_unused_masks(EbpfEnforcer *ebpf)
{
	const __u32 zero = 0;
	struct spale_settings settings = kernel_policy_settings(ebpf->policy, &ebpf->use);

	if (memcmp(&settings, &ebpf->policy->settings, sizeof(settings)) != 0 &&
	    bpf_map_update_elem(ebpf->maps.settings, &zero, &settings, BPF_ANY) == 0)
		ebpf->policy->settings = settings;
}

static int ebpf_apply(Enforcer *enforcer, const EntryChanges *changes)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);
	_cleanup_free_ Undo *undo = NULL;

	if (changes->count == 0)
		return 0;
	for (size_t i = 0; i < changes->count; i++) {
		const EntryChange *change = &changes->items[i];

		if (change->key.prefix_length > 128 ||
		    (change->put && !kernel_policy_has_mask(ebpf->policy, &change->key)))
			return enforcer_fail(enforcer, -EINVAL,
					     "no grant can have a prefix of %u bits: the policy "
					     "in force has other lengths",
					     change->key.prefix_length);
	}
	undo = calloc(changes->count, sizeof(*undo));
	if (!undo)
		return enforcer_fail(enforcer, -ENOMEM, "out of memory");

	for (size_t i = 0; i < changes->count; i++) {
		int error = apply_one(ebpf, &changes->items[i], &undo[i]);

		if (error == 0)
			continue;
		while (i-- > 0)
			take_back(ebpf, &changes->items[i], &undo[i]);
		if (error == -E2BIG || error == -ENOSPC)
			return enforcer_fail(enforcer, error,
					     "the kernel's table of %d grants is full",
					     SPALE_GRANTS_MAX);
		return enforcer_fail(enforcer, error, "the kernel does not take the grant: %s",
				     strerror(-error));
	}
	drop_unused_masks(ebpf);
	return 0;
}

static int delete_key(EbpfEnforcer *ebpf, const struct spale_grant_key *key)
{
	Undo before;
	int error = get_entry(ebpf, key, &before);

	return error < 0 ? error : delete_entry(ebpf, key, &before);
}

static int ebpf_sync(Enforcer *enforcer, const EntryChanges *wanted)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);
	_cleanup_key_set_ KeySet there = {.key_size = sizeof(struct spale_grant_key)};
	_cleanup_key_set_ KeySet keys = {.key_size = sizeof(struct spale_grant_key)};
	int error = ebpf_apply(enforcer, wanted);

	if (error < 0)
		return error;
	error = key_set_read(ebpf->grants, &there);
	for (size_t i = 0; error == 0 && i < wanted->count; i++)
		error = key_set_add(&keys, &wanted->items[i].key);
	key_set_sort(&keys);
	for (size_t i = 0; error == 0 && i < there.count; i++) {
		const void *key = there.keys + i * there.key_size;

		if (!key_set_has(&keys, key))
			error = delete_key(ebpf, key);
	}
	if (error < 0)
		return enforcer_fail(enforcer, error,
				     "cannot clear up the grants in the kernel: %s",
				     strerror(-error));
	drop_unused_masks(ebpf);
	return 0;
}

/* ---- records ----------------------------------------------------------------------------- */

static int ebpf_record_put(Enforcer *enforcer, EnforcerRecords records, const void *key,
			   const void *value)
{
	return records_put(enforcer, ebpf_of(enforcer)->records[records], key, value);
}

static int ebpf_record_delete(Enforcer *enforcer, EnforcerRecords records, const void *key)
{
	return records_delete(enforcer, ebpf_of(enforcer)->records[records], key);
}

static int ebpf_records(Enforcer *enforcer, EnforcerRecords records, EnforcerRecord callback,
			void *userdata)
{
	return records_walk(enforcer, ebpf_of(enforcer)->records[records], callback, userdata);
}

/* ---- times ------------------------------------------------------------------------------- */

static int ebpf_last_seen(Enforcer *enforcer, const struct spale_grant_key *key,
			  uint64_t *ret_mono_ns)
{
	Undo entry;
	int error = get_entry(ebpf_of(enforcer), key, &entry);

	if (error < 0)
		return enforcer_fail(enforcer, error, "cannot read a grant from the kernel: %s",
				     strerror(-error));
	if (!entry.existed)
		return enforcer_fail(enforcer, -ENOENT, "the kernel has no such grant");
	*ret_mono_ns = entry.value.last_mono_ns;
	return 0;
}

static int ebpf_cut(Enforcer *enforcer, EnforcerCut test, void *userdata)
{
	int count = sockets_destroy(test, userdata);

	if (count == -EOPNOTSUPP)
		return enforcer_fail(enforcer, count,
				     "this kernel cannot end connections (it has no "
				     "CONFIG_INET_DIAG_DESTROY)");
	if (count < 0)
		return enforcer_fail(enforcer, count, "cannot end connections: %s",
				     strerror(-count));
	return count;
}

/* ---- interfaces -------------------------------------------------------------------------- */

static int ebpf_attach(Enforcer *enforcer, const char *name, Mode mode)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);

	if (ebpf->policy->settings.abi == 0)
		return enforcer_fail(enforcer, -EINVAL, "%s: there is no policy to enforce yet",
				     name);
	return instances_attach(&ebpf->instances, name, mode);
}

static int ebpf_detach(Enforcer *enforcer, const char *name)
{
	return instances_detach(&ebpf_of(enforcer)->instances, name);
}

static int ebpf_counters(Enforcer *enforcer, const char *name, struct spale_counters *ret_counters)
{
	return instances_counters(&ebpf_of(enforcer)->instances, name, ret_counters);
}

static int ebpf_interfaces(Enforcer *enforcer, EnforcerInterface **ret_interfaces,
			   size_t *ret_count)
{
	return instances_interfaces(&ebpf_of(enforcer)->instances, ret_interfaces, ret_count);
}

static int ebpf_changes_fd(Enforcer *enforcer)
{
	return ebpf_of(enforcer)->changes_fd;
}

static int ebpf_consume_changes(Enforcer *enforcer)
{
	int changed = netlink_watch_consume(ebpf_of(enforcer)->changes_fd);

	if (changed < 0)
		return enforcer_fail(enforcer, changed, "cannot hear of changed interfaces: %s",
				     strerror(-changed));
	return (changed & NETLINK_CHANGED_LINKS ? ENFORCER_INTERFACES_CHANGED : 0) |
	       (changed & NETLINK_CHANGED_ADDRESSES ? ENFORCER_ADDRESSES_CHANGED : 0);
}

/* ---- knocks and events
 * ------------------------------------------------------------------------------ */

static int on_knock_record(void *userdata, void *record, size_t size)
{
	EbpfEnforcer *ebpf = userdata;
	const struct spale_knock *knock = record;

	if (size != sizeof(*knock) || knock->length > sizeof(knock->data))
		return -EPROTO;
	ebpf->consumed++;
	ebpf->on_knock(knock, ebpf->userdata);
	/* The record is consumed all the same; others stay and keep the descriptor readable. */
	return ebpf->consumed < KNOCKS_AT_ONCE ? 0 : -EAGAIN;
}

static int ebpf_knock_fd(Enforcer *enforcer)
{
	return ring_buffer__epoll_fd(ebpf_of(enforcer)->knocks);
}

static int ebpf_consume_knocks(Enforcer *enforcer, EnforcerKnock callback, void *userdata)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);

	ebpf->on_knock = callback;
	ebpf->userdata = userdata;
	ebpf->consumed = 0;

	int result = ring_buffer__consume(ebpf->knocks);
	if (result < 0 && result != -EAGAIN)
		return enforcer_fail(enforcer, result, "cannot read knocks from the kernel: %s",
				     strerror(-result));
	return ebpf->consumed;
}

static int on_event_record(void *userdata, void *record, size_t size)
{
	EbpfEnforcer *ebpf = userdata;

	if (size != sizeof(struct spale_event))
		return -EPROTO;
	ebpf->consumed++;
	ebpf->on_event(record, ebpf->userdata);
	return 0;
}

static int ebpf_event_fd(Enforcer *enforcer)
{
	return ring_buffer__epoll_fd(ebpf_of(enforcer)->events);
}

static int ebpf_consume_events(Enforcer *enforcer, EnforcerEvent callback, void *userdata)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);

	ebpf->on_event = callback;
	ebpf->userdata = userdata;
	ebpf->consumed = 0;

	int result = ring_buffer__consume(ebpf->events);
	if (result < 0)
		return enforcer_fail(enforcer, result, "cannot read events from the kernel: %s",
				     strerror(-result));
	return ebpf->consumed;
}

/* ---- life -------------------------------------------------------------------------------- */

static void ebpf_free(Enforcer *enforcer)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);

	instances_done(&ebpf->instances);
	ring_buffer__free(ebpf->knocks);
	ring_buffer__free(ebpf->events);
	closep(&ebpf->changes_fd);
	if (ebpf->maps.ports)
		munmap(ebpf->maps.ports, sizeof(*ebpf->maps.ports));
	program_maps_free(ebpf->program_maps);
	key_set_done(&ebpf->client_keys);
	kernel_policy_free(ebpf->policy);
	free(ebpf);
}

static const EnforcerOps ebpf_ops = {
	.free = ebpf_free,
	.set_policy = ebpf_set_policy,
	.set_clients = ebpf_set_clients,
	.apply = ebpf_apply,
	.sync = ebpf_sync,
	.record_put = ebpf_record_put,
	.record_delete = ebpf_record_delete,
	.records = ebpf_records,
	.last_seen = ebpf_last_seen,
	.cut = ebpf_cut,
	.attach = ebpf_attach,
	.detach = ebpf_detach,
	.counters = ebpf_counters,
	.interfaces = ebpf_interfaces,
	.changes_fd = ebpf_changes_fd,
	.consume_changes = ebpf_consume_changes,
	.knock_fd = ebpf_knock_fd,
	.consume_knocks = ebpf_consume_knocks,
	.event_fd = ebpf_event_fd,
	.consume_events = ebpf_consume_events,
};

static int open_maps(EbpfEnforcer *ebpf)
{
	const struct {
		const char *name;
		int *fd;
	} wanted[] = {
		{"settings", &ebpf->maps.settings},
		{"allow4", &ebpf->maps.allow4},
		{"allow6", &ebpf->maps.allow6},
		{"knock_addrs", &ebpf->maps.knock_addresses},
		{"grants", &ebpf->grants},
		{"clients", &ebpf->clients},
		{"owners", &ebpf->records[ENFORCER_OWNERS]},
		{"accepted", &ebpf->records[ENFORCER_ACCEPTED]},
		{"counters", &ebpf->instances.counters},
		{"asking", &ebpf->instances.stations.asking},
		{"stations", &ebpf->instances.stations.stations},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		*wanted[i].fd = program_maps_fd(ebpf->program_maps, wanted[i].name);
		if (*wanted[i].fd < 0)
			return enforcer_fail(&ebpf->base, -ENOENT,
					     "the eBPF programs have no map \"%s\"",
					     wanted[i].name);
	}

	void *ports = mmap(NULL, sizeof(*ebpf->maps.ports), PROT_READ | PROT_WRITE, MAP_SHARED,
			   program_maps_fd(ebpf->program_maps, "ports"), 0);
	if (ports == MAP_FAILED)
		return enforcer_fail(&ebpf->base, -errno, "cannot map the table of ports: %s",
				     strerror(errno));
	ebpf->maps.ports = ports;

	ebpf->knocks = ring_buffer__new(program_maps_fd(ebpf->program_maps, "knocks"),
					on_knock_record, ebpf, NULL);
	if (ebpf->knocks)
		ebpf->events = ring_buffer__new(program_maps_fd(ebpf->program_maps, "events"),
						on_event_record, ebpf, NULL);
	if (!ebpf->events)
		return enforcer_fail(&ebpf->base, -errno, "cannot map a ring of the kernel's: %s",
				     strerror(errno));
	return 0;
}

/* From before the first look on, so that no change is missed between look and watch. */
static int watch_interfaces(EbpfEnforcer *ebpf)
{
	ebpf->changes_fd = netlink_watch();
	if (ebpf->changes_fd >= 0)
		return 0;
	return enforcer_fail(&ebpf->base, ebpf->changes_fd, "cannot watch the interfaces: %s",
			     strerror(-ebpf->changes_fd));
}

/* Learns what an earlier daemon put into the maps. */
static int read_maps(EbpfEnforcer *ebpf)
{
	_cleanup_key_set_ KeySet grants = {.key_size = sizeof(struct spale_grant_key)};
	KernelPolicy *policy = NULL;
	int error = kernel_policy_read(&ebpf->maps, &policy);

	if (error == 0) {
		kernel_policy_free(ebpf->policy);
		ebpf->policy = policy;
		error = key_set_read(ebpf->clients, &ebpf->client_keys);
	}
	if (error == 0)
		error = key_set_read(ebpf->grants, &grants);
	if (error < 0)
		return enforcer_fail(&ebpf->base, error, "cannot read what is in force: %s",
				     strerror(-error));
	for (size_t i = 0; i < grants.count; i++) {
		const struct spale_grant_key *key =
			(const void *)(grants.keys + i * grants.key_size);

		if (key->prefix_length <= 128)
			(*use_of(ebpf, key))++;
	}
	return 0;
}

static int start(EbpfEnforcer *ebpf, const EnforcerStore *store)
{
	int error;

	ebpf->changes_fd = -1;
	ebpf->client_keys.key_size = sizeof(PublicKey);
	ebpf->policy = kernel_policy_new();
	if (!ebpf->policy)
		return enforcer_fail(&ebpf->base, -ENOMEM, "out of memory");
	error = program_maps_new(&ebpf->base, store, &ebpf->program_maps);
	if (error == 0)
		error = open_maps(ebpf);
	if (error == 0)
		error = watch_interfaces(ebpf);
	ebpf->instances.program_maps = ebpf->program_maps;
	if (error < 0 || !program_maps_are_inherited(ebpf->program_maps))
		return error;
	error = read_maps(ebpf);
	return error < 0 ? error : instances_adopt(&ebpf->instances);
}

int ebpf_enforcer_new(const EnforcerStore *store, Enforcer **ret_enforcer, char **ret_error)
{
	_cleanup_enforcer_ Enforcer *enforcer = NULL;
	EbpfEnforcer *ebpf = calloc(1, sizeof(*ebpf));
	int error;

	if (!ebpf) {
		*ret_error = strdup("out of memory");
		return -ENOMEM;
	}
	enforcer = &ebpf->base;
	enforcer->ops = &ebpf_ops;
	ebpf->instances.report = enforcer;
	ebpf->instances.store = store;
	error = start(ebpf, store);
	if (error < 0) {
		*ret_error = strdup(enforcer_error(enforcer));
		return error;
	}
	*ret_enforcer = TAKE_PTR(enforcer);
	return 0;
}
