/* SPDX-License-Identifier: MIT */
/* The pager: $SPALE_PAGER, $PAGER, or less(1). */
#pragma once

/*
 * Shows TEXT in it, and returns when it ends: 0, or a negative errno when nothing was shown,
 * because there is none or an empty variable or "cat" says that none is wanted.
 */
int pager_show(const char *text);
