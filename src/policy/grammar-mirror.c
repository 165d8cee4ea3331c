/* SPDX-License-Identifier: MIT */
#include "policy/grammar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Families whose tables can hold sets that rules about addresses use. */
static const char *const families[] = {"inet", "ip", "ip6", "netdev", "bridge"};

/* What nft(8) takes for a name without quotes. */
static bool is_name(const char *text)
{
	if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", *text) || !*text)
		return false;
	for (const char *p = text; *p; p++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./",
			    *p))
			return false;
	}
	return strlen(text) <= MIRROR_NAME_MAX;
}

static int read_family(const char *text, MirrorTarget *target, const char **ret_problem)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		if (strcmp(text, families[i]) == 0) {
			snprintf(target->family, sizeof(target->family), "%s", text);
			return 0;
		}
	}
	*ret_problem = "the family is inet, ip, ip6, netdev or bridge";
	return -EINVAL;
}

static int read_names(const char *text, MirrorTarget *target, const char **ret_problem)
{
	char *const names[] = {target->table, target->set4, target->set6};
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *word;
	size_t count = 0;

	if (!copy)
		return -ENOMEM;
	while ((word = strsep(&rest, " \t"))) {
		if (*word == '\0')
			continue;
		if (count == 0) {
			if (read_family(word, target, ret_problem) < 0)
				return -EINVAL;
		} else if (count > ARRAY_SIZE(names) || !is_name(word)) {
			return -EINVAL;
		} else {
			snprintf(names[count - 1], MIRROR_NAME_MAX + 1, "%s", word);
		}
		count++;
	}
	if (count != 1 + ARRAY_SIZE(names))
		return -EINVAL;
	if (strcmp(target->set4, target->set6) == 0) {
		*ret_problem = "a set holds addresses of one family";
		return -EINVAL;
	}
	return 0;
}

static int read_mirror(const GrammarKey *key, void *object, const char *text,
		       const char **ret_problem)
{
	MirrorTarget target = {.mode = MIRROR_SETS};
	int r = 0;

	if (strcasecmp(text, "no") == 0)
		target.mode = MIRROR_NO;
	else if (strcasecmp(text, "own") == 0)
		target.mode = MIRROR_OWN;
	else
		r = read_names(text, &target, ret_problem);
	if (r < 0)
		return r;
	if (!SPALE_NFTABLES && target.mode != MIRROR_NO) {
		*ret_problem = "this spaled was built without support for nftables";
		return -EINVAL;
	}
	*(MirrorTarget *)((char *)object + key->offset) = target;
	return 0;
}

const GrammarType grammar_mirror = {.read = read_mirror};
