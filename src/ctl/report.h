/* SPDX-License-Identifier: MIT */
/*
 * What spalectl tells people besides its results: one line each on standard error. Control
 * characters in what others said are escaped.
 */
#pragma once

/* What went wrong, and what to do about it. */
void __attribute__((format(printf, 1, 2))) report_error(const char *format, ...);

/* What is odd, but does not stop the work. */
void __attribute__((format(printf, 1, 2))) report_warning(const char *format, ...);
