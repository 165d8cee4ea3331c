/* SPDX-License-Identifier: MIT */
#include "bus/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <spale/bus-names.h>

#include "bus/arguments.h"
#include "bus/errors.h"
#include "keys/pem.h"
#include "util/name.h"
#include "util/parse.h"

/* Most prefixes of AllowedSources. */
#define SOURCES_MAX 4096

/* What PEM has around the base64 of an X25519 key's 32 bytes (RFC 8410): the 12 bytes in front of
 * them are these digits. */
#define KEY_BEGIN "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEA"
#define KEY_END	  "\n-----END PUBLIC KEY-----\n"

/* Longest text of a key. */
#define KEY_TEXT_MAX 4096

/* Digits of 32 bytes in base64, with their padding. */
#define KEY_DIGITS 44

/* ---- grants -------------------------------------------------------------------------------- */

void add_grant_call_done(AddGrantCall *call)
{
	port_list_done(&call->ports);
}

int requests_read_add_grant(sd_bus_message *call, AddGrantCall *ret_call, sd_bus_error *ret_error)
{
	static const ArgumentOption options[] = {
		{"idle", "t", arguments_option_seconds, offsetof(GrantRequest, idle_ns),
		 offsetof(GrantRequest, has_idle)},
		{"grace", "t", arguments_option_seconds, offsetof(GrantRequest, grace_ns),
		 offsetof(GrantRequest, has_grace)},
		{"lifetime", "t", arguments_option_seconds, offsetof(GrantRequest, lifetime_ns),
		 offsetof(GrantRequest, has_lifetime)},
		{"interface", "s", arguments_option_text, offsetof(GrantRequest, interface), 0},
		{"permanent", "b", arguments_option_bool, offsetof(GrantRequest, permanent), 0},
	};
	_cleanup_add_grant_call_ AddGrantCall add = {0};
	int r;

	r = arguments_read_prefix(call, &add.request.source, ret_error);
	if (r == 0)
		r = arguments_read_ports(call, &add.ports, ret_error);
	if (r == 0)
		r = arguments_read_options(call, options, ARRAY_SIZE(options), &add.request,
					   ret_error);
	if (r < 0)
		return r;
	*ret_call = add;
	add.ports = PORT_LIST_NULL;
	return 0;
}

static int read_source(sd_bus_message *call, void *object, const ArgumentOption *option,
		       sd_bus_error *ret_error)
{
	return arguments_read_prefix(call, (Prefix *)((char *)object + option->offset), ret_error);
}

static int read_origin(sd_bus_message *call, void *object, const ArgumentOption *option,
		       sd_bus_error *ret_error)
{
	GrantFilter *filter = object;
	int r = arguments_option_text(call, object, option, ret_error);

	if (r == 0 && strcmp(filter->origin, "knock") != 0 &&
	    strcmp(filter->origin, "administrator") != 0 && strcmp(filter->origin, "always") != 0)
		r = errors_set(ret_error, -EINVAL,
			       "origin is \"knock\", \"administrator\" or \"always\"");
	return r;
}

int requests_read_filter(sd_bus_message *call, GrantFilter *ret_filter, sd_bus_error *ret_error)
{
	static const ArgumentOption options[] = {
		{"client", "s", arguments_option_text, offsetof(GrantFilter, client), 0},
		{"source", "s", read_source, offsetof(GrantFilter, source),
		 offsetof(GrantFilter, has_source)},
		{"origin", "s", read_origin, offsetof(GrantFilter, origin), 0},
	};
	GrantFilter filter = {0};
	int r = arguments_read_options(call, options, ARRAY_SIZE(options), &filter, ret_error);

	if (r == 0)
		*ret_filter = filter;
	return r;
}

int requests_read_permanent(sd_bus_message *call, bool *ret_permanent, sd_bus_error *ret_error)
{
	static const ArgumentOption option = {"permanent", "b", arguments_option_bool, 0, 0};
	bool permanent = false;
	int r = arguments_read_options(call, &option, 1, &permanent, ret_error);

	if (r == 0)
		*ret_permanent = permanent;
	return r;
}

/* ---- clients ------------------------------------------------------------------------------- */

void client_settings_done(ClientSettings *settings)
{
	for (size_t i = 0; i < settings->count; i++)
		free((char *)settings->items[i].value);
	*settings = (ClientSettings){.count = 0};
}

/* Adds a setting; VALUE, which may be NULL, is taken over. */
static int add_setting(ClientSettings *settings, const char *key, char *value)
{
	settings->items[settings->count++] = (ClientSetting){key, value};
	return 0;
}

/* Adds a setting of this TEXT. */
static int add_text(ClientSettings *settings, const char *key, const char *text,
		    sd_bus_error *ret_error)
{
	char *value = strdup(text);

	return value ? add_setting(settings, key, value) : errors_set(ret_error, -ENOMEM, NULL);
}

static int read_ports(sd_bus_message *call, void *object, const ArgumentOption *option,
		      sd_bus_error *ret_error)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	char *text = NULL;
	int r = arguments_read_ports(call, &ports, ret_error);

	if (r < 0)
		return r;
	/* An empty list in an argument is every protected port. */
	if (ports.count > 0) {
		text = port_list_format(&ports);
		if (!text)
			return errors_set(ret_error, -ENOMEM, NULL);
	}
	return add_setting(object, option->name, text);
}

static int read_duration(sd_bus_message *call, void *object, const ArgumentOption *option,
			 sd_bus_error *ret_error)
{
	char text[DURATION_TEXT_MAX];
	uint64_t ns;
	int r = arguments_read_seconds(call, &ns, ret_error);

	return r < 0 ? r : add_text(object, option->name, format_duration(ns, text), ret_error);
}

/* A time; 0 and infinity: none, as far as it makes sense. */
static int read_time(sd_bus_message *call, void *object, const ArgumentOption *option,
		     sd_bus_error *ret_error)
{
	bool is_begin = strcmp(option->name, "NotBefore") == 0;
	char text[sizeof("9999-12-31T23:59:59Z")];
	uint64_t usec;
	struct tm tm;
	time_t seconds;

	if (sd_bus_message_read_basic(call, 't', &usec) <= 0)
		return errors_set(ret_error, -EINVAL, NULL);
	if (usec == (is_begin ? 0 : SPALE_BUS_INFINITY))
		return add_setting(object, option->name, NULL);
	seconds = (time_t)(usec / USEC_PER_SEC);
	if (usec % USEC_PER_SEC != 0 || !gmtime_r(&seconds, &tm) || tm.tm_year > 9999 - 1900 ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return errors_setf(ret_error, -EINVAL,
				   "%s is a time in microseconds since 1970, in whole seconds",
				   option->name);
	return add_text(object, option->name, text, ret_error);
}

/* Prefixes as text; empty: none are named. */
static int print_sources(sd_bus_message *call, FILE *f, size_t *ret_count, sd_bus_error *ret_error)
{
	char text[ADDRESS_TEXT_MAX], type;
	size_t count = 0;
	int r;

	while ((r = sd_bus_message_peek_type(call, &type, NULL)) > 0) {
		Prefix prefix;

		if (count == SOURCES_MAX)
			return errors_setf(ret_error, -E2BIG, "more than %d prefixes", SOURCES_MAX);
		r = arguments_read_prefix(call, &prefix, ret_error);
		if (r < 0)
			return r;
		fprintf(f, "%s%s", count++ > 0 ? " " : "", prefix_format(&prefix, text));
	}
	*ret_count = count;
	return r < 0 ? errors_set(ret_error, -EINVAL, NULL) : 0;
}

static int read_sources(sd_bus_message *call, void *object, const ArgumentOption *option,
			sd_bus_error *ret_error)
{
	_cleanup_free_ char *text = NULL;
	size_t size, count = 0;
	FILE *f;
	int r;

	if (sd_bus_message_enter_container(call, 'a', "s") < 0)
		return errors_set(ret_error, -EINVAL, NULL);
	f = open_memstream(&text, &size);
	if (!f)
		return errors_set(ret_error, -ENOMEM, NULL);
	r = print_sources(call, f, &count, ret_error);
	if (fclose(f) != 0 && r == 0)
		r = errors_set(ret_error, -ENOMEM, NULL);
	if (r < 0)
		return r;
	if (sd_bus_message_exit_container(call) < 0)
		return errors_set(ret_error, -EINVAL, NULL);
	return add_setting(object, option->name, count > 0 ? TAKE_PTR(text) : NULL);
}

static int read_match(sd_bus_message *call, void *object, const ArgumentOption *option,
		      sd_bus_error *ret_error)
{
	const char *text;
	int r = arguments_read_text(call, ARGUMENTS_TEXT_MAX, &text, ret_error);

	if (r < 0)
		return r;
	if (strcmp(text, "auto") != 0 && strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return errors_setf(ret_error, -EINVAL, "%s is \"auto\", \"yes\" or \"no\"",
				   option->name);
	return add_text(object, option->name, text, ret_error);
}

static int read_enabled(sd_bus_message *call, void *object, const ArgumentOption *option,
			sd_bus_error *ret_error)
{
	int enabled;

	if (sd_bus_message_read_basic(call, 'b', &enabled) <= 0)
		return errors_set(ret_error, -EINVAL, NULL);
	return add_text(object, option->name, enabled ? "yes" : "no", ret_error);
}

int requests_read_settings(sd_bus_message *call, bool enroll, ClientSettings *ret_settings,
			   sd_bus_error *ret_error)
{
	static const ArgumentOption options[] = {
		{"Ports", "a(sqq)", read_ports, 0, 0},
		{"Idle", "t", read_duration, 0, 0},
		{"Grace", "t", read_duration, 0, 0},
		{"Lifetime", "t", read_duration, 0, 0},
		{"NotBefore", "t", read_time, 0, 0},
		{"NotAfter", "t", read_time, 0, 0},
		{"AllowedSources", "as", read_sources, 0, 0},
		{"RequireSourceMatch", "s", read_match, 0, 0},
		{"Enabled", "b", read_enabled, 0, 0}, /* the last: for enrolling only */
	};
	_Static_assert(ARRAY_SIZE(options) <= CLIENT_SETTINGS_MAX, "room for each setting");
	_cleanup_client_settings_ ClientSettings settings = {.count = 0};
	int r;

	r = arguments_read_options(call, options, ARRAY_SIZE(options) - (enroll ? 0 : 1), &settings,
				   ret_error);
	if (r < 0)
		return r;
	*ret_settings = settings;
	settings.count = 0;
	return 0;
}

int requests_read_name(sd_bus_message *call, const char **ret_name, sd_bus_error *ret_error)
{
	const char *name;
	int r = arguments_read_text(call, ARGUMENTS_TEXT_MAX, &name, ret_error);

	if (r < 0)
		return r;
	if (!name_is_valid(name))
		return errors_set(ret_error, -EINVAL,
				  "a client's name has 1 to 64 letters, digits, \"_\", \"-\" and "
				  "\".\", the latter not at its beginning");
	*ret_name = name;
	return 0;
}

int requests_read_key(sd_bus_message *call, PublicKey *ret_key, sd_bus_error *ret_error)
{
	char wrapped[sizeof(KEY_BEGIN KEY_END) + KEY_DIGITS];
	const char *text;
	int r = arguments_read_text(call, KEY_TEXT_MAX, &text, ret_error);

	if (r < 0)
		return r;
	if (strlen(text) == KEY_DIGITS) {
		snprintf(wrapped, sizeof(wrapped), "%s%s%s", KEY_BEGIN, text, KEY_END);
		text = wrapped;
	}
	r = pem_parse_public(text, strlen(text), ret_key);
	if (r == -ENOMEM)
		return errors_set(ret_error, r, NULL);
	if (r == -ENOENT)
		return errors_set(ret_error, -EKEYREJECTED,
				  "this is no X25519 public key in PEM or base64");
	if (r < 0)
		return errors_setf(ret_error, -EKEYREJECTED,
				   "the X25519 public key, in PEM or base64, %s", pem_error(r));
	return 0;
}
