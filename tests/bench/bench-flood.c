/* SPDX-License-Identifier: MIT */
/*
 * Sends a frame over and over, as fast as it goes, with noise in its end.
 *
 *     bench-flood DEVICE NOISE SECONDS RATE SOURCES <FRAME
 *
 * The last NOISE bytes of the frame, at most 128, are new in each. RATE is frames a second at most,
 * 0 for no limit. With SOURCES yes each comes from an IPv4 address of its own in the same /16 (and
 * its header's checksum is wrong). Prints how many were sent in how many seconds.
 */
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/parse.h"

#define FRAME_MAX 1514
#define NOISE_MAX 128
#define BATCH	  64

/* The last two bytes of the source address, behind an Ethernet header. */
#define SOURCE_OFFSET (14 + 14)

typedef struct Flood {
	uint8_t frames[BATCH][FRAME_MAX];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	size_t size;
	size_t noise;
	bool sources;
	uint64_t random;
} Flood;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* xorshift64: good enough to be nobody's seal. */
static uint64_t next_random(Flood *flood)
{
	flood->random ^= flood->random << 13;
	flood->random ^= flood->random >> 7;
	flood->random ^= flood->random << 17;
	return flood->random;
}

static void vary(Flood *flood)
{
	for (size_t i = 0; i < BATCH; i++) {
		uint8_t *p = flood->frames[i] + flood->size - flood->noise;
		size_t left = flood->noise;

		if (flood->sources) {
			uint16_t source = (uint16_t)next_random(flood);

			memcpy(flood->frames[i] + SOURCE_OFFSET, &source, sizeof(source));
		}
		while (left > 0) {
			uint64_t random = next_random(flood);
			size_t n = left < sizeof(random) ? left : sizeof(random);

			memcpy(p, &random, n);
			p += n;
			left -= n;
		}
	}
}

static int open_device(const char *device)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_ll address = {.sll_family = AF_PACKET};

	address.sll_ifindex = (int)if_nametoindex(device);
	if (address.sll_ifindex == 0)
		return -errno;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int send_flood(Flood *flood, int fd, uint64_t seconds, uint64_t rate)
{
	uint64_t begin_ns = now_ns(), elapsed_ns = 0, sent = 0;

	while (elapsed_ns < seconds * NSEC_PER_SEC) {
		if (rate == 0 || sent < rate * elapsed_ns / NSEC_PER_SEC + BATCH) {
			int n;

			vary(flood);
			n = sendmmsg(fd, flood->messages, BATCH, 0);
			if (n < 0 && errno != ENOBUFS)
				return -errno;
			sent += n > 0 ? (uint64_t)n : 0;
		} else {
			struct timespec pause = {.tv_nsec = 1000000};

			nanosleep(&pause, NULL);
		}
		elapsed_ns = now_ns() - begin_ns;
	}
	printf("%llu %.3f\n", (unsigned long long)sent, (double)elapsed_ns / (double)NSEC_PER_SEC);
	return 0;
}

int main(int argc, char **argv)
{
	static Flood flood = {.random = 0x9e3779b97f4a7c15};
	_cleanup_close_ int fd = -1;
	uint32_t noise, seconds, rate;
	int r;

	flood.size = fread(flood.frames[0], 1, FRAME_MAX, stdin);
	if (argc != 6 || flood.size < SOURCE_OFFSET + sizeof(uint16_t) ||
	    parse_u32(argv[2], 0, NOISE_MAX, &noise) < 0 || noise > flood.size ||
	    parse_u32(argv[3], 1, 60, &seconds) < 0 || parse_u32(argv[4], 0, 10000000, &rate) < 0 ||
	    parse_bool(argv[5], &flood.sources) < 0) {
		fprintf(stderr, "usage: bench-flood DEVICE NOISE SECONDS RATE SOURCES <FRAME\n");
		return 2;
	}
	flood.noise = noise;
	for (size_t i = 0; i < BATCH; i++) {
		memcpy(flood.frames[i], flood.frames[0], flood.size);
		flood.parts[i] = (struct iovec){flood.frames[i], flood.size};
		flood.messages[i].msg_hdr.msg_iov = &flood.parts[i];
		flood.messages[i].msg_hdr.msg_iovlen = 1;
	}

	fd = open_device(argv[1]);
	r = fd < 0 ? fd : send_flood(&flood, fd, seconds, rate);
	if (r < 0) {
		fprintf(stderr, "bench-flood: %s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	return 0;
}
