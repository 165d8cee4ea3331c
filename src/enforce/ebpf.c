/* SPDX-License-Identifier: MIT */
#include "enforce/ebpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "enforce/grant-map.h"
#include "enforce/instances.h"
#include "enforce/kernel-policy.h"
#include "enforce/key-set.h"
#include "enforce/netlink.h"
#include "enforce/program.h"
#include "enforce/records.h"
#include "enforce/ring.h"
#include "enforce/sockets.h"

typedef struct EbpfEnforcer {
	Enforcer base;
	ProgramMaps *program_maps;
	PolicyMaps maps;
	GrantMap grants;
	int clients, buckets;
	int records[3]; /* by EnforcerRecords */
	Ring rings[2];	/* by EnforcerRing */
	int changes_fd; /* of interfaces */

	KernelPolicy *policy; /* in force */
	KeySet client_keys;   /* in force */
	Instances instances;
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
	int error = kernel_policy_make(enforcer, config, &ebpf->grants.use, &policy);

	if (error < 0)
		return error;
	error = kernel_policy_step(&ebpf->maps, ebpf->policy, policy);
	if (error < 0) {
		kernel_policy_take_back(&ebpf->maps, ebpf->policy, policy);
		return enforcer_fail(enforcer, error, "the kernel does not take the policy: %s",
				     strerror(-error));
	}
	kernel_policy_free(ebpf->policy);
	ebpf->policy = TAKE_PTR(policy);
	return 0;
}

static int ebpf_policy(Enforcer *enforcer, Config **ret_config)
{
	int error = kernel_policy_tell(ebpf_of(enforcer)->policy, ret_config);

	return error < 0 ? enforcer_fail(enforcer, error, "what is in force cannot be told: %s",
					 strerror(-error))
			 : 0;
}

/* The other way round of limit_take() in bpf/limit.bpf.h. */
static bool is_used_up(const struct spale_rate *rate, uint64_t full_mono_ns, uint64_t now_mono_ns,
		       uint64_t *ret_free_mono_ns)
{
	uint64_t room_ns;

	if (rate->interval_ns == 0 || rate->interval_ns > rate->burst_ns)
		return false;
	room_ns = rate->burst_ns - rate->interval_ns;
	if (full_mono_ns <= now_mono_ns || full_mono_ns - now_mono_ns <= room_ns)
		return false;
	*ret_free_mono_ns = full_mono_ns - room_ns;
	return true;
}

static int ebpf_limited(Enforcer *enforcer, uint64_t now_mono_ns, EnforcerLimited callback,
			void *userdata)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);
	const struct spale_rate *rate = &ebpf->policy->settings.source_rate;
	const void *before = NULL;
	Prefix source;
	uint64_t full_mono_ns, free_mono_ns;
	Address key;

	/* What vanishes under the walk has it begin anew: it is not to go on for ever. */
	for (size_t i = 0; i < SPALE_BUCKETS_MAX; i++) {
		if (bpf_map_get_next_key(ebpf->buckets, before, &key) < 0)
			return errno == ENOENT ? 0
					       : enforcer_fail(enforcer, -errno,
							       "cannot read the rates: %s",
							       strerror(errno));
		before = &key;
		if (bpf_map_lookup_elem(ebpf->buckets, &key, &full_mono_ns) < 0 ||
		    !is_used_up(rate, full_mono_ns, now_mono_ns, &free_mono_ns))
			continue;
		source = (Prefix){key, address_is_ipv4(&key) ? 128 : 64};
		callback(&source, free_mono_ns, userdata);
	}
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

static int ebpf_apply(Enforcer *enforcer, const EntryChanges *changes)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);

	return grant_map_apply(&ebpf->grants, ebpf->policy, changes);
}

static int ebpf_sync(Enforcer *enforcer, const EntryChanges *wanted)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);

	return grant_map_sync(&ebpf->grants, ebpf->policy, wanted);
}

static int ebpf_last_seen(Enforcer *enforcer, const struct spale_grant_key *key,
			  uint64_t *ret_mono_ns)
{
	return grant_map_last_seen(&ebpf_of(enforcer)->grants, key, ret_mono_ns);
}

static int ebpf_packets(Enforcer *enforcer, const struct spale_grant_key *key,
			uint64_t *ret_packets)
{
	return grant_map_packets(&ebpf_of(enforcer)->grants, key, ret_packets);
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

/* ---- conversations ------------------------------------------------------------------------ */

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

	if (ebpf->instances.store && ebpf->instances.store->is_foreign)
		return enforcer_fail(enforcer, -EOPNOTSUPP,
				     "%s: External= leaves attaching to somebody else", name);
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

static bool ebpf_is_intact(Enforcer *enforcer)
{
	return instances_are_intact(&ebpf_of(enforcer)->instances);
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

/* ---- what programs hand up ----------------------------------------------------------------- */

static int ebpf_ring_fd(Enforcer *enforcer, EnforcerRing ring)
{
	return ring_fd(&ebpf_of(enforcer)->rings[ring]);
}

static int ebpf_ring_consume(Enforcer *enforcer, EnforcerRing ring, EnforcerMessage callback,
			     void *userdata)
{
	return ring_consume(&ebpf_of(enforcer)->rings[ring], enforcer, callback, userdata);
}

/* ---- life -------------------------------------------------------------------------------- */

static void ebpf_free(Enforcer *enforcer)
{
	EbpfEnforcer *ebpf = ebpf_of(enforcer);

	instances_done(&ebpf->instances);
	for (size_t i = 0; i < ARRAY_SIZE(ebpf->rings); i++)
		ring_done(&ebpf->rings[i]);
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
	.policy = ebpf_policy,
	.set_clients = ebpf_set_clients,
	.apply = ebpf_apply,
	.sync = ebpf_sync,
	.record_put = ebpf_record_put,
	.record_delete = ebpf_record_delete,
	.records = ebpf_records,
	.last_seen = ebpf_last_seen,
	.packets = ebpf_packets,
	.limited = ebpf_limited,
	.cut = ebpf_cut,
	.attach = ebpf_attach,
	.detach = ebpf_detach,
	.counters = ebpf_counters,
	.is_intact = ebpf_is_intact,
	.interfaces = ebpf_interfaces,
	.changes_fd = ebpf_changes_fd,
	.consume_changes = ebpf_consume_changes,
	.ring_fd = ebpf_ring_fd,
	.ring_consume = ebpf_ring_consume,
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
		{"grants", &ebpf->grants.fd},
		{"grant_packets", &ebpf->grants.counters.fd},
		{"clients", &ebpf->clients},
		{"buckets", &ebpf->buckets},
		{"owners", &ebpf->records[ENFORCER_OWNERS]},
		{"accepted", &ebpf->records[ENFORCER_ACCEPTED]},
		{"sessions", &ebpf->records[ENFORCER_SESSIONS]},
		{"counters", &ebpf->instances.counters},
		{"asking", &ebpf->instances.stations.asking},
		{"stations", &ebpf->instances.stations.stations},
	};
	int error;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		*wanted[i].fd = program_maps_fd(ebpf->program_maps, wanted[i].name);
		if (*wanted[i].fd < 0)
			return enforcer_fail(&ebpf->base, -ENOENT,
					     "the eBPF programs have no map \"%s\"",
					     wanted[i].name);
	}

	ebpf->grants.report = &ebpf->base;
	ebpf->grants.settings = ebpf->maps.settings;

	void *ports = mmap(NULL, sizeof(*ebpf->maps.ports), PROT_READ | PROT_WRITE, MAP_SHARED,
			   program_maps_fd(ebpf->program_maps, "ports"), 0);
	if (ports == MAP_FAILED)
		return enforcer_fail(&ebpf->base, -errno, "cannot map the table of ports: %s",
				     strerror(errno));
	ebpf->maps.ports = ports;

	error = ring_init(&ebpf->rings[ENFORCER_KNOCKS], &ebpf->base,
			  program_maps_fd(ebpf->program_maps, "knocks"), "knocks",
			  sizeof(struct spale_knock));
	if (error < 0)
		return error;
	return ring_init(&ebpf->rings[ENFORCER_DENIED], &ebpf->base,
			 program_maps_fd(ebpf->program_maps, "events"), "denied attempts",
			 sizeof(struct spale_event));
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
	KernelPolicy *policy = NULL;
	int error = kernel_policy_read(&ebpf->maps, &policy);

	if (error == 0) {
		kernel_policy_free(ebpf->policy);
		ebpf->policy = policy;
		error = key_set_read(ebpf->clients, &ebpf->client_keys);
	}
	if (error == 0)
		error = grant_map_read(&ebpf->grants);
	if (error < 0)
		return enforcer_fail(&ebpf->base, error, "cannot read what is in force: %s",
				     strerror(-error));
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
