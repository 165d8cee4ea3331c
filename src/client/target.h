/* SPDX-License-Identifier: MIT */
/*
 * Socket addresses: those of the host that is knocked at, and the one that is knocked from.
 *
 * Names and what the resolver makes of them are untrusted. Functions report what goes wrong
 * (client/report.h) and return a negative errno.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Most addresses of one host that are used. */
#define TARGETS_MAX 64

/* Room for "[ADDRESS%ZONE]:PORT" and NUL. */
#define TARGET_TEXT_MAX 96

typedef union Target {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
} Target;

/* Owns nothing. */
typedef struct TargetList {
	Target items[TARGETS_MAX];
	size_t count;
} TargetList;

/* Length of the socket address, for the system calls. */
socklen_t target_size(const Target *target);

/* Sets the port, in host byte order. */
void target_set_port(Target *target, uint16_t port);

/* Writes "ADDRESS:PORT", or only "ADDRESS" when the port is 0, and returns TEXT. */
const char *target_format(const Target *target, char text[static TARGET_TEXT_MAX]);

/* Whether TEXT can be a source: an address, IPv6 perhaps with brackets or a zone (fe80::1%eth0). */
bool target_source_is_valid(const char *text);

/* Reads a source address; its port is 0. -EINVAL also for a zone that this machine has not. */
int target_parse_source(const char *text, Target *ret_source);

/*
 * All addresses of HOST (a name, or an address as above) with PORT, each once. With SOURCE, only
 * those of its family. -ENXIO: unknown host; -EAFNOSUPPORT: none of the source's family.
 */
int target_resolve(const char *host, uint16_t port, const Target *source, TargetList *ret_targets);
