/* SPDX-License-Identifier: MIT */
#include "ctl/surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-login.h>

#include "util/cleanup.h"
#include "util/parse.h"

/* Processes above this one that are looked at. */
#define PARENTS_MAX 32

/* Largest environment that is read. */
#define ENVIRONMENT_MAX (256 * 1024)

/* Ports for knocks: below those that Linux and BSD systems give to connections. */
#define PORT_FIRST 20000
#define PORT_LAST  32767
#define PORT_TRIES 100

/* An address as text, with what is behind its % in ZONE. */
static int parse_end(const char *text, char address[static ADDRESS_TEXT_MAX],
		     char zone[static IF_NAMESIZE])
{
	const char *percent = strchrnul(text, '%');
	size_t size = (size_t)(percent - text);
	char copy[ADDRESS_TEXT_MAX];
	Address parsed;

	if (size >= sizeof(copy) || strlen(percent) > IF_NAMESIZE)
		return -EINVAL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	if (address_parse(copy, &parsed) < 0)
		return -EINVAL;
	address_format(&parsed, address);
	snprintf(zone, IF_NAMESIZE, "%s", *percent ? percent + 1 : "");
	return 0;
}

int surroundings_parse_connection(const char *text, Origin *ret_origin)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *words[4], zone[IF_NAMESIZE];
	Origin origin = {0};
	uint32_t port;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		words[i] = strsep(&rest, " ");
		if (!words[i])
			return -EINVAL;
	}
	if (rest || parse_end(words[0], origin.client, origin.zone) < 0 ||
	    parse_u32(words[1], 1, UINT16_MAX, &port) < 0 ||
	    parse_end(words[2], origin.server, zone) < 0 ||
	    parse_u32(words[3], 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	origin.server_port = (uint16_t)port;
	*ret_origin = origin;
	return 0;
}

/* Reads a file of /proc, NUL-terminated; what is more than MAX bytes is cut. NULL: cannot. */
static char *read_proc(const char *path, size_t max, size_t *ret_size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = malloc(max + 1);
	size_t size = 0;

	while (fd >= 0 && text && size < max) {
		ssize_t n = read(fd, text + size, max - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NULL;
		if (n == 0)
			break;
		size += (size_t)n;
	}
	if (fd < 0 || !text)
		return NULL;
	text[size] = '\0';
	*ret_size = size;
	return TAKE_PTR(text);
}

/* The parent of PID; 0: none that can be seen. */
static pid_t parent_of(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	const char *line;
	char path[32];
	uint32_t parent;
	size_t size;
	char *end;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	text = read_proc(path, 16384, &size);
	line = text ? strstr(text, "\nPPid:\t") : NULL;
	if (!line)
		return 0;
	line += strlen("\nPPid:\t");
	end = strchrnul((char *)line, '\n');
	*end = '\0';
	return parse_u32(line, 0, INT32_MAX, &parent) < 0 ? 0 : (pid_t)parent;
}

static int origin_of(pid_t pid, Origin *ret_origin)
{
	static const char key[] = "SSH_CONNECTION=";
	_cleanup_free_ char *text = NULL;
	char path[32];
	size_t size;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	text = read_proc(path, ENVIRONMENT_MAX, &size);
	for (const char *p = text; text && p < text + size; p += strlen(p) + 1) {
		if (strncmp(p, key, strlen(key)) == 0)
			return surroundings_parse_connection(p + strlen(key), ret_origin);
	}
	return -ENOENT;
}

/* By the session that this process belongs to, of which logind knows how it began. */
static int origin_of_session(Origin *ret_origin)
{
	_cleanup_free_ char *session = NULL, *host = NULL;
	Origin origin = {0};

	if (sd_pid_get_session(0, &session) < 0 || sd_session_get_remote_host(session, &host) < 0 ||
	    parse_end(host, origin.client, origin.zone) < 0)
		return -ENOENT;
	*ret_origin = origin;
	return 0;
}

int surroundings_find_origin(Origin *ret_origin)
{
	const char *own = getenv("SSH_CONNECTION");
	pid_t pid = getpid();

	if (own && surroundings_parse_connection(own, ret_origin) == 0)
		return 0;
	for (int i = 0; i < PARENTS_MAX && pid > 1; i++) {
		pid = parent_of(pid);
		if (pid > 1 && origin_of(pid, ret_origin) == 0)
			return 0;
	}
	return origin_of_session(ret_origin);
}

/* A word of a line of /proc/net; moves *REST behind it. */
static const char *next_word(char **rest)
{
	char *word;

	do
		word = strsep(rest, " \t");
	while (word && !*word);
	return word ? word : "";
}

/* The interface in a line of /proc/net/route that is a default route; one that refuses has none. */
static bool read_ipv4_route(char *line, char name[static IF_NAMESIZE])
{
	const char *interface = next_word(&line), *destination = next_word(&line), *mask = "";

	for (int i = 0; i < 6; i++)
		mask = next_word(&line);
	if (strcmp(destination, "00000000") != 0 || strcmp(mask, "00000000") != 0 ||
	    strcmp(interface, "*") == 0)
		return false;
	snprintf(name, IF_NAMESIZE, "%s", interface);
	return true;
}

/* The same for /proc/net/ipv6_route, where the loopback has one that refuses. */
static bool read_ipv6_route(char *line, char name[static IF_NAMESIZE])
{
	const char *destination = next_word(&line), *length = next_word(&line), *interface = "";

	for (int i = 0; i < 8; i++)
		interface = next_word(&line);
	if (strspn(destination, "0") != 32 || strcmp(length, "00") != 0 ||
	    strcmp(interface, "lo") == 0)
		return false;
	snprintf(name, IF_NAMESIZE, "%s", interface);
	return true;
}

int surroundings_find_interface(char name[static IF_NAMESIZE])
{
	static const struct {
		const char *path;
		bool (*read)(char *line, char *name);
	} tables[] = {{"/proc/net/route", read_ipv4_route},
		      {"/proc/net/ipv6_route", read_ipv6_route}};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		_cleanup_fclose_ FILE *f = fopen(tables[i].path, "re");
		_cleanup_free_ char *line = NULL;
		size_t size = 0;

		while (f && getline(&line, &size, f) > 0) {
			*strchrnul(line, '\n') = '\0';
			if (tables[i].read(line, name))
				return 0;
		}
	}
	return -ENOENT;
}

static bool port_is_free(uint16_t port)
{
	const struct sockaddr_in6 address = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
	_cleanup_close_ int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* Without IPv6 nobody can tell. */
	return fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

int surroundings_find_port(uint16_t *ret_port)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		uint16_t random, port;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -errno;
		port = (uint16_t)(PORT_FIRST + random % (PORT_LAST - PORT_FIRST + 1));
		if (port_is_free(port)) {
			*ret_port = port;
			return 0;
		}
	}
	return -EADDRINUSE;
}

void surroundings_find_name(char name[static NAME_LENGTH_MAX + 1])
{
	const char *user = getenv("SUDO_USER");

	if (!user || !name_is_valid(user) || strcmp(user, "root") == 0)
		user = "admin";
	snprintf(name, NAME_LENGTH_MAX + 1, "%s", user);
}
