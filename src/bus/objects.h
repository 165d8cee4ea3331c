/* SPDX-License-Identifier: MIT */
/*
 * What the objects on the bus have in common: their types, and signals about them as
 * org.freedesktop.DBus.Properties and .ObjectManager have them.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "bus/context.h"

typedef struct ObjectType {
	const char *interface;
	const char *prefix; /* of their paths, or the only path */
	const sd_bus_vtable *vtable;
	sd_bus_object_find_t find; /* NULL: the object of this path */
	sd_bus_node_enumerator_t enumerate;
} ObjectType;

extern const ObjectType manager_object_type;
extern const ObjectType grant_object_type;
extern const ObjectType client_object_type;
extern const ObjectType interface_object_type;

/* Has the objects of TYPE answer on the bus. Returns 0 or a negative errno. */
int objects_add(BusContext *context, const ObjectType *type);

/*
 * Whether calls to PATH can be left to sd-bus: 0, or a negative errno with *RET_ERROR set when the
 * object of this path is none that there is. sd-bus itself has names for some of those calls only.
 */
int objects_check(BusContext *context, const char *path, sd_bus_error *ret_error);

/*
 * Appends one entry of an "a{oa{sa{sv}}}": the object of PATH, or nothing where there is none any
 * more. Returns 0 or a negative errno.
 */
int objects_append_managed(BusContext *context, sd_bus_message *message, const ObjectType *type,
			   const char *path);

/* Tells who listens that the object of PATH is there, with all its properties. */
void objects_tell_added(BusContext *context, const ObjectType *type, const char *path);

/* The same when it is gone. */
void objects_tell_removed(BusContext *context, const ObjectType *type, const char *path);

/*
 * Tells that these COUNT properties have changed (NULL: all that are told at all, but for constant
 * ones).
 */
void objects_tell_changed(BusContext *context, const ObjectType *type, const char *path,
			  const char *const *names, size_t count);

/* Frees paths that an enumerator has made. */
void objects_free_nodes(char **nodes);
