/* SPDX-License-Identifier: MIT */
#include "policy/refusal.h"

static const struct {
	const char *name;
	const char *meaning;
} refusals[] = {
#define REFUSAL_ROW(name, text, meaning) [REFUSAL_##name] = {text, meaning},
	REFUSALS(REFUSAL_ROW)
#undef REFUSAL_ROW
};

_Static_assert(sizeof(refusals) / sizeof(refusals[0]) == REFUSAL_COUNT, "a row for each refusal");

const char *refusal_name(Refusal refusal)
{
	return refusals[refusal].name;
}

const char *refusal_meaning(Refusal refusal)
{
	return refusals[refusal].meaning;
}
