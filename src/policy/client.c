/* SPDX-License-Identifier: MIT */
#include "policy/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/grammar.h"
#include "policy/hash-table.h"
#include "policy/ini.h"
#include "util/name.h"
#include "util/parse.h"

typedef struct Member {
	Client client;
	HashNode by_key;
	HashNode by_name;
	size_t index; /* in members */
} Member;

struct ClientSet {
	Member **members;
	size_t count;
	size_t room;
	HashTable by_key;
	HashTable by_name;
};

/* ---- the settings of one client ---------------------------------------------------------- */

/* What NAME.conf says, the client itself first; the rest is judged and forgotten. */
typedef struct Settings {
	Client client;
	bool has_formats;
	bool format1;
} Settings;

#define AT(field)  offsetof(Settings, client.field)
#define HAS(field) offsetof(Settings, client.has_##field)

static int read_format(const GrammarKey *key, void *object, const char *text,
		       const char **ret_problem)
{
	Settings *settings = object;

	(void)key;
	(void)ret_problem;
	if (strcmp(text, "1") == 0)
		settings->format1 = true;
	else if (strcmp(text, "2") != 0)
		return -EINVAL;
	return 0;
}

static int read_preshared_key(const GrammarKey *key, void *object, const char *text,
			      const char **ret_problem)
{
	(void)key;
	(void)object;
	if (*text == '\0')
		return 0;
	*ret_problem = "a knock of format 1, the only one of this version, cannot use it";
	return -EINVAL;
}

/* No knock of this version states its source: kept to be shown as it was said. */
static int read_source_match(const GrammarKey *key, void *object, const char *text,
			     const char **ret_problem)
{
	int r = grammar_source_match.read(key, object, text, ret_problem);

	if (r == 0)
		*(bool *)((char *)object + key->offset) = strcasecmp(text, "auto") != 0;
	return r;
}

static void clear_formats(void *field)
{
	*(bool *)field = false;
}

static const GrammarType formats_type = {.read = read_format, .list = true, .clear = clear_formats};
static const GrammarType preshared_key_type = {.read = read_preshared_key};
static const GrammarType source_match_type = {.read = read_source_match};

#define ALLOWED_MOMENT "a moment in UTC such as 2030-01-31 or 2030-01-31 18:30:05"

static const GrammarKey client_keys[] = {
	{"Client", "Ports", &grammar_ports, GRAMMAR_ALLOWED_PORTS, AT(ports), HAS(ports)},
	{"Client", "Idle", &grammar_duration, GRAMMAR_ALLOWED_SECOND, AT(idle_ns), HAS(idle),
	 .min = NSEC_PER_SEC},
	{"Client", "Grace", &grammar_duration, GRAMMAR_ALLOWED_DURATION, AT(grace_ns), HAS(grace)},
	{"Client", "Lifetime", &grammar_duration, GRAMMAR_ALLOWED_SECOND, AT(lifetime_ns),
	 HAS(lifetime), .min = NSEC_PER_SEC},
	{"Client", "NotBefore", &grammar_timestamp, ALLOWED_MOMENT, AT(not_before_real_usec)},
	{"Client", "NotAfter", &grammar_timestamp, ALLOWED_MOMENT, AT(not_after_real_usec)},
	{"Client", "AllowedSources", &grammar_prefixes, GRAMMAR_ALLOWED_PREFIXES,
	 AT(allowed_sources), HAS(allowed_sources)},
	{"Client", "Enabled", &grammar_bool, "yes or no", AT(enabled)},
	{"Client", "Formats", &formats_type, "1", offsetof(Settings, format1),
	 offsetof(Settings, has_formats)},
	{"Client", "RequireSourceMatch", &source_match_type, "auto or no", AT(needs_no_match)},
	{"Client", "RequireDestinationMatch", &grammar_destination_match, "no"},
	{"Client", "PresharedKeyFile", &preshared_key_type, "no value"},
};

static void settings_done(Settings *settings)
{
	port_list_done(&settings->client.ports);
	prefix_list_done(&settings->client.allowed_sources);
}

#define _cleanup_settings_ _cleanup_(settings_done)

typedef struct FileReading {
	Settings *settings;
	Diagnostics *diagnostics;
	bool unusable;
} FileReading;

/*
 * An error here, where spale.conf gets by with a warning: nearly every key of a client restricts
 * it, and one that was misspelt would leave it with more than was meant.
 */
static void say_unknown(const IniLine *line, Diagnostics *diagnostics)
{
	static const char why[] =
		"the client is refused, for it may have been meant to restrict it";

	if (line->section && strcmp(line->section, "Client") != 0)
		diagnostics_add(diagnostics, SEVERITY_ERROR, line->origin,
				"unknown section [%.80s] with %.80s=: %s", line->section, line->key,
				why);
	else
		diagnostics_add(diagnostics, SEVERITY_ERROR, line->origin,
				"unknown key %.80s= %s: %s", line->key,
				line->section ? "in [Client]" : "before the section [Client]", why);
}

static int read_line(const IniLine *line, void *userdata)
{
	FileReading *reading = userdata;
	const GrammarKey *key = NULL;
	char name[64];
	int r;

	if (line->section)
		key = grammar_find(client_keys, ARRAY_SIZE(client_keys), line->section, line->key);
	if (!key) {
		say_unknown(line, reading->diagnostics);
		return 0;
	}
	snprintf(name, sizeof(name), "[Client] %s=", key->name);
	r = grammar_read(&(GrammarValue){key, name, line->origin, line->value}, reading->settings,
			 reading->diagnostics);
	if (r != -EINVAL)
		return r;
	reading->unusable = true;
	return 0;
}

/* What only the whole of NAME.conf can show. Returns 0 or -EINVAL (said). */
static int check_settings(const Settings *settings, const char *conf_path, Diagnostics *diagnostics)
{
	const Client *client = &settings->client;

	if (settings->has_formats && !settings->format1) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, conf_path,
				"[Client] Formats= is without format 1, the only one of this "
				"version, so this client could not knock");
		return -EINVAL;
	}
	if (client->not_before_real_usec >= client->not_after_real_usec) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, conf_path,
				"[Client] NotBefore= is not before NotAfter=, so this client would "
				"never be valid");
		return -EINVAL;
	}
	return 0;
}

/* Returns 0, -EINVAL (said) or -ENOMEM. */
static int read_settings(Settings *settings, const char *conf_path, const char *conf_text,
			 size_t conf_size, Diagnostics *diagnostics)
{
	FileReading reading = {.settings = settings, .diagnostics = diagnostics};
	size_t errors = diagnostics->errors;
	int r;

	r = ini_parse(conf_path, conf_text, conf_size, diagnostics, read_line, &reading);
	if (r < 0)
		return r;
	/* Lines that are not even lines count as well: whoever wrote them meant something. */
	return reading.unusable || diagnostics->errors > errors ? -EINVAL : 0;
}

int client_key_is_list(const char *key)
{
	const GrammarKey *row = grammar_find(client_keys, ARRAY_SIZE(client_keys), "Client", key);

	return row ? row->type->list : -ENOENT;
}

/* What spale 0.3's configuration says of this client, where NAME.conf is silent. */
static int apply_override(Client *client, const ClientOverride *override)
{
	int r;

	if (!client->has_ports && override->has_ports) {
		r = port_list_copy(&override->ports, &client->ports);
		if (r < 0)
			return r;
		client->has_ports = true;
	}
	if (!client->has_idle && override->has_idle) {
		client->has_idle = true;
		client->idle_ns = override->idle_ns;
	}
	if (!client->has_grace && override->has_grace) {
		client->has_grace = true;
		client->grace_ns = override->grace_ns;
	}
	return 0;
}

/* ---- the set ----------------------------------------------------------------------------- */

bool client_name_is_valid(const char *name)
{
	return name_is_valid(name);
}

ClientSet *client_set_new(void)
{
	_cleanup_client_set_ ClientSet *set = calloc(1, sizeof(*set));

	if (!set || hash_table_init(&set->by_key) < 0 || hash_table_init(&set->by_name) < 0)
		return NULL;
	return TAKE_PTR(set);
}

static void member_free(Member *member)
{
	if (!member)
		return;
	port_list_done(&member->client.ports);
	prefix_list_done(&member->client.allowed_sources);
	free(member);
}
DEFINE_CLEANUP(Member, member_free)
#define _cleanup_member_ _cleanup_(member_freep)

static bool sources_equal(const PrefixList *a, const PrefixList *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].length != b->items[i].length ||
		    !address_equal(&a->items[i].address, &b->items[i].address))
			return false;
	return true;
}

bool client_equal(const Client *a, const Client *b)
{
	return strcmp(a->name, b->name) == 0 && memcmp(&a->key, &b->key, sizeof(a->key)) == 0 &&
	       a->enabled == b->enabled && a->has_ports == b->has_ports &&
	       port_list_equal(&a->ports, &b->ports) && a->has_idle == b->has_idle &&
	       a->idle_ns == b->idle_ns && a->has_grace == b->has_grace &&
	       a->grace_ns == b->grace_ns && a->has_lifetime == b->has_lifetime &&
	       a->lifetime_ns == b->lifetime_ns &&
	       a->not_before_real_usec == b->not_before_real_usec &&
	       a->not_after_real_usec == b->not_after_real_usec &&
	       a->needs_no_match == b->needs_no_match &&
	       a->has_allowed_sources == b->has_allowed_sources &&
	       sources_equal(&a->allowed_sources, &b->allowed_sources);
}

void client_set_free(ClientSet *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		member_free(set->members[i]);
	free(set->members);
	hash_table_done(&set->by_key);
	hash_table_done(&set->by_name);
	free(set);
}

static uint64_t hash_name(const char *name)
{
	return hash_table_hash(name, strlen(name));
}

static Member *find_by_key(const ClientSet *set, const PublicKey *key)
{
	HashNode *node = hash_table_first(&set->by_key, hash_table_hash(key, sizeof(*key)));

	for (; node; node = hash_table_next(node)) {
		Member *member = HASH_OBJECT(node, Member, by_key);

		if (memcmp(&member->client.key, key, sizeof(*key)) == 0)
			return member;
	}
	return NULL;
}

static Member *find_by_name(const ClientSet *set, const char *name)
{
	HashNode *node = hash_table_first(&set->by_name, hash_name(name));

	for (; node; node = hash_table_next(node)) {
		Member *member = HASH_OBJECT(node, Member, by_name);

		if (strcmp(member->client.name, name) == 0)
			return member;
	}
	return NULL;
}

/* Whether there is a place for this name and key: 0, -EINVAL, -EEXIST or -E2BIG, all of them said.
 */
static int check_place(const ClientSet *set, const char *name, const PublicKey *key,
		       const char *origin, Diagnostics *diagnostics)
{
	const Member *other;

	if (!client_name_is_valid(name)) {
		diagnostics_add(
			diagnostics, SEVERITY_ERROR, origin,
			"\"%.80s\" cannot be the name of a client: it takes 1 to %d letters, "
			"digits, \"_\", \"-\" and \".\", the first no \".\"",
			name, CLIENT_NAME_MAX);
		return -EINVAL;
	}
	if (find_by_name(set, name)) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, origin,
				"there is a client named \"%s\" already", name);
		return -EEXIST;
	}
	other = find_by_key(set, key);
	if (other) {
		diagnostics_add(
			diagnostics, SEVERITY_ERROR, origin,
			"the key of client \"%s\" is that of client \"%s\" too; each client "
			"needs its own",
			name, other->client.name);
		return -EEXIST;
	}
	if (set->count >= CLIENTS_MAX) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, origin,
				"client \"%s\" is one too many: there can be %d", name,
				CLIENTS_MAX);
		return -E2BIG;
	}
	return 0;
}

static int make_room(ClientSet *set)
{
	size_t room = set->room ? set->room * 2 : 16;
	Member **members;

	if (set->count < set->room)
		return 0;
	members = reallocarray(set->members, room, sizeof(*members));
	if (!members)
		return -ENOMEM;
	set->members = members;
	set->room = room;
	return 0;
}

int client_set_add(ClientSet *set, const Config *config, const char *name, const PublicKey *key,
		   const char *conf_path, const char *conf_text, size_t conf_size,
		   Diagnostics *diagnostics)
{
	const ClientText conf = {conf_path, conf_text, conf_size}, none = {conf_path, NULL, 0};

	return client_set_add_changed(set, config, name, key, &conf, &none, diagnostics);
}

/* What both texts say. */
static int read_texts(Settings *settings, const ClientText *conf, const ClientText *changes,
		      Diagnostics *diagnostics)
{
	int r = 0;

	if (conf->text)
		r = read_settings(settings, conf->path, conf->text, conf->size, diagnostics);
	if (r == 0 && changes->text)
		r = read_settings(settings, changes->path, changes->text, changes->size,
				  diagnostics);
	if (r == 0)
		r = check_settings(settings, changes->text ? changes->path : conf->path,
				   diagnostics);
	return r;
}

int client_set_add_changed(ClientSet *set, const Config *config, const char *name,
			   const PublicKey *key, const ClientText *conf, const ClientText *changes,
			   Diagnostics *diagnostics)
{
	_cleanup_settings_ Settings settings = {
		.client = {.key = *key, .enabled = true, .not_after_real_usec = UINT64_MAX}};
	_cleanup_member_ Member *member = calloc(1, sizeof(*member));
	const ClientOverride *override;
	int r;

	if (!member)
		return -ENOMEM;
	r = check_place(set, name, key, conf->path, diagnostics);
	if (r < 0)
		return r;
	snprintf(settings.client.name, sizeof(settings.client.name), "%s", name);
	r = read_texts(&settings, conf, changes, diagnostics);
	if (r < 0)
		return r;
	override = config_override(config, name);
	if (override)
		r = apply_override(&settings.client, override);
	if (r == 0)
		r = make_room(set);
	if (r < 0)
		return r;

	member->client = settings.client;
	settings.client = (Client){0};
	member->index = set->count;
	hash_table_insert(&set->by_key, &member->by_key, hash_table_hash(key, sizeof(*key)));
	hash_table_insert(&set->by_name, &member->by_name, hash_name(name));
	set->members[set->count++] = TAKE_PTR(member);
	return 0;
}

void client_set_remove(ClientSet *set, const char *name)
{
	Member *member = find_by_name(set, name);

	if (!member)
		return;
	hash_table_remove(&set->by_key, &member->by_key);
	hash_table_remove(&set->by_name, &member->by_name);
	set->count--;
	set->members[member->index] = set->members[set->count];
	set->members[member->index]->index = member->index;
	member_free(member);
}

const Client *client_set_by_key(const ClientSet *set, const PublicKey *key)
{
	const Member *member = find_by_key(set, key);

	return member ? &member->client : NULL;
}

const Client *client_set_by_name(const ClientSet *set, const char *name)
{
	const Member *member = find_by_name(set, name);

	return member ? &member->client : NULL;
}

size_t client_set_count(const ClientSet *set)
{
	return set->count;
}

const Client *client_set_get(const ClientSet *set, size_t index)
{
	return &set->members[index]->client;
}
