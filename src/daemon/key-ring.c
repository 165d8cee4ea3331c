/* SPDX-License-Identifier: MIT */
#include "daemon/key-ring.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* What a key file may allow at most: its owner everything, its group to read. */
#define KEY_MODE_MAX 0740

void key_ring_done(KeyRing *ring)
{
	secret_erase(ring, sizeof(*ring));
}

void key_ring_move(KeyRing *to, KeyRing *from)
{
	*to = *from;
	key_ring_done(from);
}

/* A sentence that begins with PATH, without it, for DIAGNOSTICS name it in front. */
static const char *without_path(const char *sentence, const char *path)
{
	size_t length = strlen(path);

	if (strncmp(sentence, path, length) != 0)
		return sentence;
	sentence += length;
	return sentence + strspn(sentence, ": ");
}

static int load_pair(const char *path, Diagnostics *diagnostics, KeyRing *ring)
{
	_cleanup_free_ char *error = NULL;
	struct stat st;
	int r;

	r = key_file_read_private(path, &ring->pairs[ring->count], &error);
	if (r < 0) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, path, "%s",
				error ? without_path(error, path) : strerror(-r));
		return r;
	}
	for (size_t i = 0; i < ring->count; i++)
		if (secret_equal(&ring->pairs[i].public_key, &ring->pairs[ring->count].public_key,
				 sizeof(PublicKey))) {
			diagnostics_add(diagnostics, SEVERITY_WARNING, path,
					"holds the same server key as a file before it");
			return 0;
		}
	ring->count++;
	if (stat(path, &st) == 0 && (st.st_mode & ALLPERMS & ~KEY_MODE_MAX) != 0)
		diagnostics_add(diagnostics, SEVERITY_WARNING, path,
				"others may get at this private key (mode %04o): chmod 0600 it",
				(unsigned)(st.st_mode & ALLPERMS));
	return 0;
}

/*
 * Where the credential is that stands for the file PATH: one of the same name that is more than a
 * blank (which the unit has for a key file that is missing). 0 with *RET_PATH NULL: there is none.
 */
static int credential_path(const char *path, char **ret_path)
{
	_cleanup_free_ char *credential = NULL;
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	struct stat st;

	*ret_path = NULL;
	if (!directory || directory[0] != '/')
		return 0;
	if (asprintf(&credential, "%s/%s", directory, basename(path)) < 0) {
		credential = NULL;
		return -ENOMEM;
	}
	if (stat(credential, &st) == 0 && st.st_size > 1)
		*ret_path = TAKE_PTR(credential);
	return 0;
}

/* A credential is a copy of the service's start: whoever changed the file since waits in vain. */
static void say_if_newer(const char *path, const char *credential, Diagnostics *diagnostics)
{
	struct stat file, copy;

	if (stat(path, &file) < 0 || stat(credential, &copy) < 0)
		return;
	if (file.st_mtim.tv_sec > copy.st_mtim.tv_sec ||
	    (file.st_mtim.tv_sec == copy.st_mtim.tv_sec &&
	     file.st_mtim.tv_nsec > copy.st_mtim.tv_nsec))
		diagnostics_add(diagnostics, SEVERITY_WARNING, path,
				"was changed after the service had read it: restart the service to "
				"use it");
}

static int load_one(const char *path, Diagnostics *diagnostics, KeyRing *ring)
{
	_cleanup_free_ char *credential = NULL;
	int r;

	r = credential_path(path, &credential);
	if (r < 0)
		return r;
	if (credential)
		say_if_newer(path, credential, diagnostics);
	r = load_pair(credential ?: path, diagnostics, ring);
	if (r == -EACCES && getenv("CREDENTIALS_DIRECTORY"))
		diagnostics_add(diagnostics, SEVERITY_NOTICE, path,
				"the service runs as a user who may not read it; "
				"\"LoadCredential=%s:%s\" in its unit hands it over",
				basename(path), path);
	return r;
}

int key_ring_load(const Config *config, Diagnostics *diagnostics, KeyRing *ret_ring)
{
	_cleanup_key_ring_ KeyRing ring = {.count = 0};
	int r, result = 0;

	for (size_t i = 0; i < config->server_keys.count; i++) {
		r = load_one(config->server_keys.items[i], diagnostics, &ring);
		if (r == -ENOMEM)
			return r;
		if (r < 0 && (result == 0 || result == -EACCES))
			result = r == -EACCES ? r : -EINVAL;
	}
	if (result < 0)
		return result;
	*ret_ring = ring;
	return 0;
}
