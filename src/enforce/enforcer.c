/* SPDX-License-Identifier: MIT */
#include "enforce/enforcer.h"

#include <stdarg.h>
#include <stdio.h>

void enforcer_free(Enforcer *enforcer)
{
	if (enforcer)
		enforcer->ops->free(enforcer);
}

const char *enforcer_error(const Enforcer *enforcer)
{
	return enforcer->error;
}

int enforcer_fail(Enforcer *enforcer, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(enforcer->error, sizeof(enforcer->error), format, arguments);
	va_end(arguments);
	return error;
}

int enforcer_set_policy(Enforcer *enforcer, const Config *config)
{
	return enforcer->ops->set_policy(enforcer, config);
}

int enforcer_policy(Enforcer *enforcer, Config **ret_config)
{
	return enforcer->ops->policy(enforcer, ret_config);
}

int enforcer_set_clients(Enforcer *enforcer, const ClientSet *clients)
{
	return enforcer->ops->set_clients(enforcer, clients);
}

int enforcer_apply(Enforcer *enforcer, const EntryChanges *changes)
{
	return enforcer->ops->apply(enforcer, changes);
}

int enforcer_sync(Enforcer *enforcer, const EntryChanges *wanted)
{
	return enforcer->ops->sync(enforcer, wanted);
}

int enforcer_record_put(Enforcer *enforcer, EnforcerRecords records, const void *key,
			const void *value)
{
	return enforcer->ops->record_put(enforcer, records, key, value);
}

int enforcer_record_delete(Enforcer *enforcer, EnforcerRecords records, const void *key)
{
	return enforcer->ops->record_delete(enforcer, records, key);
}

int enforcer_records(Enforcer *enforcer, EnforcerRecords records, EnforcerRecord callback,
		     void *userdata)
{
	return enforcer->ops->records(enforcer, records, callback, userdata);
}

int enforcer_last_seen(Enforcer *enforcer, const struct spale_grant_key *key, uint64_t *ret_mono_ns)
{
	return enforcer->ops->last_seen(enforcer, key, ret_mono_ns);
}

int enforcer_packets(Enforcer *enforcer, const struct spale_grant_key *key, uint64_t *ret_packets)
{
	return enforcer->ops->packets(enforcer, key, ret_packets);
}

int enforcer_limited(Enforcer *enforcer, uint64_t now_mono_ns, EnforcerLimited callback,
		     void *userdata)
{
	return enforcer->ops->limited(enforcer, now_mono_ns, callback, userdata);
}

int enforcer_cut(Enforcer *enforcer, EnforcerCut test, void *userdata)
{
	return enforcer->ops->cut(enforcer, test, userdata);
}

int enforcer_attach(Enforcer *enforcer, const char *interface, Mode mode)
{
	return enforcer->ops->attach(enforcer, interface, mode);
}

int enforcer_detach(Enforcer *enforcer, const char *interface)
{
	return enforcer->ops->detach(enforcer, interface);
}

int enforcer_counters(Enforcer *enforcer, const char *interface,
		      struct spale_counters *ret_counters)
{
	return enforcer->ops->counters(enforcer, interface, ret_counters);
}

bool enforcer_is_intact(Enforcer *enforcer)
{
	return enforcer->ops->is_intact(enforcer);
}

int enforcer_interfaces(Enforcer *enforcer, EnforcerInterface **ret_interfaces, size_t *ret_count)
{
	return enforcer->ops->interfaces(enforcer, ret_interfaces, ret_count);
}

int enforcer_changes_fd(Enforcer *enforcer)
{
	return enforcer->ops->changes_fd(enforcer);
}

int enforcer_consume_changes(Enforcer *enforcer)
{
	return enforcer->ops->consume_changes(enforcer);
}

int enforcer_ring_fd(Enforcer *enforcer, EnforcerRing ring)
{
	return enforcer->ops->ring_fd(enforcer, ring);
}

int enforcer_ring_consume(Enforcer *enforcer, EnforcerRing ring, EnforcerMessage callback,
			  void *userdata)
{
	return enforcer->ops->ring_consume(enforcer, ring, callback, userdata);
}
