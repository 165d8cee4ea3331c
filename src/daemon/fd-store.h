/* SPDX-License-Identifier: MIT */
/*
 * The service manager's file-descriptor store: what is there stays open while no spaled runs, and
 * is handed to the next one. An EnforcerStore.
 *
 * Names tell descriptors apart, for their order is not kept.
 */
#pragma once

#include "enforce/enforcer.h"
#include "util/cleanup.h"

typedef struct FdStore FdStore;

/*
 * Takes what the service manager has handed over ($LISTEN_FDS). *RET_STORE is NULL where there is
 * no service manager ($NOTIFY_SOCKET). Returns 0 or a negative errno.
 */
int fd_store_new(FdStore **ret_store);
void fd_store_free(FdStore *store);
DEFINE_CLEANUP(FdStore, fd_store_free)

/* Owned by STORE; NULL if that is. */
const EnforcerStore *fd_store_for_enforcer(const FdStore *store);

/* Whether anything was handed over. */
bool fd_store_has_heritage(const FdStore *store);

/*
 * Keeps in mind, for the next start, that this one has failed. Returns whether the one before has,
 * too: the service manager tries again by itself. NULL is fine.
 */
bool fd_store_note_failure(FdStore *store);

/* Forgets that. */
void fd_store_note_success(FdStore *store);

/* Has the service manager let go of what nobody took. NULL is fine. */
void fd_store_give_up(FdStore *store);

/* Waits until the service manager has got everything. 0 or a negative errno. */
int fd_store_settle(const FdStore *store);
