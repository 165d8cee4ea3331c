/* SPDX-License-Identifier: MIT */
#include "daemon/client-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "keys/key-file.h"
#include "policy/grammar.h"
#include "util/file.h"

/* What is found in the directories, and where what is wrong with it goes. */
typedef struct Scan {
	const char *directory; /* the administrator's */
	char *own_directory;   /* of clients enrolled and changed over D-Bus; NULL: none */
	Diagnostics *diagnostics;
	ClientFilesRefused refused;
	void *userdata;
	const ClientRoster *before;
	ClientRoster found;
	size_t allocated;
	StringList confs;     /* stems of NAME.conf */
	StringList own_confs; /* in the own directory */
	StringList masks;     /* stems of NAME.removed there */
} Scan;

static void scan_done(Scan *scan)
{
	client_roster_done(&scan->found);
	string_list_done(&scan->confs);
	string_list_done(&scan->own_confs);
	string_list_done(&scan->masks);
	free(scan->own_directory);
}
#define _cleanup_scan_ _cleanup_(scan_done)

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* NAME without SUFFIX, if it ends in it: 1, 0 or -ENOMEM. */
static int stem_of(const char *name, const char *suffix, char **ret_stem)
{
	size_t length = strlen(name), suffix_length = strlen(suffix);

	if (length <= suffix_length || strcmp(name + length - suffix_length, suffix) != 0)
		return 0;
	*ret_stem = strndup(name, length - suffix_length);
	return *ret_stem ? 1 : -ENOMEM;
}

static int path_of(const char *directory, const char *stem, const char *suffix, char **ret_path)
{
	char *path;

	if (asprintf(&path, "%s/%s%s", directory, stem, suffix) < 0)
		return -ENOMEM;
	*ret_path = path;
	return 0;
}

/* Refuses NAME for what is wrong with ORIGIN. */
static void __attribute__((format(printf, 4, 5)))
refuse(const Scan *scan, const char *name, const char *origin, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	Diagnostic why = {.severity = SEVERITY_ERROR, .origin = (char *)origin};
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	why.text = text ?: (char *)"is unusable, and there is no memory to say why";
	scan->refused(name, &why, scan->userdata);
}

static int make_record(const Scan *scan, const char *name, bool is_own, ClientRecord *record)
{
	const char *directory = is_own ? scan->own_directory : scan->directory;
	int r;

	record->is_enrolled = is_own;
	record->name = strdup(name);
	r = record->name ? path_of(directory, name, ".pem", &record->pem_path) : -ENOMEM;
	if (r == 0)
		r = path_of(directory, name, ".conf", &record->conf_path);
	if (r == 0 && !is_own && scan->own_directory)
		r = path_of(scan->own_directory, name, ".conf", &record->changes_path);
	return r;
}

static int add_candidate(Scan *scan, const char *name, bool is_own)
{
	_cleanup_client_record_ ClientRecord record = {0};
	int r;

	r = make_record(scan, name, is_own, &record);
	if (r < 0)
		return r;
	if (!client_name_is_valid(name)) {
		refuse(scan, name, record.pem_path,
		       "is no name for a client: up to %d letters, digits, \"_\", \"-\" and \".\", "
		       "not beginning with \".\"",
		       CLIENT_NAME_MAX);
		return 0;
	}
	if (scan->found.count == scan->allocated) {
		size_t allocated = scan->allocated ? 2 * scan->allocated : 16;
		ClientRecord *grown = reallocarray(scan->found.items, allocated, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		scan->found.items = grown;
		scan->allocated = allocated;
	}
	scan->found.items[scan->found.count++] = record;
	record = (ClientRecord){0};
	return 0;
}

static int add_stem(StringList *list, char **stem)
{
	char **grown = reallocarray(list->items, list->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	list->items = grown;
	list->items[list->count++] = TAKE_PTR(*stem);
	return 0;
}

static int add_entry(Scan *scan, const char *name, bool is_own)
{
	_cleanup_free_ char *stem = NULL;
	StringList *list = NULL;
	int r;

	if (name[0] == '.' && (is_own || name[1] == '\0' || strcmp(name, "..") == 0))
		return 0;
	r = name[0] == '.' ? 0 : stem_of(name, ".pem", &stem);
	if (r > 0)
		return scan->found.count == CLIENTS_MAX ? -E2BIG
							: add_candidate(scan, stem, is_own);
	if (r == 0 && name[0] != '.') {
		list = is_own ? &scan->own_confs : &scan->confs;
		r = stem_of(name, ".conf", &stem);
	}
	if (r == 0 && is_own) {
		list = &scan->masks;
		r = stem_of(name, CLIENT_MASK_SUFFIX, &stem);
	}
	if (r > 0)
		return list->count == CLIENTS_MAX ? -E2BIG : add_stem(list, &stem);
	if (r == 0)
		diagnostics_add(scan->diagnostics, SEVERITY_NOTICE,
				is_own ? scan->own_directory : scan->directory,
				"\"%s\" is not read: clients are NAME.pem and NAME.conf", name);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const ClientRecord *)a)->name, ((const ClientRecord *)b)->name);
}

static int compare_stems(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(&(*(const ClientRecord *const *)a)->key,
		      &(*(const ClientRecord *const *)b)->key, sizeof(PublicKey));
}

/* The own directory need not exist: then nothing was done over D-Bus. */
static int list_directory(Scan *scan, const char *directory, bool is_own)
{
	_cleanup_(closedirp) DIR *dir = opendir(directory);
	const struct dirent *entry;
	int r = 0;

	if (!dir && is_own && errno == ENOENT)
		return 0;
	if (!dir) {
		diagnostics_add(scan->diagnostics, SEVERITY_ERROR, directory,
				"the clients' directory cannot be listed: %s%s", strerror(errno),
				is_own ? "" : "; make it, or say ClientsDirectory=");
		return -EINVAL;
	}
	for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0)
		r = add_entry(scan, entry->d_name, is_own);
	if (r == -E2BIG)
		diagnostics_add(scan->diagnostics, SEVERITY_ERROR, directory,
				"there are more than %d clients", CLIENTS_MAX);
	else if (r == 0 && errno != 0)
		diagnostics_add(scan->diagnostics, SEVERITY_ERROR, directory,
				"the clients' directory cannot be listed: %s", strerror(errno));
	else
		return r;
	return -EINVAL;
}

static void sort_stems(StringList *list)
{
	if (list->count > 0)
		qsort(list->items, list->count, sizeof(*list->items), compare_stems);
}

static bool has_stem(const StringList *list, const char *stem)
{
	return list->count > 0 &&
	       bsearch(&stem, list->items, list->count, sizeof(*list->items), compare_stems);
}

/* Whether the administrator's RECORD yields to what was done over D-Bus, which is said. */
static bool yields(const Scan *scan, const ClientRecord *record, const StringList *enrolled)
{
	if (record->is_enrolled)
		return false;
	if (has_stem(enrolled, record->name))
		diagnostics_add(scan->diagnostics, SEVERITY_WARNING, record->pem_path,
				"is not read: another client of this name was enrolled over D-Bus "
				"(%s/%s.pem)",
				scan->own_directory, record->name);
	else if (has_stem(&scan->masks, record->name))
		diagnostics_add(scan->diagnostics, SEVERITY_NOTICE, record->pem_path,
				"is not read: this client was removed over D-Bus; to have it back, "
				"remove %s/%s" CLIENT_MASK_SUFFIX " and reload",
				scan->own_directory, record->name);
	else
		return false;
	return true;
}

/* What was enrolled or removed over D-Bus stands in place of what the administrator wrote. */
static int drop_masked(Scan *scan)
{
	_cleanup_(string_list_done) StringList enrolled = {0};
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < scan->found.count; i++) {
		_cleanup_free_ char *stem = NULL;

		if (!scan->found.items[i].is_enrolled)
			continue;
		stem = strdup(scan->found.items[i].name);
		r = stem ? add_stem(&enrolled, &stem) : -ENOMEM;
	}
	if (r < 0)
		return r;
	sort_stems(&enrolled);
	for (size_t i = 0; i < scan->found.count; i++) {
		ClientRecord *record = &scan->found.items[i];

		if (yields(scan, record, &enrolled))
			client_record_done(record);
		else
			scan->found.items[count++] = *record;
	}
	scan->found.count = count;
	return 0;
}

/* Lists both directories, and what of them counts, by name. */
static int list_clients(Scan *scan)
{
	int r = list_directory(scan, scan->directory, false);

	if (r == 0 && scan->own_directory)
		r = list_directory(scan, scan->own_directory, true);
	if (r < 0)
		return r;
	sort_stems(&scan->masks);
	r = drop_masked(scan);
	if (scan->found.count > 0)
		qsort(scan->found.items, scan->found.count, sizeof(*scan->found.items),
		      compare_names);
	return r;
}

static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* Reads the key of each candidate. */
static int read_keys(Scan *scan)
{
	for (size_t i = 0; i < scan->found.count; i++) {
		ClientRecord *candidate = &scan->found.items[i];
		_cleanup_free_ char *error = NULL;
		size_t length = strlen(candidate->pem_path);
		const char *why;
		int r;

		r = key_file_read_public(AT_FDCWD, candidate->pem_path, &candidate->key, &error);
		if (r == -ENOMEM)
			return r;
		if (r == 0)
			continue;
		/* The sentence begins with the path, which is in front of it already. */
		why = r == -ENOENT && is_link(candidate->pem_path) ? "is a link to nowhere"
								   : (error ?: strerror(-r));
		if (strncmp(why, candidate->pem_path, length) == 0)
			why += length + strspn(why + length, ": ");
		refuse(scan, candidate->name, candidate->pem_path, "%s", why);
		candidate->is_unusable = true;
	}
	return 0;
}

/* One key in two files counts for neither: nobody can tell whose rights it should have. */
static int refuse_doubles(Scan *scan)
{
	_cleanup_free_ ClientRecord **by_key = NULL;
	size_t count = 0;

	by_key = calloc(scan->found.count ?: 1, sizeof(*by_key));
	if (!by_key)
		return -ENOMEM;
	for (size_t i = 0; i < scan->found.count; i++)
		if (!scan->found.items[i].is_unusable)
			by_key[count++] = &scan->found.items[i];
	qsort(by_key, count, sizeof(*by_key), compare_keys);
	for (size_t i = 1; i < count; i++) {
		if (compare_keys(&by_key[i - 1], &by_key[i]) != 0)
			continue;
		if (!by_key[i - 1]->is_unusable)
			refuse(scan, by_key[i - 1]->name, by_key[i - 1]->pem_path,
			       "holds the same key as %s; neither counts: remove one",
			       by_key[i]->pem_path);
		refuse(scan, by_key[i]->name, by_key[i]->pem_path,
		       "holds the same key as %s; neither counts: remove one",
		       by_key[i - 1]->pem_path);
		by_key[i - 1]->is_unusable = by_key[i]->is_unusable = true;
	}
	return 0;
}

/* Passes on what one client's reader had to say: errors refuse the client. */
static void report(const ClientRecord *record, const Diagnostics *diagnostics, void *userdata)
{
	const Scan *scan = userdata;

	for (size_t i = 0; i < diagnostics->count; i++) {
		const Diagnostic *item = &diagnostics->items[i];

		if (item->severity == SEVERITY_ERROR)
			scan->refused(record->name, item, scan->userdata);
		else
			diagnostics_add(scan->diagnostics, item->severity, item->origin, "%s",
					item->text);
	}
}

/* What NAME.conf said before, if it did, for one that cannot be read now: 0 or -ENOMEM. */
static int recall_conf(const Scan *scan, ClientRecord *candidate)
{
	const ClientRecord *found = client_roster_find(scan->before, candidate->name);

	if (!found || found->is_enrolled || !found->conf)
		return 0;
	/* One more, as file_read() has it. */
	candidate->conf = calloc(1, found->conf_size + 1);
	if (!candidate->conf)
		return -ENOMEM;
	memcpy(candidate->conf, found->conf, found->conf_size);
	candidate->conf_size = found->conf_size;
	return 0;
}

/* Reads PATH, a NAME.conf: 0, -ENOENT or -ENOMEM; else the client is refused. */
static int read_text(const Scan *scan, ClientRecord *candidate, const char *path, char **text,
		     size_t *size)
{
	int r = file_read(AT_FDCWD, path, FILE_SIZE_MAX, text, size);

	if (r == -ENOMEM || r == 0 || r == -ENOENT)
		return r;
	if (!candidate->is_unusable)
		refuse(scan, candidate->name, path, "cannot be read: %s",
		       r == -EINVAL ? "it is no regular file" : strerror(-r));
	candidate->is_unusable = true;
	return -EACCES;
}

/* Reads NAME.conf, also where the key is unusable: the next time it may not be. */
static int read_conf(const Scan *scan, ClientRecord *candidate)
{
	int r;

	if (candidate->changes_path) {
		r = read_text(scan, candidate, candidate->changes_path, &candidate->changes,
			      &candidate->changes_size);
		if (r == -ENOMEM)
			return r;
	}
	r = read_text(scan, candidate, candidate->conf_path, &candidate->conf,
		      &candidate->conf_size);
	if (r == -ENOMEM || r == 0)
		return r;
	/* What is in the own directory vanishes by the daemon's hand. */
	if (candidate->is_enrolled)
		return 0;
	r = recall_conf(scan, candidate);
	if (r == 0 && candidate->conf && !candidate->is_unusable)
		diagnostics_add(
			scan->diagnostics, SEVERITY_WARNING, candidate->conf_path,
			"has vanished; what it said holds until a reload, or until \"%s.pem\" "
			"goes as well",
			candidate->name);
	return r;
}

static int read_confs(Scan *scan)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < scan->found.count; i++)
		r = read_conf(scan, &scan->found.items[i]);
	return r;
}

/* A NAME.conf alone enrols nobody. */
static void warn_of_lonely_confs(Scan *scan)
{
	for (size_t i = 0; i < scan->confs.count; i++) {
		const char *name = scan->confs.items[i];

		if (!client_roster_find(&scan->found, name) && !has_stem(&scan->masks, name))
			diagnostics_add(scan->diagnostics, SEVERITY_WARNING, scan->directory,
					"\"%s.conf\" is of no use without a key in \"%s.pem\"",
					name, name);
	}
}

/* <CLIENT>_PORTS= of spale 0.3 for nobody: a misspelt name leaves its client without restriction.
 */
static void warn_of_lonely_overrides(const Scan *scan, const Config *config)
{
	for (size_t i = 0; i < config->override_count; i++) {
		const char *name = config->overrides[i].name;
		bool known = false;

		for (size_t j = 0; j < scan->found.count && !known; j++)
			known = strcasecmp(scan->found.items[j].name, name) == 0;
		if (!known)
			diagnostics_add(scan->diagnostics, SEVERITY_WARNING, scan->directory,
					"no client is named like the settings %s_…= in the "
					"configuration, which have no effect",
					name);
	}
}

int client_files_load(const Config *config, const char *state_directory, ClientRoster *roster,
		      const ClientFilesReport *to, ClientSet **ret_clients)
{
	_cleanup_scan_ Scan scan = {
		.directory = config->clients_directory,
		.diagnostics = to->diagnostics,
		.refused = to->refused,
		.userdata = to->userdata,
		.before = roster,
	};
	_cleanup_client_set_ ClientSet *set = NULL;
	int r = 0;

	if (state_directory)
		r = path_of(state_directory, "clients", "", &scan.own_directory);
	if (r == 0)
		r = list_clients(&scan);
	if (r == 0)
		r = read_keys(&scan);
	if (r == 0)
		r = refuse_doubles(&scan);
	if (r == 0)
		r = read_confs(&scan);
	if (r == 0)
		r = client_roster_build(&scan.found, config, report, &scan, &set);
	if (r < 0)
		return r;
	warn_of_lonely_confs(&scan);
	warn_of_lonely_overrides(&scan, config);
	if (client_set_count(set) == 0)
		diagnostics_add(to->diagnostics, SEVERITY_WARNING, scan.directory,
				"there is no usable client, so nobody can open anything");
	client_roster_done(roster);
	*roster = scan.found;
	scan.found = (ClientRoster){0};
	*ret_clients = TAKE_PTR(set);
	return 0;
}
