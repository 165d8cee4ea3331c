/* SPDX-License-Identifier: MIT */
#include "enforce/instances.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enforce/netlink.h"
#include "enforce/vlans.h"

/* Its slot, SPALE_SLOTS: there is none. */
static uint32_t find(const Instances *self, const char *name)
{
	for (uint32_t i = 0; i < SPALE_SLOTS; i++)
		if (self->items[i].attachment.kind != ATTACHMENT_NONE &&
		    strcmp(self->items[i].name, name) == 0)
			return i;
	return SPALE_SLOTS;
}

/*
 * Finds the instance that INTERFACE gets: a free one. Those whose interfaces have vanished are
 * given up on the way, so that an interface that comes back is attached anew.
 */
static int get_free(Instances *self, const NetlinkInterface *interface, Instance **ret_instance)
{
	Instance *unused = NULL;

	for (size_t i = SPALE_SLOTS; i-- > 0;) {
		Instance *instance = &self->items[i];

		if (!attach_is_alive(&instance->attachment)) {
			int error = attach_end(self->report, &instance->attachment);

			if (error < 0)
				return error;
		}
		if (instance->attachment.kind == ATTACHMENT_NONE)
			unused = instance;
		else if (instance->attachment.ifindex == interface->ifindex)
			return enforcer_fail(self->report, -EALREADY, "%s is attached already",
					     interface->name);
		else if (strcmp(instance->name, interface->name) == 0)
			return enforcer_fail(self->report, -EALREADY,
					     "%s was the name of an interface that is attached "
					     "and has another name now",
					     interface->name);
	}
	if (!unused)
		return enforcer_fail(self->report, -ENOSPC,
				     "%s: %d interfaces are attached already", interface->name,
				     SPALE_SLOTS);
	*ret_instance = unused;
	return 0;
}

/* A buffer for one element of the map "counters"; the caller frees it. */
static struct spale_counters *new_counters(int *ret_cpus)
{
	int cpus = libbpf_num_possible_cpus();

	*ret_cpus = cpus;
	return cpus > 0 ? calloc((size_t)cpus, sizeof(struct spale_counters)) : NULL;
}

static int clear_counters(Instances *self, uint32_t slot)
{
	int cpus;
	_cleanup_free_ struct spale_counters *zero = new_counters(&cpus);

	if (!zero)
		return -ENOMEM;
	return bpf_map_update_elem(self->counters, &slot, zero, BPF_ANY) < 0 ? -errno : 0;
}

int instances_attach(Instances *self, const char *name, Mode mode)
{
	_cleanup_close_ int program_fd = -1;
	enum spale_header_kind kind;
	NetlinkInterface interface;
	Instance *instance = NULL;

	int error = netlink_interface_by_name(name, &interface);
	if (error == -ENODEV)
		return enforcer_fail(self->report, error, "there is no interface \"%s\"", name);
	if (error < 0)
		return enforcer_fail(self->report, error, "%s: cannot ask for the interface: %s",
				     name, strerror(-error));
	error = get_free(self, &interface, &instance);
	if (error < 0)
		return error;
	error = attach_header_kind(self->report, &interface, mode, &kind);
	if (error < 0)
		return error;

	uint32_t slot = (uint32_t)(instance - self->items);
	error = clear_counters(self, slot);
	if (error < 0)
		return enforcer_fail(self->report, error, "%s: cannot clear its counters: %s", name,
				     strerror(-error));
	program_fd = program_load(self->report, self->program_maps, mode, slot, kind);
	if (program_fd < 0)
		return program_fd;
	error = attach_begin(self->report, program_fd, &interface, mode, &instance->attachment);
	if (error < 0)
		return error;
	memcpy(instance->name, interface.name, sizeof(instance->name));
	return 0;
}

static int not_attached(const Instances *self, const char *name)
{
	return enforcer_fail(self->report, -ENOENT, "%s is not attached", name);
}

int instances_detach(Instances *self, const char *name)
{
	uint32_t slot = find(self, name);

	return slot < SPALE_SLOTS ? attach_end(self->report, &self->items[slot].attachment)
				  : not_attached(self, name);
}

int instances_counters(const Instances *self, const char *name, struct spale_counters *ret_counters)
{
	uint32_t slot = find(self, name);
	struct spale_counters sum = {0};
	int cpus;

	if (slot == SPALE_SLOTS)
		return not_attached(self, name);

	_cleanup_free_ struct spale_counters *counters = new_counters(&cpus);
	if (!counters)
		return enforcer_fail(self->report, -ENOMEM, "out of memory");
	if (bpf_map_lookup_elem(self->counters, &slot, counters) < 0)
		return enforcer_fail(self->report, -errno, "%s: cannot read its counters: %s", name,
				     strerror(errno));
	for (int cpu = 0; cpu < cpus; cpu++) {
		for (size_t i = 0; i < SPALE_REASONS_MAX; i++) {
			sum.packets[i] += counters[cpu].packets[i];
			sum.would_drop[i] += counters[cpu].would_drop[i];
		}
	}
	*ret_counters = sum;
	return 0;
}

/*
 * Brings the instances up to date with the interfaces that there are now. An interface keeps its
 * index when it is renamed.
 */
static int follow(Instances *self, const NetlinkInterface *interfaces, size_t count)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++) {
		Instance *instance = &self->items[i];
		size_t j = 0;
		int error;

		if (instance->attachment.kind == ATTACHMENT_NONE)
			continue;
		while (j < count && interfaces[j].ifindex != instance->attachment.ifindex)
			j++;
		if (j < count && attach_is_alive(&instance->attachment)) {
			memcpy(instance->name, interfaces[j].name, sizeof(instance->name));
			continue;
		}
		error = attach_end(self->report, &instance->attachment);
		if (error < 0)
			return error;
	}
	return 0;
}

/* Whether frames for a station of its own come out of the device that it is made on. */
static bool is_station(const NetlinkInterface *interface)
{
	static const char *const kinds[] = {"macvlan", "macvtap", "ipvlan", "ipvtap"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(interface->kind, kinds[i]) == 0)
			return true;
	return false;
}

int instances_interfaces(Instances *self, EnforcerInterface **ret_interfaces, size_t *ret_count)
{
	_cleanup_free_ EnforcerInterface *interfaces = NULL;
	_cleanup_free_ NetlinkInterface *found = NULL;
	size_t count = 0;
	int error;

	error = netlink_interfaces(&found, &count);
	if (error < 0)
		return enforcer_fail(self->report, error, "cannot list the interfaces: %s",
				     strerror(-error));
	error = follow(self, found, count);
	if (error < 0)
		return error;
	error = vlans_update(program_maps_fd(self->program_maps, "vlans"), found, count);
	if (error < 0)
		return enforcer_fail(self->report, error,
				     "the kernel does not take the list of VLANs: %s",
				     strerror(-error));
	interfaces = calloc(count ?: 1, sizeof(*interfaces));
	if (!interfaces)
		return enforcer_fail(self->report, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		interfaces[i] = (EnforcerInterface){
			.ifindex = found[i].ifindex,
			.is_attached = find(self, found[i].name) < SPALE_SLOTS,
			.is_up = found[i].is_up,
			.is_loopback = found[i].is_loopback,
			.has_addresses = found[i].has_addresses && !found[i].is_port,
			.parent_ifindex = is_station(&found[i]) ? found[i].lower_ifindex : 0,
		};
		memcpy(interfaces[i].name, found[i].name, sizeof(interfaces[i].name));
	}
	*ret_interfaces = TAKE_PTR(interfaces);
	*ret_count = count;
	return 0;
}

void instances_done(Instances *self)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++)
		attach_end(self->report, &self->items[i].attachment);
}
