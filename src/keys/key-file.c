/* SPDX-License-Identifier: MIT */
#include "keys/key-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "keys/pem.h"
#include "knock/hpke.h"
#include "util/cleanup.h"
#include "util/error.h"
#include "util/file.h"

/* The whole of a key file, erased when it goes. */
typedef struct Text {
	char *p;
	size_t size;
} Text;

static void text_done(Text *text)
{
	secret_free(text->p, text->size);
}

#define _cleanup_text_ _cleanup_(text_done)

void key_pair_done(KeyPair *pair)
{
	secret_erase(pair, sizeof(*pair));
}

bool key_file_is_exposed(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

static int read_text(int dir_fd, const char *path, const char *hint, Text *ret_text,
		     char **ret_error)
{
	int r = file_read(dir_fd, path, FILE_SIZE_MAX, &ret_text->p, &ret_text->size);

	switch (r) {
	case 0:
		return 0;
	case -ENOENT:
		return error_set(ret_error, r, "%s does not exist: %s", path, hint);
	case -EACCES:
	case -EPERM:
		return error_set(ret_error, r,
				 "%s may not be read by this user: check its owner and mode", path);
	case -EISDIR:
		return error_set(ret_error, r, "%s is a directory, not a key file", path);
	case -EINVAL:
		return error_set(ret_error, r, "%s is not a regular file", path);
	case -EFBIG:
		return error_set(ret_error, r, "%s is larger than %d bytes: not a key file", path,
				 FILE_SIZE_MAX);
	}
	return error_set(ret_error, r, "%s: %s", path, strerror(-r));
}

/* One of pem_parse_…() failed to find WHAT in PATH. */
static int fail_pem(char **ret_error, int error, const char *path, const char *what,
		    const char *hint)
{
	if (error == -ENOENT)
		return error_set(ret_error, error, "%s: the %s %s: %s", path, what,
				 pem_error(error), hint);
	return error_set(ret_error, error, "%s: the %s %s", path, what, pem_error(error));
}

int key_file_read_private(const char *path, KeyPair *ret_pair, char **ret_error)
{
	static const char hint[] = "make a key with 'spale-keygen server'";
	_cleanup_key_pair_ KeyPair pair;
	_cleanup_text_ Text text = {0};
	int r;

	r = read_text(AT_FDCWD, path, hint, &text, ret_error);
	if (r < 0)
		return r;
	r = pem_parse_private(text.p, text.size, &pair.private_key);
	if (r < 0)
		return fail_pem(ret_error, r, path, "private key", hint);
	pair.public_key = hpke_public_key(&pair.private_key);
	*ret_pair = pair;
	return 0;
}

int key_file_read_public(int dir_fd, const char *path, PublicKey *ret_key, char **ret_error)
{
	_cleanup_text_ Text text = {0};
	int r;

	r = read_text(dir_fd, path, "it should be an X25519 public key in PEM", &text, ret_error);
	if (r < 0)
		return r;
	/* The public key in a client's bundle is the server's: not what was meant. */
	if (pem_has_private(text.p, text.size))
		return error_set(
			ret_error, -EKEYREJECTED,
			"%s: holds a private key, which is its owner's alone: the file with "
			"the public key is meant",
			path);
	r = pem_parse_public(text.p, text.size, ret_key);
	if (r < 0)
		return fail_pem(ret_error, r, path, "public key",
				"expected an X25519 key in PEM ('BEGIN PUBLIC KEY')");
	return 0;
}

int key_file_read_bundle(const char *path, PublicKey *ret_server, KeyPair *ret_client,
			 char **ret_error)
{
	static const char hint[] = "a client's key file holds the server's public and the client's "
				   "private key, as 'spale-keygen client --bundle' writes it";
	_cleanup_key_pair_ KeyPair client;
	_cleanup_text_ Text text = {0};
	PublicKey server;
	int r;

	r = read_text(AT_FDCWD, path, hint, &text, ret_error);
	if (r < 0)
		return r;
	r = pem_parse_private(text.p, text.size, &client.private_key);
	if (r < 0)
		return fail_pem(ret_error, r, path, "client's private key", hint);
	r = pem_parse_public(text.p, text.size, &server);
	if (r < 0)
		return fail_pem(ret_error, r, path, "server's public key", hint);
	client.public_key = hpke_public_key(&client.private_key);
	if (secret_equal(&server, &client.public_key, sizeof(server)))
		return error_set(
			ret_error, -EKEYREJECTED,
			"%s: the public key in it is the client's own, not the server's: %s", path,
			hint);
	*ret_server = server;
	*ret_client = client;
	return 0;
}
