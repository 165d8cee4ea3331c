/* SPDX-License-Identifier: MIT */
/*
 * Paths of objects: a grant's number, a client's or an interface's name behind a prefix
 * (spale/bus-names.h). Paths are untrusted.
 */
#pragma once

#include <stdint.h>

/* Room for any path of ours and NUL: each byte of a name can become three. */
#define PATHS_TEXT_MAX 256

/* The path of a grant, client or interface, into TEXT; returns TEXT. */
const char *paths_of_grant(uint64_t id, char text[static PATHS_TEXT_MAX]);
const char *paths_of_client(const char *name, char text[static PATHS_TEXT_MAX]);
const char *paths_of_interface(const char *name, char text[static PATHS_TEXT_MAX]);

/* What is behind PREFIX in PATH. Returns 0 or -ENOENT (it is no such path). */
int paths_read_id(const char *path, uint64_t *ret_id);
int paths_read_name(const char *path, const char *prefix, char text[static PATHS_TEXT_MAX]);
