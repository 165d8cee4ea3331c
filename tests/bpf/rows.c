/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

/* The ways in which a row is run. */
enum mode {
	ENFORCING,
	LOG_ONLY,
	IN_TRIAL,
	AFTER_TRIAL,
	UNFILLED,
	WITH_GRANT,
	TO_OPEN_PORT,
	MODES,
};

static const char *const mode_names[MODES] = {
	[ENFORCING] = "enforcing",	    [LOG_ONLY] = "log-only",
	[IN_TRIAL] = "in a trial",	    [AFTER_TRIAL] = "after a trial",
	[UNFILLED] = "unfilled maps",	    [WITH_GRANT] = "with a grant",
	[TO_OPEN_PORT] = "to an open port",
};

static uint64_t duration_ns(long long milliseconds)
{
	return milliseconds == NEVER ? SPALE_NEVER_NS : milliseconds * 1000000ULL;
}

static void mask_address(uint8_t address[16], unsigned int length)
{
	for (unsigned int bit = length; bit < 128; bit++)
		address[bit / 8] &= ~(0x80 >> bit % 8);
}

static struct spale_grant_key grant_key(const struct bench *bench, const struct row_grant *grant,
					const struct shape *shape, enum spale_family family)
{
	struct spale_grant_key key = {
		.prefix_length = grant->length ? grant->length : 128,
		.protocol = grant->protocol   ? grant->protocol
			    : shape->protocol ? shape->protocol
					      : IPPROTO_TCP,
		.port = grant->port   ? grant->port
			: shape->port ? shape->port
				      : PROTECTED_PORT,
	};

	if (grant->source)
		packet_address(grant->source, key.source);
	else
		packet_source(shape, family, key.source);
	mask_address(key.source, key.prefix_length);
	if (grant->interface == THIS_INTERFACE)
		key.ifindex = bench->first;
	else if (grant->interface == OTHER_INTERFACE)
		key.ifindex = bench->second;
	return key;
}

uint64_t row_put_grant(Gate *gate, const struct bench *bench, const struct row_grant *grant,
		       const struct shape *shape, enum spale_family family)
{
	struct spale_grant_key key = grant_key(bench, grant, shape, family);
	uint64_t now = clock_mono_ns();
	/* A machine may have started later than that. */
	long long past = (long long)now - 1, age = grant->age * 1000000LL;
	long long deadline = grant->deadline * 1000000LL;
	struct spale_grant value = {
		.last_mono_ns = now - (age < past ? age : past),
		.idle_ns = duration_ns(grant->idle),
		.grace_ns = duration_ns(grant->grace),
		.deadline_mono_ns = now + (deadline > -past ? deadline : -past),
		.counter = GATE_GRANT_COUNTER,
	};

	if (grant->deadline == NEVER)
		value.deadline_mono_ns = SPALE_NEVER_NS;
	gate_put(gate->grants, &key, &value);
	return value.last_mono_ns;
}

void row_set_lengths(struct spale_settings *settings, enum spale_family family,
		     const unsigned int lengths[SPALE_MASKS])
{
	for (int i = 0; i < SPALE_MASKS; i++) {
		struct spale_mask *mask = &settings->masks[family][i];

		memset(mask->bytes, 0xff, sizeof(mask->bytes));
		mask_address(mask->bytes, lengths[i]);
		mask->length = lengths[i];
	}
}

static void put_allowed(Gate *gate, const char *text)
{
	char address[64];
	unsigned int length;
	uint32_t one = 1;

	if (sscanf(text, "%63[^/]/%u", address, &length) != 2)
		abort();
	if (strchr(address, ':')) {
		struct spale_allow6_key key = {.prefix_length = length};

		inet_pton(AF_INET6, address, key.address);
		gate_put(gate->allow6, &key, &one);
	} else {
		struct spale_allow4_key key = {.prefix_length = length};

		inet_pton(AF_INET, address, key.address);
		gate_put(gate->allow4, &key, &one);
	}
}

static uint32_t interface_of(const struct bench *bench, enum row_interface interface)
{
	return interface == OTHER_INTERFACE ? bench->second : bench->first;
}

static void put_vlans(Gate *gate, const struct bench *bench, const struct row *row)
{
	for (int i = 0; i < 2; i++) {
		const struct row_vlan *vlan = &row->vlans[i];
		struct spale_vlan_key key = {.ifindex = interface_of(bench, vlan->on),
					     .tag = (uint32_t)vlan->tpid << 16 | vlan->vid};
		uint32_t is = interface_of(bench, vlan->is);

		if (vlan->tpid)
			gate_put(gate->vlans, &key, &is);
	}
}

static void set_up(Gate *gate, const struct bench *bench, const struct row *row, enum mode mode)
{
	struct spale_settings settings = gate_settings();
	uint32_t one = 1;

	gate_reset(gate);
	gate_put(gate->clients, knock_payload, &one);
	put_vlans(gate, bench, row);
	gate_set_asking(gate, row->asks);
	if (row->station)
		gate_put_station(gate, row->station);
	settings.flags |= row->flags;
	if (row->lengths[0] || row->lengths[1]) {
		for (int family = 0; family < SPALE_FAMILIES; family++)
			row_set_lengths(&settings, family, row->lengths);
	}
	if (row->allowed) {
		put_allowed(gate, row->allowed);
		if (!row->list_unflagged)
			settings.flags |= strchr(row->allowed, ':') ? SPALE_ALLOW6 : SPALE_ALLOW4;
	}
	if (mode == LOG_ONLY)
		settings.flags |= SPALE_LOG_ONLY;
	if (mode == IN_TRIAL)
		settings.trial_end_mono_ns = clock_mono_ns() + 3600 * 1000000000ULL;
	if (mode == AFTER_TRIAL)
		settings.trial_end_mono_ns = clock_mono_ns() - 1000000000;
	if (mode == UNFILLED)
		settings.abi = 0;
	gate_set_settings(gate, &settings);
}

static bool last_is(Gate *gate, const struct bench *bench, const struct row_grant *grant,
		    const struct shape *shape, enum spale_family family, uint64_t before)
{
	struct spale_grant_key key = grant_key(bench, grant, shape, family);
	struct spale_grant value;

	if (bpf_map_lookup_elem(gate->grants, &key, &value) < 0)
		return false;
	switch (grant->last) {
	case LAST_ANY:
		return true;
	case LAST_KEPT:
		return value.last_mono_ns == before;
	case LAST_NOW:
		return value.last_mono_ns != before &&
		       clock_latest_ns() - value.last_mono_ns < 60 * 1000000000ULL;
	}
	return false;
}

static void run_mode(struct bench *bench, Gate *gate, const struct row *row,
		     enum spale_family family, enum mode mode)
{
	static const struct row_grant endless = {true, 0, NEVER, NEVER, NEVER};
	const struct row_grant *granted = mode == WITH_GRANT ? &endless : row->grants;
	enum spale_reason reason = row->reason;
	struct shape shape = row->shape;
	struct packet packet;
	uint64_t last[2] = {0};
	bool ok, lasts = true;
	Outcome outcome;

	if (mode == WITH_GRANT)
		reason = SPALE_REASON_GRANTED;
	else if (mode == TO_OPEN_PORT || mode == UNFILLED)
		reason = SPALE_REASON_UNPROTECTED;
	if (mode == TO_OPEN_PORT)
		shape.port = OPEN_PORT;

	set_up(gate, bench, row, mode);
	for (int i = 0; i < (mode == WITH_GRANT ? 1 : 2); i++)
		if (granted[i].present)
			last[i] = row_put_grant(gate, bench, &granted[i], &shape, family);
	packet_build(&packet, &shape, family);
	outcome = gate_run_tagged(gate, &packet, row->metadata_tag);
	gate_drain(gate);

	ok = outcome_is(&outcome, reason, mode == LOG_ONLY || mode == AFTER_TRIAL, 1) &&
	     gate->records == (reason == SPALE_REASON_KNOCK);
	for (int i = 0; mode == ENFORCING && i < 2; i++)
		if (granted[i].present)
			lasts &= last_is(gate, bench, &granted[i], &shape, family, last[i]);
	check(ok && lasts, "%s, %s, %s, %s: expected %s, got: %s, %u knocks%s", row->name,
	      gate->name, family == SPALE_IPV4 ? "IPv4" : "IPv6", mode_names[mode],
	      reason_text(reason), outcome_text(&outcome), gate->records,
	      lasts ? "" : ", last_mono_ns not as it should be");
}

static bool applies(const struct row *row, enum mode mode)
{
	switch (mode) {
	case ENFORCING:
	case LOG_ONLY:
	case IN_TRIAL:
	case AFTER_TRIAL:
	case UNFILLED:
		return true;
	case WITH_GRANT:
		return row->reason == SPALE_REASON_DENIED && !row->lengths[0] && !row->lengths[1] &&
		       !row->grants[0].interface && !row->shape.source4;
	case TO_OPEN_PORT:
		return row->reason == SPALE_REASON_DENIED;
	case MODES:
		break;
	}
	return false;
}

static void run_row(struct bench *bench, const struct row *row)
{
	Gate *gates[] = {&bench->tc, &bench->xdp, &bench->bare};

	for (int i = 0; i < 3; i++) {
		if ((gates[i] == &bench->xdp && bench->modes < 2) ||
		    !!(row->only & NO_LINK) != (gates[i] == &bench->bare) ||
		    (row->only & ONLY_TC && gates[i]->xdp) ||
		    (row->only & ONLY_XDP && !gates[i]->xdp))
			continue;
		for (int family = 0; family < SPALE_FAMILIES; family++) {
			if ((row->only & ONLY_IPV4 && family != SPALE_IPV4) ||
			    (row->only & ONLY_IPV6 && family != SPALE_IPV6))
				continue;
			for (int mode = 0; mode < MODES; mode++)
				if (applies(row, mode))
					run_mode(bench, gates[i], row, family, mode);
		}
	}
}

void rows_run(struct bench *bench, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		run_row(bench, &rows[i]);
}
