/* SPDX-License-Identifier: MIT */
#include "ctl/bus.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "ctl/agent.h"
#include "ctl/report.h"

/* A person may have to find a password first. */
#define TIMEOUT_USEC (180 * 1000000ULL)

static bool may_ask;

ExitCode bus_open(bool ask, sd_bus **ret_bus)
{
	int r = sd_bus_open_system(ret_bus);

	if (r < 0) {
		report_error("there is no system bus (%s): is this machine running systemd and "
			     "D-Bus? spaled protects without, but cannot be talked to",
			     strerror(-r));
		return EXIT_CODE_NOT_RUNNING;
	}
	sd_bus_set_method_call_timeout(*ret_bus, TIMEOUT_USEC);
	may_ask = ask;
	if (ask)
		agent_start();
	return EXIT_CODE_DONE;
}

void bus_close(sd_bus *bus)
{
	sd_bus_flush_close_unref(bus);
	agent_stop();
}

/* Nobody has the name: what there is to do about it. */
static ExitCode not_running(void)
{
	if (access(SPALE_CONFDIR "/spale.conf", F_OK) < 0 && errno == ENOENT)
		report_error("spaled is not running, and not configured: 'spalectl setup' does "
			     "both");
	else
		report_error("spaled is not running: 'systemctl start spaled' starts it, "
			     "'systemctl status spaled' says why it is not");
	return EXIT_CODE_NOT_RUNNING;
}

static ExitCode not_authorised(const sd_bus_error *error)
{
	const char *hint = geteuid() == 0 ? "polkit has to be running, and to allow it"
			   : may_ask && isatty(STDIN_FILENO)
				   ? "try sudo, or be named in a rule of polkit"
				   : "try sudo, a terminal to be asked on, or be named in a "
				     "rule of polkit";

	report_error("not authorised: %s (%s)", hint,
		     error->message ? error->message : error->name);
	return EXIT_CODE_NOT_AUTHORISED;
}

/* Names of errors, and what they come to. */
static const struct {
	const char *name;
	ExitCode code;
	const char *hint; /* what to do, behind what spaled says */
} errors[] = {
	{"org.freedesktop.DBus.Error.ServiceUnknown", EXIT_CODE_NOT_RUNNING, NULL},
	{"org.freedesktop.DBus.Error.NameHasNoOwner", EXIT_CODE_NOT_RUNNING, NULL},
	{"org.freedesktop.DBus.Error.NoReply", EXIT_CODE_FAILED,
	 "it may have been done: 'systemctl status spaled' says whether spaled runs"},
	{"org.freedesktop.DBus.Error.Timeout", EXIT_CODE_FAILED,
	 "it may have been done: 'systemctl status spaled' says whether spaled runs"},
	{"org.freedesktop.DBus.Error.Disconnected", EXIT_CODE_FAILED,
	 "the system bus has hung up, and it may have been done"},
	{"org.freedesktop.DBus.Error.LimitsExceeded", EXIT_CODE_FAILED,
	 "too many calls wait for an answer, or for somebody's password"},
	{"org.freedesktop.DBus.Error.AccessDenied", EXIT_CODE_NOT_AUTHORISED, NULL},
	{"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", EXIT_CODE_NOT_AUTHORISED,
	 NULL},
	{"org.spale1.Error.NoSuchGrant", EXIT_CODE_NOT_FOUND, "'spalectl list grants' shows them"},
	{"org.spale1.Error.NoSuchClient", EXIT_CODE_NOT_FOUND,
	 "'spalectl list clients' shows them"},
	{"org.spale1.Error.NoSuchInterface", EXIT_CODE_NOT_FOUND,
	 "'spalectl list interfaces' shows them"},
	{"org.freedesktop.DBus.Error.UnknownObject", EXIT_CODE_NOT_FOUND, NULL},
	{"org.spale1.Error.NotProtected", EXIT_CODE_FAILED,
	 "'spalectl list ports' shows the protected ports (one without a protocol is TCP and UDP)"},
	{"org.spale1.Error.ClientExists", EXIT_CODE_FAILED,
	 "'spalectl client remove' removes a client"},
	{"org.spale1.Error.KeyExists", EXIT_CODE_FAILED, "each client needs a key of its own"},
	{"org.spale1.Error.NoTrial", EXIT_CODE_NOT_FOUND, "'spalectl trial DURATION' begins one"},
};

/* The bus, which closes connections that are too many too. */
static bool has_hung_up(int r)
{
	return r == -ECONNRESET || r == -ENOTCONN;
}

/* Whether nobody sent ERROR: sd-bus names what went wrong here after its errno. */
static bool is_of_ours(const sd_bus_error *error)
{
	return !sd_bus_error_is_set(error) || strncmp(error->name, "System.Error.", 13) == 0;
}

static ExitCode report_hung_up(void)
{
	report_error("the system bus has hung up");
	return EXIT_CODE_NOT_RUNNING;
}

ExitCode bus_report(const sd_bus_error *error, int r)
{
	const char *message, *hint = NULL;
	ExitCode code = EXIT_CODE_FAILED;

	if (has_hung_up(r) && is_of_ours(error))
		return report_hung_up();
	if (!sd_bus_error_is_set(error)) {
		report_error("spaled cannot be asked: %s", strerror(-r));
		return EXIT_CODE_FAILED;
	}
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (strcmp(errors[i].name, error->name) == 0) {
			code = errors[i].code;
			hint = errors[i].hint;
		}
	}
	if (code == EXIT_CODE_NOT_RUNNING)
		return not_running();
	if (code == EXIT_CODE_NOT_AUTHORISED)
		return not_authorised(error);
	message = error->message && *error->message ? error->message : error->name;
	report_error("%s%s%s", message, hint ? ": " : "", hint ? hint : "");
	return code;
}

ExitCode bus_filled(int r)
{
	if (r >= 0)
		return EXIT_CODE_DONE;
	if (has_hung_up(r))
		return report_hung_up();
	if (r == -EBADMSG || r == -ENXIO)
		report_error("spaled's answer is not what this version of spalectl understands");
	else
		report_error("%s", strerror(-r));
	return EXIT_CODE_FAILED;
}

ExitCode bus_prepare(sd_bus *bus, const char *path, const char *interface, const char *member,
		     sd_bus_message **ret_message)
{
	int r = sd_bus_message_new_method_call(bus, ret_message, SPALE_BUS_NAME, path, interface,
					       member);

	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(*ret_message, may_ask);
	return bus_filled(r);
}

ExitCode bus_send(sd_bus *bus, sd_bus_message *message, sd_bus_message **ret_reply)
{
	_cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_call(bus, message, TIMEOUT_USEC, &error, ret_reply);

	return r < 0 ? bus_report(&error, r) : EXIT_CODE_DONE;
}

ExitCode bus_call(sd_bus *bus, const char *path, const char *interface, const char *member,
		  sd_bus_message **ret_reply, const char *types, ...)
{
	_cleanup_message_ sd_bus_message *message = NULL;
	ExitCode code = bus_prepare(bus, path, interface, member, &message);
	va_list arguments;
	int r;

	if (code != EXIT_CODE_DONE)
		return code;
	if (types) {
		va_start(arguments, types);
		r = sd_bus_message_appendv(message, types, arguments);
		va_end(arguments);
		if (r < 0)
			return bus_filled(r);
	}
	return bus_send(bus, message, ret_reply);
}

int bus_append_ports(sd_bus_message *message, const PortList *ports)
{
	int r = sd_bus_message_open_container(message, 'a', "(sqq)");

	port_list_foreach (range, ports) {
		if (r < 0)
			return r;
		r = sd_bus_message_append(message, "(sqq)", port_protocol_name(range->protocol),
					  range->first, range->last);
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

int bus_append_option_u64(sd_bus_message *message, const char *name, uint64_t value)
{
	return sd_bus_message_append(message, "{sv}", name, "t", value);
}

int bus_append_option_bool(sd_bus_message *message, const char *name, bool value)
{
	return sd_bus_message_append(message, "{sv}", name, "b", (int)value);
}

int bus_append_option_text(sd_bus_message *message, const char *name, const char *value)
{
	return sd_bus_message_append(message, "{sv}", name, "s", value);
}

int bus_append_option_ports(sd_bus_message *message, const char *name, const PortList *ports)
{
	int r = sd_bus_message_open_container(message, 'e', "sv");

	if (r >= 0)
		r = sd_bus_message_append(message, "s", name);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "a(sqq)");
	if (r >= 0)
		r = bus_append_ports(message, ports);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

ExitCode bus_get_all(sd_bus *bus, const char *path, const char *interface,
		     const BusProperty properties[], size_t count, Record *record)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	ExitCode code = bus_call(bus, path, "org.freedesktop.DBus.Properties", "GetAll", &reply,
				 "s", interface);

	if (code != EXIT_CODE_DONE)
		return code;
	return bus_filled(bus_read_properties(reply, properties, count, record));
}
