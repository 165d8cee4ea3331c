/* SPDX-License-Identifier: MIT */
/*
 * Who keeps the kernel objects while no spaled runs: the service manager's store, pins (Pin=), both
 * of them, nobody; or another loader, who made them (External=).
 */
#pragma once

#include "daemon/fd-store.h"
#include "enforce/pins.h"
#include "policy/config.h"

typedef struct Keeper {
	FdStore *fds; /* NULL: by hand */
	Pins *pins;   /* NULL: none */
	bool is_external;
	bool goes_unpinned; /* though there should be pins */
} Keeper;

void keeper_done(Keeper *self);
#define _cleanup_keeper_ _cleanup_(keeper_done)

/*
 * Opens the pins that CONFIG wants; a service whose pins cannot be opened has to do without.
 * Returns 0 or a negative errno. What fails is logged.
 */
int keeper_open(Keeper *self, const Config *config);

/* What is wrong since then, as a sentence; or NULL. */
const char *keeper_problem(const Keeper *self);

/* Owned by the keeper; NULL: nobody keeps anything. */
const EnforcerStore *keeper_store(const Keeper *self);

/* Everything is up: from here on what is kept stays in force, however this process ends. */
void keeper_hold(Keeper *self);

/* This process ends because it was told to: by hand that takes everything along. */
void keeper_let_go(Keeper *self);

/* What is protected after an end in good order, for people. */
const char *keeper_last_words(const Keeper *self);
