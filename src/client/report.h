/* SPDX-License-Identifier: MIT */
/*
 * What spale-send tells people: one line each on standard error, for standard output belongs to
 * whoever uses it in a ProxyCommand. Never anything secret; control characters are escaped, for
 * what is quoted may be somebody else's.
 */
#pragma once

#include <stdbool.h>

/* Whether report_detail() says anything; it does not until asked to. */
void report_set_verbose(bool verbose);

/* What went wrong, and what to do about it. */
void __attribute__((format(printf, 1, 2))) report_error(const char *format, ...);

/* What is odd, but does not stop the work. */
void __attribute__((format(printf, 1, 2))) report_warning(const char *format, ...);

/* Whether all of standard output could be written: 0, or -EIO, reported. */
int report_flush(void);

/* What was done; with -v only. */
void __attribute__((format(printf, 1, 2))) report_detail(const char *format, ...);
