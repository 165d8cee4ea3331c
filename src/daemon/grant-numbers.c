/* SPDX-License-Identifier: MIT */
#include "daemon/grant-numbers.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/kept-file.h"
#include "util/file.h"
#include "util/parse.h"

#define FILE_NAME "grant-number"

/* Room for a number, a newline and a NUL. */
#define TEXT_MAX 24

/* How many are reserved at a time: one write to the disk for as many grants. */
#define BLOCK 1000

static int read_number(const State *state, uint64_t *ret_number)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = file_read(state_directory_fd(state), FILE_NAME, TEXT_MAX, &text, &size);
	if (r < 0)
		return r;
	if (size == 0 || strlen(text) != size || text[size - 1] != '\n')
		return -EBADMSG;
	text[size - 1] = '\0';
	return parse_u64(text, 0, UINT64_MAX - BLOCK, ret_number) < 0 ? -EBADMSG : 0;
}

void grant_numbers_begin(GrantNumbers *self, State *state, GrantTable *table)
{
	uint64_t number = 0;
	int r;

	*self = (GrantNumbers){.state = state, .told = state_problem(state)};
	r = self->told ? -ENOENT : read_number(state, &number);
	if (r < 0 && r != -ENOENT)
		journal_line(LOG_LEVEL_WARNING,
			     "%s in the state directory cannot be used, grants are numbered from "
			     "1: %s",
			     FILE_NAME, strerror(-r));
	grant_table_skip_numbers(table, number);
	self->reserved = number;
}

void grant_numbers_reserve(GrantNumbers *self, const GrantTable *table)
{
	uint64_t last = grant_table_last_number(table);
	char text[TEXT_MAX];
	const char *why = NULL;
	int r, size;

	if (last < self->reserved)
		return;
	size = snprintf(text, sizeof(text), "%" PRIu64 "\n", last + BLOCK);
	r = kept_file_write(state_directory_fd(self->state), FILE_NAME, text, (size_t)size, &why);
	if (r < 0) {
		if (!self->told)
			journal_line(LOG_LEVEL_WARNING,
				     "%s cannot be written to the state directory, numbers of "
				     "grants may come again after a restart: %s",
				     FILE_NAME, why ?: strerror(-r));
		self->told = true;
		return;
	}
	self->told = false;
	self->reserved = last + BLOCK;
}
