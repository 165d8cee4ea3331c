/* SPDX-License-Identifier: MIT */
#include "enforce/instances.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforce/attach-clsact.h"
#include "enforce/netlink.h"
#include "enforce/vlans.h"

/* Room for "filter-4294967295". */
#define STORE_NAME_MAX 24

/*
 * A link is kept with its slot, which its program was made for; a clsact filter's gate with its
 * interface, which nothing else tells. A filter that needs no gate is noted with its program.
 */
static const char *link_name(uint32_t slot, char name[static STORE_NAME_MAX])
{
	snprintf(name, STORE_NAME_MAX, "link-%u", slot);
	return name;
}

static const char *gate_name(uint32_t ifindex, char name[static STORE_NAME_MAX])
{
	snprintf(name, STORE_NAME_MAX, "gate-%u", ifindex);
	return name;
}

static const char *filter_name(uint32_t ifindex, char name[static STORE_NAME_MAX])
{
	snprintf(name, STORE_NAME_MAX, "filter-%u", ifindex);
	return name;
}

static const char *store_name(const Instances *self, const Instance *instance,
			      char name[static STORE_NAME_MAX])
{
	const Attachment *attachment = &instance->attachment;

	if (attachment->kind != ATTACHMENT_CLSACT)
		return link_name((uint32_t)(instance - self->items), name);
	return attachment->gate_fd < 0 ? filter_name(attachment->ifindex, name)
				       : gate_name(attachment->ifindex, name);
}

/* Whether what is kept outlives this process. */
static bool lasts(const Instances *self)
{
	return self->store && !self->store->lets_go;
}

static int keep(const Instances *self, const Instance *instance, int program_fd)
{
	const Attachment *attachment = &instance->attachment;
	char name[STORE_NAME_MAX];
	int fd = attachment->link_fd;

	if (!self->store)
		return 0;
	if (attachment->kind == ATTACHMENT_CLSACT)
		fd = attachment->gate_fd < 0 ? program_fd : attachment->gate_fd;
	return self->store->put(self->store->userdata, store_name(self, instance, name), fd);
}

/* Detaches, and has nobody keep it. */
static int end(Instances *self, Instance *instance)
{
	bool kept = self->store && instance->attachment.kind != ATTACHMENT_NONE;
	char name[STORE_NAME_MAX];
	int error;

	store_name(self, instance, name);
	error = attach_end(self->report, &instance->attachment);
	if (error == 0 && kept)
		self->store->remove(self->store->userdata, name);
	return error;
}

/* Its slot, SPALE_SLOTS: there is none. */
static uint32_t find(const Instances *self, const char *name)
{
	for (uint32_t i = 0; i < SPALE_SLOTS; i++)
		if (self->items[i].attachment.kind != ATTACHMENT_NONE &&
		    strcmp(self->items[i].name, name) == 0)
			return i;
	return SPALE_SLOTS;
}

static bool is_behind(const Instance *instance)
{
	return attach_is_alive(&instance->attachment) && !attach_is_first(&instance->attachment);
}

/* What INTERFACE has in MODE and somebody else's program came before, or NULL. */
static Instance *find_behind(Instances *self, const NetlinkInterface *interface, Mode mode)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++) {
		Instance *instance = &self->items[i];

		if (instance->mode == mode && is_behind(instance) &&
		    instance->attachment.ifindex == interface->ifindex)
			return instance;
	}
	return NULL;
}

/*
 * Finds the instance that INTERFACE gets: a free one. Those whose interfaces have vanished are
 * given up on the way, so that an interface that comes back is attached anew. BEHIND: one that this
 * one is to replace, or NULL.
 */
static int get_free(Instances *self, const NetlinkInterface *interface, Mode mode,
		    const Instance *behind, Instance **ret_instance)
{
	Instance *unused = NULL;

	for (size_t i = SPALE_SLOTS; i-- > 0;) {
		Instance *instance = &self->items[i];

		if (!attach_is_alive(&instance->attachment)) {
			int error = end(self, instance);

			if (error < 0)
				return error;
		}
		if (instance->attachment.kind == ATTACHMENT_NONE)
			unused = instance;
		else if (instance->mode != mode || instance == behind)
			continue;
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

/* Nothing counted, and every frame judged, whomever it is for. */
static int clear_slot(Instances *self, uint32_t slot)
{
	int cpus;
	_cleanup_free_ struct spale_counters *zero = new_counters(&cpus);

	if (!zero)
		return -ENOMEM;
	if (bpf_map_update_elem(self->counters, &slot, zero, BPF_ANY) < 0)
		return -errno;
	return stations_clear(&self->stations, slot);
}

/* Whether OTHER is one more on the interface of INSTANCE. */
static bool is_beside(const Instance *instance, const Instance *other)
{
	return other != instance && other->attachment.kind != ATTACHMENT_NONE &&
	       other->attachment.ifindex == instance->attachment.ifindex;
}

/* Whether there is one: a daemon that was replacing it ended in the middle of that. */
static bool is_twice(const Instances *self, const Instance *instance)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++)
		if (is_beside(instance, &self->items[i]))
			return true;
	return false;
}

/* What guards an interface in MODE, before everybody else; NULL: nothing. */
static const Instance *find_first(const Instances *self, uint32_t ifindex, Mode mode)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++) {
		const Instance *instance = &self->items[i];

		if (instance->mode == mode && instance->attachment.ifindex == ifindex &&
		    attach_is_alive(&instance->attachment) &&
		    attach_is_first(&instance->attachment))
			return instance;
	}
	return NULL;
}

/* Ends what else we have on the interface of INSTANCE: in another mode, or behind somebody. */
static int end_others(Instances *self, const Instance *instance)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++) {
		Instance *other = &self->items[i];
		int error;

		if (!is_beside(instance, other))
			continue;
		error = end(self, other);
		if (error < 0)
			return error;
	}
	return 0;
}

/* Another store than the one that had kept it may be the one that keeps from now on. */
static int keep_again(Instances *self, const Instance *instance, int program_fd)
{
	int error = self->store->is_pinned ? keep(self, instance, program_fd) : 0;

	return error < 0 ? enforcer_fail(self->report, error, "%s: cannot have it kept: %s",
					 instance->name, strerror(-error))
			 : 0;
}

/*
 * Puts a clsact filter before those of others again. What is kept of it stays: its gate, or the
 * note of its program.
 */
static int come_first(Instances *self, Instance *instance, const NetlinkInterface *interface)
{
	const uint32_t slot = (uint32_t)(instance - self->items);
	Attachment earlier = instance->attachment;
	_cleanup_close_ int program_fd = -1;
	enum spale_header_kind kind;
	int error;

	error = attach_header_kind(self->report, interface, MODE_TC, &kind);
	if (error < 0)
		return error;
	program_fd = program_load(self->report, self->program_maps, MODE_TC, slot, kind);
	if (program_fd < 0)
		return program_fd;
	error = earlier.gate_fd < 0 ? attach_clsact_lasting(self->report, program_fd, interface,
							    &instance->attachment)
				    : attach_clsact_again(self->report, program_fd, interface,
							  earlier.gate_fd, &instance->attachment);
	if (error < 0)
		return error;
	instance->attachment.made_qdisc |= earlier.made_qdisc;
	closep(&earlier.gate_fd);
	return self->store ? keep_again(self, instance, program_fd) : 0;
}

int instances_attach(Instances *self, const char *name, Mode mode)
{
	_cleanup_close_ int program_fd = -1;
	enum spale_header_kind kind;
	const Instance *there;
	NetlinkInterface interface;
	Instance *instance = NULL, *behind;

	int error = netlink_interface_by_name(name, &interface);
	if (error == -ENODEV)
		return enforcer_fail(self->report, error, "there is no interface \"%s\"", name);
	if (error < 0)
		return enforcer_fail(self->report, error, "%s: cannot ask for the interface: %s",
				     name, strerror(-error));
	there = find_first(self, interface.ifindex, mode);
	if (there && is_twice(self, there))
		return end_others(self, there);
	behind = find_behind(self, &interface, mode);
	if (behind && behind->attachment.kind == ATTACHMENT_CLSACT)
		return come_first(self, behind, &interface);
	error = get_free(self, &interface, mode, behind, &instance);
	if (error == 0 && !behind)
		error = attach_check(self->report, &interface, mode);
	if (error == 0)
		error = attach_header_kind(self->report, &interface, mode, &kind);
	if (error < 0)
		return error;

	uint32_t slot = (uint32_t)(instance - self->items);
	error = clear_slot(self, slot);
	if (error < 0)
		return enforcer_fail(self->report, error, "%s: cannot clear its slot: %s", name,
				     strerror(-error));
	program_fd = program_load(self->report, self->program_maps, mode, slot, kind);
	if (program_fd < 0)
		return program_fd;
	error = (self->store && self->store->is_pinned ? attach_begin_lasting : attach_begin)(
		self->report, program_fd, &interface, mode, &instance->attachment);
	if (error < 0)
		return error;
	memcpy(instance->name, interface.name, sizeof(instance->name));
	instance->mode = mode;
	error = keep(self, instance, program_fd);
	if (error < 0) {
		Enforcer ignored = {0};

		attach_end(&ignored, &instance->attachment);
		return enforcer_fail(self->report, error, "%s: cannot have its link kept: %s", name,
				     strerror(-error));
	}
	return end_others(self, instance);
}

static int not_attached(const Instances *self, const char *name)
{
	return enforcer_fail(self->report, -ENOENT, "%s is not attached", name);
}

int instances_detach(Instances *self, const char *name)
{
	uint32_t slot = find(self, name);

	return slot < SPALE_SLOTS ? end(self, &self->items[slot]) : not_attached(self, name);
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
		error = end(self, instance);
		if (error < 0)
			return error;
	}
	return 0;
}

bool instances_are_intact(const Instances *self)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++)
		if (self->items[i].attachment.kind != ATTACHMENT_NONE &&
		    (!attach_is_alive(&self->items[i].attachment) ||
		     !attach_is_first(&self->items[i].attachment)))
			return false;
	return true;
}

/* Tells the packet path what lies behind the interfaces. */
static int tell_surroundings(Instances *self, const NetlinkInterface *interfaces, size_t count)
{
	uint32_t ifindexes[SPALE_SLOTS] = {0};
	int error = vlans_update(program_maps_fd(self->program_maps, "vlans"), interfaces, count);

	if (error < 0)
		return enforcer_fail(self->report, error,
				     "the kernel does not take the list of VLANs: %s",
				     strerror(-error));
	for (size_t i = 0; i < SPALE_SLOTS; i++)
		if (self->items[i].attachment.kind != ATTACHMENT_NONE)
			ifindexes[i] = self->items[i].attachment.ifindex;
	error = stations_update(&self->stations, ifindexes, interfaces, count);
	return error < 0 ? enforcer_fail(self->report, error,
					 "the kernel does not take who asks for stations: %s",
					 strerror(-error))
			 : 0;
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
	error = tell_surroundings(self, found, count);
	if (error < 0)
		return error;
	interfaces = calloc(count ?: 1, sizeof(*interfaces));
	if (!interfaces)
		return enforcer_fail(self->report, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		interfaces[i] = (EnforcerInterface){
			.ifindex = found[i].ifindex,
			.is_up = found[i].is_up,
			.is_loopback = found[i].is_loopback,
			.delivers = (found[i].is_up || found[i].has_addresses) && !found[i].is_port,
			.parent_ifindex = is_station(&found[i]) ? found[i].lower_ifindex : 0,
		};
		memcpy(interfaces[i].name, found[i].name, sizeof(interfaces[i].name));
		uint32_t slot = find(self, found[i].name);
		if (slot < SPALE_SLOTS) {
			interfaces[i].is_attached = true;
			interfaces[i].is_behind = is_behind(&self->items[slot]);
			interfaces[i].asks_for_stations = self->stations.asks[slot];
			interfaces[i].mode = self->items[slot].mode;
			interfaces[i].is_twice = is_twice(self, &self->items[slot]);
		}
	}
	*ret_interfaces = TAKE_PTR(interfaces);
	*ret_count = count;
	return 0;
}

/* Replaces the program of a link that was kept, which the instance owns from then on. */
static int adopt(Instances *self, uint32_t slot, int *link_fd)
{
	Instance *instance = &self->items[slot];
	_cleanup_close_ int program_fd = -1;
	enum spale_header_kind kind;
	NetlinkInterface interface;
	Attachment attachment;
	int error;

	error = attach_inherit(*link_fd, &attachment);
	if (error == 0)
		error = netlink_interface_by_index(attachment.ifindex, &interface);
	if (error < 0)
		return error;
	instance->mode = attachment.kind == ATTACHMENT_XDP ? MODE_XDP : MODE_TC;
	error = attach_header_kind(self->report, &interface, instance->mode, &kind);
	if (error < 0)
		return error;
	program_fd = program_load(self->report, self->program_maps, instance->mode, slot, kind);
	if (program_fd < 0)
		return program_fd;
	if (bpf_link_update(*link_fd, program_fd, NULL) < 0)
		return enforcer_fail(self->report, -errno, "%s: cannot replace its program: %s",
				     interface.name, strerror(errno));
	memcpy(instance->name, interface.name, sizeof(instance->name));
	instance->attachment = attachment;
	(void)TAKE_FD(*link_fd);
	return keep_again(self, instance, program_fd);
}

static int adopt_links(Instances *self)
{
	for (uint32_t slot = 0; slot < SPALE_SLOTS; slot++) {
		char name[STORE_NAME_MAX];
		_cleanup_close_ int link_fd =
			self->store->take(self->store->userdata, link_name(slot, name));
		int error;

		if (link_fd < 0)
			continue;
		error = adopt(self, slot, &link_fd);
		if (error == -ENODEV)
			self->store->remove(self->store->userdata, name);
		else if (error < 0)
			return error;
	}
	return 0;
}

/*
 * Puts our filter and program in the place of those that were kept: through their gate, if they
 * have one (GATE_FD, else -1) and nobody pins.
 */
static int adopt_filter(Instances *self, const NetlinkInterface *interface, int gate_fd)
{
	const bool lasting = self->store->is_pinned || gate_fd < 0;
	_cleanup_close_ int program_fd = -1;
	enum spale_header_kind kind;
	Instance *instance = NULL;
	uint32_t slot;
	int error;

	error = get_free(self, interface, MODE_TC, NULL, &instance);
	if (error == 0)
		error = attach_header_kind(self->report, interface, MODE_TC, &kind);
	if (error < 0)
		return error;
	slot = (uint32_t)(instance - self->items);
	error = stations_clear(&self->stations, slot);
	if (error < 0)
		return enforcer_fail(self->report, error, "%s: cannot clear its slot: %s",
				     interface->name, strerror(-error));
	program_fd = program_load(self->report, self->program_maps, MODE_TC, slot, kind);
	if (program_fd < 0)
		return program_fd;
	error = lasting ? attach_clsact_lasting(self->report, program_fd, interface,
						&instance->attachment)
			: attach_clsact_again(self->report, program_fd, interface, gate_fd,
					      &instance->attachment);
	if (error < 0)
		return error;
	memcpy(instance->name, interface->name, sizeof(instance->name));
	instance->mode = MODE_TC;
	return keep_again(self, instance, program_fd);
}

/* A filter that was kept by its gate or by itself, and for a while by both. */
static int adopt_filters_of(Instances *self, const NetlinkInterface *interface)
{
	const EnforcerStore *store = self->store;
	char gate[STORE_NAME_MAX], filter[STORE_NAME_MAX];
	_cleanup_close_ int gate_fd =
		store->take(store->userdata, gate_name(interface->ifindex, gate));
	_cleanup_close_ int filter_fd =
		store->take(store->userdata, filter_name(interface->ifindex, filter));
	int error;

	if (gate_fd < 0 && filter_fd < 0)
		return 0;
	error = adopt_filter(self, interface, gate_fd);
	if (error == 0 && gate_fd >= 0 && store->is_pinned)
		store->remove(store->userdata, gate);
	return error;
}

static int adopt_filters(Instances *self)
{
	_cleanup_free_ NetlinkInterface *interfaces = NULL;
	size_t count = 0;
	int error = netlink_interfaces(&interfaces, &count);

	if (error < 0)
		return enforcer_fail(self->report, error, "cannot list the interfaces: %s",
				     strerror(-error));
	for (size_t i = 0; error == 0 && i < count; i++)
		error = adopt_filters_of(self, &interfaces[i]);
	return error;
}

int instances_adopt(Instances *self)
{
	int error = self->store ? adopt_links(self) : 0;

	return error < 0 || !self->store ? error : adopt_filters(self);
}

/* What is kept stays in force without us: only our descriptors go. */
void instances_done(Instances *self)
{
	for (size_t i = 0; i < SPALE_SLOTS; i++) {
		if (lasts(self))
			attach_leave(&self->items[i].attachment);
		else
			(void)end(self, &self->items[i]);
	}
}
