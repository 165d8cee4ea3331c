/* SPDX-License-Identifier: MIT */
/*
 * Frames that arrive through devices, where BPF_PROG_TEST_RUN can't have them: skbs whose headers
 * lie outside the linear part, frames shorter than their IP header, tags that the kernel itself
 * took out, packets of a device without link headers.
 *
 * The verdict is not to be seen here, but the reason is; that each reason has its verdict is the
 * tables' business.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>

#include "rows.h"
#include "tag-tc.skel.h"

/* /dev/net/tun, which tests/bpf/run has opened. */
#define TAP_FD 3
#define TUN_FD 4

/* Shorter skbs are made linear by the driver. */
#define PAGED 4500

struct device {
	struct bench *bench;
	Gate *gate;
	struct tag_tc *probe;
	int fd;
	const char *name;
};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s (this needs tests/bpf/run)\n", what, strerror(errno));
	exit(1);
}

static void attach(const struct bpf_tc_hook *hook, int program, uint32_t priority)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program, .handle = 1, .priority = priority);

	if (bpf_tc_attach(hook, &opts) < 0)
		die("tc filter");
}

/* Makes the device and puts the probe, then the gate, at its ingress. */
static void open_device(struct device *device, short flags)
{
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_flags = flags | IFF_NO_PI | IFF_VNET_HDR};
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);

	strcpy(request.ifr_name, device->name);
	if (ioctl(device->fd, TUNSETIFF, &request) < 0)
		die("TUNSETIFF");
	request.ifr_flags = IFF_UP;
	if (control < 0 || ioctl(control, SIOCSIFFLAGS, &request) < 0)
		die("SIOCSIFFLAGS");
	close(control);

	device->probe = tag_tc__open_and_load();
	hook.ifindex = if_nametoindex(device->name);
	if (!device->probe || bpf_tc_hook_create(&hook) < 0)
		die("clsact");
	attach(&hook, bpf_program__fd(device->probe->progs.probe_tc), 1);
	attach(&hook, device->gate->program, 2);
}

/* Sends a frame of which the first LINEAR bytes are linear; 0: all of them. */
static void expect_packet(struct device *device, const char *name, struct packet *packet,
			  size_t linear, enum spale_reason reason)
{
	uint32_t frames = device->probe->bss->probe_frames;
	struct virtio_net_hdr header = {.hdr_len = linear};
	struct iovec parts[] = {{&header, sizeof(header)}, {packet->bytes, packet->length}};
	struct spale_counters before;
	Outcome outcome = {0};
	uint64_t granted;
	bool seen;

	granted = gate_granted(device->gate, GATE_GRANT_COUNTER);
	gate_counters(device->gate, &before);
	if (writev(device->fd, parts, 2) < 0)
		die("write to a tun device");
	outcome.counted = gate_counted(device->gate, &before);
	outcome.granted = gate_granted(device->gate, GATE_GRANT_COUNTER) - granted;
	outcome.passed = reason <= SPALE_REASON_ALLOWED;
	gate_drain(device->gate);
	seen = device->probe->bss->probe_frames == frames + 1;
	if (linear)
		seen = seen && device->probe->bss->probe_linear == linear;
	check(seen && outcome_is(&outcome, reason, false, 1),
	      "%s through %s: expected %s, got: %s%s", name, device->name, reason_text(reason),
	      outcome_text(&outcome), seen ? "" : " (the frame did not arrive as meant)");
}

static void expect(struct device *device, const char *name, const struct shape *shape,
		   enum spale_family family, size_t linear, enum spale_reason reason)
{
	struct shape whole = *shape;
	struct packet packet;

	whole.no_link = device->fd == TUN_FD;
	whole.pad = linear ? PAGED : 0;
	packet_build(&packet, &whole, family);
	expect_packet(device, name, &packet, linear, reason);
}

/* All of these in both families; what one doesn't have is left out by the builder. */
static const struct {
	const char *name;
	struct shape shape;
	enum spale_reason reason;
} disguises[] = {
	{"SYN", {.tcp_flags = TCP_SYN}, SPALE_REASON_DENIED},
	{"UDP", {.protocol = IPPROTO_UDP}, SPALE_REASON_DENIED},
	{"SCTP", {.protocol = IPPROTO_SCTP}, SPALE_REASON_DENIED},
	{"ICMP", {.protocol = IPPROTO_ICMP}, SPALE_REASON_UNPROTECTED},
	{"open port", {.port = OPEN_PORT}, SPALE_REASON_UNPROTECTED},
	{"options", {.option_words = 10}, SPALE_REASON_DENIED},
	{"AH", {.extensions = {EXTENSION(AH)}}, SPALE_REASON_DENIED},
	{"AH, open port",
	 {.extensions = {EXTENSION(AH)}, .port = OPEN_PORT},
	 SPALE_REASON_UNPROTECTED},
	{"AH of 1028 bytes",
	 {.extensions = {{.present = 1, .type = AH, .units = 255}}},
	 SPALE_REASON_DENIED},
	{"length 0", {.has_length = true}, SPALE_REASON_DENIED},
	{"length of 2", {.has_length = true, .length = 2, .version = 6}, SPALE_REASON_TRUNCATED},
	{"version 4, IHL 4", {.ihl = 4, .version = 4}, SPALE_REASON_BAD_HEADER},
	{"first fragment", {.fragment = IP_MF}, SPALE_REASON_DENIED},
};

/* Each disguise with nothing but the link header in the linear part, and a few bytes more. */
static void out_of_reach(struct device *device)
{
	/* A driver without link headers keeps at least this much linear. */
	static const size_t linear[] = {0, 14, 15, 33, 34, 35, 37, 38, 53, 54, 55, 57, 58, 90};

	gate_reset(device->gate);
	for (size_t i = 0; i < sizeof(disguises) / sizeof(disguises[0]); i++) {
		for (int family = 0; family < SPALE_FAMILIES; family++) {
			if (disguises[i].shape.version == 4 && family != SPALE_IPV4)
				continue;
			if (disguises[i].shape.version == 6 && family != SPALE_IPV6)
				continue;
			for (size_t j = 0; j < sizeof(linear) / sizeof(linear[0]); j++)
				expect(device, disguises[i].name, &disguises[i].shape, family,
				       linear[j], disguises[i].reason);
		}
	}
}

/* A SYN in grace needs its flags read; a knock is read to its last byte. */
static void out_of_reach_later(struct device *device)
{
	static const struct row_grant grace = {true, 10 * SECOND, 5 * SECOND, NEVER, NEVER};
	struct shape syn = {.tcp_flags = TCP_SYN};
	struct shape knock = {.protocol = IPPROTO_UDP,
			      .port = KNOCK_PORT,
			      .payload = sizeof(knock_payload),
			      .payload_bytes = knock_payload};
	uint32_t one = 1;

	for (int family = 0; family < SPALE_FAMILIES; family++) {
		for (size_t linear = 14; linear < 180; linear++) {
			gate_reset(device->gate);
			row_put_grant(device->gate, device->bench, &grace, &syn, family);
			expect(device, "SYN in grace", &syn, family, linear, SPALE_REASON_GRACE);
			gate_put(device->gate->clients, knock_payload, &one);
			expect(device, "knock", &knock, family, linear, SPALE_REASON_KNOCK);
			check(device->gate->records == 1 &&
				      !memcmp(device->gate->record.data, knock_payload,
					      sizeof(knock_payload)),
			      "knock with %zu bytes in reach: its record", linear);
		}
	}
}

/* Frames that end before or in their IP header. */
static void short_frames(struct device *device)
{
	size_t link = device->fd == TUN_FD ? 0 : 14;

	gate_reset(device->gate);
	for (int family = 0; family < SPALE_FAMILIES; family++) {
		size_t header = link + (family == SPALE_IPV4 ? 20 : 40);

		/* The tun driver tells the family by the first byte. */
		for (size_t cut = link ? link : 1; cut <= header + 20; cut++) {
			struct shape shape = {.cut = cut};

			expect(device, "a cut SYN", &shape, family, 0,
			       cut < header	  ? SPALE_REASON_BAD_HEADER
			       : cut < header + 4 ? SPALE_REASON_TRUNCATED
						  : SPALE_REASON_DENIED);
		}
	}
}

/* The kernel takes the outermost tag out of the frame before TC sees it. */
static void tags(struct device *device)
{
	static const struct {
		struct shape shape;
		enum spale_reason reason;
	} rows[] = {
		{{.tags = {VLAN}}, SPALE_REASON_DENIED},
		{{.tags = {QINQ}}, SPALE_REASON_DENIED},
		{{.tags = {VLAN}, .port = OPEN_PORT}, SPALE_REASON_UNPROTECTED},
		{{.tags = {VLAN, VLAN}}, SPALE_REASON_DENIED},
		{{.tags = {QINQ, VLAN}}, SPALE_REASON_DENIED},
		{{.tags = {QINQ, VLAN}, .extensions = {EXTENSION(AH)}}, SPALE_REASON_DENIED},
		{{.tags = {VLAN, VLAN, VLAN}}, SPALE_REASON_VLAN_DEPTH},
		{{.tags = {VLAN, VLAN, VLAN, VLAN}}, SPALE_REASON_VLAN_DEPTH},
		{{.tags = {VLAN, VLAN}, .ethertype = 0x0806}, SPALE_REASON_UNPROTECTED},
	};

	gate_reset(device->gate);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int family = 0; family < SPALE_FAMILIES; family++) {
			expect(device, "tags", &rows[i].shape, family, 0, rows[i].reason);
			check(device->probe->bss->probe_tagged == 1,
			      "a tag should lie in the metadata");
		}
	}
}

void devices_run(struct bench *bench)
{
	struct device tap = {bench, &bench->tc, NULL, TAP_FD, "gate2"};
	struct device tun = {bench, &bench->bare, NULL, TUN_FD, "gate3"};

	open_device(&tap, IFF_TAP);
	open_device(&tun, IFF_TUN);
	out_of_reach(&tap);
	out_of_reach_later(&tap);
	short_frames(&tap);
	tags(&tap);
	out_of_reach(&tun);
	out_of_reach_later(&tun);
	short_frames(&tun);
	tag_tc__destroy(tap.probe);
	tag_tc__destroy(tun.probe);
}
