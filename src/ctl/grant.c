/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/client.h"
#include "ctl/grant.h"
#include "ctl/report.h"
#include "ctl/text.h"
#include "ctl/verbs.h"
#include "util/name.h"
#include "util/parse.h"

/* Everything behind the first argument. */
static int read_ports(const Options *options, PortList *ports)
{
	for (size_t i = 1; i < options->count; i++) {
		if (options_some_ports("port", options->arguments[i], ports) < 0)
			return -EINVAL;
	}
	return 0;
}

static int append_durations(sd_bus_message *message, const GrantOrder *order)
{
	int r = 0;

	if (order->idle)
		r = bus_append_option_u64(message, "idle", order->idle);
	if (r >= 0 && order->has_grace)
		r = bus_append_option_u64(message, "grace", order->grace);
	if (r >= 0 && order->lifetime)
		r = bus_append_option_u64(message, "lifetime", order->lifetime);
	return r;
}

static int fill_order(sd_bus_message *message, const GrantOrder *order)
{
	int r = sd_bus_message_append(message, "s", order->source);

	if (r >= 0)
		r = bus_append_ports(message, order->ports);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "{sv}");
	if (r >= 0)
		r = append_durations(message, order);
	if (r >= 0 && order->interface)
		r = bus_append_option_text(message, "interface", order->interface);
	if (r >= 0 && order->permanent)
		r = bus_append_option_bool(message, "permanent", true);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

ExitCode grant_add(sd_bus *bus, const GrantOrder *order, Record *record)
{
	_cleanup_message_ sd_bus_message *message = NULL, *reply = NULL;
	ExitCode code;
	const char *path, *id;
	int r;

	code = bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "AddGrant", &message);
	if (code != EXIT_CODE_DONE)
		return code;
	r = fill_order(message, order);
	if (r < 0)
		return bus_filled(r);
	code = bus_send(bus, message, &reply);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return bus_filled(r);
	id = strrchr(path, '/');
	r = record_set_text(record, "id", id ? id + 1 : path);
	if (r >= 0)
		r = record_set_text(record, "object", path);
	if (r >= 0)
		r = record_set_text(record, "source", order->source);
	return bus_filled(r);
}

/* The durations that options name: those that are not given stay 0. */
static int read_durations(const Options *options, GrantOrder *order)
{
	const char *idle = options->values[OPTION_IDLE];
	const char *grace = options->values[OPTION_GRACE];
	const char *lifetime = options->values[OPTION_LIFETIME];

	order->has_grace = grace;
	if ((idle && options_duration("--idle", idle, &order->idle) < 0) ||
	    (grace && options_duration_or_none("--grace", grace, &order->grace) < 0) ||
	    (lifetime && options_duration("--lifetime", lifetime, &order->lifetime) < 0))
		return -EINVAL;
	return 0;
}

int grant_split_zone(const char *text, char **ret_address, char **ret_interface)
{
	_cleanup_free_ char *address = NULL, *interface = NULL;
	const char *zone = strchrnul(text, '%'), *name = *zone ? zone + 1 : zone;
	size_t size = strcspn(name, "/"), before = (size_t)(zone - text);
	bool in_brackets = *text == '[' && *zone && !memchr(text, ']', before) && size > 0 &&
			   name[size - 1] == ']';

	/* What is behind the interface belongs to the address: "[fe80::%eth0]/64". */
	if (asprintf(&address, "%.*s%s%s", (int)before, text, in_brackets ? "]" : "", name + size) <
	    0) {
		address = NULL;
		return -ENOMEM;
	}
	if (in_brackets)
		size--;
	if (*zone && size == 0) {
		report_error("'%s' lacks the interface behind its %%", text);
		return -EINVAL;
	}
	if (*zone) {
		interface = strndup(name, size);
		if (!interface)
			return -ENOMEM;
	}
	*ret_address = TAKE_PTR(address);
	*ret_interface = TAKE_PTR(interface);
	return 0;
}

/* Address and interface as the argument and --interface have them. */
static int read_source(const Options *options, char **ret_source, char **ret_interface)
{
	const char *given = options->values[OPTION_INTERFACE];
	_cleanup_free_ char *address = NULL, *interface = NULL;

	if (grant_split_zone(options->arguments[0], &address, &interface) < 0)
		return -EINVAL;
	if (given && interface && strcmp(given, interface) != 0) {
		report_error("two interfaces: %s and %s", interface, given);
		return -EINVAL;
	}
	if (given && !interface) {
		interface = strdup(given);
		if (!interface)
			return -ENOMEM;
	}
	if (options_prefix("address", address, ret_source) < 0)
		return -EINVAL;
	*ret_interface = TAKE_PTR(interface);
	return 0;
}

ExitCode verb_grant(const Options *options)
{
	_cleanup_free_ char *source = NULL, *interface = NULL, *ports_text = NULL;
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	GrantOrder order = {
		.ports = &ports,
		.permanent = options_has(options, OPTION_PERMANENT),
	};
	ExitCode code;

	if (read_source(options, &source, &interface) < 0 || read_ports(options, &ports) < 0 ||
	    read_durations(options, &order) < 0)
		return EXIT_CODE_USAGE;
	order.source = source;
	order.interface = interface;
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = grant_add(bus, &order, &record);
	if (code != EXIT_CODE_DONE)
		return code;
	ports_text = ports.count ? text_ports(&ports) : strdup("every protected port");
	if (!ports_text)
		return bus_filled(-ENOMEM);
	return output_done(&options->output, &record, "Grant %s: %s may reach %s%s.",
			   record_get_text(&record, "id"), source, ports_text,
			   order.permanent
				   ? ""
				   : ", at the longest until the next reload or restart") < 0
		       ? EXIT_CODE_FAILED
		       : EXIT_CODE_DONE;
}

/* The object of the grant of this number: the caller frees it. */
static ExitCode grant_path(const char *id, char **ret_path)
{
	uint64_t number;

	if (parse_u64(id, 0, UINT64_MAX, &number) < 0) {
		report_error("'%s' is not the number of a grant: 'spalectl list grants' shows "
			     "them",
			     id);
		return EXIT_CODE_USAGE;
	}
	if (asprintf(ret_path, "%s/%" PRIu64, SPALE_BUS_GRANT_PREFIX, number) < 0) {
		*ret_path = NULL;
		return bus_filled(-ENOMEM);
	}
	return EXIT_CODE_DONE;
}

ExitCode verb_extend(const Options *options)
{
	const char *id = options->arguments[0];
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	_cleanup_free_ char *path = NULL;
	char text[TEXT_TIME_MAX];
	uint64_t seconds;
	ExitCode code;
	int r;

	if (options_duration("the time", options->arguments[1], &seconds) < 0)
		return EXIT_CODE_USAGE;
	code = grant_path(id, &path);
	if (code == EXIT_CODE_DONE)
		code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = bus_call(bus, path, SPALE_BUS_GRANT, "Extend", NULL, "t", seconds);
	if (code != EXIT_CODE_DONE)
		return code;
	r = record_set_text(&record, "id", id);
	if (r >= 0)
		r = output_done(&options->output, &record, "Grant %s ends %s%s.", id,
				seconds == UINT64_MAX ? "never" : "in ",
				seconds == UINT64_MAX ? "" : text_duration(seconds, text));
	return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

/* What to revoke; exactly one of these. */
typedef struct Revocation {
	const char *id, *client;
	char *source;
	bool all;
	PortList ports;
} Revocation;

static void revocation_done(Revocation *revocation)
{
	free(revocation->source);
	port_list_done(&revocation->ports);
}

static int read_revocation(const Options *options, Revocation *revocation)
{
	const char *first = options->count ? options->arguments[0] : NULL;
	int ways;

	revocation->all = options_has(options, OPTION_ALL);
	revocation->id = options->values[OPTION_ID];
	revocation->client = options->values[OPTION_CLIENT];
	ways = revocation->all + (revocation->id != NULL) + (revocation->client != NULL) +
	       (first != NULL);
	if (ways != 1) {
		report_error("'revoke' takes an address, a client, --id or --all: one of them");
		return -EINVAL;
	}
	if (revocation->client && client_check_name(revocation->client) < 0)
		return -EINVAL;
	if (!first)
		return 0;
	if (strchr(first, '%')) {
		report_error(
			"a grant at one interface is revoked by its number (--id), or with the "
			"others of its address without the %%: 'spalectl list grants' shows "
			"them");
		return -EINVAL;
	}
	/* What can be a name and an address is an address; --client says otherwise. */
	if (!strpbrk(first, ":/[") && strspn(first, "0123456789.") != strlen(first) &&
	    name_is_valid(first)) {
		revocation->client = first;
		if (options->count > 1)
			report_error("ports go with an address: a client loses all its grants");
		return options->count > 1 ? -EINVAL : 0;
	}
	if (options_prefix("address", first, &revocation->source) < 0)
		return -EINVAL;
	return read_ports(options, &revocation->ports);
}

static ExitCode revoke_source(sd_bus *bus, const Revocation *revocation, sd_bus_message **ret_reply)
{
	_cleanup_message_ sd_bus_message *message = NULL;
	ExitCode code;
	int r;

	code = bus_prepare(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "RevokeGrant", &message);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_append(message, "s", revocation->source);
	if (r >= 0)
		r = bus_append_ports(message, &revocation->ports);
	return r < 0 ? bus_filled(r) : bus_send(bus, message, ret_reply);
}

static ExitCode call_revoke(sd_bus *bus, const Revocation *revocation, uint32_t *ret_count)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	_cleanup_free_ char *path = NULL;
	ExitCode code;
	int r;

	if (revocation->id) {
		*ret_count = 1;
		code = grant_path(revocation->id, &path);
		return code != EXIT_CODE_DONE
			       ? code
			       : bus_call(bus, path, SPALE_BUS_GRANT, "Revoke", NULL, NULL);
	}
	if (revocation->all)
		code = bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "RevokeAll", &reply, NULL);
	else if (revocation->client)
		code = bus_call(bus, SPALE_BUS_PATH, SPALE_BUS_MANAGER, "RevokeClient", &reply, "s",
				revocation->client);
	else
		code = revoke_source(bus, revocation, &reply);
	if (code != EXIT_CODE_DONE)
		return code;
	r = sd_bus_message_read(reply, "u", ret_count);
	return bus_filled(r);
}

ExitCode verb_revoke(const Options *options)
{
	_cleanup_(revocation_done) Revocation revocation = {0};
	_cleanup_record_ Record record = {0};
	_cleanup_bus_ sd_bus *bus = NULL;
	uint32_t count = 0;
	ExitCode code;
	int r;

	if (read_revocation(options, &revocation) < 0)
		return EXIT_CODE_USAGE;
	code = bus_open(options->ask, &bus);
	if (code == EXIT_CODE_DONE)
		code = call_revoke(bus, &revocation, &count);
	if (code != EXIT_CODE_DONE)
		return code;
	r = record_set_number(&record, "revoked", count);
	if (r >= 0 && (count > 0 || revocation.all || options->output.json))
		r = output_done(&options->output, &record, "Revoked %u grant%s.", count,
				count == 1 ? "" : "s");
	if (r < 0)
		return EXIT_CODE_FAILED;
	/* That nothing is left is what --all is for. */
	if (count > 0 || revocation.all)
		return EXIT_CODE_DONE;
	report_error("there was no such grant: 'spalectl list grants' shows them");
	return EXIT_CODE_NOT_FOUND;
}
