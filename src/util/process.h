/* SPDX-License-Identifier: MIT */
/*
 * What a program that holds keys does to its own process before it reads them.
 */
#pragma once

/*
 * No core dumps, and no reading of this process's memory by others of the same user: keys stay in
 * it. Returns 0 or a negative errno.
 */
int process_forbid_dumps(void);
