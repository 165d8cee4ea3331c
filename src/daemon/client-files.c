/* SPDX-License-Identifier: MIT */
#include "daemon/client-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "keys/key-file.h"
#include "util/file.h"

/* One NAME.pem. */
typedef struct Candidate {
	char *name;
	char *path;
	PublicKey key;
	char *conf; /* content of NAME.conf, NULL: none */
	size_t conf_size;
	bool unusable; /* said already */
} Candidate;

/* What is found in the directory, and where what is wrong with it goes. */
typedef struct Scan {
	const char *directory;
	Diagnostics *diagnostics;
	ClientFilesRefused refused;
	void *userdata;
	const ClientConfs *before;
	Candidate *candidates;
	size_t count;
	size_t allocated;
	StringList confs; /* stems of NAME.conf */
} Scan;

static void scan_done(Scan *scan)
{
	for (size_t i = 0; i < scan->count; i++) {
		free(scan->candidates[i].name);
		free(scan->candidates[i].path);
		free(scan->candidates[i].conf);
	}
	free(scan->candidates);
	for (size_t i = 0; i < scan->confs.count; i++)
		free(scan->confs.items[i]);
	free(scan->confs.items);
}
#define _cleanup_scan_ _cleanup_(scan_done)

void client_confs_done(ClientConfs *confs)
{
	for (size_t i = 0; i < confs->count; i++) {
		free(confs->items[i].name);
		free(confs->items[i].text);
	}
	free(confs->items);
	*confs = (ClientConfs){0};
}

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

static int path_of(const Scan *scan, const char *stem, const char *suffix, char **ret_path)
{
	char *path;

	if (asprintf(&path, "%s/%s%s", scan->directory, stem, suffix) < 0)
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

static int add_candidate(Scan *scan, char *stem)
{
	_cleanup_free_ char *name = stem, *path = NULL;
	int r;

	r = path_of(scan, name, ".pem", &path);
	if (r < 0)
		return r;
	if (!client_name_is_valid(name)) {
		refuse(scan, name, path,
		       "is no name for a client: up to %d letters, digits, \"_\", \"-\" and \".\", "
		       "not beginning with \".\"",
		       CLIENT_NAME_MAX);
		return 0;
	}
	if (scan->count == scan->allocated) {
		size_t allocated = scan->allocated ? 2 * scan->allocated : 16;
		Candidate *grown = reallocarray(scan->candidates, allocated, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		scan->candidates = grown;
		scan->allocated = allocated;
	}
	scan->candidates[scan->count++] =
		(Candidate){.name = TAKE_PTR(name), .path = TAKE_PTR(path)};
	return 0;
}

static int add_conf(Scan *scan, char *stem)
{
	_cleanup_free_ char *name = stem;
	char **grown = reallocarray(scan->confs.items, scan->confs.count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	scan->confs.items = grown;
	scan->confs.items[scan->confs.count++] = TAKE_PTR(name);
	return 0;
}

static int add_entry(Scan *scan, const char *name)
{
	char *stem;
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	r = name[0] == '.' ? 0 : stem_of(name, ".pem", &stem);
	if (r > 0)
		return scan->count == CLIENTS_MAX ? -E2BIG : add_candidate(scan, stem);
	if (r == 0 && name[0] != '.')
		r = stem_of(name, ".conf", &stem);
	if (r > 0)
		return scan->confs.count == CLIENTS_MAX ? -E2BIG : add_conf(scan, stem);
	if (r == 0)
		diagnostics_add(scan->diagnostics, SEVERITY_NOTICE, scan->directory,
				"\"%s\" is not read: clients are NAME.pem and NAME.conf", name);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const Candidate *)a)->name, ((const Candidate *)b)->name);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(&(*(const Candidate *const *)a)->key, &(*(const Candidate *const *)b)->key,
		      sizeof(PublicKey));
}

static int list_directory(Scan *scan)
{
	_cleanup_(closedirp) DIR *dir = opendir(scan->directory);
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		diagnostics_add(scan->diagnostics, SEVERITY_ERROR, scan->directory,
				"the clients' directory cannot be listed: %s; make it, or say "
				"ClientsDirectory=",
				strerror(errno));
		return -EINVAL;
	}
	for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0)
		r = add_entry(scan, entry->d_name);
	if (r == -E2BIG)
		diagnostics_add(scan->diagnostics, SEVERITY_ERROR, scan->directory,
				"there are more than %d clients", CLIENTS_MAX);
	else if (r == 0 && errno != 0)
		diagnostics_add(scan->diagnostics, SEVERITY_ERROR, scan->directory,
				"the clients' directory cannot be listed: %s", strerror(errno));
	else
		return r;
	return -EINVAL;
}

/* Reads the key of each candidate. */
static int read_keys(Scan *scan)
{
	for (size_t i = 0; i < scan->count; i++) {
		Candidate *candidate = &scan->candidates[i];
		_cleanup_free_ char *error = NULL;
		size_t length = strlen(candidate->path);
		const char *why;
		int r;

		r = key_file_read_public(AT_FDCWD, candidate->path, &candidate->key, &error);
		if (r == -ENOMEM)
			return r;
		if (r == 0)
			continue;
		/* The sentence begins with the path, which is in front of it already. */
		why = error ?: strerror(-r);
		if (strncmp(why, candidate->path, length) == 0)
			why += length + strspn(why + length, ": ");
		refuse(scan, candidate->name, candidate->path, "%s", why);
		candidate->unusable = true;
	}
	return 0;
}

/* One key in two files counts for neither: nobody can tell whose rights it should have. */
static int refuse_doubles(Scan *scan)
{
	_cleanup_free_ Candidate **by_key = NULL;
	size_t count = 0;

	by_key = calloc(scan->count ?: 1, sizeof(*by_key));
	if (!by_key)
		return -ENOMEM;
	for (size_t i = 0; i < scan->count; i++)
		if (!scan->candidates[i].unusable)
			by_key[count++] = &scan->candidates[i];
	qsort(by_key, count, sizeof(*by_key), compare_keys);
	for (size_t i = 1; i < count; i++) {
		if (compare_keys(&by_key[i - 1], &by_key[i]) != 0)
			continue;
		if (!by_key[i - 1]->unusable)
			refuse(scan, by_key[i - 1]->name, by_key[i - 1]->path,
			       "holds the same key as %s; neither counts: remove one",
			       by_key[i]->path);
		refuse(scan, by_key[i]->name, by_key[i]->path,
		       "holds the same key as %s; neither counts: remove one", by_key[i - 1]->path);
		by_key[i - 1]->unusable = by_key[i]->unusable = true;
	}
	return 0;
}

/* Passes on what one client's reader had to say: errors refuse the client. */
static void report(const Scan *scan, const char *name, const Diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const Diagnostic *item = &diagnostics->items[i];

		if (item->severity == SEVERITY_ERROR)
			scan->refused(name, item, scan->userdata);
		else
			diagnostics_add(scan->diagnostics, item->severity, item->origin, "%s",
					item->text);
	}
}

static int compare_confs(const void *a, const void *b)
{
	return strcmp(((const ClientConf *)a)->name, ((const ClientConf *)b)->name);
}

/* What NAME.conf said before, if it did, for one that cannot be read now: 0 or -ENOMEM. */
static int recall_conf(const Scan *scan, Candidate *candidate)
{
	const ClientConf wanted = {.name = candidate->name}, *found;

	found = scan->before->count == 0
			? NULL
			: bsearch(&wanted, scan->before->items, scan->before->count, sizeof(wanted),
				  compare_confs);
	if (!found)
		return 0;
	/* One more, as file_read() has it. */
	candidate->conf = calloc(1, found->size + 1);
	if (!candidate->conf)
		return -ENOMEM;
	memcpy(candidate->conf, found->text, found->size);
	candidate->conf_size = found->size;
	return 0;
}

/* Reads NAME.conf, also where the key is unusable: the next time it may not be. */
static int read_conf(const Scan *scan, Candidate *candidate)
{
	_cleanup_free_ char *path = NULL;
	int r;

	r = path_of(scan, candidate->name, ".conf", &path);
	if (r < 0)
		return r;
	r = file_read(AT_FDCWD, path, FILE_SIZE_MAX, &candidate->conf, &candidate->conf_size);
	if (r == -ENOMEM || r == 0)
		return r;
	if (r != -ENOENT && !candidate->unusable) {
		refuse(scan, candidate->name, path, "cannot be read: %s", strerror(-r));
		candidate->unusable = true;
	}
	r = recall_conf(scan, candidate);
	if (r == 0 && candidate->conf && !candidate->unusable)
		diagnostics_add(
			scan->diagnostics, SEVERITY_WARNING, path,
			"has vanished; what it said holds until a reload, or until \"%s.pem\" "
			"goes as well",
			candidate->name);
	return r;
}

static int read_confs(Scan *scan)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < scan->count; i++)
		r = read_conf(scan, &scan->candidates[i]);
	return r;
}

/* Moves what was read out of SCAN, for the next time. */
static int keep_confs(Scan *scan, ClientConfs *confs)
{
	ClientConfs kept = {.items = calloc(scan->count ?: 1, sizeof(*kept.items))};

	if (!kept.items)
		return -ENOMEM;
	for (size_t i = 0; i < scan->count; i++) {
		Candidate *candidate = &scan->candidates[i];

		if (!candidate->conf)
			continue;
		kept.items[kept.count++] = (ClientConf){
			TAKE_PTR(candidate->name),
			TAKE_PTR(candidate->conf),
			candidate->conf_size,
		};
	}
	client_confs_done(confs);
	*confs = kept;
	return 0;
}

static int add_client(Scan *scan, const Config *config, const Candidate *candidate, ClientSet *set)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_free_ char *conf_path = NULL;
	int r;

	r = path_of(scan, candidate->name, ".conf", &conf_path);
	if (r < 0)
		return r;
	r = client_set_add(set, config, candidate->name, &candidate->key, conf_path,
			   candidate->conf, candidate->conf_size, &diagnostics);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && diagnostics.errors == 0)
		refuse(scan, candidate->name, candidate->path, "is refused: %s", strerror(-r));
	report(scan, candidate->name, &diagnostics);
	return 0;
}

/* A NAME.conf alone enrols nobody. */
static void warn_of_lonely_confs(Scan *scan)
{
	for (size_t i = 0; i < scan->confs.count; i++) {
		Candidate wanted = {.name = scan->confs.items[i]};

		if (!client_name_is_valid(wanted.name) ||
		    !bsearch(&wanted, scan->candidates, scan->count, sizeof(wanted), compare_names))
			diagnostics_add(scan->diagnostics, SEVERITY_WARNING, scan->directory,
					"\"%s.conf\" is of no use without a key in \"%s.pem\"",
					wanted.name, wanted.name);
	}
}

/* <CLIENT>_PORTS= of spale 0.3 for nobody: a misspelt name leaves its client without restriction.
 */
static void warn_of_lonely_overrides(const Scan *scan, const Config *config)
{
	for (size_t i = 0; i < config->override_count; i++) {
		const char *name = config->overrides[i].name;
		bool known = false;

		for (size_t j = 0; j < scan->count && !known; j++)
			known = strcasecmp(scan->candidates[j].name, name) == 0;
		if (!known)
			diagnostics_add(scan->diagnostics, SEVERITY_WARNING, scan->directory,
					"no client is named like the settings %s_…= in the "
					"configuration, which have no effect",
					name);
	}
}

int client_files_load(const Config *config, ClientConfs *confs, Diagnostics *diagnostics,
		      ClientFilesRefused refused, void *userdata, ClientSet **ret_clients)
{
	_cleanup_scan_ Scan scan = {
		.directory = config->clients_directory,
		.diagnostics = diagnostics,
		.refused = refused,
		.userdata = userdata,
		.before = confs,
	};
	_cleanup_client_set_ ClientSet *set = client_set_new();
	int r;

	if (!set)
		return -ENOMEM;
	r = list_directory(&scan);
	if (r < 0)
		return r;
	if (scan.count > 0)
		qsort(scan.candidates, scan.count, sizeof(*scan.candidates), compare_names);
	r = read_keys(&scan);
	if (r == 0)
		r = refuse_doubles(&scan);
	if (r == 0)
		r = read_confs(&scan);
	for (size_t i = 0; r == 0 && i < scan.count; i++)
		if (!scan.candidates[i].unusable)
			r = add_client(&scan, config, &scan.candidates[i], set);
	if (r < 0)
		return r;
	warn_of_lonely_confs(&scan);
	warn_of_lonely_overrides(&scan, config);
	if (client_set_count(set) == 0)
		diagnostics_add(diagnostics, SEVERITY_WARNING, scan.directory,
				"there is no usable client, so nobody can open anything");
	r = keep_confs(&scan, confs);
	if (r < 0)
		return r;
	*ret_clients = TAKE_PTR(set);
	return 0;
}
