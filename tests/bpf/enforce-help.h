/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the enforcer share: a network namespace of their own, a look into this
 * process's maps, policies, foreign programs and single packets.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <linux/capability.h>
#include <sys/types.h>

#include "enforce/enforcer.h"

/* cmocka's header needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Ports of help_config(). */
#define HELP_TCP_PORT	22
#define HELP_UDP_PORT	5353
#define HELP_KNOCK_PORT 55555

/* That a call of an enforcer succeeds; else its sentence says why. */
#define assert_done(enforcer, call)                                                                \
	do {                                                                                       \
		if ((call) != 0)                                                                   \
			fail_msg("%s: %s", #call, enforcer_error(enforcer));                       \
	} while (0)

/* That the last failure's sentence has these words. */
#define assert_error_has(enforcer, text)                                                           \
	do {                                                                                       \
		if (!strstr(enforcer_error(enforcer), text))                                       \
			fail_msg("\"%s\" lacks \"%s\"", enforcer_error(enforcer), text);           \
	} while (0)

/* Enters a new network namespace with the veth pair "near" and "far", both up. */
int help_enter_namespace(void **state);

/* Runs a shell command; whether it succeeded. */
bool help_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An enforcer of eBPF, asserted. */
Enforcer *help_enforcer(void);

/* The same with the policy of help_config(). */
Enforcer *help_enforcer_ready(void);

/* Protects the ports above, takes knocks at every address. Freed with config_free(). */
Config *help_config(void);

/* Appends a prefix in text to the always-allowed ones. */
void help_allow(Config *config, const char *prefix);

/* Descriptor of the only map with this name that this process has open, owned by somebody else. */
int help_map(const char *name);

/* The element of the map "settings". */
struct spale_settings help_settings(void);

/* Number of keys in a map. */
size_t help_map_count(int fd);

/* Loads a program that lets everything pass, as some other software would have. XDP or TC. */
int help_foreign_program(const char *name, bool xdp);

/* Puts such a program as a clsact filter on an interface: BPF_TC_INGRESS or BPF_TC_EGRESS. */
void help_foreign_filter(const char *interface, int program_fd, uint32_t priority,
			 uint32_t attach_point);

/* How many clsact filters are at the ingress of an interface. */
size_t help_filter_count(const char *interface);

/* How many programs: in the tcx chain where the kernel has it, else as clsact filters. */
size_t help_tc_count(const char *interface);

/* Puts a program there, behind all others. Returns what keeps it there, or -1: it stays by itself.
 */
int help_foreign_tc(const char *interface, int program_fd);

/* The same before all others. */
int help_foreign_tc_first(const char *interface, int program_fd);

bool help_has_clsact(const char *interface);

/* Id of the XDP program on an interface, 0: none. */
uint32_t help_xdp_id(const char *interface);

/*
 * Sends one IPv4 packet out of an interface, as an Ethernet frame: a TCP SYN to PORT, or with DATA
 * a UDP datagram. Source 192.0.2.2, destination 192.0.2.1.
 */
void help_send_syn(const char *interface, uint16_t port);
void help_send_udp(const char *interface, uint16_t port, const void *data, size_t size);

/* The same SYN without link header into a descriptor (a tun device). */
void help_write_syn(int fd, uint16_t port);

/* A counter of an attached interface once it is at least WANTED, or after a second whatever it is.
 */
uint64_t help_wait_counter(Enforcer *enforcer, const char *interface, enum spale_reason reason,
			   uint64_t wanted);

/* Another process runs FUNCTION and, if that returns 0, lives until help_kill_other(). Its id. */
pid_t help_spawn_other(int (*function)(void *userdata), void *userdata);
void help_kill_other(pid_t other);

/* What the service has. */
#define HELP_CAPABILITIES (1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN | 1ULL << CAP_PERFMON)

/* Gives up root, but for these capabilities. */
void help_become_nobody(uint64_t capabilities);

/* Runs FUNCTION in a process of its own; its failed assertions are the caller's. */
void help_in_child(void (*function)(void));

/*
 * Whether XDP programs of ours work here, from Linux 5.18 on: else every test of theirs is left
 * out, which help_run_tests() says. A mode that works.
 */
bool help_has_xdp(void);
Mode help_mode(void);

/* Marks a test that needs XDP, for help_run_tests(). */
#define help_xdp_test(...) help_mark((struct CMUnitTest)__VA_ARGS__)
static inline struct CMUnitTest help_mark(struct CMUnitTest test)
{
	test.initial_state = (void *)help_has_xdp;
	return test;
}

/* Runs tests in a network namespace of their own; those that this kernel can run. */
int help_run_tests(const struct CMUnitTest *tests, size_t count);

/* A test that leaves "near" as it found it. */
#define help_clean_test(function)                                                                  \
	cmocka_unit_test_setup_teardown(function, help_check_clean, help_check_clean)
int help_check_clean(void **state);
