/* SPDX-License-Identifier: MIT */
/* What one enforcer leaves to the next in a store: nothing opens, nothing is lost. */
#include "enforce-help.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "enforce/ebpf.h"

/* A store in this process. */
static struct {
	char name[32];
	int fd;
} kept[128];
static size_t kept_count;
static bool store_is_deaf; /* removes nothing */

static int store_take(void *userdata, const char *name)
{
	(void)userdata;
	for (size_t i = 0; i < kept_count; i++)
		if (strcmp(kept[i].name, name) == 0)
			return fcntl(kept[i].fd, F_DUPFD_CLOEXEC, 3);
	return -ENOENT;
}

static void store_remove(void *userdata, const char *name)
{
	(void)userdata;
	for (size_t i = kept_count; !store_is_deaf && i-- > 0;) {
		if (strcmp(kept[i].name, name) != 0)
			continue;
		close(kept[i].fd);
		kept[i] = kept[--kept_count];
	}
}

static int store_put(void *userdata, const char *name, int fd)
{
	store_remove(userdata, name);
	assert_true(kept_count < ARRAY_SIZE(kept));
	snprintf(kept[kept_count].name, sizeof(kept[0].name), "%s", name);
	kept[kept_count].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return kept[kept_count++].fd < 0 ? -errno : 0;
}

static const EnforcerStore store = {
	.take = store_take, .put = store_put, .remove = store_remove, .remedy = "empty it"};

static int empty_store(void **state)
{
	(void)state;
	while (kept_count > 0)
		store_remove(NULL, kept[0].name);
	return 0;
}

static Enforcer *heir(void)
{
	Enforcer *enforcer = NULL;
	_cleanup_free_ char *error = NULL;

	if (ebpf_enforcer_new(&store, &enforcer, &error) < 0)
		fail_msg("%s", error);
	return enforcer;
}

static void set_policy(Enforcer *enforcer, Mode mode)
{
	_cleanup_config_ Config *config = help_config();

	config->mode = mode;
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
}

/* One entry of a grant: to HELP_TCP_PORT, from 192.0.2.LAST. */
static EntryChange entry(uint8_t last)
{
	EntryChange change = {
		.put = true,
		.key = {.source = {[10] = 0xff, [11] = 0xff, 192, 0, 2, last},
			.port = HELP_TCP_PORT,
			.protocol = 6,
			.prefix_length = 128},
		.value = {.last_mono_ns = 5,
			  .idle_ns = SPALE_NEVER_NS,
			  .grace_ns = SPALE_NEVER_NS,
			  .deadline_mono_ns = SPALE_NEVER_NS},
	};

	return change;
}

/* What may lie in counters that no entry names: their grants have gone, or never came. */
static void count_elsewhere(void)
{
	_cleanup_free_ uint64_t *each = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));
	_cleanup_close_ int fd = store_take(NULL, "map-grant_packets");

	assert_true(fd >= 0);
	assert_non_null(each);
	each[0] = 9;
	for (uint32_t counter = 2; counter < SPALE_GRANT_COUNTERS; counter++)
		assert_int_equal(bpf_map_update_elem(fd, &counter, each, BPF_ANY), 0);
}

/* libbpf's, which fail on demand as they do when the kernel has no memory. */
static bool reading_fails;

static int read_or_fail(int command, union bpf_attr *attr)
{
	if (!reading_fails)
		return syscall(SYS_bpf, command, attr, sizeof(*attr)) < 0 ? -errno : 0;
	errno = ENOMEM;
	return -ENOMEM;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	union bpf_attr attr = {.map_fd = (__u32)fd,
			       .key = (__u64)(uintptr_t)key,
			       .value = (__u64)(uintptr_t)value};

	return read_or_fail(BPF_MAP_LOOKUP_ELEM, &attr);
}

int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *size)
{
	union bpf_attr attr = {.info.bpf_fd = (__u32)fd,
			       .info.info_len = *size,
			       .info.info = (__u64)(uintptr_t)info};
	int error = read_or_fail(BPF_OBJ_GET_INFO_BY_FD, &attr);

	*size = attr.info.info_len;
	return error;
}

static void count_record(const void *key, const void *value, void *userdata)
{
	size_t *count = userdata;

	(void)key;
	(void)value;
	++*count;
}

/* A record that cannot be read is not one that is not there: it may be of a knock. */
static void test_records_are_read_or_refused(void **state)
{
	Enforcer *enforcer = heir();
	const struct spale_accepted_key key = {.time = 7, .format = 1};
	const uint64_t number = 0;
	size_t count = 0;

	(void)state;
	assert_done(enforcer, enforcer_record_put(enforcer, ENFORCER_ACCEPTED, &key, &number));
	reading_fails = true;
	assert_int_equal(enforcer_records(enforcer, ENFORCER_ACCEPTED, count_record, &count),
			 -ENOMEM);
	reading_fails = false;
	assert_done(enforcer, enforcer_records(enforcer, ENFORCER_ACCEPTED, count_record, &count));
	assert_int_equal(count, 1);
	enforcer_free(enforcer);
}

/* Nor is a link that cannot be asked one that is gone. */
static void test_nothing_is_detached_for_want_of_memory(void **state)
{
	Enforcer *enforcer = heir();
	EnforcerInterface *interfaces = NULL;
	size_t count = 0;

	(void)state;
	set_policy(enforcer, help_mode());
	assert_done(enforcer, enforcer_attach(enforcer, "near", help_mode()));
	reading_fails = true;
	assert_true(enforcer_is_intact(enforcer));
	assert_done(enforcer, enforcer_interfaces(enforcer, &interfaces, &count));
	reading_fails = false;
	for (size_t i = 0; i < count; i++)
		assert_true(interfaces[i].is_attached == (strcmp(interfaces[i].name, "near") == 0));
	free(interfaces);
	help_send_syn("far", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 1), 1);
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	enforcer_free(enforcer);
}

static void restart(Mode mode)
{
	Enforcer *enforcer = heir();
	EntryChange entries[] = {entry(2), entry(3), entry(4)};
	const EntryChanges both = {entries, 2, 2}, second = {&entries[1], 1, 1};
	const EntryChanges third = {&entries[2], 1, 1};
	const uint64_t id = 7;
	const struct spale_owner owner = {.client = "alice"};
	uint64_t last, packets;

	set_policy(enforcer, mode);
	assert_done(enforcer, enforcer_apply(enforcer, &both));
	assert_done(enforcer, enforcer_record_put(enforcer, ENFORCER_OWNERS, &id, &owner));
	assert_done(enforcer, enforcer_attach(enforcer, "near", mode));
	help_send_syn("far", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_GRANTED, 1), 1);
	enforcer_free(enforcer);

	/* While there is none, the programs go on. The next one finds what they counted. */
	help_send_syn("far", HELP_TCP_PORT);
	enforcer = heir();
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_GRANTED, 2), 2);
	set_policy(enforcer, mode);
	assert_int_equal(enforcer_attach(enforcer, "near", mode), -EALREADY);
	assert_done(enforcer, enforcer_last_seen(enforcer, &entries[0].key, &last));
	assert_true(last > 5);
	/* Whoever is new counts elsewhere, from 0 on, whatever somebody counted there once. */
	count_elsewhere();
	assert_done(enforcer, enforcer_apply(enforcer, &third));
	assert_done(enforcer, enforcer_packets(enforcer, &entries[0].key, &packets));
	assert_int_equal(packets, 2);
	assert_done(enforcer, enforcer_packets(enforcer, &entries[2].key, &packets));
	assert_int_equal(packets, 0);
	assert_done(enforcer, enforcer_sync(enforcer, &second));
	assert_int_equal(enforcer_last_seen(enforcer, &entries[0].key, &last), -ENOENT);
	assert_done(enforcer, enforcer_last_seen(enforcer, &entries[1].key, &last));
	help_send_syn("far", HELP_TCP_PORT);
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 1), 1);

	/* Detached is detached. */
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_int_equal(store_take(NULL, "link-0"), -ENOENT);
	enforcer_free(enforcer);
}

/* The next one can tell which ports were protected, and who did not have to knock. */
static void test_policy_is_told(void **state)
{
	_cleanup_config_ Config *config = help_config(), *told = NULL, *none = NULL;
	_cleanup_enforcer_ Enforcer *enforcer = heir();
	char *text;

	(void)state;
	assert_done(enforcer, enforcer_policy(enforcer, &none));
	assert_int_equal(none->always_allow.count, 0);
	assert_int_equal(none->protected_ports.count, 0);

	help_allow(config, "0.0.0.0/0");
	help_allow(config, "192.0.2.7");
	help_allow(config, "198.51.100.0/24");
	help_allow(config, "2001:db8::/32");
	assert_int_equal(port_list_add_text(&config->protected_ports, "8000-8010/tcp"), 0);
	assert_int_equal(port_list_add_text(&config->protected_ports, "64/sctp"), 0);
	assert_int_equal(port_list_add_text(&config->protected_ports, "1-65535/udplite"), 0);
	assert_done(enforcer, enforcer_set_policy(enforcer, config));
	enforcer_free(enforcer);
	enforcer = heir();
	assert_done(enforcer, enforcer_policy(enforcer, &told));
	assert_true(port_list_equal(&told->protected_ports, &config->protected_ports));
	assert_int_equal(told->always_allow.count, 4);
	for (size_t i = 0; i < 4; i++) {
		char wanted[ADDRESS_TEXT_MAX], got[ADDRESS_TEXT_MAX];

		assert_string_equal(prefix_format(&told->always_allow.items[i], got),
				    prefix_format(&config->always_allow.items[i], wanted));
	}
	text = port_list_format(&told->protected_ports);
	assert_non_null(strstr(text, "1-65535/udplite"));
	free(text);
}

/* What no daemon puts there goes, and spoils nothing on its way. */
static void test_odd_entry(void **state)
{
	EntryChange odd = entry(2), even = entry(3);
	const EntryChanges wanted = {&even, 1, 1};
	Enforcer *enforcer = heir();
	_cleanup_close_ int fd = store_take(NULL, "map-grants");
	uint64_t last;

	(void)state;
	set_policy(enforcer, MODE_TC);
	enforcer_free(enforcer);
	odd.key.prefix_length = 255;
	assert_int_equal(bpf_map_update_elem(fd, &odd.key, &odd.value, BPF_ANY), 0);
	enforcer = heir();
	set_policy(enforcer, MODE_TC);
	assert_done(enforcer, enforcer_sync(enforcer, &wanted));
	assert_int_equal(enforcer_last_seen(enforcer, &odd.key, &last), -ENOENT);
	assert_done(enforcer, enforcer_last_seen(enforcer, &even.key, &last));
	enforcer_free(enforcer);
}

static void test_restart(void **state)
{
	(void)state;
	restart(MODE_TC);
	empty_store(NULL);
	if (help_has_xdp())
		restart(MODE_XDP);
}

/* Packets that were denied on the interface of slot 0. */
static uint64_t denied(int counters_fd)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct spale_counters *counters = calloc((size_t)cpus, sizeof(*counters));
	const __u32 zero = 0;
	uint64_t sum = 0;

	assert_non_null(counters);
	assert_int_equal(bpf_map_lookup_elem(counters_fd, &zero, counters), 0);
	for (int i = 0; i < cpus; i++)
		sum += counters[i].packets[SPALE_REASON_DENIED];
	return sum;
}

static void test_open_when_nobody_keeps_it(void **state)
{
	static const Mode modes[] = {MODE_TC, MODE_XDP};

	(void)state;
	for (size_t i = 0; i < (help_has_xdp() ? ARRAY_SIZE(modes) : 1); i++) {
		Enforcer *enforcer = heir();
		_cleanup_close_ int counters_fd = store_take(NULL, "map-counters");

		set_policy(enforcer, modes[i]);
		assert_done(enforcer, enforcer_attach(enforcer, "near", modes[i]));
		enforcer_free(enforcer);
		help_send_syn("far", HELP_TCP_PORT);
		for (int tries = 0; denied(counters_fd) == 0 && tries < 100; tries++)
			usleep(10000);
		assert_int_equal(denied(counters_fd), 1);
		empty_store(NULL);
		/* What goes with the last descriptor goes by and by. */
		usleep(200000);
		help_send_syn("far", HELP_TCP_PORT);
		usleep(100000);
		assert_int_equal(denied(counters_fd), 1);
	}
}

/* The new mode is there before the old one goes. */
static void test_mode_changes(void **state)
{
	Enforcer *enforcer = heir();

	(void)state;
	set_policy(enforcer, MODE_XDP);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_XDP));
	enforcer_free(enforcer);
	enforcer = heir();
	set_policy(enforcer, MODE_TC);
	assert_int_not_equal(help_xdp_id("near"), 0);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(help_xdp_id("near"), 0);
	assert_int_equal(help_tc_count("near"), 1);
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	enforcer_free(enforcer);
}

/* Whoever was killed between the two has left both. */
static void ends_other_mode(Mode from, Mode to)
{
	Enforcer *enforcer = heir();
	EnforcerInterface *interfaces = NULL;
	size_t count = 0;

	set_policy(enforcer, from);
	assert_done(enforcer, enforcer_attach(enforcer, "near", from));
	store_is_deaf = true;
	assert_done(enforcer, enforcer_attach(enforcer, "near", to));
	store_is_deaf = false;
	enforcer_free(enforcer);
	enforcer = heir();
	set_policy(enforcer, to);
	assert_int_equal(help_tc_count("near"), 1);
	assert_int_not_equal(help_xdp_id("near"), 0);
	assert_done(enforcer, enforcer_interfaces(enforcer, &interfaces, &count));
	for (size_t i = 0; i < count; i++)
		assert_true(interfaces[i].is_twice == interfaces[i].is_attached);
	free(interfaces);
	assert_done(enforcer, enforcer_attach(enforcer, "near", to));
	assert_int_equal(help_tc_count("near"), to == MODE_TC);
	assert_true((help_xdp_id("near") != 0) == (to == MODE_XDP));
	assert_int_equal(enforcer_attach(enforcer, "near", to), -EALREADY);
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	enforcer_free(enforcer);
}

static void test_killed_while_mode_changes(void **state)
{
	(void)state;
	ends_other_mode(MODE_TC, MODE_XDP);
	empty_store(NULL);
	ends_other_mode(MODE_XDP, MODE_TC);
}

/* The same where ours goes before somebody else's again. */
static void test_killed_while_going_first(void **state)
{
	_cleanup_close_ int foreign = help_foreign_program("foreign_tc", false), link = -1;
	Enforcer *enforcer = heir();

	(void)state;
	set_policy(enforcer, MODE_TC);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	link = help_foreign_tc_first("near", foreign);
	store_is_deaf = true;
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	store_is_deaf = false;
	enforcer_free(enforcer);
	enforcer = heir();
	set_policy(enforcer, MODE_TC);
	/* Of clsact filters the killed daemon had ended the other one. */
	if (link >= 0) {
		assert_int_equal(help_tc_count("near"), 3);
		assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	}
	assert_int_equal(help_tc_count("near"), 2);
	assert_int_equal(enforcer_attach(enforcer, "near", MODE_TC), -EALREADY);
	assert_true(enforcer_is_intact(enforcer));
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_int_equal(help_tc_count("near"), 1);
	if (link < 0)
		assert_true(help_run("tc qdisc del dev near clsact"));
	enforcer_free(enforcer);
}

static void test_interface_went_meanwhile(void **state)
{
	Enforcer *enforcer = heir();
	EnforcerInterface *interfaces = NULL;
	size_t count = 0;

	(void)state;
	set_policy(enforcer, help_mode());
	assert_true(help_run("ip link add one type veth peer name other"));
	assert_done(enforcer, enforcer_attach(enforcer, "one", help_mode()));
	enforcer_free(enforcer);
	assert_true(help_run("ip link del one"));
	enforcer = heir();
	assert_int_equal(store_take(NULL, "link-0"), -ENOENT);
	assert_done(enforcer, enforcer_interfaces(enforcer, &interfaces, &count));
	for (size_t i = 0; i < count; i++)
		assert_false(interfaces[i].is_attached);
	free(interfaces);
	enforcer_free(enforcer);
}

static void assert_refused(const char *words)
{
	Enforcer *enforcer = NULL;
	_cleanup_free_ char *error = NULL;
	size_t before = kept_count;

	assert_int_equal(ebpf_enforcer_new(&store, &enforcer, &error), -ESTALE);
	if (!strstr(error, words))
		fail_msg("\"%s\" lacks \"%s\"", error, words);
	assert_int_equal(kept_count, before);
}

/* Of another ABI, or of a shape that nobody raised the number for. */
static void test_other_abi_is_refused(void **state)
{
	Enforcer *enforcer = heir();
	struct spale_settings settings;
	const __u32 zero = 0;
	int fd;

	(void)state;
	set_policy(enforcer, help_mode());
	assert_done(enforcer, enforcer_attach(enforcer, "near", help_mode()));
	enforcer_free(enforcer);
	fd = store_take(NULL, "map-settings");
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &settings), 0);
	settings.abi = SPALE_ABI + 1;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &settings, BPF_ANY), 0);
	assert_refused("\"settings\" of ABI");
	settings.abi = SPALE_ABI;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &settings, BPF_ANY), 0);
	close(fd);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "grants", sizeof(struct spale_grant_key), 8, 16,
			    NULL);
	assert_true(fd >= 0);
	assert_int_equal(store_put(NULL, "map-grants", fd), 0);
	close(fd);
	assert_refused("\"grants\" of another shape");
	/* It is closed still. */
	assert_int_not_equal(help_xdp_id("near"), 0);
	empty_store(NULL);
	assert_int_equal(help_xdp_id("near"), 0);
}

static size_t kept_guards(void)
{
	size_t count = 0;

	for (size_t i = 0; i < kept_count; i++)
		count += strncmp(kept[i].name, "link-", 5) == 0 ||
			 strncmp(kept[i].name, "gate-", 5) == 0;
	return count;
}

/* What came before somebody's program again is what is kept, and nothing else. */
static void test_what_is_first_again_is_kept(void **state)
{
	_cleanup_close_ int foreign = help_foreign_program("foreign_tc", false);
	Enforcer *enforcer = heir();

	(void)state;
	set_policy(enforcer, MODE_TC);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	_cleanup_close_ int link = help_foreign_tc_first("near", foreign);
	assert_done(enforcer, enforcer_attach(enforcer, "near", MODE_TC));
	assert_int_equal(kept_guards(), 1);
	enforcer_free(enforcer);
	help_send_syn("far", HELP_TCP_PORT);
	enforcer = heir();
	assert_true(enforcer_is_intact(enforcer));
	assert_int_equal(help_wait_counter(enforcer, "near", SPALE_REASON_DENIED, 1), 1);
	assert_done(enforcer, enforcer_detach(enforcer, "near"));
	assert_int_equal(kept_guards(), 0);
	assert_int_equal(help_tc_count("near"), 1);
	enforcer_free(enforcer);
	if (link < 0)
		assert_true(help_run("tc qdisc del dev near clsact"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_restart, empty_store),
		cmocka_unit_test_teardown(test_policy_is_told, empty_store),
		cmocka_unit_test_teardown(test_odd_entry, empty_store),
		cmocka_unit_test_teardown(test_records_are_read_or_refused, empty_store),
		cmocka_unit_test_teardown(test_nothing_is_detached_for_want_of_memory, empty_store),
		cmocka_unit_test_teardown(test_open_when_nobody_keeps_it, empty_store),
		help_xdp_test(cmocka_unit_test_teardown(test_mode_changes, empty_store)),
		help_xdp_test(
			cmocka_unit_test_teardown(test_killed_while_mode_changes, empty_store)),
		cmocka_unit_test_teardown(test_killed_while_going_first, empty_store),
		cmocka_unit_test_teardown(test_interface_went_meanwhile, empty_store),
		cmocka_unit_test_teardown(test_what_is_first_again_is_kept, empty_store),
		help_xdp_test(cmocka_unit_test_teardown(test_other_abi_is_refused, empty_store)),
	};

	return help_run_tests(tests, ARRAY_SIZE(tests));
}
