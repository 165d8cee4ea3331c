/* SPDX-License-Identifier: MIT */
/*
 * What callers ask for, read from the arguments of their calls: once before they are authorised, to
 * know what to ask polkit, and once by the handler afterwards. Arguments are untrusted.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager-requests.h"

/* AddGrant. The request is without its ports, and lives as long as the message. */
typedef struct AddGrantCall {
	GrantRequest request;
	PortList ports;
} AddGrantCall;

void add_grant_call_done(AddGrantCall *call);
#define _cleanup_add_grant_call_ _cleanup_(add_grant_call_done)

/* The arguments of AddGrant: "sa(sqq)a{sv}". */
int requests_read_add_grant(sd_bus_message *call, AddGrantCall *ret_call, sd_bus_error *ret_error);

/* "a{sv}" with nothing but "permanent". */
int requests_read_permanent(sd_bus_message *call, bool *ret_permanent, sd_bus_error *ret_error);

/* Settings of a client as spale.conf(5) writes them. */
#define CLIENT_SETTINGS_MAX 16

typedef struct ClientSettings {
	ClientSetting items[CLIENT_SETTINGS_MAX]; /* values are owned */
	size_t count;
} ClientSettings;

void client_settings_done(ClientSettings *settings);
#define _cleanup_client_settings_ _cleanup_(client_settings_done)

/* "a{sv}" with a client's settings; ENROLL: "Enabled" is one, too. */
int requests_read_settings(sd_bus_message *call, bool enroll, ClientSettings *ret_settings,
			   sd_bus_error *ret_error);

/* "s": a client's name. */
int requests_read_name(sd_bus_message *call, const char **ret_name, sd_bus_error *ret_error);

/* "s": a public key in PEM, or its 32 bytes in base64. */
int requests_read_key(sd_bus_message *call, PublicKey *ret_key, sd_bus_error *ret_error);

/* A filter of ListGrants; NULL and false: any. */
typedef struct GrantFilter {
	const char *client, *origin;
	bool has_source;
	Prefix source;
} GrantFilter;

/* "a{sv}": the filter of ListGrants. */
int requests_read_filter(sd_bus_message *call, GrantFilter *ret_filter, sd_bus_error *ret_error);
