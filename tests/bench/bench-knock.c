/* SPDX-License-Identifier: MIT */
/*
 * What a knock costs the daemon, in one process on one core and without the kernel's part.
 *
 *     bench-knock STATE-DIRECTORY [CLIENTS]
 *
 * "open" is the cryptography alone (format1_open() with the static secret at hand). The rest goes
 * through manager_knock() as in the daemon, with a fake in the enforcer's place and the replay
 * floors in STATE-DIRECTORY: the first knock of each client, for which its static secret is
 * computed and its floor synced to disk; further ones; repeated ones; and forged ones with an
 * enrolled key in front.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon/journal.h"
#include "daemon/knock-judge.h"
#include "daemon/manager.h"
#include "enforce/fake.h"
#include "keys/pem.h"
#include "knock/format1.h"
#include "knock/hpke.h"
#include "util/parse.h"

#define CLIENTS_DEFAULT 500
#define CLIENTS_LIMIT	10000

/* How often each client knocks where it is not about its first knock. */
#define ROUNDS 4

static const char configuration[] = "[Protect]\nInterfaces=lo\nPorts=22/tcp\n"
				    "[Knock]\nPorts=62201\n"
				    "[Log]\nLevel=error\n";

typedef struct Sender {
	Secret key;
	Secret static_shared;
} Sender;

typedef struct Bench {
	KeyPair server;
	Sender *senders;
	size_t count;
	State *state;
	Manager *manager;
	struct spale_knock *knocks; /* one of each client */
} Bench;

static void bench_done(Bench *bench)
{
	manager_free(bench->manager);
	state_free(bench->state);
	secret_free(bench->senders, bench->count * sizeof(bench->senders[0]));
	free(bench->knocks);
	key_pair_done(&bench->server);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void print_rate(const char *what, uint64_t elapsed_ns, uint64_t count)
{
	printf("%-44s %9.1f us %9.0f /s\n", what, (double)elapsed_ns / 1000.0 / (double)count,
	       (double)count * (double)NSEC_PER_SEC / (double)elapsed_ns);
}

/* Keys of the server and of all clients. */
static int make_keys(Bench *bench)
{
	int r;

	r = pem_generate(&bench->server.private_key);
	if (r < 0)
		return r;
	bench->server.public_key = hpke_public_key(&bench->server.private_key);

	bench->senders = calloc(bench->count, sizeof(bench->senders[0]));
	bench->knocks = calloc(bench->count, sizeof(bench->knocks[0]));
	if (!bench->senders || !bench->knocks)
		return -ENOMEM;
	for (size_t i = 0; i < bench->count; i++) {
		Sender *sender = &bench->senders[i];

		r = pem_generate(&sender->key);
		if (r < 0)
			return r;
		r = hpke_dh(&sender->key, &bench->server.public_key, &sender->static_shared);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A fresh knock of client I, as the kernel would hand it up. */
static int make_knock(Bench *bench, size_t i)
{
	struct spale_knock *knock = &bench->knocks[i];
	_cleanup_secret_ Secret ephemeral;
	Format1 message = {.time_step = (uint32_t)(time(NULL) / SPALE_TIME_STEP)};
	struct in_addr source = {htonl(0x0a000000 + (uint32_t)i + 1)};
	Address address = address_from_ipv4(source);
	int r;

	r = pem_generate(&ephemeral);
	if (r < 0)
		return r;
	if (getrandom(message.nonce, sizeof(message.nonce), 0) != (ssize_t)sizeof(message.nonce))
		return -EIO;

	*knock = (struct spale_knock){.received_mono_ns = clock_system.mono_ns(NULL),
				      .ifindex = 1,
				      .length = SPALE_FORMAT1_SIZE,
				      .format = 1};
	memcpy(knock->source, address.bytes, sizeof(knock->source));
	return format1_seal(&message, &bench->server.public_key, &bench->senders[i].key, &ephemeral,
			    knock->data);
}

static int make_knocks(Bench *bench)
{
	for (size_t i = 0; i < bench->count; i++) {
		int r = make_knock(bench, i);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make_config(Config **ret_config)
{
	_cleanup_config_builder_ ConfigBuilder *builder = config_builder_new("/");
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	int r;

	if (!builder)
		return -ENOMEM;
	r = config_builder_add_file(builder, "bench", configuration, strlen(configuration),
				    &diagnostics);
	if (r < 0)
		return r;
	r = config_builder_finish(builder, &diagnostics, ret_config);
	if (r < 0)
		journal_diagnostics(&diagnostics);
	return r;
}

static int make_manager(Bench *bench, const char *directory)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_client_set_ ClientSet *clients = client_set_new();
	_cleanup_config_ Config *config = NULL;
	_cleanup_free_ char *error = NULL;
	FakeEnforcer *enforcer;
	KeyRing keys = {.count = 1};
	bool fresh;
	int r;

	r = clients ? make_config(&config) : -ENOMEM;
	for (size_t i = 0; r >= 0 && i < bench->count; i++) {
		PublicKey key = hpke_public_key(&bench->senders[i].key);
		char name[CLIENT_NAME_MAX + 1];

		snprintf(name, sizeof(name), "client-%zu", i);
		r = client_set_add(clients, config, name, &key, NULL, NULL, 0, &diagnostics);
	}
	if (r < 0)
		return r;
	r = state_open(directory, &bench->state, &fresh, &error);
	if (r < 0) {
		fprintf(stderr, "bench-knock: %s\n", error ? error : strerror(-r));
		return r;
	}
	r = knock_judge_begin(bench->state, true, clock_system.real_usec(NULL));
	if (r < 0)
		return r;
	enforcer = fake_enforcer_new();
	if (!enforcer)
		return -ENOMEM;
	keys.pairs[0] = bench->server;
	return manager_new(&enforcer->base, TAKE_PTR(config), &keys, TAKE_PTR(clients),
			   bench->state, &clock_system, &bench->manager);
}

static int bench_open(Bench *bench)
{
	uint64_t begin_ns = now_ns();

	for (size_t i = 0; i < bench->count; i++) {
		Format1 message;
		int r = format1_open(bench->knocks[i].data, &bench->server.private_key,
				     &bench->server.public_key, &bench->senders[i].static_shared,
				     &message);

		if (r < 0)
			return r;
	}
	print_rate("open", now_ns() - begin_ns, bench->count);
	return 0;
}

/* Hands all knocks to the manager; how many more are accepted than before must be ACCEPTED. */
static int judge(Bench *bench, size_t accepted, uint64_t *elapsed_ns)
{
	uint64_t before = manager_accepted(bench->manager);
	uint64_t begin_ns = now_ns();

	for (size_t i = 0; i < bench->count; i++)
		manager_knock(&bench->knocks[i], bench->manager);
	*elapsed_ns += now_ns() - begin_ns;
	return manager_accepted(bench->manager) - before == accepted ? 0 : -EPROTO;
}

static int bench_accepted(Bench *bench)
{
	uint64_t elapsed_ns = 0;
	int r;

	r = judge(bench, bench->count, &elapsed_ns);
	if (r < 0)
		return r;
	print_rate("accept a client's first knock", elapsed_ns, bench->count);

	elapsed_ns = 0;
	for (int round = 0; round < ROUNDS; round++) {
		r = make_knocks(bench);
		if (r >= 0)
			r = judge(bench, bench->count, &elapsed_ns);
		if (r < 0)
			return r;
	}
	print_rate("accept a further knock", elapsed_ns, bench->count * ROUNDS);
	return 0;
}

static int bench_refused(Bench *bench)
{
	uint64_t elapsed_ns = 0;
	int r;

	for (int round = 0; round < ROUNDS; round++) {
		r = judge(bench, 0, &elapsed_ns);
		if (r < 0)
			return r;
	}
	print_rate("refuse a replayed knock", elapsed_ns, bench->count * ROUNDS);

	for (size_t i = 0; i < bench->count; i++)
		bench->knocks[i].data[SPALE_FORMAT1_SIZE - 1] ^= 1;
	elapsed_ns = 0;
	for (int round = 0; round < ROUNDS; round++) {
		r = judge(bench, 0, &elapsed_ns);
		if (r < 0)
			return r;
	}
	print_rate("refuse a forged knock of an enrolled key", elapsed_ns, bench->count * ROUNDS);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(bench_done) Bench bench = {.count = CLIENTS_DEFAULT};
	uint32_t count = CLIENTS_DEFAULT;
	int r;

	if (argc < 2 || argc > 3 ||
	    (argc == 3 && parse_u32(argv[2], 1, CLIENTS_LIMIT, &count) < 0)) {
		fprintf(stderr, "usage: bench-knock STATE-DIRECTORY [CLIENTS]\n");
		return 2;
	}
	bench.count = count;
	journal_set_level(LOG_LEVEL_ERROR);

	r = make_keys(&bench);
	if (r >= 0)
		r = make_knocks(&bench);
	if (r >= 0)
		r = make_manager(&bench, argv[1]);
	if (r >= 0)
		r = bench_open(&bench);
	if (r >= 0)
		r = bench_accepted(&bench);
	if (r >= 0)
		r = bench_refused(&bench);
	if (r < 0) {
		fprintf(stderr, "bench-knock: %s\n", strerror(-r));
		return 1;
	}
	return 0;
}
