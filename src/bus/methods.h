/* SPDX-License-Identifier: MIT */
/*
 * What the methods of org.spale1.Manager do. Each is an sd_bus_message_handler_t whose userdata is
 * a BusContext, and is called for those who are authorised only (bus/filter.h).
 */
#pragma once

#include <systemd/sd-bus.h>

/* methods-grants.c */
int methods_add_grant(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_revoke_grant(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_revoke_client(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_revoke_all(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_list_grants(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);

/* methods-policy.c */
int methods_list_allowed(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_add_allowed(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_remove_allowed(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_set_ports(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_set_log_only(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_trial(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_confirm(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_reload(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);

/* methods-clients.c */
int methods_enroll_client(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_remove_client(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_list_limited(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int methods_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);

/* The setter of the property LogOnly. */
int methods_write_log_only(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *value, void *userdata,
			   sd_bus_error *ret_error);
