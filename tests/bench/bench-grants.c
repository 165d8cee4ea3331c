/* SPDX-License-Identifier: MIT */
/*
 * What very many grants cost the daemon, in one process with the kernel's maps as they are.
 *
 *     bench-grants STATE-DIRECTORY [GRANTS]
 *
 * Adds GRANTS of an administrator (100,000 unless said otherwise), walks them, refreshes a page of
 * 1,000 and reads what it let through, looks for ended ones, revokes one and then all of them, and
 * has them expire at once. Then as many of clients, 16 each: reloads what is the same, other ports
 * and other clients. "longest" is the longest single call: as long waits a knock that comes
 * meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/journal.h"
#include "daemon/manager-private.h" /* grants of clients without their knocks */
#include "daemon/manager-requests.h"
#include "enforce/ebpf.h"
#include "util/parse.h"

#define GRANTS_DEFAULT 100000
#define PAGE	       1000

/* Error: what the journal takes of time is not the manager's. */
static const char configuration[] = "[Protect]\nInterfaces=lo\nPorts=22/tcp\n"
				    "[Knock]\nPorts=62201\n"
				    "[Log]\nLevel=error\n";
static const char other_ports[] = "[Protect]\nInterfaces=lo\nPorts=22/tcp 80/tcp\n"
				  "[Knock]\nPorts=62201\n"
				  "[Log]\nLevel=error\n";

typedef struct Bench {
	State *state;
	Manager *manager;
	uint64_t ahead_ns; /* the manager's clock runs this much ahead */
	uint32_t count;
} Bench;

static void bench_done(Bench *bench)
{
	manager_free(bench->manager);
	state_free(bench->state);
}

/* Time on the processor, so that others who are on it do not count. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static uint64_t mono_ns(void *userdata)
{
	return clock_system.mono_ns(NULL) + ((const Bench *)userdata)->ahead_ns;
}

static uint64_t boot_ns(void *userdata)
{
	return clock_system.boot_ns(NULL) + ((const Bench *)userdata)->ahead_ns;
}

static uint64_t real_usec(void *userdata)
{
	return clock_system.real_usec(NULL) + ((const Bench *)userdata)->ahead_ns / NSEC_PER_USEC;
}

static void print_times(const char *what, uint64_t elapsed_ns, uint64_t longest_ns)
{
	printf("%-40s %10.1f ms", what, (double)elapsed_ns / 1e6);
	if (longest_ns > 0)
		printf("   longest %8.2f ms", (double)longest_ns / 1e6);
	printf("\n");
}

/* ---- the steps ----------------------------------------------------------------------------- */

static Prefix source_of(uint32_t number)
{
	const struct in_addr address = {htonl(0x0a000000 + number + 1)};

	return (Prefix){address_from_ipv4(address), 128};
}

static int add_all(Bench *bench)
{
	_cleanup_free_ char *error = NULL;
	uint64_t begin_ns = now_ns(), longest_ns = 0, id;

	for (uint32_t i = 0; i < bench->count; i++) {
		const GrantRequest request = {.source = source_of(i)};
		uint64_t before_ns = now_ns(), elapsed_ns;
		int r = manager_add_grant(bench->manager, &request, NULL, &id, &error);

		if (r < 0) {
			fprintf(stderr, "grant %u: %s\n", i, error ?: strerror(-r));
			return r;
		}
		elapsed_ns = now_ns() - before_ns;
		longest_ns = elapsed_ns > longest_ns ? elapsed_ns : longest_ns;
	}
	print_times("add", now_ns() - begin_ns, longest_ns);
	return 0;
}

static void walk(const Bench *bench)
{
	const GrantTable *grants = manager_grants(bench->manager);
	uint64_t begin_ns = now_ns(), sum = 0;

	for (size_t i = 0; i < grant_table_count(grants); i++)
		sum += grant_end_mono_ns(grant_table_get(grants, i)) != 0;
	print_times("walk", now_ns() - begin_ns, 0);
	if (sum != bench->count)
		printf("%ju of %u are there\n", (uintmax_t)sum, bench->count);
	begin_ns = now_ns();
	for (size_t i = 0; i < PAGE && i < grant_table_count(grants); i++)
		manager_refresh_grant(bench->manager, grant_table_get(grants, i));
	print_times("refresh a page of 1,000", now_ns() - begin_ns, 0);
	begin_ns = now_ns();
	for (size_t i = 0; i < PAGE && i < grant_table_count(grants); i++)
		manager_grant_packets(bench->manager, grant_table_get(grants, i));
	print_times("read the packets of a page of 1,000", now_ns() - begin_ns, 0);
}

static int expire(Bench *bench, uint64_t *longest_ns)
{
	uint64_t next_mono_ns, before_ns, elapsed_ns;

	do {
		before_ns = now_ns();
		if (manager_expire(bench->manager, &next_mono_ns) < 0)
			return -EIO;
		elapsed_ns = now_ns() - before_ns;
		*longest_ns = elapsed_ns > *longest_ns ? elapsed_ns : *longest_ns;
	} while (next_mono_ns <= mono_ns(bench));
	return 0;
}

static int look(Bench *bench)
{
	uint64_t longest_ns = 0, begin_ns = now_ns();
	int r = expire(bench, &longest_ns);

	print_times("look for ended ones", now_ns() - begin_ns, longest_ns);
	return r;
}

static int revoke_one(Bench *bench)
{
	const Prefix source = source_of(bench->count / 2);
	uint64_t begin_ns = now_ns();
	size_t count;
	int r = manager_revoke_grants(bench->manager, &source, NULL, NULL, &count, NULL);

	print_times("revoke the grant of one source", now_ns() - begin_ns, 0);
	return r;
}

static int revoke_all(Bench *bench)
{
	uint64_t begin_ns = now_ns(), longest_ns;
	size_t count;
	int r = manager_revoke_all(bench->manager, NULL, &count, NULL);

	longest_ns = now_ns() - begin_ns;
	if (r == 0)
		r = expire(bench, &longest_ns);
	print_times("revoke all", now_ns() - begin_ns, longest_ns);
	return r < 0 ? r : (int)grant_table_count(manager_grants(bench->manager));
}

static int expire_all(Bench *bench)
{
	uint64_t begin_ns = now_ns(), longest_ns = 0;
	int r;

	bench->ahead_ns += 3600 * NSEC_PER_SEC;
	r = expire(bench, &longest_ns);
	print_times("expire all", now_ns() - begin_ns, longest_ns);
	return r < 0 ? r : (int)grant_table_count(manager_grants(bench->manager));
}

/* ---- reloads ------------------------------------------------------------------------------- */

static int make_config(const char *text, Config **ret_config)
{
	_cleanup_config_builder_ ConfigBuilder *builder = config_builder_new("/nonexistent");
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	int r = builder ? config_builder_add_file(builder, "bench", text, strlen(text),
						  &diagnostics)
			: -ENOMEM;

	return r < 0 ? r : config_builder_finish(builder, &diagnostics, ret_config);
}

/* As many clients as COUNT grants take. */
static ClientSet *make_clients(const Config *config, uint32_t count)
{
	_cleanup_client_set_ ClientSet *clients = client_set_new();
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};

	for (uint32_t i = 0; clients && i < count; i += GRANTS_PER_CLIENT_MAX) {
		PublicKey key = {.bytes = {1}};
		char name[24];

		snprintf(name, sizeof(name), "client%u", i);
		memcpy(key.bytes + 1, &i, sizeof(i));
		if (client_set_add(clients, config, name, &key, NULL, NULL, 0, &diagnostics) < 0)
			return NULL;
	}
	return TAKE_PTR(clients);
}

static int reload(Bench *bench, const char *what, const char *text, uint32_t clients)
{
	uint64_t begin_ns, longest_ns;
	ClientSet *set;
	Config *config;
	int r;

	r = make_config(text, &config);
	if (r < 0)
		return r;
	set = make_clients(config, clients);
	begin_ns = now_ns();
	r = set ? manager_reload(bench->manager, config, NULL, set) : -ENOMEM;
	longest_ns = now_ns() - begin_ns;
	if (r == 0)
		r = expire(bench, &longest_ns);
	print_times(what, now_ns() - begin_ns, longest_ns);
	return r;
}

static int knock_all(Bench *bench)
{
	const struct spale_knock knock = {.length = SPALE_FORMAT1_SIZE};
	uint64_t begin_ns = now_ns(), longest_ns = 0;

	for (uint32_t i = 0; i < bench->count; i++) {
		const Prefix source = source_of(i);
		const Request request = {.source = source.address};
		_cleanup_knock_verdict_ KnockVerdict verdict = {0};
		uint64_t before_ns = now_ns(), elapsed_ns;

		verdict.client = client_set_get(bench->manager->clients, i / GRANTS_PER_CLIENT_MAX);
		if (decide(bench->manager->config, verdict.client, &request, &verdict.decision) ||
		    manager_make_grant(bench->manager, &knock, &verdict, mono_ns(bench)))
			return -EIO;
		elapsed_ns = now_ns() - before_ns;
		longest_ns = elapsed_ns > longest_ns ? elapsed_ns : longest_ns;
	}
	print_times("grants of knocks", now_ns() - begin_ns, longest_ns);
	return 0;
}

static int reload_all(Bench *bench)
{
	int r;

	r = reload(bench, "reload without grants", configuration, bench->count);
	if (r == 0)
		r = knock_all(bench);
	if (r == 0)
		r = reload(bench, "reload of the same", configuration, bench->count);
	if (r == 0)
		r = reload(bench, "reload with another port", other_ports, bench->count);
	if (r == 0)
		r = reload(bench, "reload without the port", configuration, bench->count);
	if (r == 0)
		r = getenv("NOC") ? 0
				  : reload(bench, "reload without the clients", configuration, 0);
	return r < 0 ? r : (int)grant_table_count(manager_grants(bench->manager));
}

/* ---- life ---------------------------------------------------------------------------------- */

static int start(Bench *bench, const char *directory)
{
	const Clock clock = {mono_ns, boot_ns, real_usec, bench};
	_cleanup_free_ char *error = NULL;
	KeyRing keys = {.count = 0};
	Enforcer *enforcer;
	Config *config;
	bool fresh;
	int r;

	r = state_open(directory, &bench->state, &fresh, &error);
	if (r == 0)
		r = ebpf_enforcer_new(NULL, &enforcer, &error);
	if (r < 0) {
		fprintf(stderr, "%s\n", error ?: strerror(-r));
		return r;
	}
	r = make_config(configuration, &config);
	if (r < 0) {
		enforcer_free(enforcer);
		return r;
	}
	return manager_new(enforcer, config, &keys, client_set_new(), bench->state, &clock,
			   &bench->manager);
}

int main(int argc, char **argv)
{
	_cleanup_(bench_done) Bench bench = {.count = GRANTS_DEFAULT};
	int r;

	if (argc < 2 || argc > 3 ||
	    (argc == 3 && parse_u32(argv[2], 1, GRANTS_MAX, &bench.count) < 0)) {
		fprintf(stderr, "usage: bench-grants STATE-DIRECTORY [GRANTS]\n");
		return 2;
	}
	r = start(&bench, argv[1]);
	if (r == 0)
		r = add_all(&bench);
	if (r < 0)
		return 1;
	walk(&bench);
	if (look(&bench) < 0 || revoke_one(&bench) < 0 || revoke_all(&bench) != 0 ||
	    add_all(&bench) < 0 || expire_all(&bench) != 0 || reload_all(&bench) != 0) {
		fprintf(stderr, "something went wrong\n");
		return 1;
	}
	return 0;
}
