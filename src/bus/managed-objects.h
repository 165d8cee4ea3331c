/* SPDX-License-Identifier: MIT */
/*
 * GetManagedObjects of org.freedesktop.DBus.ObjectManager, in pieces: with thousands of objects its
 * answer takes longer than a knock may wait. What comes and goes meanwhile is in the answer or not.
 */
#pragma once

#include "bus/context.h"

typedef struct ManagedObjects ManagedObjects;

/* Makes answers for CONTEXT, which is borrowed. 0 or a negative errno. */
int managed_objects_new(BusContext *context, ManagedObjects **ret_objects);
void managed_objects_free(ManagedObjects *objects);
DEFINE_CLEANUP(ManagedObjects, managed_objects_free)

/*
 * A FilterPassed whose userdata are the ManagedObjects: 1 if CALL, which is authorised, is one for
 * them, and is going to be answered; 0 if it is not, or a negative errno with *RET_ERROR set.
 */
int managed_objects_take(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
