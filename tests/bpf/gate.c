/* SPDX-License-Identifier: MIT */
#include "gate.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "spale-tc.skel.h"
#include "spale-xdp.skel.h"
#include "tag-tc.skel.h"

/* TC_ACT_UNSPEC and TC_ACT_SHOT, XDP_PASS and XDP_DROP, as BPF_PROG_TEST_RUN returns them. */
#define TC_PASS (uint32_t) - 1
#define TC_DROP 2u

static void die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static int keep_record(void *context, void *data, size_t length)
{
	Gate *gate = context;

	if (length != sizeof(gate->record))
		die("record of unexpected length", EPROTO);
	memcpy(&gate->record, data, length);
	gate->records++;
	return 0;
}

static int keep_event(void *context, void *data, size_t length)
{
	Gate *gate = context;

	if (length != sizeof(gate->event))
		die("event of unexpected length", EPROTO);
	memcpy(&gate->event, data, length);
	gate->events_told++;
	return 0;
}

static int map_fd(Gate *gate, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(gate->object, name);

	if (fd < 0)
		die(name, fd);
	return fd;
}

/* The maps are this program's own: none is pinned. */
static void pin_nothing(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		if (bpf_map__set_pin_path(map, NULL) < 0)
			die("bpf_map__set_pin_path", errno);
	}
}

/* As on Linux before 5.11. */
static bool needs_fine_clock(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_ktime_get_coarse_ns,
				       NULL) == 0;
}

static void open_program(Gate *gate, enum spale_header_kind kind)
{
	int r;

	if (gate->xdp) {
		struct spale_xdp *skeleton = spale_xdp__open();

		if (!skeleton)
			die("spale_xdp", errno);
		skeleton->rodata->slot = GATE_SLOT;
		pin_nothing(skeleton->obj);
		r = spale_xdp__load(skeleton);
		if (r < 0)
			die("spale_xdp", r);
		gate->object = skeleton->obj;
		gate->program = bpf_program__fd(skeleton->progs.spale_xdp);
		gate->skeleton = skeleton;
	} else {
		struct spale_tc *skeleton = spale_tc__open();

		if (!skeleton)
			die("spale_tc", errno);
		skeleton->rodata->slot = GATE_SLOT;
		skeleton->rodata->header_kind = kind;
		skeleton->rodata->fine_clock = needs_fine_clock();
		pin_nothing(skeleton->obj);
		r = spale_tc__load(skeleton);
		if (r < 0)
			die("spale_tc", r);
		gate->object = skeleton->obj;
		gate->program = bpf_program__fd(skeleton->progs.spale_tc);
		gate->skeleton = skeleton;
	}
}

/* A program that puts a tag into the metadata, which BPF_PROG_TEST_RUN itself can't. */
static void open_tagger(Gate *gate)
{
	uint32_t zero = 0;

	gate->tagger = tag_tc__open_and_load();
	if (!gate->tagger)
		die("tag_tc", errno);
	gate_put(bpf_map__fd(gate->tagger->maps.next), &zero, &gate->program);
}

bool gate_has_xdp(void)
{
	struct utsname name;
	unsigned int major = 0, minor = 0;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		die("uname", EINVAL);
	return major > 5 || (major == 5 && minor >= 18);
}

void gate_open(Gate *gate, const char *name, bool xdp, enum spale_header_kind kind)
{
	*gate = (Gate){.name = name, .xdp = xdp, .ifindex = if_nametoindex("lo")};
	open_program(gate, kind);
	gate->ports = map_fd(gate, "ports");
	gate->settings = map_fd(gate, "settings");
	gate->grants = map_fd(gate, "grants");
	gate->allow4 = map_fd(gate, "allow4");
	gate->allow6 = map_fd(gate, "allow6");
	gate->clients = map_fd(gate, "clients");
	gate->knock_addrs = map_fd(gate, "knock_addrs");
	gate->vlans = map_fd(gate, "vlans");
	gate->asking = map_fd(gate, "asking");
	gate->stations = map_fd(gate, "stations");
	gate->seen = map_fd(gate, "seen");
	gate->buckets = map_fd(gate, "buckets");
	gate->totals = map_fd(gate, "totals");
	gate->knocks = map_fd(gate, "knocks");
	gate->attempts = map_fd(gate, "attempts");
	gate->events = map_fd(gate, "events");
	gate->counters = map_fd(gate, "counters");
	gate->grant_packets = map_fd(gate, "grant_packets");
	gate->reader = ring_buffer__new(gate->knocks, keep_record, gate, NULL);
	gate->event_reader = ring_buffer__new(gate->events, keep_event, gate, NULL);
	if (!gate->reader || !gate->event_reader)
		die("ring buffer", errno);
	if (!xdp)
		open_tagger(gate);
	gate_reset(gate);
}

void gate_close(Gate *gate)
{
	tag_tc__destroy(gate->tagger);
	ring_buffer__free(gate->reader);
	ring_buffer__free(gate->event_reader);
	if (gate->xdp)
		spale_xdp__destroy(gate->skeleton);
	else
		spale_tc__destroy(gate->skeleton);
}

void gate_put(int map, const void *key, const void *value)
{
	int r = bpf_map_update_elem(map, key, value, BPF_ANY);

	if (r < 0)
		die("map update", r);
}

void gate_empty(int map, size_t key_size)
{
	uint8_t key[sizeof(struct spale_seen_key)]; /* the longest of all */

	if (key_size > sizeof(key))
		die("gate_empty", EINVAL);
	while (bpf_map_get_next_key(map, NULL, key) == 0) {
		if (bpf_map_delete_elem(map, key) < 0)
			die("map delete", errno);
	}
}

void gate_set_port(Gate *gate, enum spale_port_set set, uint16_t port)
{
	static struct spale_ports ports;
	uint32_t zero = 0;
	int r = bpf_map_lookup_elem(gate->ports, &zero, &ports);

	if (r < 0)
		die("ports", r);
	ports.words[set][port >> 6] |= 1ULL << (port & 63);
	gate_put(gate->ports, &zero, &ports);
}

static void add_port(struct spale_ports *ports, enum spale_port_set set, uint16_t port)
{
	ports->words[set][port >> 6] |= 1ULL << (port & 63);
}

static const struct spale_ports *usual_ports(void)
{
	static struct spale_ports ports;

	for (int set = SPALE_PORTS_TCP; set <= SPALE_PORTS_UDP_WATCHED; set++)
		add_port(&ports, set, PROTECTED_PORT);
	add_port(&ports, SPALE_PORTS_UDP, SHARED_PORT);
	add_port(&ports, SPALE_PORTS_UDP_WATCHED, SHARED_PORT);
	add_port(&ports, SPALE_PORTS_KNOCK, SHARED_PORT);
	add_port(&ports, SPALE_PORTS_UDP_WATCHED, KNOCK_PORT);
	add_port(&ports, SPALE_PORTS_KNOCK, KNOCK_PORT);
	return &ports;
}

struct spale_settings gate_settings(void)
{
	struct spale_settings settings = {
		.abi = SPALE_ABI,
		.flags = SPALE_KNOCK_ANY4 | SPALE_KNOCK_ANY6 | SPALE_KNOCK_FORMAT1,
	};

	for (int family = 0; family < SPALE_FAMILIES; family++) {
		memset(settings.masks[family][0].bytes, 0xff, 16);
		settings.masks[family][0].length = 128;
	}
	return settings;
}

void gate_set_settings(Gate *gate, const struct spale_settings *settings)
{
	uint32_t zero = 0;

	gate_put(gate->settings, &zero, settings);
}

void gate_set_asking(Gate *gate, bool asks)
{
	uint32_t slot = GATE_SLOT, value = asks;

	gate_put(gate->asking, &slot, &value);
}

void gate_put_station(Gate *gate, const uint8_t address[6])
{
	struct spale_station key = {0};
	uint32_t one = 1;

	memcpy(key.address, address, sizeof(key.address));
	gate_put(gate->stations, &key, &one);
}

void gate_reset(Gate *gate)
{
	struct spale_settings settings = gate_settings();
	uint64_t empty = 0;
	uint32_t key = 0;

	gate_put(gate->ports, &key, usual_ports());
	gate_set_settings(gate, &settings);
	gate_empty(gate->grants, sizeof(struct spale_grant_key));
	gate_empty(gate->allow4, sizeof(struct spale_allow4_key));
	gate_empty(gate->allow6, sizeof(struct spale_allow6_key));
	gate_empty(gate->clients, 32);
	gate_empty(gate->knock_addrs, 16);
	gate_empty(gate->vlans, sizeof(struct spale_vlan_key));
	gate_empty(gate->stations, sizeof(struct spale_station));
	gate_set_asking(gate, false);
	gate_empty(gate->seen, sizeof(struct spale_seen_key));
	gate_empty(gate->buckets, 16);
	gate_empty(gate->attempts, 16);
	for (key = 0; key < SPALE_TOTAL_BUCKETS; key++)
		gate_put(gate->totals, &key, &empty);
	gate_drain(gate);
	gate->records = 0;
	gate->events_told = 0;
}

void gate_drain(Gate *gate)
{
	int r = ring_buffer__consume(gate->reader);

	if (r >= 0)
		r = ring_buffer__consume(gate->event_reader);
	if (r < 0)
		die("ring buffer", r);
}

/* Adds all CPUs up. */
static void read_counters(Gate *gate, uint32_t slot, struct spale_counters *ret_counters)
{
	int cpus = libbpf_num_possible_cpus();
	struct spale_counters *each = calloc(cpus, sizeof(*each));
	uint64_t *sum = (uint64_t *)ret_counters, *one;
	int r;

	if (!each)
		die("counters", ENOMEM);
	r = bpf_map_lookup_elem(gate->counters, &slot, each);
	if (r < 0)
		die("counters", r);

	memset(ret_counters, 0, sizeof(*ret_counters));
	for (int cpu = 0; cpu < cpus; cpu++) {
		one = (uint64_t *)&each[cpu];
		for (size_t i = 0; i < sizeof(*each) / sizeof(*one); i++)
			sum[i] += one[i];
	}
	free(each);
}

void gate_counters(Gate *gate, struct spale_counters *ret_counters)
{
	read_counters(gate, GATE_SLOT, ret_counters);
}

struct spale_counters gate_counted(Gate *gate, const struct spale_counters *before)
{
	struct spale_counters counted;

	gate_counters(gate, &counted);
	for (int i = 0; i < SPALE_REASONS_MAX; i++) {
		counted.packets[i] -= before->packets[i];
		counted.would_drop[i] -= before->would_drop[i];
	}
	return counted;
}

uint64_t gate_granted(Gate *gate, uint32_t counter)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *each = calloc(cpus, sizeof(*each)), sum = 0;
	int r;

	if (!each)
		die("grant_packets", ENOMEM);
	r = bpf_map_lookup_elem(gate->grant_packets, &counter, each);
	if (r < 0)
		die("grant_packets", r);
	for (int i = 0; i < cpus; i++)
		sum += each[i];
	free(each);
	return sum;
}

static bool grants_are_tidy(Gate *gate)
{
	for (uint32_t counter = 0; counter < SPALE_GRANT_COUNTERS; counter++)
		if (counter != GATE_GRANT_COUNTER && gate_granted(gate, counter))
			return false;
	return true;
}

bool gate_is_tidy(Gate *gate)
{
	static const struct spale_counters none;
	struct spale_counters counters;

	for (uint32_t slot = 0; slot < SPALE_SLOTS; slot++) {
		read_counters(gate, slot, &counters);
		if (slot != GATE_SLOT && memcmp(&counters, &none, sizeof(none)))
			return false;
	}
	return grants_are_tidy(gate);
}

static Outcome run(Gate *gate, int program, const struct packet *packet, uint32_t segments)
{
	static uint8_t frame[PACKET_MAX];
	struct __sk_buff skb = {.ifindex = gate->ifindex, .gso_segs = segments};
	struct xdp_md xdp = {.ingress_ifindex = gate->ifindex, .data_end = packet->length};
	struct spale_counters before;
	uint64_t granted = gate_granted(gate, GATE_GRANT_COUNTER);
	Outcome outcome = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet->bytes,
		    .data_size_in = packet->length, .data_out = frame,
		    .data_size_out = sizeof(frame), .repeat = 1);
	int r;

	opts.ctx_in = gate->xdp ? (void *)&xdp : (void *)&skb;
	opts.ctx_size_in = gate->xdp ? sizeof(xdp) : sizeof(skb);
	gate_counters(gate, &before);
	r = bpf_prog_test_run_opts(program, &opts);
	if (r < 0) {
		fprintf(stderr, "%s, a frame of %zu bytes: ", gate->name, packet->length);
		die("BPF_PROG_TEST_RUN", r);
	}

	outcome.counted = gate_counted(gate, &before);
	outcome.granted = gate_granted(gate, GATE_GRANT_COUNTER) - granted;
	outcome.changed = opts.data_size_out != packet->length ||
			  memcmp(frame, packet->bytes, packet->length);
	outcome.passed = opts.retval == (gate->xdp ? (uint32_t)XDP_PASS : TC_PASS);
	if (!outcome.passed && opts.retval != (gate->xdp ? (uint32_t)XDP_DROP : TC_DROP))
		die("a verdict that is neither pass nor drop", EPROTO);
	return outcome;
}

Outcome gate_run(Gate *gate, const struct packet *packet)
{
	return run(gate, gate->program, packet, 0);
}

Outcome gate_run_segments(Gate *gate, const struct packet *packet, uint32_t segments)
{
	return run(gate, gate->program, packet, segments);
}

Outcome gate_run_tagged(Gate *gate, const struct packet *packet, uint16_t tag)
{
	if (!tag)
		return gate_run(gate, packet);
	gate->tagger->data->tpid = tag;
	return run(gate, bpf_program__fd(gate->tagger->progs.tag_tc), packet, 0);
}

void gate_shoot(const Gate *gate, const struct packet *packet)
{
	uint8_t frame[PACKET_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet->bytes,
		    .data_size_in = packet->length, .data_out = frame,
		    .data_size_out = sizeof(frame), .repeat = 1);
	int r = bpf_prog_test_run_opts(gate->program, &opts);

	if (r < 0)
		die("BPF_PROG_TEST_RUN", r);
}

enum verdict { PASS, DROP, TAKE };

static const struct {
	const char *text;
	enum verdict verdict;
} reasons[] = {
#define REASON_ROW(name, text, verdict) {text, verdict},
	SPALE_REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *reason_text(enum spale_reason reason)
{
	return reasons[reason].text;
}

bool outcome_is(const Outcome *outcome, enum spale_reason reason, bool log_only, uint64_t count)
{
	struct spale_counters expected = {0};
	bool would = log_only && reasons[reason].verdict == DROP;
	bool granted = reason == SPALE_REASON_GRANTED || reason == SPALE_REASON_GRACE;

	if (reason != SPALE_REASON_UNPROTECTED) {
		if (would)
			expected.would_drop[reason] = count;
		else
			expected.packets[reason] = count;
	}
	return outcome->passed == (would || reasons[reason].verdict == PASS) &&
	       !memcmp(&expected, &outcome->counted, sizeof(expected)) &&
	       outcome->granted == (granted ? count : 0) && !outcome->changed;
}

const char *outcome_text(const Outcome *outcome)
{
	static char text[512];
	FILE *stream = fmemopen(text, sizeof(text), "w");

	if (!stream)
		die("fmemopen", errno);
	fprintf(stream, "%s", outcome->passed ? "passed" : "dropped");
	for (int i = 0; i < SPALE_REASONS_MAX; i++) {
		const char *name = i < SPALE_REASON_COUNT ? reasons[i].text : "unknown reason";

		if (outcome->counted.packets[i])
			fprintf(stream, ", %s +%llu", name,
				(unsigned long long)outcome->counted.packets[i]);
		if (outcome->counted.would_drop[i])
			fprintf(stream, ", would drop for %s +%llu", name,
				(unsigned long long)outcome->counted.would_drop[i]);
	}
	if (outcome->granted)
		fprintf(stream, ", %llu by a grant", (unsigned long long)outcome->granted);
	fprintf(stream, "%s", outcome->changed ? ", frame changed" : "");
	fclose(stream);
	return text;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t clock_latest_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}
