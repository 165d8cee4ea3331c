/* SPDX-License-Identifier: MIT */
#include "policy/grammar.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>

#include "util/parse.h"

#define SEPARATORS " \t\r\f\v,"

static void *field_of(const GrammarKey *key, void *object)
{
	return (char *)object + key->offset;
}

/* Makes room for one more item behind COUNT of them. Returns 0, -E2BIG or -ENOMEM. */
static int make_room(void **items, size_t count, size_t item_size, size_t max)
{
	size_t room;
	void *larger;

	if (count >= max)
		return -E2BIG;
	if (count & (count - 1))
		return 0;
	room = count == 0 ? 1 : count * 2;
	larger = reallocarray(*items, room, item_size);
	if (!larger)
		return -ENOMEM;
	*items = larger;
	return 0;
}

/* ---- values ------------------------------------------------------------------------------ */

static int read_bool(const GrammarKey *key, void *object, const char *text,
		     const char **ret_problem)
{
	(void)ret_problem;
	return parse_bool(text, field_of(key, object));
}

static int read_u8(const GrammarKey *key, void *object, const char *text, const char **ret_problem)
{
	uint32_t value;
	int r;

	(void)ret_problem;
	r = parse_u32(text, (uint32_t)key->min, (uint32_t)key->max, &value);
	if (r == 0)
		*(uint8_t *)field_of(key, object) = (uint8_t)value;
	return r;
}

static int read_u32(const GrammarKey *key, void *object, const char *text, const char **ret_problem)
{
	(void)ret_problem;
	return parse_u32(text, (uint32_t)key->min, (uint32_t)key->max, field_of(key, object));
}

static int read_duration(const GrammarKey *key, void *object, const char *text,
			 const char **ret_problem)
{
	uint64_t ns;
	int r;

	(void)ret_problem;
	r = parse_duration(text, &ns);
	if (r < 0)
		return r;
	if (ns < key->min)
		return -ERANGE;
	*(uint64_t *)field_of(key, object) = ns;
	return 0;
}

static int read_timestamp(const GrammarKey *key, void *object, const char *text,
			  const char **ret_problem)
{
	(void)ret_problem;
	return parse_timestamp(text, field_of(key, object));
}

static int read_rate(const GrammarKey *key, void *object, const char *text,
		     const char **ret_problem)
{
	uint64_t interval_ns;
	int r;

	(void)ret_problem;
	r = parse_rate(text, &interval_ns);
	if (r < 0)
		return r;
	if (interval_ns < key->min || interval_ns > key->max)
		return -ERANGE;
	*(uint64_t *)field_of(key, object) = interval_ns;
	return 0;
}

static int read_no_rate(const GrammarKey *key, void *object, const char *text,
			const char **ret_problem)
{
	/* spale 0.3 had 0 for "no limit". */
	if (strcasecmp(text, "no") != 0 && strcmp(text, "0") != 0)
		return read_rate(key, object, text, ret_problem);
	*(uint64_t *)field_of(key, object) = 0;
	return 0;
}

static int read_mode(const GrammarKey *key, void *object, const char *text,
		     const char **ret_problem)
{
	Mode *mode = field_of(key, object);

	(void)ret_problem;
	if (strcasecmp(text, "tc") == 0)
		*mode = MODE_TC;
	else if (strcasecmp(text, "xdp") == 0)
		*mode = MODE_XDP;
	else
		return -EINVAL;
	return 0;
}

static int read_scope(const GrammarKey *key, void *object, const char *text,
		      const char **ret_problem)
{
	Scope *scope = field_of(key, object);

	(void)ret_problem;
	if (strcasecmp(text, "local") == 0)
		*scope = SCOPE_LOCAL;
	else if (strcasecmp(text, "all") == 0)
		*scope = SCOPE_ALL;
	else
		return -EINVAL;
	return 0;
}

static int read_log_level(const GrammarKey *key, void *object, const char *text,
			  const char **ret_problem)
{
	static const struct {
		const char *name;
		LogLevel level;
	} levels[] = {
		{"debug", LOG_LEVEL_DEBUG},	{"info", LOG_LEVEL_INFO},
		{"warning", LOG_LEVEL_WARNING}, {"warn", LOG_LEVEL_WARNING},
		{"error", LOG_LEVEL_ERROR},
	};

	(void)ret_problem;
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcasecmp(text, levels[i].name) == 0) {
			*(LogLevel *)field_of(key, object) = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- lists ------------------------------------------------------------------------------- */

static int string_list_add(StringList *list, const char *text, size_t max)
{
	_cleanup_free_ char *copy = NULL;
	int r;

	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], text) == 0)
			return 0;
	}
	r = make_room((void **)&list->items, list->count, sizeof(*list->items), max);
	if (r < 0)
		return r;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	list->items[list->count++] = TAKE_PTR(copy);
	return 0;
}

void string_list_done(StringList *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (StringList){0};
}

static void string_list_clear(void *field)
{
	string_list_done(field);
}

/* What the kernel takes as a name (dev_valid_name()), or a pattern of glob(7) for one. */
static int read_interface(const GrammarKey *key, void *object, const char *text,
			  const char **ret_problem)
{
	bool pattern = strpbrk(text, "*?[") != NULL;

	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/' || (*p == ':' && !pattern))
			return -EINVAL;
	}
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return -EINVAL;
	if (strlen(text) >= (pattern ? 4 * IFNAMSIZ : IFNAMSIZ)) {
		*ret_problem = pattern ? "the pattern is too long"
				       : "names of interfaces have 15 characters at most";
		return -EINVAL;
	}
	return string_list_add(field_of(key, object), text, CONFIG_INTERFACES_MAX);
}

static int read_ports(const GrammarKey *key, void *object, const char *text,
		      const char **ret_problem)
{
	(void)ret_problem;
	return port_list_add_text(field_of(key, object), text);
}

static int read_udp_ports(const GrammarKey *key, void *object, const char *text,
			  const char **ret_problem)
{
	_cleanup_port_list_ PortList item = PORT_LIST_NULL;
	int r;

	r = port_list_add_text(&item, text);
	if (r < 0)
		return r;
	port_list_foreach (range, &item) {
		if (range->protocol == IPPROTO_UDP)
			return port_list_add(field_of(key, object), *range);
	}
	*ret_problem = "a knock is one UDP datagram";
	return -EINVAL;
}

static void port_list_clear(void *field)
{
	port_list_done(field);
}

static int read_prefix(const GrammarKey *key, void *object, const char *text,
		       const char **ret_problem)
{
	PrefixList *list = field_of(key, object);
	Prefix prefix;
	int r;

	(void)ret_problem;
	r = prefix_parse(text, &prefix);
	if (r < 0)
		return r;
	r = make_room((void **)&list->items, list->count, sizeof(prefix), CONFIG_PREFIXES_MAX);
	if (r < 0)
		return r;
	list->items[list->count++] = prefix;
	return 0;
}

void prefix_list_done(PrefixList *list)
{
	free(list->items);
	*list = (PrefixList){0};
}

bool prefix_list_equal(const PrefixList *a, const PrefixList *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (prefix_compare(&a->items[i], &b->items[i]) != 0)
			return false;
	return true;
}

static void prefix_list_clear(void *field)
{
	prefix_list_done(field);
}

/* "any", 0.0.0.0 and :: set a flag, every other address goes to the list. */
static int read_address(const GrammarKey *key, void *object, const char *text,
			const char **ret_problem)
{
	Config *config = object;
	AddressList *list = &config->knock_addresses;
	const Address any4 = address_from_ipv4((struct in_addr){.s_addr = INADDR_ANY});
	const Address any6 = {0};
	Address address;
	int r;

	(void)key;
	(void)ret_problem;
	if (strcasecmp(text, "any") == 0) {
		config->knock_any4 = true;
		config->knock_any6 = true;
		return 0;
	}
	r = address_parse(text, &address);
	if (r < 0)
		return r;
	if (address_equal(&address, &any4)) {
		config->knock_any4 = true;
		return 0;
	}
	if (address_equal(&address, &any6)) {
		config->knock_any6 = true;
		return 0;
	}
	r = make_room((void **)&list->items, list->count, sizeof(address), CONFIG_ADDRESSES_MAX);
	if (r < 0)
		return r;
	list->items[list->count++] = address;
	return 0;
}

static char *format_addresses(const void *object)
{
	const Config *config = object;
	const AddressList *list = &config->knock_addresses;
	_cleanup_free_ char *text = malloc((list->count + 2) * ADDRESS_TEXT_MAX);
	char *end = text;

	if (!text)
		return NULL;
	if (config->knock_any4 && config->knock_any6)
		end = stpcpy(end, "any");
	else if (config->knock_any4)
		end = stpcpy(end, "0.0.0.0");
	else if (config->knock_any6)
		end = stpcpy(end, "::");
	for (size_t i = 0; i < list->count; i++) {
		if (end > text)
			*end++ = ' ';
		address_format(&list->items[i], end);
		end += strlen(end);
	}
	*end = '\0';
	return TAKE_PTR(text);
}

static int check_path(const char *text, const char **ret_problem)
{
	if (strlen(text) >= PATH_MAX) {
		*ret_problem = "the path is too long";
		return -EINVAL;
	}
	return *text ? 0 : -EINVAL;
}

static int read_path(const GrammarKey *key, void *object, const char *text,
		     const char **ret_problem)
{
	_cleanup_free_ char *copy = NULL;
	char **path = field_of(key, object);
	int r;

	r = check_path(text, ret_problem);
	if (r < 0)
		return r;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*path);
	*path = TAKE_PTR(copy);
	return 0;
}

static int read_paths(const GrammarKey *key, void *object, const char *text,
		      const char **ret_problem)
{
	int r;

	r = check_path(text, ret_problem);
	if (r < 0)
		return r;
	return string_list_add(field_of(key, object), text, CONFIG_SERVER_KEYS_MAX);
}

/* ---- keys with one value in this version ------------------------------------------------- */

static int read_format(const GrammarKey *key, void *object, const char *text,
		       const char **ret_problem)
{
	(void)key;
	(void)object;
	if (strcmp(text, "1") == 0)
		return 0;
	if (strcmp(text, "2") == 0)
		*ret_problem = "format 2 is not available in this version";
	return -EINVAL;
}

/* A knock of format 1, the only one there is, says neither where it comes from nor where it goes.
 */
static int read_match(const char *text, const char **ret_problem)
{
	bool value;
	int r;

	r = parse_bool(text, &value);
	if (r < 0 || !value)
		return r;
	*ret_problem = "a knock of format 1, the only one of this version, does not state it";
	return -EINVAL;
}

static int read_source_match(const GrammarKey *key, void *object, const char *text,
			     const char **ret_problem)
{
	(void)key;
	(void)object;
	return strcasecmp(text, "auto") == 0 ? 0 : read_match(text, ret_problem);
}

static int read_destination_match(const GrammarKey *key, void *object, const char *text,
				  const char **ret_problem)
{
	(void)key;
	(void)object;
	return read_match(text, ret_problem);
}

const GrammarType grammar_bool = {.read = read_bool};
const GrammarType grammar_u8 = {.read = read_u8};
const GrammarType grammar_u32 = {.read = read_u32};
const GrammarType grammar_duration = {.read = read_duration};
const GrammarType grammar_timestamp = {.read = read_timestamp};
const GrammarType grammar_rate = {.read = read_rate};
const GrammarType grammar_no_rate = {.read = read_no_rate};
const GrammarType grammar_mode = {.read = read_mode};
const GrammarType grammar_log_level = {.read = read_log_level};
const GrammarType grammar_interfaces = {
	.read = read_interface, .list = true, .clear = string_list_clear};
const GrammarType grammar_ports = {.read = read_ports, .list = true, .clear = port_list_clear};
const GrammarType grammar_udp_ports = {
	.read = read_udp_ports, .list = true, .clear = port_list_clear};
const GrammarType grammar_prefixes = {
	.read = read_prefix, .list = true, .clear = prefix_list_clear};
const GrammarType grammar_addresses = {
	.read = read_address, .list = true, .format = format_addresses};
const GrammarType grammar_path = {.read = read_path, .path = true};
const GrammarType grammar_paths = {
	.read = read_paths, .list = true, .path = true, .clear = string_list_clear};
const GrammarType grammar_scope = {.read = read_scope};
const GrammarType grammar_formats = {.read = read_format, .list = true};
const GrammarType grammar_source_match = {.read = read_source_match};
const GrammarType grammar_destination_match = {.read = read_destination_match};

/* ---- reading by a row -------------------------------------------------------------------- */

/* Reads one item and says what is wrong with it. Returns 0, -EINVAL (said) or -ENOMEM. */
static int read_item(const GrammarValue *value, void *object, const char *item,
		     Diagnostics *diagnostics)
{
	const GrammarKey *key = value->key;
	const char *problem = NULL;
	int r;

	r = key->type->read(key, object, item, &problem);
	if (r == 0 || r == -ENOMEM)
		return r;
	if (r == -E2BIG)
		diagnostics_add(diagnostics, SEVERITY_ERROR, value->origin,
				"%s has too many items at \"%.80s\"", value->name, item);
	else
		diagnostics_add(diagnostics, SEVERITY_ERROR, value->origin,
				"%s cannot take \"%.80s\"%s%s; it takes %s", value->name, item,
				problem ? ": " : "", problem ?: "", key->allowed);
	return -EINVAL;
}

static int read_items(const GrammarValue *value, void *object, Diagnostics *diagnostics)
{
	_cleanup_free_ char *items = strdup(value->text);
	char *rest = items;
	char *item;
	bool any = false;

	if (!items)
		return -ENOMEM;
	while ((item = strsep(&rest, SEPARATORS))) {
		int r;

		if (*item == '\0')
			continue;
		any = true;
		r = read_item(value, object, item, diagnostics);
		if (r < 0)
			return r;
	}
	/* Commas alone: neither items nor the empty value that empties the list. */
	if (!any && *value->text)
		return read_item(value, object, value->text, diagnostics);
	return 0;
}

int grammar_read(const GrammarValue *value, void *object, Diagnostics *diagnostics)
{
	const GrammarKey *key = value->key;
	int r;

	if (!key->type->list)
		r = read_item(value, object, value->text, diagnostics);
	else
		r = read_items(value, object, diagnostics);
	if (r < 0)
		return r;
	if (key->type->clear && *value->text == '\0')
		key->type->clear(field_of(key, object));
	if (key->present)
		*(bool *)((char *)object + key->present) = true;
	return 0;
}

const GrammarKey *grammar_find(const GrammarKey *keys, size_t count, const char *section,
			       const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

char *grammar_resolve(const GrammarType *type, const char *directory, const char *value)
{
	_cleanup_free_ char *copy = strdup(value);
	_cleanup_free_ char *result = NULL;
	_cleanup_fclose_ FILE *stream = NULL;
	char *rest = copy;
	char *item;
	size_t size;

	stream = open_memstream(&result, &size);
	if (!copy || !stream)
		return NULL;
	if (strcmp(directory, "/") == 0)
		directory = "";
	while ((item = type->list ? strsep(&rest, SEPARATORS) : TAKE_PTR(rest))) {
		if (*item == '\0')
			continue;
		fprintf(stream, "%s%s%s%s", ftell(stream) > 0 ? " " : "",
			*item == '/' ? "" : directory, *item == '/' ? "" : "/", item);
	}
	if (fflush(stream) != 0)
		return NULL;
	fclose(TAKE_PTR(stream));
	return TAKE_PTR(result);
}
