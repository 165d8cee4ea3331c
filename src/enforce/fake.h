/* SPDX-License-Identifier: MIT */
/*
 * An enforcer that only remembers what it was told: for unit tests of the manager. Its fields are
 * there to be read and set by tests.
 */
#pragma once

#include "enforce/enforcer.h"

typedef struct FakeEnforcer {
	Enforcer base;
	EntryChange *entries; /* what the kernel would hold now */
	size_t entry_count;
	uint64_t packets; /* that each entry let through; UINT64_MAX: they are not counted */
	size_t policies_set;
	size_t clients_set;
	EnforcerSession sessions[8]; /* conversations that this host has */
	size_t session_count;
	Prefix limited; /* a source that is refused for its rate until limited_mono_ns; 0: none */
	uint64_t limited_mono_ns;
	StringList attached;
	EnforcerInterface interfaces[8]; /* those that there are; is_attached is not looked at */
	size_t interface_count;
	struct FakeRecord {
		EnforcerRecords records;
		_Alignas(8) uint8_t key[64];
		_Alignas(8) uint8_t value[sizeof(struct spale_owner)];
	} * kept;
	size_t kept_count;
	int fail_with; /* negative errno that the next call returns, then 0 again */
} FakeEnforcer;

FakeEnforcer *fake_enforcer_new(void);
