/* SPDX-License-Identifier: MIT */
/*
 * What went wrong, as a sentence for people beside the number: for functions whose callers print
 * it.
 */
#pragma once

/*
 * Sets *RET_ERROR to the sentence, which the caller frees (NULL where memory is out), and returns
 * ERROR, a negative errno. RET_ERROR may be NULL: nobody wants to know.
 */
int error_set(char **ret_error, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
