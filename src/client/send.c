/* SPDX-License-Identifier: MIT */
#include "client/send.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client/report.h"
#include "keys/pem.h"
#include "knock/format1.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* Between the knocks of --count: a lost datagram's cause may have passed by then. */
#define PAUSE_NS (NSEC_PER_SEC / 5)

/* A socket for each family, made when it is first needed. */
typedef struct Sockets {
	int ipv4, ipv6;
} Sockets;

static void sockets_done(Sockets *sockets)
{
	closep(&sockets->ipv4);
	closep(&sockets->ipv6);
}

#define _cleanup_sockets_ _cleanup_(sockets_done)

/* The socket for TARGET, bound to the source address; or a negative errno. */
static int sockets_get(Sockets *sockets, const Target *target, const Target *source)
{
	int *slot = target->any.sa_family == AF_INET ? &sockets->ipv4 : &sockets->ipv6;
	_cleanup_close_ int fd = -1;

	if (*slot >= 0)
		return *slot;
	fd = socket(target->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	if (fd < 0)
		return -errno;
	if (source && bind(fd, &source->any, target_size(source)) < 0)
		return -errno;
	*slot = TAKE_FD(fd);
	return *slot;
}

/* A new knock: own ephemeral key, own nonce, the time of this moment. */
static int make_knock(const SendOrder *order, uint8_t ret_datagram[static SPALE_FORMAT1_SIZE])
{
	_cleanup_secret_ Secret ephemeral;
	struct timespec now;
	Format1 message;
	int r;

	r = pem_generate(&ephemeral);
	if (r < 0)
		return r;
	if (getrandom(message.nonce, sizeof(message.nonce), 0) != sizeof(message.nonce))
		return -EIO;
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	message.time_step = (uint32_t)((uint64_t)now.tv_sec / order->step_sec);
	return format1_seal(&message, order->server, &order->client->private_key, &ephemeral,
			    ret_datagram);
}

static int knock_at(Sockets *sockets, const Target *target, const SendOrder *order)
{
	uint8_t datagram[SPALE_FORMAT1_SIZE];
	int fd, r;

	fd = sockets_get(sockets, target, order->source);
	if (fd < 0)
		return fd;
	r = make_knock(order, datagram);
	if (r < 0)
		return r;
	if (sendto(fd, datagram, sizeof(datagram), 0, &target->any, target_size(target)) < 0)
		return -errno;
	return 0;
}

/* Whether ERROR says that this machine has no way to an address, as it is for a missing family. */
static bool is_unreachable(int error)
{
	return error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EAFNOSUPPORT ||
	       error == -EADDRNOTAVAIL || error == -ENETDOWN;
}

/* One knock at each address. Returns how many went out; *FIRST_ERROR is the first failure. */
static size_t knock_round(Sockets *sockets, const TargetList *targets, const SendOrder *order,
			  int *first_error)
{
	size_t sent = 0;

	for (size_t i = 0; i < targets->count; i++) {
		char text[TARGET_TEXT_MAX];
		int r = knock_at(sockets, &targets->items[i], order);

		target_format(&targets->items[i], text);
		if (r == 0) {
			report_detail("knocked at %s", text);
			sent++;
			continue;
		}
		if (is_unreachable(r))
			report_detail("could not knock at %s: %s", text, strerror(-r));
		else
			report_warning("could not knock at %s: %s", text, strerror(-r));
		if (*first_error == 0)
			*first_error = r;
	}
	return sent;
}

int send_knocks(const TargetList *targets, const SendOrder *order)
{
	static const struct timespec pause = {.tv_nsec = PAUSE_NS};
	_cleanup_sockets_ Sockets sockets = {-1, -1};
	int first_error = 0;
	size_t sent = 0;

	for (uint32_t i = 0; i < order->count; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		sent += knock_round(&sockets, targets, order, &first_error);
	}
	if (sent > 0)
		return 0;
	if (order->source && first_error == -EADDRNOTAVAIL) {
		char text[TARGET_TEXT_MAX];

		report_error("no knock left: %s is not an address of this machine",
			     target_format(order->source, text));
		return first_error;
	}
	report_error("no knock left this machine: %s", strerror(-first_error));
	return first_error;
}
