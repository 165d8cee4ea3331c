/* SPDX-License-Identifier: MIT */
/* Programs on interfaces: ours come and go, those of others stay as they are. */
#include "enforce-help.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enforce/attach.h"
#include "enforce/ebpf.h"
#include "enforce/netlink.h"
#include "enforce/program.h"

/* Nobody in particular. */
#define NOBODY 65534

#define CAPABILITIES_SPALED (1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN | 1ULL << CAP_PERFMON)

/* Each test leaves "near" as it found it. */
static int check_clean(void **state)
{
	(void)state;
	if (help_tc_count("near") == 0 && help_xdp_id("near") == 0 && !help_has_clsact("near"))
		return 0;
	print_error("something is left on the interface\n");
	return -1;
}

/* ---- through the enforcer ---------------------------------------------------------------- */

static void denies_and_counts(Mode mode)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	struct spale_counters counters = {0};

	assert_int_equal(enforcer_counters(enforcer, "near", &counters), -ENOENT);
	assert_done(enforcer, enforcer_attach(enforcer, "near", mode));
	assert_int_equal(enforcer_attach(enforcer, "near", mode), -EALREADY);
	assert_error_has(enforcer, "near is attached already");

	help_send_syn("far", HELP_TCP_PORT + 1);
	help_send_syn("far", HELP_TCP_PORT);
	help_send_syn("far", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 2), 2);

	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_int_equal(enforcer_detach(enforcer, "near"), -ENOENT);

	/* The slot's next user starts at zero. */
	assert_done(enforcer, enforcer_attach(enforcer, "near", mode));
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 0), 0);
	assert_done(enforcer, enforcer_counters(enforcer, "near", &counters));
	assert_int_equal(counters.packets[SPALE_REASON_DENIED], 0);
}

static void test_tc(void **state)
{
	(void)state;
	denies_and_counts(MODE_TC);
}

static void test_xdp(void **state)
{
	(void)state;
	denies_and_counts(MODE_XDP);
}

static void test_no_such_interface(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_int_equal(enforcer_attach(enforcer, "nowhere0", MODE_TC), -ENODEV);
	assert_string_equal(enforcer_error(enforcer), "there is no interface \"nowhere0\"");
	assert_int_equal(enforcer_attach(enforcer, "", MODE_TC), -ENODEV);
	assert_int_equal(enforcer_attach(enforcer, "a-name-that-is-far-too-long", MODE_XDP),
			 -ENODEV);
	assert_int_equal(enforcer_detach(enforcer, "nowhere0"), -ENOENT);
}

static int open_tun(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	strcpy(request.ifr_name, name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_true(help_run("ip link set %s up", name));
	return fd;
}

static void test_device_without_ethernet(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_close_ int fd = open_tun("tun7");

	(void)state;
	assert_int_equal(enforcer_attach(enforcer, "tun7", MODE_XDP), -ENOTSUP);
	assert_error_has(enforcer, "tun7: Mode=xdp works on Ethernet devices only");
	assert_done(enforcer, enforcer_attach(enforcer, "tun7", MODE_TC));
	help_write_syn(fd, HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "tun7", SPALE_REASON_DENIED, 1), 1);
}

static void test_loopback(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_int_equal(enforcer_attach(enforcer, "lo", MODE_XDP), -ENOTSUP);
	assert_done(enforcer, enforcer_attach(enforcer, "lo", MODE_TC));
	help_send_syn("lo", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "lo", SPALE_REASON_DENIED, 1), 1);
}

/* An interface takes everything along; another one of that name is attached anew. */
static void interface_vanishes(Mode mode)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	assert_true(help_run("ip link add one type veth peer name other && ip link set one up && "
			     "ip link set other up"));
	assert_done(enforcer, enforcer_attach(enforcer, "one", mode));
	assert_true(help_run("ip link del one"));
	assert_done(enforcer, enforcer_detach(enforcer, "one"));

	assert_true(help_run("ip link add one type veth peer name other"));
	assert_done(enforcer, enforcer_attach(enforcer, "one", mode));
	assert_true(help_run("ip link del one"));
	assert_true(help_run("ip link add one type veth peer name other && ip link set one up && "
			     "ip link set other up"));
	assert_done(enforcer, enforcer_attach(enforcer, "one", mode));
	help_send_syn("other", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "one", SPALE_REASON_DENIED, 1), 1);
	assert_true(help_run("ip link del one"));
}

static void test_interface_vanishes(void **state)
{
	(void)state;
	interface_vanishes(MODE_TC);
	interface_vanishes(MODE_XDP);
}

static void test_renamed_interface(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_true(help_run("ip link add one type veth peer name other"));
	assert_done(enforcer, enforcer_attach(enforcer, "one", MODE_TC));
	assert_true(help_run("ip link set one name two"));
	assert_int_equal(enforcer_attach(enforcer, "two", MODE_TC), -EALREADY);
	assert_true(help_run("ip link set other name one"));
	assert_int_equal(enforcer_attach(enforcer, "one", MODE_TC), -EALREADY);
	assert_error_has(enforcer, "has another name now");
	assert_done(enforcer, enforcer_detach(enforcer, "one"));
	assert_int_equal(help_tc_count("two"), 0);
	assert_true(help_run("ip link del two"));
}

static void test_slots_have_an_end(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	char name[IFNAMSIZ];

	(void)state;
	assert_true(help_run("for i in $(seq 0 2 64); do ip link add s$i type veth "
			     "peer name s$((i+1)) || exit 1; done"));
	for (int i = 0; i < SPALE_SLOTS; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		assert_done(enforcer, enforcer_attach(enforcer, name, MODE_TC));
	}
	assert_int_equal(enforcer_attach(enforcer, "s64", MODE_TC), -ENOSPC);
	assert_string_equal(enforcer_error(enforcer), "s64: 64 interfaces are attached already");
	assert_int_equal(help_tc_count("s64"), 0);
	assert_done(enforcer, enforcer_detach(enforcer, "s17"));
	assert_done(enforcer, enforcer_attach(enforcer, "s64", MODE_XDP));
	assert_true(help_run("for i in $(seq 0 2 64); do ip link del s$i || exit 1; done"));
}

/* ---- programs of others ------------------------------------------------------------------ */

static void test_foreign_xdp_is_refused(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	_cleanup_close_ int foreign = help_foreign_program("foreign_xdp", true);
	static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
	int ifindex = (int)if_nametoindex("near");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(bpf_xdp_attach(ifindex, foreign, modes[i], NULL), 0);
		uint32_t id = help_xdp_id("near");
		assert_int_equal(enforcer_attach(enforcer, "near", MODE_XDP), -EBUSY);
		assert_error_has(enforcer,
				 "near: its XDP hook is held by program foreign_xdp (id ");
		assert_int_equal(help_xdp_id("near"), id);
		/* TC is another hook. */
		assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
		assert_done(enforcer, enforcer_detach(enforcer, "near"));
		assert_int_equal(help_xdp_id("near"), id);
		assert_int_equal(bpf_xdp_detach(ifindex, modes[i], NULL), 0);
	}
}

static void test_foreign_tc_stays(void **state)
{
	_cleanup_close_ int foreign = help_foreign_program("foreign_tc", false);
	_cleanup_close_ int link = help_foreign_tc("near", foreign);
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(help_tc_count("near"), 2);
	/* Ours is asked before the other: it denies. */
	help_send_syn("far", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 1), 1);
	enforcer_free(TAKE_PTR(enforcer));
	assert_int_equal(help_tc_count("near"), 1);
	if (link < 0)
		assert_true(help_run("tc qdisc del dev near clsact"));
}

/* Another process does something, and lives until kill_other(). Returns its id. */
static pid_t spawn_other(int (*function)(void *userdata), void *userdata)
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

static void kill_other(pid_t other)
{
	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(waitpid(other, NULL, 0), other);
}

static int attach_other(void *mode)
{
	/* Killed with it still in its hands. */
	return enforcer_attach(help_enforcer_ready(), "near", *(Mode *)mode);
}

static void test_second_spaled_is_refused(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	Mode mode = MODE_TC;

	(void)state;
	pid_t other = spawn_other(attach_other, &mode);
	assert_int_equal(enforcer_attach(enforcer, "near", MODE_TC), -EBUSY);
	assert_error_has(enforcer, "near is protected by another spaled already (");
	assert_int_equal(help_tc_count("near"), 1);
	kill_other(other);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(help_tc_count("near"), 1);
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	if (help_has_clsact("near")) /* without tcx the killed one left its qdisc */
		assert_true(help_run("tc qdisc del dev near clsact"));

	mode = MODE_XDP;
	other = spawn_other(attach_other, &mode);
	assert_int_equal(enforcer_attach(enforcer, "near", MODE_XDP), -EBUSY);
	assert_error_has(enforcer, "held by program spale_xdp (id ");
	kill_other(other);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_XDP));
}

/* ---- clsact, as kernels without tcx have it ---------------------------------------------- */

typedef struct Clsact {
	Enforcer report;
	ProgramMaps *maps;
	int program_fd;
	NetlinkInterface near;
	Attachment attachment;
} Clsact;

static void clsact_done(Clsact *clsact)
{
	closep(&clsact->program_fd);
	program_maps_free(clsact->maps);
}

#define _cleanup_clsact_ _cleanup_(clsact_done)

static Clsact clsact_new(void)
{
	Clsact clsact = {.program_fd = -1};

	assert_done(&clsact.report, program_maps_new(&clsact.report, &clsact.maps));
	clsact.program_fd =
		program_load(&clsact.report, clsact.maps, MODE_TC, 0, SPALE_HEADER_ETHERNET);
	assert_true(clsact.program_fd >= 0);
	assert_int_equal(netlink_interface_by_name("near", &clsact.near), 0);
	return clsact;
}

static int clsact_begin(Clsact *clsact)
{
	return attach_clsact(&clsact->report, clsact->program_fd, &clsact->near,
			     &clsact->attachment);
}

static void test_clsact_takes_its_qdisc_along(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();

	(void)state;
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_true(help_has_clsact("near"));
	assert_int_equal(help_filter_count("near"), 1);
	assert_true(attach_is_alive(&clsact.attachment));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_false(help_has_clsact("near"));
	assert_false(attach_is_alive(&clsact.attachment));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
}

static void test_clsact_leaves_a_foreign_qdisc(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();

	(void)state;
	assert_true(help_run("tc qdisc add dev near clsact"));
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_true(help_has_clsact("near"));
	assert_int_equal(help_filter_count("near"), 0);
	assert_true(help_run("tc qdisc del dev near clsact"));
}

/* Filters of others on a qdisc that we made: it stays for them. */
static void test_clsact_leaves_a_used_qdisc(void **state)
{
	static const uint32_t points[] = {BPF_TC_INGRESS, BPF_TC_EGRESS};
	_cleanup_clsact_ Clsact clsact = clsact_new();
	_cleanup_close_ int foreign = help_foreign_program("foreign_tc", false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		assert_done(&clsact.report, clsact_begin(&clsact));
		help_foreign_filter("near", foreign, 7, points[i]);
		assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
		assert_true(help_has_clsact("near"));
		assert_int_equal(help_filter_count("near"), points[i] == BPF_TC_INGRESS ? 1 : 0);
		assert_true(help_run("tc qdisc del dev near clsact"));
	}
}

/* Somebody took our filter, or all of the qdisc, away. */
static void test_clsact_is_gone(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();

	(void)state;
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_true(help_run("tc filter del dev near ingress"));
	assert_false(attach_is_alive(&clsact.attachment));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_false(help_has_clsact("near"));

	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_true(help_run("tc qdisc del dev near clsact"));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
}

static void test_clsact_stands_before_others(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();
	_cleanup_close_ int foreign = help_foreign_program("foreign_tc", false);
	_cleanup_free_ NetlinkFilter *filters = NULL;
	size_t count = 0;

	(void)state;
	help_foreign_filter("near", foreign, 1, BPF_TC_INGRESS);
	help_foreign_filter("near", foreign, 2, BPF_TC_INGRESS);
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_int_equal(help_filter_count("near"), 3);
	assert_int_equal(netlink_filters(clsact.near.ifindex, 0xfffffff2, &filters, &count), 0);
	for (size_t i = 0; i < count; i++) {
		if (filters[i].handle == 0)
			continue;
		assert_int_equal(strncmp(filters[i].program_name, "spale_tc:[", 10), 0);
		break;
	}
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_int_equal(help_filter_count("near"), 2);
	assert_true(help_run("tc qdisc del dev near clsact"));
}

/* A filter that we cannot come before: nothing of ours stays. */
static void test_clsact_place_is_taken(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();

	(void)state;
	assert_true(help_run("tc qdisc add dev near clsact"));
	assert_true(help_run("tc filter add dev near ingress pref 1 protocol ip u32 "
			     "match u32 0 0 2>/dev/null") ||
		    help_run("tc filter add dev near ingress pref 1 protocol ip matchall "
			     "2>/dev/null"));
	size_t before = help_filter_count("near");
	assert_true(clsact_begin(&clsact) < 0);
	assert_error_has(&clsact.report, "near: ");
	assert_int_equal(help_filter_count("near"), before);
	assert_true(help_has_clsact("near"));
	assert_true(help_run("tc qdisc del dev near clsact"));
}

static int clsact_begin_other(void *clsact)
{
	return clsact_begin(clsact);
}

static void test_clsact_of_another_spaled(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();

	(void)state;
	pid_t other = spawn_other(clsact_begin_other, &clsact);
	assert_int_equal(clsact_begin(&clsact), -EBUSY);
	assert_error_has(&clsact.report, "near is protected by another spaled already (process ");
	assert_int_equal(help_filter_count("near"), 1);

	/* Killed, it leaves its filter, which ours takes the place of. */
	kill_other(other);
	assert_int_equal(help_filter_count("near"), 1);
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_int_equal(help_filter_count("near"), 1);
	assert_int_equal(clsact.attachment.handle, getpid());
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_int_equal(help_filter_count("near"), 0);
	assert_true(help_run("tc qdisc del dev near clsact"));
}

/* A killed one had the same process id, as in a container: it is replaced where it stands. */
static void test_clsact_with_our_process_id(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();
	Attachment forgotten;

	(void)state;
	assert_done(&clsact.report, clsact_begin(&clsact));
	forgotten = clsact.attachment;
	assert_true(forgotten.made_qdisc);
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_int_equal(help_filter_count("near"), 1);
	assert_done(&clsact.report, attach_end(&clsact.report, &forgotten));
}

/* ---- capabilities ------------------------------------------------------------------------ */

static void become(uid_t uid, uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = (uint32_t)capabilities, .permitted = (uint32_t)capabilities},
		{.effective = (uint32_t)(capabilities >> 32),
		 .permitted = (uint32_t)(capabilities >> 32)},
	};

	assert_int_equal(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	assert_int_equal(setresgid(uid, uid, uid), 0);
	assert_int_equal(setresuid(uid, uid, uid), 0);
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

/* Runs FUNCTION in a process of its own; its failed assertions are ours. */
static void in_child(void (*function)(void))
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

static void with_three_capabilities(void)
{
	become(NOBODY, CAPABILITIES_SPALED);

	Enforcer *enforcer = help_enforcer_ready();
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_XDP));
	/* Without CAP_SYS_ADMIN, programs of others have ids but no names. */
	Enforcer *second = help_enforcer_ready();
	assert_int_equal(enforcer_attach(second, "near", MODE_XDP), -EBUSY);
	assert_error_has(second, "near: its XDP hook is held by the program with id ");
	enforcer_free(second);
	enforcer_free(enforcer);

	_cleanup_clsact_ Clsact clsact = clsact_new();
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
}

static void test_three_capabilities_suffice(void **state)
{
	(void)state;
	in_child(with_three_capabilities);
}

static void without_perfmon(void)
{
	become(NOBODY, CAPABILITIES_SPALED & ~(1ULL << CAP_PERFMON));

	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	assert_true(enforcer_attach(enforcer, "near", MODE_TC) < 0);
	assert_error_has(enforcer, "what this process lacks: CAP_PERFMON");
}

static void without_any(void)
{
	Enforcer *enforcer = NULL;
	_cleanup_free_ char *message = NULL;

	become(NOBODY, 0);
	assert_int_equal(ebpf_enforcer_new(&enforcer, &message), -EPERM);
	assert_null(enforcer);
	assert_string_equal(message,
			    "cannot make the eBPF maps: Operation not permitted; what this "
			    "process lacks: CAP_BPF CAP_NET_ADMIN CAP_PERFMON");
}

static void test_missing_capabilities_are_named(void **state)
{
	(void)state;
	in_child(without_perfmon);
	in_child(without_any);
}

#define clean_test(function) cmocka_unit_test_setup_teardown(function, check_clean, check_clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		clean_test(test_tc),
		clean_test(test_xdp),
		clean_test(test_no_such_interface),
		clean_test(test_device_without_ethernet),
		clean_test(test_loopback),
		clean_test(test_interface_vanishes),
		clean_test(test_renamed_interface),
		clean_test(test_slots_have_an_end),
		clean_test(test_foreign_xdp_is_refused),
		clean_test(test_foreign_tc_stays),
		clean_test(test_second_spaled_is_refused),
		clean_test(test_clsact_takes_its_qdisc_along),
		clean_test(test_clsact_leaves_a_foreign_qdisc),
		clean_test(test_clsact_leaves_a_used_qdisc),
		clean_test(test_clsact_is_gone),
		clean_test(test_clsact_stands_before_others),
		clean_test(test_clsact_place_is_taken),
		clean_test(test_clsact_of_another_spaled),
		clean_test(test_clsact_with_our_process_id),
		clean_test(test_three_capabilities_suffice),
		clean_test(test_missing_capabilities_are_named),
	};

	return cmocka_run_group_tests(tests, help_enter_namespace, NULL);
}
