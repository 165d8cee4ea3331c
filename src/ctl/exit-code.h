/* SPDX-License-Identifier: MIT */
/* What spalectl returns, as its manual page has it. */
#pragma once

typedef enum ExitCode {
	EXIT_CODE_DONE = 0,
	EXIT_CODE_FAILED = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_NOT_RUNNING = 3, /* no system bus, or no spaled on it */
	EXIT_CODE_NOT_AUTHORISED = 4,
	EXIT_CODE_NOT_FOUND = 5, /* no such grant, client, interface or trial */
} ExitCode;
