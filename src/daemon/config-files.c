/* SPDX-License-Identifier: MIT */
#include "daemon/config-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "util/file.h"

#define DROP_IN_SUFFIX ".conf"

/* Most drop-ins that are read. */
#define DROP_INS_MAX 256

/* Drop-ins by name, and where each lies. */
typedef struct DropIns {
	struct DropIn {
		char *name;
		char *path;
	} items[DROP_INS_MAX];
	size_t count;
} DropIns;

static void drop_ins_done(DropIns *drop_ins)
{
	for (size_t i = 0; i < drop_ins->count; i++) {
		free(drop_ins->items[i].name);
		free(drop_ins->items[i].path);
	}
	drop_ins->count = 0;
}
#define _cleanup_drop_ins_ _cleanup_(drop_ins_done)

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool is_drop_in(const char *name)
{
	size_t length = strlen(name), suffix = strlen(DROP_IN_SUFFIX);

	return name[0] != '.' && length > suffix &&
	       strcmp(name + length - suffix, DROP_IN_SUFFIX) == 0;
}

/* Adds DIRECTORY/NAME at its place, unless a directory that counts more has one of that name. */
static int drop_ins_add(DropIns *drop_ins, const char *directory, const char *name)
{
	_cleanup_free_ char *copy = NULL, *path = NULL;
	size_t at = 0;

	while (at < drop_ins->count && strcmp(drop_ins->items[at].name, name) < 0)
		at++;
	if (at < drop_ins->count && strcmp(drop_ins->items[at].name, name) == 0)
		return 0;
	if (drop_ins->count == DROP_INS_MAX)
		return -E2BIG;
	copy = strdup(name);
	if (!copy || asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	memmove(drop_ins->items + at + 1, drop_ins->items + at,
		(drop_ins->count - at) * sizeof(drop_ins->items[0]));
	drop_ins->items[at] = (struct DropIn){TAKE_PTR(copy), TAKE_PTR(path)};
	drop_ins->count++;
	return 0;
}

/* Lists the drop-ins of one directory, which need not exist. */
static int drop_ins_scan(DropIns *drop_ins, const char *directory, Diagnostics *diagnostics)
{
	_cleanup_(closedirp) DIR *dir = opendir(directory);
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		if (errno != ENOENT)
			diagnostics_add(diagnostics, SEVERITY_ERROR, directory,
					"cannot list the directory: %s", strerror(errno));
		return 0;
	}
	for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0)
		if (is_drop_in(entry->d_name))
			r = drop_ins_add(drop_ins, directory, entry->d_name);
	if (r == -E2BIG) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, directory,
				"there are more than %d drop-ins; put them together", DROP_INS_MAX);
		return 0;
	}
	if (r == 0 && errno != 0)
		diagnostics_add(diagnostics, SEVERITY_ERROR, directory,
				"cannot list the directory: %s", strerror(errno));
	return r;
}

static bool is_null_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

void config_sources_done(ConfigSources *sources)
{
	for (size_t i = 0; i < sources->count; i++) {
		free(sources->items[i].path);
		free(sources->items[i].text);
	}
	free(sources->items);
	free(sources->directory);
	*sources = (ConfigSources){0};
}

/* Reads one file; returns as config_sources_add_file() does. */
static int read_file(const char *path, Diagnostics *diagnostics, char **ret_text, size_t *ret_size)
{
	int r = file_read(AT_FDCWD, path, FILE_SIZE_MAX, ret_text, ret_size);

	if (r == 0 || r == -ENOENT || r == -ENOMEM)
		return r;
	if (r == -EFBIG)
		diagnostics_add(diagnostics, SEVERITY_ERROR, path, "is larger than %d bytes",
				FILE_SIZE_MAX);
	else if (r == -EINVAL || r == -EISDIR)
		diagnostics_add(diagnostics, SEVERITY_ERROR, path, "is not a regular file");
	else
		diagnostics_add(diagnostics, SEVERITY_ERROR, path, "cannot be read: %s",
				strerror(-r));
	return -EINVAL;
}

int config_sources_add_file(ConfigSources *sources, const char *path, Diagnostics *diagnostics)
{
	_cleanup_free_ char *text = NULL, *name = strdup(path);
	ConfigSource *items;
	size_t size;
	int r;

	if (!name)
		return -ENOMEM;
	r = read_file(path, diagnostics, &text, &size);
	if (r < 0)
		return r;
	items = reallocarray(sources->items, sources->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	sources->items = items;
	items[sources->count++] = (ConfigSource){TAKE_PTR(name), TAKE_PTR(text), size};
	return 0;
}

static int add_main_file(ConfigSources *sources, const Options *options, Diagnostics *diagnostics)
{
	int r = config_sources_add_file(sources, options->config_path, diagnostics);

	if (r != -ENOENT)
		return r;
	if (options->config_explicit) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, options->config_path,
				"there is no such file");
		return -EINVAL;
	}
	diagnostics_add(diagnostics, SEVERITY_NOTICE, options->config_path,
			"there is no such file, so options and drop-ins have to say everything");
	return 0;
}

static int add_drop_ins(ConfigSources *sources, bool is_default, Diagnostics *diagnostics)
{
	_cleanup_drop_ins_ DropIns drop_ins = {0};
	_cleanup_free_ char *beside = NULL;
	int r;

	if (asprintf(&beside, "%s/spale.conf.d", sources->directory) < 0) {
		beside = NULL;
		return -ENOMEM;
	}
	r = drop_ins_scan(&drop_ins, beside, diagnostics);
	if (r == 0 && is_default)
		r = drop_ins_scan(&drop_ins, "/run/spale/spale.conf.d", diagnostics);
	if (r == 0 && is_default)
		r = drop_ins_scan(&drop_ins, "/usr/lib/spale/spale.conf.d", diagnostics);
	for (size_t i = 0; r == 0 && i < drop_ins.count; i++) {
		const char *path = drop_ins.items[i].path;

		if (is_null_device(path))
			continue;
		r = config_sources_add_file(sources, path, diagnostics);
		if (r == -ENOENT)
			diagnostics_add(diagnostics, SEVERITY_ERROR, path,
					"is a link to nowhere, or was removed just now");
		if (r != -ENOMEM)
			r = 0;
	}
	return r;
}

int config_files_read(const Options *options, Diagnostics *diagnostics, ConfigSources *ret_sources)
{
	_cleanup_config_sources_ ConfigSources sources = {
		.directory = strdup(options->config_path),
	};
	char *slash;
	int r;

	if (!sources.directory)
		return -ENOMEM;
	slash = strrchr(sources.directory, '/');
	if (slash)
		*(slash == sources.directory ? slash + 1 : slash) = '\0';
	r = add_main_file(&sources, options, diagnostics);
	if (r == 0)
		r = add_drop_ins(&sources,
				 strcmp(options->config_path, SPALE_CONFDIR "/spale.conf") == 0,
				 diagnostics);
	if (r < 0)
		return r;
	*ret_sources = sources;
	sources = (ConfigSources){0};
	return 0;
}

static int add_texts(ConfigBuilder *builder, const ConfigSource *texts, size_t count,
		     Diagnostics *diagnostics)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = config_builder_add_file(builder, texts[i].path, texts[i].text, texts[i].size,
					    diagnostics);
	return r;
}

static int add_options(ConfigBuilder *builder, const Options *options, Diagnostics *diagnostics)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < OPTIONS_SETTINGS; i++) {
		const OptionsSetting *setting = &options->settings[i];

		if (setting->value)
			r = config_builder_add_option(builder, setting->option, setting->section,
						      setting->key, setting->value, diagnostics);
	}
	return r;
}

int config_sources_build(const ConfigSources *sources, const ConfigSource *extra,
			 size_t extra_count, const Options *options, Diagnostics *diagnostics,
			 Config **ret_config, ConfigBuilder **ret_builder)
{
	_cleanup_config_builder_ ConfigBuilder *builder = config_builder_new(sources->directory);
	int r;

	if (!builder)
		return -ENOMEM;
	r = add_texts(builder, sources->items, sources->count, diagnostics);
	if (r == 0)
		r = add_texts(builder, extra, extra_count, diagnostics);
	if (r == 0 && options)
		r = add_options(builder, options, diagnostics);
	if (r == 0)
		r = config_builder_finish(builder, diagnostics, ret_config);
	if (r == 0 && ret_builder)
		*ret_builder = TAKE_PTR(builder);
	return r;
}
