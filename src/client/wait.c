/* SPDX-License-Identifier: MIT */
#include "client/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "client/report.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* Between two tries at the same address. */
#define INTERVAL_NS (NSEC_PER_SEC / 10)

/*
 * Tries that are under way at the same time. An earlier one goes on while later ones start, for
 * the answer may take longer than the interval; a lost SYN is made up for by the next try long
 * before TCP would repeat it.
 */
#define TRIES_MAX 256

typedef struct Try {
	int fd; /* -1: none */
	size_t target;
} Try;

/* A ring: the oldest try makes room for a new one. */
typedef struct Tries {
	Try items[TRIES_MAX];
	size_t next;
} Tries;

static void tries_done(Tries *tries)
{
	for (size_t i = 0; i < TRIES_MAX; i++)
		closep(&tries->items[i].fd);
}

#define _cleanup_tries_ _cleanup_(tries_done)

static void try_end(Try *attempt)
{
	closep(&attempt->fd);
	attempt->fd = -1;
}

static uint64_t now_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Starts to connect. Returns 1 when connected at once, 0 when under way, or a negative errno. */
static int try_start(Tries *tries, const TargetList *targets, size_t index, const Target *source)
{
	const Target *target = &targets->items[index];
	_cleanup_close_ int fd = -1;
	Try *slot;

	fd = socket(target->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	if (source && bind(fd, &source->any, target_size(source)) < 0)
		return -errno;
	if (connect(fd, &target->any, target_size(target)) == 0)
		return 1;
	if (errno != EINPROGRESS)
		return -errno;
	slot = &tries->items[tries->next++ % TRIES_MAX];
	try_end(slot);
	*slot = (Try){.fd = TAKE_FD(fd), .target = index};
	return 0;
}

/* A connection of a local port to itself, which TCP allows, answers nothing. */
static bool is_self(int fd)
{
	Target own = {0}, peer = {0};
	socklen_t own_size = sizeof(own), peer_size = sizeof(peer);

	return getsockname(fd, &own.any, &own_size) == 0 &&
	       getpeername(fd, &peer.any, &peer_size) == 0 && memcmp(&own, &peer, sizeof(own)) == 0;
}

/* What became of a try: 0, or why not. */
static int try_result(const Try *attempt)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	if (error)
		return -error;
	return is_self(attempt->fd) ? -ECONNREFUSED : 0;
}

/*
 * Lets the tries go on until UNTIL_NS. Returns 1 when one ended well (*RET_TARGET says whose it
 * was), 0 when none did, or a negative errno. *LAST_ERROR is why the latest one failed.
 */
static int tries_poll(Tries *tries, uint64_t until_ns, size_t *ret_target, int *last_error)
{
	struct pollfd fds[TRIES_MAX];
	uint64_t now_ns;

	do {
		struct timespec left = {0};

		now_ns = now_monotonic_ns();
		if (now_ns < until_ns) {
			left.tv_sec = (time_t)((until_ns - now_ns) / NSEC_PER_SEC);
			left.tv_nsec = (long)((until_ns - now_ns) % NSEC_PER_SEC);
		}
		for (size_t i = 0; i < TRIES_MAX; i++)
			fds[i] = (struct pollfd){.fd = tries->items[i].fd, .events = POLLOUT};
		if (ppoll(fds, TRIES_MAX, &left, NULL) < 0 && errno != EINTR)
			return -errno;
		for (size_t i = 0; i < TRIES_MAX; i++) {
			int r;

			if (fds[i].fd < 0 || fds[i].revents == 0)
				continue;
			r = try_result(&tries->items[i]);
			if (r == 0) {
				*ret_target = tries->items[i].target;
				return 1;
			}
			*last_error = r;
			try_end(&tries->items[i]);
		}
	} while (now_ns < until_ns);
	return 0;
}

/* A round of tries, and the time until the next. Returns as tries_poll() does. */
static int wait_round(Tries *tries, const TargetList *targets, const Target *source,
		      uint64_t end_ns, size_t *ret_target, int *last_error)
{
	uint64_t until_ns = now_monotonic_ns() + INTERVAL_NS;

	for (size_t i = 0; i < targets->count; i++) {
		int r = try_start(tries, targets, i, source);

		if (r > 0) {
			*ret_target = i;
			return 1;
		}
		if (r < 0)
			*last_error = r;
	}
	return tries_poll(tries, until_ns < end_ns ? until_ns : end_ns, ret_target, last_error);
}

static void report_targets(const TargetList *targets)
{
	for (size_t i = 0; i < targets->count; i++) {
		char text[TARGET_TEXT_MAX];

		report_detail("waiting for %s", target_format(&targets->items[i], text));
	}
}

int wait_for_port(const TargetList *targets, const Target *source, uint64_t timeout_ns)
{
	uint64_t end_ns = now_monotonic_ns() + timeout_ns;
	char text[TARGET_TEXT_MAX], duration[DURATION_TEXT_MAX];
	_cleanup_tries_ Tries tries = {.next = 0};
	int last_error = 0;

	for (size_t i = 0; i < TRIES_MAX; i++)
		tries.items[i].fd = -1;
	report_targets(targets);
	do {
		size_t answered = 0;
		int r = wait_round(&tries, targets, source, end_ns, &answered, &last_error);

		if (r < 0) {
			report_error("cannot wait: %s", strerror(-r));
			return r;
		}
		if (r > 0) {
			report_detail("%s answers", target_format(&targets->items[answered], text));
			return 0;
		}
	} while (now_monotonic_ns() < end_ns);

	report_error("waited %s for %s%s: %s", format_duration(timeout_ns, duration),
		     target_format(&targets->items[0], text),
		     targets->count > 1 ? " and the host's other addresses" : "",
		     last_error ? strerror(-last_error) : "no answer");
	return -ETIMEDOUT;
}
