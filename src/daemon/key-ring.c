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

/* The credential's path, if there is one: 0 with *RET_PATH NULL if not, or -ENOMEM. */
static int credential_path(char **ret_path)
{
	_cleanup_free_ char *path = NULL;
	const char *directory = getenv("CREDENTIALS_DIRECTORY");

	*ret_path = NULL;
	if (!directory || directory[0] != '/')
		return 0;
	if (asprintf(&path, "%s/server.key", directory) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (access(path, F_OK) == 0)
		*ret_path = TAKE_PTR(path);
	return 0;
}

int key_ring_load(const Config *config, Diagnostics *diagnostics, KeyRing *ret_ring)
{
	_cleanup_key_ring_ KeyRing ring = {.count = 0};
	_cleanup_free_ char *credential = NULL;
	int r, result = 0;

	r = credential_path(&credential);
	if (r < 0)
		return r;
	if (credential)
		result = load_pair(credential, diagnostics, &ring);
	for (size_t i = 0; !credential && i < config->server_keys.count; i++) {
		r = load_pair(config->server_keys.items[i], diagnostics, &ring);
		if (r == -ENOMEM)
			return r;
		if (r < 0 && (result == 0 || result == -EACCES))
			result = r == -EACCES ? r : -EINVAL;
	}
	if (result < 0)
		return result == -EACCES || result == -ENOMEM ? result : -EINVAL;
	*ret_ring = ring;
	return 0;
}
