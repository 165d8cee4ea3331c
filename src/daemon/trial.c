/* SPDX-License-Identifier: MIT */
#include "daemon/trial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/kept-file.h"
#include "policy/ini.h"
#include "util/file.h"

#define FILE_NAME     "trial.conf"
#define FILE_TEXT_MAX 512

/* What the file says. */
typedef struct Reading {
	Trial trial;
	bool has_until, has_length, is_over;
} Reading;

static int read_line(const IniLine *line, void *userdata)
{
	Reading *reading = userdata;

	if (strcmp(line->key, "UntilUSec") == 0)
		reading->has_until =
			parse_u64(line->value, 0, UINT64_MAX, &reading->trial.until_real_usec) == 0;
	else if (strcmp(line->key, "LengthNSec") == 0)
		reading->has_length = parse_u64(line->value, TRIAL_MIN_NS, TRIAL_MAX_NS,
						&reading->trial.length_ns) == 0;
	else if (strcmp(line->key, "Over") != 0 || parse_bool(line->value, &reading->is_over) < 0)
		return -EBADMSG;
	return 0;
}

static int read_file(int dir_fd, Diagnostics *diagnostics, Reading *reading)
{
	_cleanup_free_ char *text = NULL;
	size_t errors = diagnostics->errors, size;
	int r;

	r = file_read(dir_fd, FILE_NAME, FILE_TEXT_MAX, &text, &size);
	if (r == 0)
		r = ini_parse(FILE_NAME, text, size, diagnostics, read_line, reading);
	if (r == 0 && (diagnostics->errors > errors || !reading->has_until || !reading->has_length))
		r = -EBADMSG;
	return r;
}

Trial trial_load(int dir_fd, uint64_t now_mono_ns, uint64_t now_real_usec, Diagnostics *diagnostics)
{
	Reading reading = {.is_over = false};
	Trial *trial = &reading.trial;
	uint64_t left_ns;
	int r;

	r = read_file(dir_fd, diagnostics, &reading);
	if (r < 0) {
		if (r != -ENOENT)
			diagnostics_add(diagnostics, SEVERITY_ERROR, FILE_NAME,
					"what it says of a trial cannot be read, so there is none: "
					"%s",
					strerror(-r));
		return (Trial){.state = TRIAL_NONE};
	}
	trial->state =
		reading.is_over || trial->until_real_usec <= now_real_usec ? TRIAL_OVER : TRIAL_ON;
	if (trial->state == TRIAL_OVER)
		return *trial;
	left_ns = trial->length_ns;
	if (trial->until_real_usec - now_real_usec < left_ns / NSEC_PER_USEC)
		left_ns = (trial->until_real_usec - now_real_usec) * NSEC_PER_USEC;
	trial->until_real_usec = now_real_usec + left_ns / NSEC_PER_USEC;
	trial->end_mono_ns = now_mono_ns + left_ns;
	return *trial;
}

int trial_write(const Trial *trial, int dir_fd, const char **ret_why)
{
	char text[FILE_TEXT_MAX];
	int size;

	if (trial->state == TRIAL_NONE)
		return kept_file_remove(dir_fd, FILE_NAME, ret_why);
	size = snprintf(text, sizeof(text),
			"# A trial of enforcing. Written by spaled.\n[Trial]\n"
			"UntilUSec=%" PRIu64 "\nLengthNSec=%" PRIu64 "\nOver=%s\n",
			trial->until_real_usec, trial->length_ns,
			trial->state == TRIAL_OVER ? "yes" : "no");
	return kept_file_write(dir_fd, FILE_NAME, text, (size_t)size, ret_why);
}

void trial_apply(const Trial *trial, Config *config)
{
	switch (trial->state) {
	case TRIAL_NONE:
		config->trial_end_mono_ns = 0;
		return;
	case TRIAL_ON:
		config->log_only = false;
		config->trial_end_mono_ns = trial->end_mono_ns;
		return;
	case TRIAL_OVER:
		config->log_only = true;
		config->trial_end_mono_ns = 0;
		return;
	}
}
