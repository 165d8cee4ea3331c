/* SPDX-License-Identifier: MIT */
/*
 * How long it takes to show many grants in nftables: all of them, all anew, one more, and to see
 * that nothing is to be done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "enforce/nftables.h"
#include "policy/client.h"
#include "policy/grant-table.h"
#include "util/parse.h"

#define GRANTS_DEFAULT 10000
#define ROUNDS	       5
#define BAR_NS	       NSEC_PER_SEC

static uint64_t mono_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Grant NUMBER: an address of its own, IPv4 and IPv6 in turn, or the network that all lie in. */
static int add_grant(GrantTable *table, uint32_t number, uint64_t now_mono_ns)
{
	_cleanup_entry_changes_ EntryChanges changes = {0};
	_cleanup_decision_ Decision decision = {
		.idle_ns = 60 * NSEC_PER_SEC,
		.grace_ns = 300 * NSEC_PER_SEC,
		.lifetime_ns = DURATION_INFINITY,
		.source.length = 128,
	};
	Client client = {.enabled = true};
	const Grant *grant;
	int r;

	snprintf(client.name, sizeof(client.name), "client-%" PRIu32, number);
	memcpy(client.key.bytes, &number, sizeof(number));
	decision.source.address = address_from_ipv4((struct in_addr){htonl(0x0a000000U + number)});
	if (number % 2)
		decision.source.address.bytes[0] = 0xfd;
	decision.address = decision.source.address;
	r = port_list_add_text(&decision.ports, "22/tcp");
	if (r == 0)
		r = port_list_add_text(&decision.ports, "8000-8010/udp");
	return r < 0 ? r
		     : grant_table_add(table, &client, &decision, now_mono_ns, &changes, &grant);
}

static int fill(GrantTable *table, uint32_t count, uint64_t now_mono_ns)
{
	int r = 0;

	for (uint32_t number = 0; r == 0 && number < count; number++)
		r = add_grant(table, number, now_mono_ns);
	return r;
}

typedef int (*Showing)(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns);

/* Does it once. Returns how long that took, or a negative errno. */
static int64_t measure(Nftables *nftables, const GrantTable *table, Showing showing, uint64_t now)
{
	uint64_t begin = mono_ns();
	int r = showing(nftables, table, now);

	if (r < 0)
		fprintf(stderr, "bench-nftables: %s\n", nftables_error(nftables));
	return r < 0 ? r : (int64_t)(mono_ns() - begin);
}

/* What is measured, and the most that it may take. */
static struct {
	const char *what;
	uint64_t longest_ns;
} rows[] = {
	{"all of them, from nothing", 0},
	{"nothing new, seen by reading the sets", 0},
	{"one more", 0},
	{"all of them, with other times", 0},
};

static int note(size_t row, int64_t ns)
{
	if (ns < 0)
		return (int)ns;
	if ((uint64_t)ns > rows[row].longest_ns)
		rows[row].longest_ns = (uint64_t)ns;
	return 0;
}

static int run_once(uint32_t count)
{
	const MirrorTarget target = {.mode = MIRROR_OWN};
	_cleanup_grant_table_ GrantTable *table = grant_table_new();
	_cleanup_nftables_ Nftables *nftables = NULL;
	uint64_t now = mono_ns();
	int r = table ? nftables_new(&target, -1, &nftables) : -ENOMEM;

	if (r == 0)
		r = fill(table, count, now);
	if (r == 0)
		r = note(0, measure(nftables, table, nftables_sync, now));
	if (r == 0)
		r = note(1, measure(nftables, table, nftables_sync, now));
	if (r == 0)
		r = add_grant(table, count, now);
	if (r == 0)
		r = note(2, measure(nftables, table, nftables_apply, now));
	if (r == 0)
		r = fill(table, count, now + 100 * NSEC_PER_SEC);
	if (r == 0)
		r = note(3, measure(nftables, table, nftables_apply, now));
	return r;
}

int main(int argc, char **argv)
{
	uint32_t count = GRANTS_DEFAULT;
	bool met = true;

	if (argc > 2 || (argc == 2 && parse_u32(argv[1], 1, GRANTS_MAX - 1, &count) < 0)) {
		fputs("usage: bench-nftables [GRANTS]\n", stderr);
		return 2;
	}
	for (int i = 0; i < ROUNDS; i++) {
		int r = run_once(count);

		if (r < 0) {
			fprintf(stderr, "bench-nftables: %s\n", strerror(-r));
			return 1;
		}
	}
	printf("%" PRIu32 " grants of two elements each, the longest of %d times:\n", count,
	       ROUNDS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		printf("%8.1f ms  %s\n", (double)rows[i].longest_ns / 1e6, rows[i].what);
		met = met && rows[i].longest_ns < BAR_NS;
	}
	if (count <= GRANTS_DEFAULT)
		printf("under a second: %s\n", met ? "met" : "NOT MET");
	return met || count > GRANTS_DEFAULT ? 0 : 1;
}
