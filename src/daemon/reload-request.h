/* SPDX-License-Identifier: MIT */
/*
 * "spaled --reload PID": has a running daemon reload, and learns how that ended. A plain SIGHUP
 * does the same without an answer.
 *
 * The request is a SIGHUP, the answer a SIGUSR1, both queued with a value (sigqueue(3)): so there
 * is no socket and no file, and the kernel says who sent what. The service's ExecReload= needs it,
 * for service managers before version 253 take a reload for done when ExecReload= is, and all of
 * them ask nothing but that command whether it failed.
 */
#pragma once

#include <sys/types.h>

struct signalfd_siginfo;

/*
 * Asks the daemon PID and waits for its answer. Both have to be of one user. Returns 0 (reloaded),
 * what went wrong in the daemon as negative errno, or -ESRCH (there is no such process, or it
 * ended), -EPERM (it belongs to somebody else), -ETIMEDOUT (no answer; it may not be a spaled).
 */
int reload_request_send(pid_t pid);

/* The daemon's side: answers the SIGHUP described by INFO, if its sender asked for an answer. */
void reload_request_answer(const struct signalfd_siginfo *info, int result);
