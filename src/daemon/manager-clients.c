/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/client-files.h"
#include "daemon/kept-file.h"
#include "daemon/manager-private.h"
#include "daemon/manager-requests.h"
#include "keys/pem.h"
#include "policy/ini.h"
#include "util/error.h"
#include "util/file.h"

static const char head[] = "# Said over D-Bus. Written by spaled.\n[Client]\n";

/* Room for the name of a file of a client. */
#define FILE_NAME_SIZE (CLIENT_NAME_MAX + sizeof(CLIENT_MASK_SUFFIX))

void manager_set_roster(Manager *manager, ClientRoster *roster)
{
	client_roster_done(&manager->roster);
	manager->roster = *roster;
	manager->has_roster = true;
	*roster = (ClientRoster){0};
}

ClientRoster *manager_roster(Manager *manager)
{
	return &manager->roster;
}

/* ---- texts --------------------------------------------------------------------------------- */

typedef struct Merge {
	FILE *stream;
	const ClientSetting *settings;
	size_t count;
} Merge;

static bool sets(const Merge *merge, const char *key)
{
	for (size_t i = 0; i < merge->count; i++)
		if (strcmp(merge->settings[i].key, key) == 0)
			return true;
	return false;
}

/* A line of what was said before: it stays, unless its key is named now. */
static int keep_line(const IniLine *line, void *userdata)
{
	const Merge *merge = userdata;

	if (!sets(merge, line->key))
		fprintf(merge->stream, "%s=%s\n", line->key, line->value);
	return 0;
}

static int check_setting(const ClientSetting *setting, char **ret_error)
{
	if (client_key_is_list(setting->key) < 0)
		return error_set(ret_error, -EINVAL,
				 "a client has no setting %.40s=", setting->key);
	for (const char *c = setting->value ?: ""; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return error_set(ret_error, -EINVAL,
					 "%s= takes no line breaks or other control characters",
					 setting->key);
	return 0;
}

/* BEFORE (SIZE bytes; NULL: nothing) with SETTINGS in it, as *RET_TEXT. */
static int merge_settings(const char *before, size_t size, const ClientSetting *settings,
			  size_t count, char **ret_text, size_t *ret_size)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *stream = open_memstream(&text, ret_size);
	const Merge merge = {stream, settings, count};
	int r = 0;

	if (!stream)
		return -ENOMEM;
	fputs(head, stream);
	if (before)
		r = ini_parse("", before, size, &diagnostics, keep_line, (void *)&merge);
	for (size_t i = 0; i < count; i++) {
		if (!settings[i].value)
			continue;
		/* Not behind what the administrator's file says, but instead of it. */
		if (client_key_is_list(settings[i].key) == 1)
			fprintf(stream, "%s=\n", settings[i].key);
		fprintf(stream, "%s=%s\n", settings[i].key, settings[i].value);
	}
	if (r < 0 || fflush(stream) != 0)
		return -ENOMEM;
	fclose(TAKE_PTR(stream));
	*ret_text = TAKE_PTR(text);
	return 0;
}

static int check_settings(const ClientSetting *settings, size_t count, char **ret_error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = check_setting(&settings[i], ret_error);
	return r;
}

/* ---- the kernel and the disk --------------------------------------------------------------- */

/* What a request does in the state directory. */
typedef struct Work {
	int dir_fd;
	const char *name;
	const ClientRecord *record; /* what is to be written */
	const ClientRecord *before; /* what was changed to it; NULL: there was none */
	bool is_masked;		    /* the administrator's files have to be covered */
	const char *why;	    /* it went wrong */
} Work;

static const char *file_name(const Work *work, const char *suffix, char name[static FILE_NAME_SIZE])
{
	snprintf(name, FILE_NAME_SIZE, "%s%s", work->name, suffix);
	return name;
}

/* The key comes last: it is what enrols. */
static int write_enrolled(Work *work)
{
	char pem[PEM_TEXT_MAX], name[FILE_NAME_SIZE];
	int r;

	r = pem_format_public(&work->record->key, pem);
	if (r < 0)
		return r;
	r = kept_file_write(work->dir_fd, file_name(work, ".conf", name), work->record->conf,
			    work->record->conf_size, &work->why);
	if (r == 0)
		r = kept_file_write(work->dir_fd, file_name(work, ".pem", name), pem, strlen(pem),
				    &work->why);
	if (r < 0) {
		/* Also what is in place, and may not stay there. */
		(void)kept_file_remove(work->dir_fd, file_name(work, ".pem", name), NULL);
		(void)kept_file_remove(work->dir_fd, file_name(work, ".conf", name), NULL);
	}
	return r;
}

static int write_conf(const Work *work, const ClientRecord *record, const char **ret_why)
{
	const char *text = record->is_enrolled ? record->conf : record->changes;
	size_t size = record->is_enrolled ? record->conf_size : record->changes_size;
	char name[FILE_NAME_SIZE];

	file_name(work, ".conf", name);
	return text ? kept_file_write(work->dir_fd, name, text, size, ret_why)
		    : kept_file_remove(work->dir_fd, name, ret_why);
}

static int write_settings(Work *work)
{
	int r = write_conf(work, work->record, &work->why);

	/* As above. */
	if (r < 0)
		(void)write_conf(work, work->before, NULL);
	return r;
}

/* First what keeps the administrator's client of this name from coming up again. */
static int write_removed(Work *work)
{
	char name[FILE_NAME_SIZE];
	int r = 0;

	if (work->is_masked)
		r = kept_file_write(work->dir_fd, file_name(work, CLIENT_MASK_SUFFIX, name), "", 0,
				    &work->why);
	if (r == 0)
		r = kept_file_remove(work->dir_fd, file_name(work, ".pem", name), &work->why);
	/* Alone it does nothing. */
	if (r == 0)
		(void)kept_file_remove(work->dir_fd, file_name(work, ".conf", name), NULL);
	return r;
}

/* Has kernel and disk take CLIENTS, both or none; then they are in force. */
static int put_into_force(Manager *manager, ClientSet *clients, Work *work, int (*keep)(Work *work),
			  const char *caller, char **ret_error)
{
	_cleanup_client_set_ ClientSet *new_clients = clients;
	_cleanup_close_ int dir_fd = state_open_clients(manager->state);
	int r;

	if (dir_fd < 0)
		return error_set(ret_error, -EROFS, "it cannot be kept in the state directory: %s",
				 strerror(-dir_fd));
	work->dir_fd = dir_fd;
	r = enforcer_set_clients(manager->enforcer, new_clients);
	if (r < 0) {
		error_set(ret_error, r, "the kernel did not take it: %s",
			  enforcer_error(manager->enforcer));
	} else {
		r = keep(work);
		if (r < 0)
			error_set(ret_error, r, "it cannot be kept in the state directory: %s",
				  work->why ?: strerror(-r));
	}
	if (r < 0) {
		(void)enforcer_set_clients(manager->enforcer, manager->clients);
		return r;
	}
	manager_commit_clients(manager, TAKE_PTR(new_clients), caller);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------ */

static int check_roster(const Manager *manager, char **ret_error)
{
	return manager->has_roster
		       ? 0
		       : error_set(ret_error, -EOPNOTSUPP, "these clients cannot be changed");
}

/* The clients as they would be with RECORD for NAME (NULL: without), or a sentence why not. */
static int try(const Manager *manager, const char *name, const ClientRecord *record,
	       ClientSet **ret_clients, char **ret_error)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	int r;

	r = client_roster_try(&manager->roster, manager->config, name, record, &diagnostics,
			      ret_clients);
	for (size_t i = 0; r < 0 && i < diagnostics.count; i++)
		if (diagnostics.items[i].severity == SEVERITY_ERROR)
			return error_set(ret_error, r, "%s", diagnostics.items[i].text);
	return r < 0 ? error_set(ret_error, r, "%s", strerror(-r)) : 0;
}

/* Whether there can be a client of this name and key besides those that there are. */
static int check_new(const Manager *manager, const char *name, const PublicKey *key,
		     char **ret_error)
{
	const ClientRecord *other;
	char pem[PEM_TEXT_MAX];
	PublicKey again;
	int r;

	if (!client_name_is_valid(name))
		return error_set(ret_error, -EINVAL,
				 "a client's name has 1 to %d letters, digits, \"_\", \"-\" and "
				 "\".\", the first no \".\"",
				 CLIENT_NAME_MAX);
	if (client_roster_find(&manager->roster, name))
		return error_set(ret_error, -EEXIST, "there is a client named %s already", name);
	other = client_roster_find_key(&manager->roster, key);
	if (other)
		return error_set(ret_error, -ENOTUNIQ, "this is the key of client %s already",
				 other->name);
	if (manager->roster.count >= CLIENTS_MAX)
		return error_set(ret_error, -E2BIG, "there are %d clients, and no more can be",
				 CLIENTS_MAX);
	r = pem_format_public(key, pem);
	if (r == 0)
		r = pem_parse_public(pem, strlen(pem), &again);
	return r < 0 ? error_set(ret_error, r == -ENOMEM ? r : -EKEYREJECTED, "the public key %s",
				 pem_error(r))
		     : 0;
}

/* Where the files of NAME would lie, for what is said about them. */
static int make_record(const char *name, const PublicKey *key, ClientRecord *record)
{
	record->is_enrolled = true;
	record->key = *key;
	record->name = strdup(name);
	if (asprintf(&record->pem_path, "%s.pem", name) < 0)
		record->pem_path = NULL;
	if (asprintf(&record->conf_path, "%s.conf", name) < 0)
		record->conf_path = NULL;
	return record->name && record->pem_path && record->conf_path ? 0 : -ENOMEM;
}

int manager_enroll_client(Manager *manager, const char *name, const PublicKey *key,
			  const ClientSetting *settings, size_t count, const char *caller,
			  char **ret_error)
{
	_cleanup_client_record_ ClientRecord record = {0};
	Work work = {.dir_fd = -1, .name = name, .record = &record};
	ClientSet *clients;
	int r;

	r = check_roster(manager, ret_error);
	if (r == 0)
		r = check_new(manager, name, key, ret_error);
	if (r == 0)
		r = check_settings(settings, count, ret_error);
	if (r < 0)
		return r;
	r = make_record(name, key, &record);
	if (r == 0)
		r = merge_settings(NULL, 0, settings, count, &record.conf, &record.conf_size);
	if (r == 0)
		r = client_roster_reserve(&manager->roster);
	if (r < 0)
		return error_set(ret_error, r, "no memory");
	r = try(manager, name, &record, &clients, ret_error);
	if (r == 0)
		r = put_into_force(manager, clients, &work, write_enrolled, caller, ret_error);
	if (r == 0)
		client_roster_put(&manager->roster, &record);
	return r;
}

/* Whether the administrator has a client of this name, seen or covered. */
static bool has_file(const Manager *manager, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s.pem", manager->config->clients_directory, name) < 0) {
		path = NULL;
		return true;
	}
	return access(path, F_OK) == 0 || errno != ENOENT;
}

int manager_remove_client(Manager *manager, const char *name, const char *caller, char **ret_error)
{
	const ClientRecord *record = client_roster_find(&manager->roster, name);
	Work work = {.dir_fd = -1, .name = name};
	ClientSet *clients;
	int r;

	if (!record)
		return error_set(ret_error, -ENOKEY, "there is no client named %s", name);
	work.is_masked = !record->is_enrolled || has_file(manager, name);
	r = try(manager, name, NULL, &clients, ret_error);
	if (r == 0)
		r = put_into_force(manager, clients, &work, write_removed, caller, ret_error);
	if (r == 0)
		client_roster_remove(&manager->roster, record->name);
	return r;
}

int manager_set_client(Manager *manager, const char *name, const ClientSetting *settings,
		       size_t count, const char *caller, char **ret_error)
{
	ClientRecord *record = client_roster_find(&manager->roster, name);
	_cleanup_free_ char *text = NULL;
	Work work = {.dir_fd = -1, .name = name, .before = record};
	ClientRecord changed;
	ClientSet *clients;
	size_t size;
	int r;

	if (!record || record->is_unusable)
		return error_set(ret_error, -ENOKEY, "there is no client named %s%s", name,
				 record ? " that can be used" : "");
	r = check_settings(settings, count, ret_error);
	if (r < 0)
		return r;
	changed = *record;
	r = merge_settings(record->is_enrolled ? record->conf : record->changes,
			   record->is_enrolled ? record->conf_size : record->changes_size, settings,
			   count, &text, &size);
	if (r < 0)
		return error_set(ret_error, r, "no memory");
	*(record->is_enrolled ? &changed.conf : &changed.changes) = text;
	*(record->is_enrolled ? &changed.conf_size : &changed.changes_size) = size;
	work.record = &changed;
	r = try(manager, name, &changed, &clients, ret_error);
	if (r == 0)
		r = put_into_force(manager, clients, &work, write_settings, caller, ret_error);
	if (r < 0)
		return r;
	free(record->is_enrolled ? record->conf : record->changes);
	*record = changed;
	(void)TAKE_PTR(text);
	return 0;
}
