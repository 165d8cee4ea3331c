/* SPDX-License-Identifier: MIT */
/* Programs on interfaces: ours come and go, those of others stay as they are. */
#include "enforce-help.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "enforce/ebpf.h"

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

static void test_interfaces_count_apart(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_done(enforcer, enforcer_attach(enforcer, "near", help_mode()));
	assert_done(enforcer, enforcer_attach(enforcer, "far", MODE_TC));
	help_send_syn("far", HELP_TCP_PORT);
	help_send_syn("far", HELP_TCP_PORT);
	help_send_syn("near", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 2), 2);
	assert_int_equal(help_wait_counter(enforcer, "far", SPALE_REASON_DENIED, 1), 1);
}

/* How ip(8) shows the interface's XDP program: "xdp" is native, "xdpgeneric" is not. */
static bool shows_xdp_as(const char *interface, const char *mode)
{
	return help_run("ip link show dev %s | head -n 1 | grep -qw %s", interface, mode);
}

static void test_xdp_is_native_where_it_can_be(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	/* Frames that do not fit into one page. */
	assert_true(help_run("ip link set near mtu 9000 && ip link set far mtu 9000"));
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_XDP));
	assert_true(shows_xdp_as("near", "xdp"));
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_true(help_run("ip link set near mtu 1500 && ip link set far mtu 1500"));

	assert_true(help_run("ip link add bridge7 type bridge"));
	assert_done(enforcer, enforcer_attach(enforcer, "bridge7", MODE_XDP));
	assert_true(shows_xdp_as("bridge7", "xdpgeneric"));
	assert_done(enforcer, enforcer_detach(enforcer, "bridge7"));
	assert_true(help_run("ip link del bridge7"));
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
	if (help_has_xdp())
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

/* What is listed under NAME, or all zero. */
static EnforcerInterface listed(Enforcer *enforcer, const char *name)
{
	_cleanup_free_ EnforcerInterface *interfaces = NULL;
	EnforcerInterface found = {0};
	size_t count = 0;

	assert_done(enforcer, enforcer_interfaces(enforcer, &interfaces, &count));
	for (size_t i = 0; i < count; i++)
		if (strcmp(interfaces[i].name, name) == 0)
			found = interfaces[i];
	return found;
}

static void interfaces_are_followed(Mode mode)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	EnforcerInterface one, child;

	assert_true(listed(enforcer, "lo").is_loopback);
	enforcer_consume_changes(enforcer);
	assert_int_equal(enforcer_consume_changes(enforcer), 0);
	assert_true(help_run("ip link add one type veth peer name other"));
	assert_int_equal(enforcer_consume_changes(enforcer), ENFORCER_INTERFACES_CHANGED);
	assert_true(help_run("ip address add 192.0.2.77/32 dev one"));
	assert_int_equal(enforcer_consume_changes(enforcer), ENFORCER_ADDRESSES_CHANGED);
	assert_true(help_run("ip link add link one name child type macvlan"));
	assert_done(enforcer, enforcer_attach(enforcer, "one", mode));
	one = listed(enforcer, "one");
	assert_true(one.is_attached && one.delivers && !one.is_up && !one.is_loopback);
	child = listed(enforcer, "child");
	assert_int_equal(child.parent_ifindex, one.ifindex);
	assert_false(child.is_attached || child.delivers);
	assert_int_equal(listed(enforcer, "other").parent_ifindex, 0);
	assert_true(help_run("ip link set child up && ip address flush dev child"));
	assert_true(listed(enforcer, "child").delivers);

	/* It keeps its index, and goes by its new name from the look on. */
	assert_true(help_run("ip link set one name two && ip link set two up"));
	assert_int_equal(enforcer_detach(enforcer, "two"), -ENOENT);
	assert_true(listed(enforcer, "two").is_attached && listed(enforcer, "two").is_up);
	assert_int_equal(listed(enforcer, "two").ifindex, one.ifindex);
	assert_done(enforcer, enforcer_detach(enforcer, "two"));
	assert_done(enforcer, enforcer_attach(enforcer, "two", mode));

	/* A port's packets are its bridge's. */
	assert_true(help_run("ip link add bridge7 type bridge && ip link del child && "
			     "ip link set two master bridge7"));
	assert_false(listed(enforcer, "two").delivers);

	/* Another one with the same name and index. */
	assert_true(help_run("ip link del two && ip link del bridge7 && "
			     "ip link add two index %u type veth peer name other",
			     one.ifindex));
	assert_false(listed(enforcer, "two").is_attached);
	assert_done(enforcer, enforcer_attach(enforcer, "two", mode));
	assert_true(help_run("ip link del two"));
	assert_int_equal(listed(enforcer, "two").ifindex, 0);
	assert_int_equal(enforcer_detach(enforcer, "two"), -ENOENT);
}

static void test_interfaces_are_followed(void **state)
{
	(void)state;
	interfaces_are_followed(MODE_TC);
	if (help_has_xdp())
		interfaces_are_followed(MODE_XDP);
}

/* ---- stations ---------------------------------------------------------------------------- */

static bool is_station(const char *text)
{
	const int map = help_map("stations");
	struct spale_station key = {0};
	unsigned char *bytes = key.address;
	uint32_t value;

	assert_int_equal(sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", bytes, bytes + 1, bytes + 2,
				bytes + 3, bytes + 4, bytes + 5),
			 6);
	return bpf_map_lookup_elem(map, &key, &value) == 0;
}

static size_t asking_slots(void)
{
	const int map = help_map("asking");
	size_t count = 0;

	for (uint32_t slot = 0; slot < SPALE_SLOTS; slot++) {
		uint32_t value;

		assert_int_equal(bpf_map_lookup_elem(map, &slot, &value), 0);
		count += value;
	}
	return count;
}

static size_t station_count(void)
{
	return help_map_count(help_map("stations"));
}

static void assert_nobody_asks(Enforcer *enforcer, const char *name)
{
	assert_false(listed(enforcer, name).asks_for_stations);
	assert_int_equal(asking_slots(), 0);
	assert_int_equal(station_count(), 0);
}

/* Who asks: ports of bridges, parents of macvlans, what is promiscuous. */
static void test_who_asks_for_stations(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_nobody_asks(enforcer, "near");
	assert_true(help_run("ip link set near promisc on"));
	assert_true(listed(enforcer, "near").asks_for_stations);
	assert_int_equal(asking_slots(), 1);
	assert_true(help_run("ip link set near promisc off"));
	assert_nobody_asks(enforcer, "near");

	assert_true(help_run("ip link add link near name child type macvlan"));
	assert_true(listed(enforcer, "near").asks_for_stations);
	assert_true(help_run("ip link del child"));
	assert_nobody_asks(enforcer, "near");

	assert_true(help_run("ip link add bridge7 type bridge && ip link set near master bridge7"));
	assert_true(listed(enforcer, "near").asks_for_stations);
	assert_false(listed(enforcer, "bridge7").asks_for_stations);
	/* Another interface in the slot is judged whole, until we have looked. */
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_done(enforcer, enforcer_attach(enforcer, "far", MODE_TC));
	assert_int_equal(asking_slots(), 0);
	assert_done(enforcer, enforcer_detach(enforcer, "far"));
	assert_true(help_run("ip link del bridge7"));
}

/* Whose stations are ours: any device's, children's elsewhere, what a bridge was told. */
static void test_stations_of_this_host(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	char elsewhere[32];

	(void)state;
	snprintf(elsewhere, sizeof(elsewhere), "spaletest-%d-child", getpid());
	assert_true(help_run("ip link add bridge7 address 02:00:00:00:07:01 type bridge && "
			     "ip link set near address 02:00:00:00:07:02 master bridge7 && "
			     "ip link set bridge7 up"));
	assert_true(help_run(
		"ip link add apart address 02:00:00:00:07:03 type veth peer name apart2 && "
		"ip link add link bridge7 name child address 02:00:00:00:07:04 type macvlan && "
		"bridge fdb add 02:00:00:00:07:05 dev near master permanent && "
		"bridge fdb add 02:00:00:00:07:06 dev near master static"));
	assert_done(enforcer, enforcer_attach(enforcer, "near", help_mode()));
	assert_true(listed(enforcer, "near").asks_for_stations);
	assert_true(is_station("02:00:00:00:07:01"));
	assert_true(is_station("02:00:00:00:07:02"));
	assert_true(is_station("02:00:00:00:07:03"));
	assert_true(is_station("02:00:00:00:07:04"));
	assert_true(is_station("02:00:00:00:07:05"));
	assert_false(is_station("02:00:00:00:07:06"));

	/* It moves, and its address changes, of which nobody tells this namespace. */
	assert_true(help_run("ip netns add %s && ip link set child netns %s && "
			     "ip -n %s link set child up",
			     elsewhere, elsewhere, elsewhere));
	assert_true(listed(enforcer, "near").is_attached);
	assert_true(is_station("02:00:00:00:07:04"));
	assert_true(help_run("ip -n %s link set child address 02:00:00:00:07:07", elsewhere));
	assert_true(listed(enforcer, "near").is_attached);
	assert_true(is_station("02:00:00:00:07:07"));
	assert_false(is_station("02:00:00:00:07:04"));
	assert_true(
		help_run("ip netns del %s && ip link del bridge7 && ip link del apart", elsewhere));
}

/* A list that does not fit is none: then everything is judged. */
static void test_too_many_stations(void **state)
{
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_true(help_run("ip link set near promisc on"));
	assert_true(listed(enforcer, "near").asks_for_stations);
	assert_true(help_run("ip link add bridge7 type bridge && "
			     "ip link add port7 type veth peer name port8 && "
			     "ip link set port7 master bridge7 && "
			     "for i in $(seq 0 %d); do printf 'fdb add 02:07:00:00:%%02x:%%02x "
			     "dev port7 master permanent\n' $((i / 256)) $((i %% 256)); done | "
			     "bridge -batch -",
			     SPALE_STATIONS_MAX));
	assert_false(listed(enforcer, "near").asks_for_stations);
	assert_int_equal(asking_slots(), 0);
	assert_true(help_run("ip link del bridge7 && ip link del port7"));
	assert_true(listed(enforcer, "near").asks_for_stations);
	assert_true(help_run("ip link set near promisc off"));
}

/* ---- the end of slots -------------------------------------------------------------------- */

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
	assert_done(enforcer, enforcer_attach(enforcer, "s64", help_mode()));
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

static void test_foreign_tc_comes_first(void **state)
{
	_cleanup_close_ int foreign = help_foreign_program("foreign_tc", false);
	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();

	(void)state;
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_true(enforcer_is_intact(enforcer));
	_cleanup_close_ int link = help_foreign_tc_first("near", foreign);
	assert_false(enforcer_is_intact(enforcer));
	assert_true(listed(enforcer, "near").is_attached && listed(enforcer, "near").is_behind);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_true(enforcer_is_intact(enforcer));
	assert_false(listed(enforcer, "near").is_behind);
	assert_int_equal(enforcer_attach(enforcer, "near", MODE_TC), -EALREADY);
	assert_int_equal(help_tc_count("near"), 2);
	help_send_syn("far", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 1), 1);
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_int_equal(help_tc_count("near"), 1);
	if (link < 0)
		assert_true(help_run("tc qdisc del dev near clsact"));
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
	pid_t other = help_spawn_other(attach_other, &mode);
	assert_int_equal(enforcer_attach(enforcer, "near", MODE_TC), -EBUSY);
	assert_error_has(enforcer, "near is protected by another spaled already (");
	assert_int_equal(help_tc_count("near"), 1);
	help_kill_other(other);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(help_tc_count("near"), 1);
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	if (help_has_clsact("near")) /* without tcx the killed one left its qdisc */
		assert_true(help_run("tc qdisc del dev near clsact"));

	if (!help_has_xdp())
		return;
	mode = MODE_XDP;
	other = help_spawn_other(attach_other, &mode);
	assert_int_equal(enforcer_attach(enforcer, "near", MODE_XDP), -EBUSY);
	assert_error_has(enforcer, "held by program spale_xdp (id ");
	help_kill_other(other);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_XDP));
}

/* ---- capabilities ------------------------------------------------------------------------ */

static void with_three_capabilities(void)
{
	help_become_nobody(HELP_CAPABILITIES);

	Enforcer *enforcer = help_enforcer_ready();
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	if (!help_has_xdp()) {
		enforcer_free(enforcer);
		return;
	}
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_XDP));
	/* Without CAP_SYS_ADMIN, programs of others have ids but no names. */
	Enforcer *second = help_enforcer_ready();
	assert_int_equal(enforcer_attach(second, "near", MODE_XDP), -EBUSY);
	assert_error_has(second, "near: its XDP hook is held by the program with id ");
	enforcer_free(second);
	enforcer_free(enforcer);
}

static void test_three_capabilities_suffice(void **state)
{
	(void)state;
	help_in_child(with_three_capabilities);
}

static void without_perfmon(void)
{
	help_become_nobody(HELP_CAPABILITIES & ~(1ULL << CAP_PERFMON));

	_cleanup_enforcer_ Enforcer *enforcer = help_enforcer_ready();
	assert_true(enforcer_attach(enforcer, "near", MODE_TC) < 0);
	assert_error_has(enforcer, "what this process lacks: CAP_PERFMON");
}

static void without_any(void)
{
	Enforcer *enforcer = NULL;
	_cleanup_free_ char *message = NULL;

	help_become_nobody(0);
	assert_int_equal(ebpf_enforcer_new(NULL, &enforcer, &message), -EPERM);
	assert_null(enforcer);
	assert_string_equal(message,
			    "cannot make the eBPF maps: Operation not permitted; what this "
			    "process lacks: CAP_BPF CAP_NET_ADMIN CAP_PERFMON");
}

static void test_missing_capabilities_are_named(void **state)
{
	(void)state;
	help_in_child(without_perfmon);
	help_in_child(without_any);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		help_clean_test(test_tc),
		help_xdp_test(help_clean_test(test_xdp)),
		help_clean_test(test_interfaces_count_apart),
		help_xdp_test(help_clean_test(test_xdp_is_native_where_it_can_be)),
		help_clean_test(test_no_such_interface),
		help_clean_test(test_device_without_ethernet),
		help_clean_test(test_loopback),
		help_clean_test(test_interface_vanishes),
		help_clean_test(test_renamed_interface),
		help_clean_test(test_interfaces_are_followed),
		help_clean_test(test_who_asks_for_stations),
		help_clean_test(test_stations_of_this_host),
		help_clean_test(test_too_many_stations),
		help_clean_test(test_slots_have_an_end),
		help_xdp_test(help_clean_test(test_foreign_xdp_is_refused)),
		help_clean_test(test_foreign_tc_stays),
		help_clean_test(test_foreign_tc_comes_first),
		help_clean_test(test_second_spaled_is_refused),
		help_clean_test(test_three_capabilities_suffice),
		help_clean_test(test_missing_capabilities_are_named),
	};

	return help_run_tests(tests, ARRAY_SIZE(tests));
}
