/* SPDX-License-Identifier: MIT */
/* The way of kernels without tcx: a filter in a clsact qdisc, which outlives who made it. */
#include "enforce-help.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "enforce/attach-clsact.h"
#include "enforce/netlink.h"
#include "enforce/program.h"

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

	assert_done(&clsact.report, program_maps_new(&clsact.report, NULL, &clsact.maps));
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

/* Somebody's filter comes before ours: the next of ours is first, and the only one, all the same.
 */
static void test_clsact_comes_first_again(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();
	_cleanup_close_ int foreign = help_foreign_program("foreign_tc", false);

	(void)state;
	assert_done(&clsact.report, clsact_begin(&clsact));
	for (size_t i = 1; i <= 3; i++) {
		Attachment earlier = clsact.attachment;

		assert_true(attach_is_first(&earlier));
		help_foreign_filter("near", foreign, 1, BPF_TC_INGRESS);
		assert_true(attach_is_alive(&earlier));
		assert_false(attach_is_first(&earlier));
		assert_done(&clsact.report,
			    attach_clsact_again(&clsact.report, clsact.program_fd, &clsact.near,
						earlier.gate_fd, &clsact.attachment));
		closep(&earlier.gate_fd);
		assert_true(attach_is_first(&clsact.attachment));
		assert_false(attach_is_alive(&earlier));
		assert_int_equal(help_filter_count("near"), i + 1);
	}
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_int_equal(help_filter_count("near"), 3);
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
	pid_t other = help_spawn_other(clsact_begin_other, &clsact);
	assert_int_equal(clsact_begin(&clsact), -EBUSY);
	assert_error_has(&clsact.report, "near is protected by another spaled already (process ");
	assert_int_equal(help_filter_count("near"), 1);

	/* Killed, it leaves its filter, which ours takes the place of. */
	help_kill_other(other);
	assert_int_equal(help_filter_count("near"), 1);
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_int_equal(help_filter_count("near"), 1);
	assert_int_equal(clsact.attachment.handle, getpid());
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_int_equal(help_filter_count("near"), 0);
	assert_true(help_run("tc qdisc del dev near clsact"));
}

static int begin_and_become_another(void *clsact)
{
	return clsact_begin_other(clsact) ?: prctl(PR_SET_NAME, "somebody-else");
}

/* It is gone, and somebody else has its process id. */
static void test_clsact_with_somebody_elses_process_id(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();

	(void)state;
	pid_t other = help_spawn_other(begin_and_become_another, &clsact);
	assert_int_equal(help_filter_count("near"), 1);
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_int_equal(help_filter_count("near"), 1);
	assert_int_equal(clsact.attachment.handle, getpid());
	assert_int_equal(kill(other, 0), 0);
	help_kill_other(other);
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
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

/* What somebody keeps is taken over: one filter at every moment, and ours at the end. */
static void test_clsact_is_taken_over(void **state)
{
	_cleanup_clsact_ Clsact clsact = clsact_new();
	_cleanup_close_ int gate_fd = -1;

	(void)state;
	pid_t other = help_spawn_other(clsact_begin_other, &clsact);
	help_kill_other(other);
	assert_done(&clsact.report, clsact_begin(&clsact));
	gate_fd = fcntl(clsact.attachment.gate_fd, F_DUPFD_CLOEXEC, 3);
	attach_leave(&clsact.attachment);
	assert_int_equal(clsact.attachment.kind, ATTACHMENT_NONE);
	assert_int_equal(help_filter_count("near"), 1);
	assert_done(&clsact.report, attach_clsact_again(&clsact.report, clsact.program_fd,
							&clsact.near, gate_fd, &clsact.attachment));
	assert_int_equal(help_filter_count("near"), 1);
	assert_true(attach_is_alive(&clsact.attachment));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
	assert_int_equal(help_filter_count("near"), 0);
	assert_true(help_run("tc qdisc del dev near clsact"));
}

static void with_three_capabilities(void)
{
	help_become_nobody(HELP_CAPABILITIES);

	_cleanup_clsact_ Clsact clsact = clsact_new();
	assert_done(&clsact.report, clsact_begin(&clsact));
	assert_done(&clsact.report, attach_end(&clsact.report, &clsact.attachment));
}

static void test_three_capabilities_suffice(void **state)
{
	(void)state;
	help_in_child(with_three_capabilities);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		help_clean_test(test_clsact_takes_its_qdisc_along),
		help_clean_test(test_clsact_leaves_a_foreign_qdisc),
		help_clean_test(test_clsact_leaves_a_used_qdisc),
		help_clean_test(test_clsact_is_gone),
		help_clean_test(test_clsact_stands_before_others),
		help_clean_test(test_clsact_comes_first_again),
		help_clean_test(test_clsact_place_is_taken),
		help_clean_test(test_clsact_of_another_spaled),
		help_clean_test(test_clsact_with_somebody_elses_process_id),
		help_clean_test(test_clsact_with_our_process_id),
		help_clean_test(test_clsact_is_taken_over),
		help_clean_test(test_three_capabilities_suffice),
	};

	return help_run_tests(tests, ARRAY_SIZE(tests));
}
