/* SPDX-License-Identifier: MIT */
/* What administrators ask of a manager, and an observer that hears of it. */
#pragma once

#include <errno.h>

#include "daemon/manager-requests.h"
#include "manager-world.h"

#define CALLER "uid=0 pid=1 name=:1.2"

/* What an observer heard. */
typedef struct Heard {
	size_t added, changed, removed, reloaded, policies;
	GrantEnd end;
	size_t ports; /* of the last grant that was removed */
} Heard;

static inline void on_added(void *userdata, const Grant *grant)
{
	(void)grant;
	((Heard *)userdata)->added++;
}

static inline void on_changed(void *userdata, const Grant *grant)
{
	(void)grant;
	((Heard *)userdata)->changed++;
}

static inline void on_removed(void *userdata, const Grant *grant, GrantEnd end)
{
	Heard *heard = userdata;

	heard->removed++;
	heard->end = end;
	heard->ports = port_list_ports(&grant->ports);
}

static inline void on_reloaded(void *userdata, bool failed)
{
	((Heard *)userdata)->reloaded += !failed;
}

static inline void on_policy(void *userdata)
{
	((Heard *)userdata)->policies++;
}

static inline ManagerObserver listener(Heard *heard)
{
	return (ManagerObserver){
		.grant_added = on_added,
		.grant_changed = on_changed,
		.grant_removed = on_removed,
		.reloaded = on_reloaded,
		.policy_changed = on_policy,
		.userdata = heard,
	};
}

static inline Prefix prefix(const char *text)
{
	Prefix result;

	assert_int_equal(prefix_parse(text, &result), 0);
	return result;
}

static inline PortList ports(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	PortList list = PORT_LIST_NULL;
	char *rest = copy, *item;

	while ((item = strsep(&rest, " ")))
		assert_int_equal(port_list_add_text(&list, item), 0);
	return list;
}

static inline int add(Fixture *fixture, const GrantRequest *request, uint64_t *ret_id)
{
	_cleanup_free_ char *error = NULL;
	uint64_t id = 0;
	int r = manager_add_grant(fixture->manager, request, CALLER, &id, &error);

	assert_true((r < 0) == (error != NULL));
	if (ret_id)
		*ret_id = id;
	return r;
}

static inline int add_source(Fixture *fixture, const char *source, const char *port_text)
{
	_cleanup_port_list_ PortList list = port_text ? ports(port_text) : PORT_LIST_NULL;
	const GrantRequest request = {.source = prefix(source), .ports = &list};

	return add(fixture, &request, NULL);
}

static inline const Grant *first_grant(const Fixture *fixture)
{
	return grant_table_get(manager_grants(fixture->manager), 0);
}

static inline int revoke_source(Fixture *fixture, const char *source, const char *port_text,
				size_t *ret_count)
{
	_cleanup_port_list_ PortList list = port_text ? ports(port_text) : PORT_LIST_NULL;
	_cleanup_free_ char *error = NULL;
	const Prefix from = prefix(source);

	return manager_revoke_grants(fixture->manager, &from, &list, CALLER, ret_count, &error);
}

/* A conversation of this host. */
static inline void hold(Fixture *fixture, const char *source, uint16_t port)
{
	EnforcerSession *session = &fixture->fake->sessions[fixture->fake->session_count++];

	*session = (EnforcerSession){.protocol = 6, .port = port};
	assert_int_equal(address_parse(source, &session->source), 0);
}
