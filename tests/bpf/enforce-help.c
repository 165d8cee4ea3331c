/* SPDX-License-Identifier: MIT */
#include "enforce-help.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_sched.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "enforce/ebpf.h"
#include "enforce/netlink.h"
#include "util/address.h"
#include "util/parse.h"

#define DESCRIPTORS_MAX 1024

bool help_run(const char *format, ...)
{
	char command[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return system(command) == 0;
}

int help_enter_namespace(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET) < 0) {
		perror("unshare");
		return -1;
	}
	/* Without IPv6 addresses, which would change a second or two later, amid some test. */
	return help_run("ip link add near type veth peer name far && ip link set lo up && "
			"ip link set near addrgenmode none up && "
			"ip link set far addrgenmode none up")
		       ? 0
		       : -1;
}

Enforcer *help_enforcer(void)
{
	_cleanup_free_ char *message = NULL;
	Enforcer *enforcer = NULL;

	if (ebpf_enforcer_new(NULL, &enforcer, &message) < 0)
		fail_msg("%s", message);
	return enforcer;
}

Enforcer *help_enforcer_ready(void)
{
	_cleanup_config_ Config *config = help_config();
	Enforcer *enforcer = help_enforcer();

	if (enforcer_set_policy(enforcer, config) < 0)
		fail_msg("%s", enforcer_error(enforcer));
	return enforcer;
}

Config *help_config(void)
{
	Config *config = calloc(1, sizeof(*config));

	assert_non_null(config);
	assert_int_equal(port_list_add(&config->protected_ports,
				       (PortRange){IPPROTO_TCP, HELP_TCP_PORT, HELP_TCP_PORT}),
			 0);
	assert_int_equal(port_list_add(&config->protected_ports,
				       (PortRange){IPPROTO_UDP, HELP_UDP_PORT, HELP_UDP_PORT}),
			 0);
	assert_int_equal(port_list_add(&config->knock_ports,
				       (PortRange){IPPROTO_UDP, HELP_KNOCK_PORT, HELP_KNOCK_PORT}),
			 0);
	config->scope = SCOPE_ALL;
	config->knock_any4 = config->knock_any6 = true;
	config->source_interval_ns = NSEC_PER_SEC / 3;
	config->source_burst = 10;
	config->total_interval_ns = NSEC_PER_SEC / 2000;
	config->prefix4 = 32;
	config->prefix6 = 128;
	return config;
}

void help_allow(Config *config, const char *prefix)
{
	PrefixList *list = &config->always_allow;

	list->items = reallocarray(list->items, list->count + 1, sizeof(*list->items));
	assert_non_null(list->items);
	assert_int_equal(prefix_parse(prefix, &list->items[list->count]), 0);
	list->count++;
}

/* Programs and links have descriptors too, and their facts look different. */
static bool is_map(int fd)
{
	char path[64], target[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t size = readlink(path, target, sizeof(target));
	return size > 0 && memmem(target, (size_t)size, "bpf-map", strlen("bpf-map"));
}

int help_map(const char *name)
{
	int found = -1;

	for (int fd = 3; fd < DESCRIPTORS_MAX; fd++) {
		struct bpf_map_info info = {0};
		__u32 size = sizeof(info);

		if (is_map(fd) && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
		    strcmp(info.name, name) == 0) {
			assert_int_equal(found, -1);
			found = fd;
		}
	}
	assert_true(found >= 0);
	return found;
}

struct spale_settings help_settings(void)
{
	struct spale_settings settings;
	const __u32 zero = 0;

	assert_int_equal(bpf_map_lookup_elem(help_map("settings"), &zero, &settings), 0);
	return settings;
}

size_t help_map_count(int fd)
{
	uint8_t key[64], next[64];
	size_t count = 0;

	for (void *from = NULL; bpf_map_get_next_key(fd, from, next) == 0; from = key) {
		memcpy(key, next, sizeof(key));
		count++;
	}
	return count;
}

/* ---- programs of others ------------------------------------------------------------------ */

int help_foreign_program(const char *name, bool xdp)
{
	/* r0 = XDP_PASS or TC_ACT_UNSPEC; exit */
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = xdp ? 2 : -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, name, "GPL",
			       program, ARRAY_SIZE(program), NULL);

	assert_true(fd >= 0);
	return fd;
}

void help_foreign_filter(const char *interface, int program_fd, uint32_t priority,
			 uint32_t attach_point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(interface),
		    .attach_point = attach_point);
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd, .priority = priority);
	int error = bpf_tc_hook_create(&hook);

	assert_true(error == 0 || error == -EEXIST);
	assert_int_equal(bpf_tc_attach(&hook, &options), 0);
}

size_t help_filter_count(const char *interface)
{
	_cleanup_free_ NetlinkFilter *filters = NULL;
	size_t count = 0, real = 0;

	assert_int_equal(netlink_filters(if_nametoindex(interface),
					 TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), &filters,
					 &count),
			 0);
	for (size_t i = 0; i < count; i++)
		real += filters[i].handle != 0;
	return real;
}

/* Of Linux 6.6; Debian 12's headers are older. */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_BEFORE  (1U << 3)

size_t help_tc_count(const char *interface)
{
	uint32_t ids[64];
	LIBBPF_OPTS(bpf_prog_query_opts, options, .prog_ids = ids, .prog_cnt = ARRAY_SIZE(ids));

	if (bpf_prog_query_opts((int)if_nametoindex(interface), TCX_INGRESS, &options) == 0)
		return options.prog_cnt;
	return errno == EINVAL ? help_filter_count(interface) : 0;
}

/* Before all others, or behind them. */
static int foreign_tc(const char *interface, int program_fd, bool first)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = first ? TCX_BEFORE : 0);
	int link_fd =
		bpf_link_create(program_fd, (int)if_nametoindex(interface), TCX_INGRESS, &options);

	if (link_fd < 0)
		help_foreign_filter(interface, program_fd, first ? 1 : 7, BPF_TC_INGRESS);
	return link_fd;
}

int help_foreign_tc(const char *interface, int program_fd)
{
	return foreign_tc(interface, program_fd, false);
}

int help_foreign_tc_first(const char *interface, int program_fd)
{
	return foreign_tc(interface, program_fd, true);
}

bool help_has_clsact(const char *interface)
{
	return help_run("tc qdisc show dev %s | grep -q clsact", interface);
}

uint32_t help_xdp_id(const char *interface)
{
	NetlinkInterface facts;

	assert_int_equal(netlink_interface_by_name(interface, &facts), 0);
	return facts.xdp_program_id;
}

/* ---- packets ----------------------------------------------------------------------------- */

/* An IPv4 header for SIZE bytes behind it. */
static struct iphdr make_ip(uint8_t protocol, size_t size)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = protocol,
		.tot_len = htons((uint16_t)(sizeof(ip) + size)),
		.saddr = inet_addr("192.0.2.2"),
		.daddr = inet_addr("192.0.2.1"),
	};
	const uint16_t *words = (const uint16_t *)&ip;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	ip.check = (uint16_t) ~(sum + (sum >> 16));
	return ip;
}

static size_t make_syn(uint8_t *packet, uint16_t port)
{
	struct tcphdr tcp = {
		.source = htons(40000), .dest = htons(port), .doff = 5, .syn = 1, .window = 1024};
	struct iphdr ip = make_ip(IPPROTO_TCP, sizeof(tcp));

	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), &tcp, sizeof(tcp));
	return sizeof(ip) + sizeof(tcp);
}

static void send_frame(const char *interface, const uint8_t *packet, size_t size)
{
	uint8_t frame[2048] = {0};
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_ifindex = (int)if_nametoindex(interface)};
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && size + ETH_HLEN <= sizeof(frame));
	memset(frame, 0xff, ETH_ALEN);
	frame[ETH_ALEN] = 2;
	frame[2 * ETH_ALEN] = ETH_P_IP >> 8;
	frame[2 * ETH_ALEN + 1] = ETH_P_IP & 0xff;
	memcpy(frame + ETH_HLEN, packet, size);
	assert_int_equal(sendto(fd, frame, size + ETH_HLEN, 0, (struct sockaddr *)&to, sizeof(to)),
			 size + ETH_HLEN);
}

void help_send_syn(const char *interface, uint16_t port)
{
	uint8_t packet[128];

	send_frame(interface, packet, make_syn(packet, port));
}

void help_write_syn(int fd, uint16_t port)
{
	uint8_t packet[128];
	size_t size = make_syn(packet, port);

	assert_int_equal(write(fd, packet, size), size);
}

void help_send_udp(const char *interface, uint16_t port, const void *data, size_t size)
{
	uint8_t packet[1024];
	struct udphdr udp = {.source = htons(40000),
			     .dest = htons(port),
			     .len = htons((uint16_t)(sizeof(udp) + size))};
	struct iphdr ip = make_ip(IPPROTO_UDP, sizeof(udp) + size);

	assert_true(sizeof(ip) + sizeof(udp) + size <= sizeof(packet));
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), &udp, sizeof(udp));
	memcpy(packet + sizeof(ip) + sizeof(udp), data, size);
	send_frame(interface, packet, sizeof(ip) + sizeof(udp) + size);
}

uint64_t help_wait_counter(Enforcer *enforcer, const char *interface, enum spale_reason reason,
			   uint64_t wanted)
{
	struct spale_counters counters = {0};

	for (int i = 0; i < 100 && counters.packets[reason] < wanted; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		assert_int_equal(enforcer_counters(enforcer, interface, &counters), 0);
	}
	return counters.packets[reason];
}

int help_check_clean(void **state)
{
	(void)state;
	if (help_tc_count("near") == 0 && help_xdp_id("near") == 0 && !help_has_clsact("near"))
		return 0;
	print_error("something is left on the interface\n");
	return -1;
}

/* ---- other processes --------------------------------------------------------------------- */

pid_t help_spawn_other(int (*function)(void *userdata), void *userdata)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t other = fork();
	assert_true(other >= 0);
	if (other == 0) {
		if (function(userdata) == 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return other;
}

void help_kill_other(pid_t other)
{
	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(waitpid(other, NULL, 0), other);
}

void help_become_nobody(uint64_t capabilities)
{
	const uid_t nobody = 65534;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = (uint32_t)capabilities, .permitted = (uint32_t)capabilities},
		{.effective = (uint32_t)(capabilities >> 32),
		 .permitted = (uint32_t)(capabilities >> 32)},
	};

	assert_int_equal(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	assert_int_equal(setresgid(nobody, nobody, nobody), 0);
	assert_int_equal(setresuid(nobody, nobody, nobody), 0);
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

void help_in_child(void (*function)(void))
{
	int status = -1;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		function();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define TESTS_MAX 64

/* ---- running ----------------------------------------------------------------------------- */

bool help_has_xdp(void)
{
	struct utsname name;
	unsigned major, minor;

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%u.%u", &major, &minor), 2);
	return major > 5 || (major == 5 && minor >= 18);
}

Mode help_mode(void)
{
	return help_has_xdp() ? MODE_XDP : MODE_TC;
}

int help_run_tests(const struct CMUnitTest *tests, size_t count)
{
	struct CMUnitTest wanted[TESTS_MAX];
	size_t wanted_count = 0;

	assert_true(count <= ARRAY_SIZE(wanted));
	for (size_t i = 0; i < count; i++) {
		if (!tests[i].initial_state || help_has_xdp())
			wanted[wanted_count++] = tests[i];
		else
			printf("# left out, for this kernel has no XDP of Linux 5.18: %s\n",
			       tests[i].name);
		if (tests[i].initial_state && help_has_xdp())
			wanted[wanted_count - 1].initial_state = NULL;
	}
	if (!help_has_xdp())
		printf("# left out, for the same reason: what other tests do in XDP too\n");
	return _cmocka_run_group_tests("enforcer", wanted, wanted_count, help_enter_namespace,
				       NULL);
}
