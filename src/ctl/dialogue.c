/* SPDX-License-Identifier: MIT */
#include "ctl/dialogue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/parse.h"

bool dialogue_is_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* A line of input without blanks around it. */
static char *read_line(void)
{
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0, size;

	if (getline(&line, &capacity, stdin) < 0) {
		fputc('\n', stderr);
		return NULL;
	}
	size = strlen(line);
	while (size > 0 && strchr(" \t\r\n", line[size - 1]))
		line[--size] = '\0';
	return strdup(line + strspn(line, " \t"));
}

char *dialogue_ask(const char *question, const char *proposal)
{
	char *answer;

	/* Results go to standard output, and nothing else. */
	if (*proposal)
		fprintf(stderr, "%s [%s]: ", question, proposal);
	else
		fprintf(stderr, "%s: ", question);
	answer = read_line();
	if (answer && !*answer) {
		free(answer);
		answer = strdup(proposal);
	}
	return answer;
}

int dialogue_agree(const char *question, bool proposal)
{
	for (;;) {
		_cleanup_free_ char *answer = NULL;
		bool agreed;

		fprintf(stderr, "%s [%s] ", question, proposal ? "Y/n" : "y/N");
		answer = read_line();
		if (!answer)
			return -ECANCELED;
		if (!*answer)
			return proposal;
		if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "n") == 0)
			return strcasecmp(answer, "y") == 0;
		if (parse_bool(answer, &agreed) == 0)
			return agreed;
	}
}
