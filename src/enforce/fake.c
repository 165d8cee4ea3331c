/* SPDX-License-Identifier: MIT */
#include "enforce/fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static FakeEnforcer *fake_of(Enforcer *enforcer)
{
	/* base is the first member. */
	return (FakeEnforcer *)enforcer;
}

/* The failure that a test ordered, once. */
static int fake_fail(FakeEnforcer *fake)
{
	int error = fake->fail_with;

	fake->fail_with = 0;
	return error ? enforcer_fail(&fake->base, error, "the test wants this call to fail: %s",
				     strerror(-error))
		     : 0;
}

static void fake_free(Enforcer *enforcer)
{
	FakeEnforcer *fake = fake_of(enforcer);

	for (size_t i = 0; i < fake->attached.count; i++)
		free(fake->attached.items[i]);
	free(fake->attached.items);
	free(fake->entries);
	free(fake->kept);
	free(fake);
}

static int fake_set_policy(Enforcer *enforcer, const Config *config)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	if (error < 0)
		return error;
	if (!config)
		return enforcer_fail(enforcer, -EINVAL, "there is no configuration");
	fake->policies_set++;
	return 0;
}

static int fake_policy(Enforcer *enforcer, Config **ret_config)
{
	Config *config = calloc(1, sizeof(*config));

	if (!config)
		return enforcer_fail(enforcer, -ENOMEM, "out of memory");
	*ret_config = config;
	return 0;
}

static int fake_set_clients(Enforcer *enforcer, const ClientSet *clients)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	if (error < 0)
		return error;
	if (!clients)
		return enforcer_fail(enforcer, -EINVAL, "there is no set of clients");
	fake->clients_set++;
	return 0;
}

static EntryChange *fake_find(const FakeEnforcer *fake, const struct spale_grant_key *key)
{
	for (size_t i = 0; i < fake->entry_count; i++)
		if (memcmp(&fake->entries[i].key, key, sizeof(*key)) == 0)
			return &fake->entries[i];
	return NULL;
}

/* Room was made before: this cannot fail. */
static void fake_apply_one(FakeEnforcer *fake, const EntryChange *change)
{
	EntryChange *entry = fake_find(fake, &change->key);

	if (!change->put) {
		if (entry)
			*entry = fake->entries[--fake->entry_count];
		return;
	}
	if (!entry) {
		fake->entries[fake->entry_count++] = *change;
		return;
	}
	uint64_t last = entry->value.last_mono_ns;

	*entry = *change;
	if (entry->value.last_mono_ns < last)
		entry->value.last_mono_ns = last;
}

static int fake_apply(Enforcer *enforcer, const EntryChanges *changes)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	if (error < 0)
		return error;
	if (changes->count == 0)
		return 0;

	EntryChange *entries =
		reallocarray(fake->entries, fake->entry_count + changes->count, sizeof(*entries));
	if (!entries)
		return enforcer_fail(enforcer, -ENOMEM, "out of memory");
	fake->entries = entries;
	for (size_t i = 0; i < changes->count; i++)
		fake_apply_one(fake, &changes->items[i]);
	return 0;
}

static int fake_sync(Enforcer *enforcer, const EntryChanges *wanted)
{
	FakeEnforcer *fake = fake_of(enforcer);

	for (size_t i = 0; i < fake->entry_count;) {
		size_t j = 0;

		while (j < wanted->count && memcmp(&wanted->items[j].key, &fake->entries[i].key,
						   sizeof(wanted->items[j].key)) != 0)
			j++;
		if (j < wanted->count)
			i++;
		else
			fake->entries[i] = fake->entries[--fake->entry_count];
	}
	return fake_apply(enforcer, wanted);
}

static size_t key_size(EnforcerRecords records)
{
	switch (records) {
	case ENFORCER_OWNERS:
		return sizeof(uint64_t);
	case ENFORCER_ACCEPTED:
		return sizeof(struct spale_accepted_key);
	case ENFORCER_SESSIONS:
		return sizeof(struct spale_session_key);
	}
	abort();
}

static size_t value_size(EnforcerRecords records)
{
	switch (records) {
	case ENFORCER_OWNERS:
		return sizeof(struct spale_owner);
	case ENFORCER_ACCEPTED:
		return sizeof(uint64_t);
	case ENFORCER_SESSIONS:
		return sizeof(struct spale_session);
	}
	abort();
}

static struct FakeRecord *fake_record(FakeEnforcer *fake, EnforcerRecords records, const void *key)
{
	for (size_t i = 0; i < fake->kept_count; i++)
		if (fake->kept[i].records == records &&
		    memcmp(fake->kept[i].key, key, key_size(records)) == 0)
			return &fake->kept[i];
	return NULL;
}

static int fake_record_put(Enforcer *enforcer, EnforcerRecords records, const void *key,
			   const void *value)
{
	FakeEnforcer *fake = fake_of(enforcer);
	struct FakeRecord *record = fake_record(fake, records, key);

	if (!record) {
		record = reallocarray(fake->kept, fake->kept_count + 1, sizeof(*record));
		if (!record)
			return enforcer_fail(enforcer, -ENOMEM, "out of memory");
		fake->kept = record;
		record = &fake->kept[fake->kept_count++];
		*record = (struct FakeRecord){.records = records};
		memcpy(record->key, key, key_size(records));
	}
	memcpy(record->value, value, value_size(records));
	return 0;
}

static int fake_record_delete(Enforcer *enforcer, EnforcerRecords records, const void *key)
{
	FakeEnforcer *fake = fake_of(enforcer);
	struct FakeRecord *record = fake_record(fake, records, key);

	if (record)
		*record = fake->kept[--fake->kept_count];
	return 0;
}

static int fake_records(Enforcer *enforcer, EnforcerRecords records, EnforcerRecord callback,
			void *userdata)
{
	FakeEnforcer *fake = fake_of(enforcer);

	for (size_t i = 0; i < fake->kept_count; i++)
		if (fake->kept[i].records == records)
			callback(fake->kept[i].key, fake->kept[i].value, userdata);
	return 0;
}

static int fake_last_seen(Enforcer *enforcer, const struct spale_grant_key *key,
			  uint64_t *ret_mono_ns)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	if (error < 0)
		return error;

	const EntryChange *entry = fake_find(fake, key);
	if (!entry)
		return enforcer_fail(enforcer, -ENOENT, "there is no such entry");
	*ret_mono_ns = entry->value.last_mono_ns;
	return 0;
}

static int fake_packets(Enforcer *enforcer, const struct spale_grant_key *key,
			uint64_t *ret_packets)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	if (error < 0)
		return error;
	if (!fake_find(fake, key))
		return enforcer_fail(enforcer, -ENOENT, "there is no such entry");
	if (fake->packets == UINT64_MAX)
		return enforcer_fail(enforcer, -ENODATA, "nothing is counted there");
	*ret_packets = fake->packets;
	return 0;
}

static int fake_limited(Enforcer *enforcer, uint64_t now_mono_ns, EnforcerLimited callback,
			void *userdata)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	if (error == 0 && fake->limited_mono_ns > now_mono_ns)
		callback(&fake->limited, fake->limited_mono_ns, userdata);
	return error;
}

static int fake_cut(Enforcer *enforcer, EnforcerCut test, void *userdata)
{
	FakeEnforcer *fake = fake_of(enforcer);
	size_t left = 0;
	int error = fake_fail(fake), count;

	if (error < 0)
		return error;
	for (size_t i = 0; i < fake->session_count; i++)
		if (!test(&fake->sessions[i], userdata))
			fake->sessions[left++] = fake->sessions[i];
	count = (int)(fake->session_count - left);
	fake->session_count = left;
	return count;
}

/* Where INTERFACE stands in the list of attached ones; their count if it does not. */
static size_t fake_index(const FakeEnforcer *fake, const char *interface)
{
	size_t i = 0;

	while (i < fake->attached.count && strcmp(fake->attached.items[i], interface) != 0)
		i++;
	return i;
}

static bool fake_exists(const FakeEnforcer *fake, const char *interface)
{
	for (size_t i = 0; i < fake->interface_count; i++)
		if (strcmp(fake->interfaces[i].name, interface) == 0)
			return true;
	return false;
}

static int fake_attach(Enforcer *enforcer, const char *interface, Mode mode)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	(void)mode;
	if (error < 0)
		return error;
	if (!fake_exists(fake, interface))
		return enforcer_fail(enforcer, -ENODEV, "there is no interface \"%s\"", interface);
	for (size_t i = 0; i < fake->interface_count; i++) {
		if (strcmp(fake->interfaces[i].name, interface) != 0 ||
		    !fake->interfaces[i].is_behind)
			continue;
		fake->interfaces[i].is_behind = false;
		return 0;
	}
	if (fake_index(fake, interface) < fake->attached.count)
		return enforcer_fail(enforcer, -EALREADY, "%s is attached already", interface);

	_cleanup_free_ char *name = strdup(interface);
	char **items =
		name ? reallocarray(fake->attached.items, fake->attached.count + 1, sizeof(*items))
		     : NULL;
	if (!items)
		return enforcer_fail(enforcer, -ENOMEM, "out of memory");
	fake->attached.items = items;
	items[fake->attached.count++] = TAKE_PTR(name);
	return 0;
}

static int fake_detach(Enforcer *enforcer, const char *interface)
{
	FakeEnforcer *fake = fake_of(enforcer);
	size_t i = fake_index(fake, interface);
	int error = fake_fail(fake);

	if (error < 0)
		return error;
	if (i == fake->attached.count)
		return enforcer_fail(enforcer, -ENOENT, "%s is not attached", interface);
	free(fake->attached.items[i]);
	fake->attached.items[i] = fake->attached.items[--fake->attached.count];
	return 0;
}

static int fake_counters(Enforcer *enforcer, const char *interface,
			 struct spale_counters *ret_counters)
{
	FakeEnforcer *fake = fake_of(enforcer);
	int error = fake_fail(fake);

	if (error < 0)
		return error;
	if (fake_index(fake, interface) == fake->attached.count)
		return enforcer_fail(enforcer, -ENOENT, "%s is not attached", interface);
	memset(ret_counters, 0, sizeof(*ret_counters));
	return 0;
}

static bool fake_is_intact(Enforcer *enforcer)
{
	(void)enforcer;
	return true;
}

static int fake_interfaces(Enforcer *enforcer, EnforcerInterface **ret_interfaces,
			   size_t *ret_count)
{
	FakeEnforcer *fake = fake_of(enforcer);
	EnforcerInterface *interfaces;

	/* What was attached to one that vanished is given up. */
	for (size_t i = 0; i < fake->attached.count;) {
		if (fake_exists(fake, fake->attached.items[i])) {
			i++;
			continue;
		}
		free(fake->attached.items[i]);
		fake->attached.items[i] = fake->attached.items[--fake->attached.count];
	}
	interfaces = calloc(fake->interface_count ?: 1, sizeof(*interfaces));
	if (!interfaces)
		return enforcer_fail(enforcer, -ENOMEM, "out of memory");
	for (size_t i = 0; i < fake->interface_count; i++) {
		interfaces[i] = fake->interfaces[i];
		interfaces[i].is_attached =
			fake_index(fake, interfaces[i].name) < fake->attached.count;
	}
	*ret_interfaces = interfaces;
	*ret_count = fake->interface_count;
	return 0;
}

static int fake_changes_fd(Enforcer *enforcer)
{
	return enforcer_fail(enforcer, -EOPNOTSUPP, "nothing changes here by itself");
}

static int fake_consume_changes(Enforcer *enforcer)
{
	return fake_fail(fake_of(enforcer)) ?: ENFORCER_INTERFACES_CHANGED;
}

static int fake_ring_fd(Enforcer *enforcer, EnforcerRing ring)
{
	(void)ring;
	return enforcer_fail(enforcer, -EOPNOTSUPP, "nothing arrives here");
}

static int fake_ring_consume(Enforcer *enforcer, EnforcerRing ring, EnforcerMessage callback,
			     void *userdata)
{
	(void)ring;
	(void)callback;
	(void)userdata;
	return fake_fail(fake_of(enforcer));
}

static const EnforcerOps fake_ops = {
	.free = fake_free,
	.set_policy = fake_set_policy,
	.policy = fake_policy,
	.set_clients = fake_set_clients,
	.apply = fake_apply,
	.sync = fake_sync,
	.record_put = fake_record_put,
	.record_delete = fake_record_delete,
	.records = fake_records,
	.last_seen = fake_last_seen,
	.packets = fake_packets,
	.limited = fake_limited,
	.cut = fake_cut,
	.attach = fake_attach,
	.detach = fake_detach,
	.counters = fake_counters,
	.is_intact = fake_is_intact,
	.interfaces = fake_interfaces,
	.changes_fd = fake_changes_fd,
	.consume_changes = fake_consume_changes,
	.ring_fd = fake_ring_fd,
	.ring_consume = fake_ring_consume,
};

FakeEnforcer *fake_enforcer_new(void)
{
	FakeEnforcer *fake = calloc(1, sizeof(*fake));

	if (fake)
		fake->base.ops = &fake_ops;
	return fake;
}
