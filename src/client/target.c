/* SPDX-License-Identifier: MIT */
#include "client/target.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "client/report.h"
#include "util/address.h"
#include "util/cleanup.h"

DEFINE_CLEANUP(struct addrinfo, freeaddrinfo)
#define _cleanup_addrinfo_ _cleanup_(freeaddrinfop)

/* Longest "ADDRESS%ZONE". */
#define HOST_TEXT_MAX (INET6_ADDRSTRLEN + 1 + IF_NAMESIZE)

socklen_t target_size(const Target *target)
{
	return target->any.sa_family == AF_INET ? sizeof(target->ipv4) : sizeof(target->ipv6);
}

void target_set_port(Target *target, uint16_t port)
{
	if (target->any.sa_family == AF_INET)
		target->ipv4.sin_port = htons(port);
	else
		target->ipv6.sin6_port = htons(port);
}

const char *target_format(const Target *target, char text[static TARGET_TEXT_MAX])
{
	bool is_ipv4 = target->any.sa_family == AF_INET;
	uint16_t port = ntohs(is_ipv4 ? target->ipv4.sin_port : target->ipv6.sin6_port);
	char host[HOST_TEXT_MAX] = "?";

	getnameinfo(&target->any, target_size(target), host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	if (port == 0)
		snprintf(text, TARGET_TEXT_MAX, "%s", host);
	else
		snprintf(text, TARGET_TEXT_MAX, is_ipv4 ? "%s:%u" : "[%s]:%u", host, port);
	return text;
}

/* TEXT without brackets around it, and cut at the zone, into ADDRESS. */
static int split(const char *text, char plain[static HOST_TEXT_MAX],
		 char address[static HOST_TEXT_MAX])
{
	size_t length = strlen(text);

	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (length >= HOST_TEXT_MAX)
		return -EINVAL;
	snprintf(plain, HOST_TEXT_MAX, "%.*s", (int)length, text);
	snprintf(address, HOST_TEXT_MAX, "%.*s", (int)strcspn(plain, "%"), plain);
	return 0;
}

/*
 * Stricter than the resolver, to which "1" is 0.0.0.1 and "010.0.0.1" is 8.0.0.1. Neither does an
 * IPv4-mapped address go: its socket would reach neither family's addresses.
 */
bool target_source_is_valid(const char *text)
{
	char plain[HOST_TEXT_MAX], bare[HOST_TEXT_MAX];
	bool has_zone, is_ipv6;
	Address address;

	if (split(text, plain, bare) < 0 || bare[0] == '[' || address_parse(bare, &address) < 0)
		return false;
	is_ipv6 = strchr(bare, ':') != NULL;
	if (is_ipv6 && address_is_ipv4(&address))
		return false;
	has_zone = plain[strlen(bare)] == '%';
	return !has_zone || (is_ipv6 && plain[strlen(bare) + 1] != '\0');
}

/* Runs the resolver; TEXT may be in brackets. */
static int resolve(const char *text, int flags, struct addrinfo **ret_list)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = flags};
	size_t length = strlen(text);
	_cleanup_free_ char *host = NULL;

	/* Brackets keep an address apart from a port elsewhere; the resolver does not know them. */
	if (length > 2 && text[0] == '[' && text[length - 1] == ']')
		host = strndup(text + 1, length - 2);
	else
		host = strdup(text);
	if (!host)
		return EAI_MEMORY;
	return getaddrinfo(host, NULL, &hints, ret_list);
}

static const char *resolver_error(int error)
{
	return error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
}

/* IPv4 and IPv6 only. */
static bool from_addrinfo(const struct addrinfo *info, Target *ret_target)
{
	Target target = {0};

	if (info->ai_family == AF_INET && info->ai_addrlen == sizeof(target.ipv4))
		memcpy(&target.ipv4, info->ai_addr, sizeof(target.ipv4));
	else if (info->ai_family == AF_INET6 && info->ai_addrlen == sizeof(target.ipv6))
		memcpy(&target.ipv6, info->ai_addr, sizeof(target.ipv6));
	else
		return false;
	*ret_target = target;
	return true;
}

int target_parse_source(const char *text, Target *ret_source)
{
	_cleanup_addrinfo_ struct addrinfo *list = NULL;
	int error;

	if (!target_source_is_valid(text)) {
		report_error("source '%s' is not an IPv4 or IPv6 address", text);
		return -EINVAL;
	}
	error = resolve(text, AI_NUMERICHOST, &list);
	if (error || !from_addrinfo(list, ret_source)) {
		report_error(
			"source '%s' is not an address of this machine: is its interface there?",
			text);
		return -EINVAL;
	}
	return 0;
}

static bool contains(const TargetList *targets, const Target *target)
{
	for (size_t i = 0; i < targets->count; i++)
		if (memcmp(&targets->items[i], target, sizeof(*target)) == 0)
			return true;
	return false;
}

static const char *family_name(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

int target_resolve(const char *host, uint16_t port, const Target *source, TargetList *ret_targets)
{
	_cleanup_addrinfo_ struct addrinfo *list = NULL;
	TargetList targets = {.count = 0};
	int error;

	error = resolve(host, 0, &list);
	if (error) {
		report_error("host '%s' cannot be found: %s", host, resolver_error(error));
		return -ENXIO;
	}
	for (const struct addrinfo *info = list; info; info = info->ai_next) {
		Target target;

		if (!from_addrinfo(info, &target) ||
		    (source && source->any.sa_family != target.any.sa_family))
			continue;
		target_set_port(&target, port);
		if (contains(&targets, &target))
			continue;
		if (targets.count == TARGETS_MAX) {
			report_warning(
				"host '%s' has more than %d addresses: the others are left out",
				host, TARGETS_MAX);
			break;
		}
		targets.items[targets.count++] = target;
	}
	if (targets.count == 0) {
		const char *family = source ? family_name(source->any.sa_family) : "IPv4 or IPv6";

		report_error("host '%s' has no %s address%s", host, family,
			     source ? ", which the source address asks for" : "");
		return -EAFNOSUPPORT;
	}
	*ret_targets = targets;
	return 0;
}
