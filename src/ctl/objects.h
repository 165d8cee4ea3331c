/* SPDX-License-Identifier: MIT */
/*
 * spaled's objects as records. Fields have the names of properties in snake_case; a record of a
 * grant has "id", its number, too. What goes wrong is reported.
 */
#pragma once

#include "ctl/bus.h"

/* org.spale1.Manager. */
ExitCode objects_manager(sd_bus *bus, Record *record);

/* The interface NAME. */
ExitCode objects_interface(sd_bus *bus, const char *name, Record *record);

/* All interfaces that are attached to, or are to be. */
ExitCode objects_interfaces(sd_bus *bus, RecordList *list);

/* The client NAME; who is like it is suggested where it does not exist. */
ExitCode objects_client(sd_bus *bus, const char *name, Record *record);

/* All clients, by name. */
ExitCode objects_clients(sd_bus *bus, RecordList *list);

/* What is given has to be true of a grant; NULL: anything. */
typedef struct GrantFilter {
	const char *client, *source, *origin;
} GrantFilter;

/* Grants in the order of their numbers, read page by page. */
ExitCode objects_grants(sd_bus *bus, const GrantFilter *filter, RecordList *list);

/* Whether ERROR says that there is no such client. */
bool objects_is_missing_client(const sd_bus_error *error);

/* Says that there is no client NAME, and who may be meant; returns what is right for that. */
ExitCode objects_no_such_client(sd_bus *bus, const char *name);

/* The path of a client by its name, that the caller frees. NULL: no memory. */
char *objects_client_path(const char *name);
