/* SPDX-License-Identifier: MIT */
#include "keys/key-output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "knock/hpke.h"
#include "util/cleanup.h"
#include "util/error.h"
#include "util/file.h"

void key_outputs_done(KeyOutputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++) {
		KeyOutput *output = &outputs->items[i];

		free(output->path);
		secret_free(output->old_text, output->old_size);
	}
	secret_erase(outputs, sizeof(*outputs));
}

int key_output_generate(KeyPair *ret_pair)
{
	int r = pem_generate(&ret_pair->private_key);

	if (r >= 0)
		ret_pair->public_key = hpke_public_key(&ret_pair->private_key);
	return r;
}

static void __attribute__((format(printf, 2, 3)))
say(KeyOutputReport report, const char *format, ...)
{
	_cleanup_free_ char *sentence = NULL;
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vasprintf(&sentence, format, arguments);
	va_end(arguments);
	if (size < 0)
		sentence = NULL;
	report(sentence ? sentence : strerror(ENOMEM));
}

/* Its text is to be filled in. */
static int add(KeyOutputs *outputs, const char *directory, const char *name, const char *suffix,
	       KeyOutput **ret_output)
{
	KeyOutput *output = &outputs->items[outputs->count];
	bool is_here = strcmp(directory, ".") == 0;

	if (outputs->count == KEY_OUTPUTS_MAX)
		return -E2BIG;
	*output = (KeyOutput){.mode = 0600};
	if (asprintf(&output->path, "%s%s%s%s", is_here ? "" : directory, is_here ? "" : "/", name,
		     suffix) < 0) {
		output->path = NULL;
		return -ENOMEM;
	}
	outputs->count++;
	*ret_output = output;
	return 0;
}

int key_outputs_add_private(KeyOutputs *outputs, const char *directory, const char *name,
			    const char *suffix, const Secret *key)
{
	KeyOutput *output;
	int r = add(outputs, directory, name, suffix, &output);

	if (r < 0)
		return r;
	output->what = "private key: give it to nobody";
	return pem_format_private(key, output->text);
}

int key_outputs_add_public(KeyOutputs *outputs, const char *directory, const char *name,
			   const char *suffix, const PublicKey *key)
{
	KeyOutput *output;
	int r = add(outputs, directory, name, suffix, &output);

	if (r < 0)
		return r;
	output->what = "public key";
	output->mode = 0644;
	return pem_format_public(key, output->text);
}

int key_outputs_add_bundle(KeyOutputs *outputs, const char *directory, const char *name,
			   const char *suffix, const PublicKey *server, const Secret *client)
{
	KeyOutput *output;
	int r = add(outputs, directory, name, suffix, &output);

	if (r < 0)
		return r;
	output->what = "key file for spale-send, with the private key: for this client only";
	r = pem_format_public(server, output->text);
	return r < 0 ? r : pem_format_private(client, output->text + strlen(output->text));
}

/* Says what is in the way; with FORCE, keeps it to put it back if need be. */
static int check(KeyOutputs *outputs, bool force, KeyOutputReport report)
{
	int result = 0;

	for (size_t i = 0; i < outputs->count; i++) {
		KeyOutput *output = &outputs->items[i];
		struct stat st;
		int r;

		if (lstat(output->path, &st) < 0) {
			if (errno == ENOENT)
				continue;
			result = -errno;
			say(report, "%s: %s", output->path, strerror(errno));
		} else if (!force) {
			result = -EEXIST;
			say(report, "%s exists: --force replaces it", output->path);
		} else {
			r = file_read(AT_FDCWD, output->path, FILE_SIZE_MAX, &output->old_text,
				      &output->old_size);
			if (r < 0) {
				result = r;
				say(report, "%s cannot be replaced: %s", output->path,
				    strerror(-r));
			}
			output->old_mode = st.st_mode & 07777;
		}
	}
	return result;
}

void key_outputs_undo(KeyOutputs *outputs, KeyOutputReport report)
{
	for (size_t i = 0; i < outputs->count; i++) {
		KeyOutput *output = &outputs->items[i];
		int r = 0;

		if (!output->written)
			continue;
		if (!output->old_text)
			r = unlink(output->path) < 0 ? -errno : 0;
		else
			r = file_write(AT_FDCWD, output->path, output->old_text, output->old_size,
				       output->old_mode, FILE_REPLACE | FILE_SYNC);
		if (r < 0)
			say(report, "%s could not be put back: %s", output->path, strerror(-r));
		output->written = false;
	}
}

int key_outputs_write(KeyOutputs *outputs, bool force, KeyOutputReport report)
{
	int r = check(outputs, force, report);

	if (r < 0)
		return r;
	for (size_t i = 0; i < outputs->count; i++) {
		KeyOutput *output = &outputs->items[i];

		r = file_write(AT_FDCWD, output->path, output->text, strlen(output->text),
			       output->mode, FILE_SYNC | (force ? FILE_REPLACE : 0));
		if (r < 0) {
			say(report, "%s: %s", output->path, strerror(-r));
			key_outputs_undo(outputs, report);
			return r;
		}
		output->written = true;
	}
	return 0;
}

int key_output_find_server(const char *public_path, const char *private_path, PublicKey *ret_key,
			   char **ret_error)
{
	_cleanup_free_ char *error = NULL, *private_error = NULL;
	_cleanup_key_pair_ KeyPair pair;
	PublicKey key;
	int r, private_r;

	r = key_file_read_public(AT_FDCWD, public_path, &key, &error);
	if (r < 0 && access(public_path, F_OK) == 0) {
		*ret_error = TAKE_PTR(error);
		return r;
	}
	private_r = key_file_read_private(private_path, &pair, &private_error);
	if (r < 0 && private_r < 0) {
		*ret_error = TAKE_PTR(private_error);
		return private_r;
	}
	if (r == 0 && private_r == 0 && !secret_equal(&key, &pair.public_key, sizeof(key)))
		return error_set(ret_error, -EKEYREJECTED,
				 "%s does not belong to %s: remove it, it can be derived",
				 public_path, private_path);
	*ret_key = r == 0 ? key : pair.public_key;
	return 0;
}
