/* SPDX-License-Identifier: MIT */
#include "policy/decide.h"

#include <errno.h>

void decision_done(Decision *decision)
{
	port_list_done(&decision->ports);
	port_list_done(&decision->asked);
}

Refusal decide_client(const Client *client, uint64_t now_real_usec)
{
	if (!client->enabled)
		return REFUSAL_CLIENT_DISABLED;
	if (now_real_usec < client->not_before_real_usec ||
	    now_real_usec >= client->not_after_real_usec)
		return REFUSAL_CLIENT_DATES;
	return REFUSAL_NONE;
}

static bool source_is_allowed(const Client *client, const Address *source)
{
	if (!client->has_allowed_sources)
		return true;
	for (size_t i = 0; i < client->allowed_sources.count; i++) {
		if (prefix_contains(&client->allowed_sources.items[i], source))
			return true;
	}
	return false;
}

/* The protected ports that CLIENT may open and asks for. Returns 0, -E2BIG or -ENOMEM. */
static int filter_ports(const Config *config, const Client *client, const PortList *asked,
			PortList *ret_ports)
{
	_cleanup_port_list_ PortList allowed = PORT_LIST_NULL;
	int r;

	if (client->has_ports)
		r = port_list_intersect(&config->protected_ports, &client->ports, &allowed);
	else
		r = port_list_copy(&config->protected_ports, &allowed);
	if (r < 0)
		return r;
	if (asked)
		return port_list_intersect(&allowed, asked, ret_ports);
	*ret_ports = allowed;
	allowed = PORT_LIST_NULL;
	return 0;
}

static Refusal judge_count(const PortList *ports)
{
	if (ports->count == 0)
		return REFUSAL_NO_PORTS;
	return port_list_ports(ports) > GRANT_PORTS_MAX ? REFUSAL_TOO_MANY_PORTS : REFUSAL_NONE;
}

int decide_ports(const Config *config, const PortList *asked, PortList *ret_ports)
{
	static const Client anybody = {.enabled = true};
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL;
	Refusal refusal;
	int r = filter_ports(config, &anybody, asked, &ports);

	if (r < 0)
		return r == -E2BIG ? (int)REFUSAL_TOO_MANY_PORTS : r;
	refusal = judge_count(&ports);
	if (refusal != REFUSAL_NONE)
		return (int)refusal;
	*ret_ports = ports;
	ports = PORT_LIST_NULL;
	return REFUSAL_NONE;
}

static Prefix source_prefix(const Config *config, const Address *source)
{
	uint8_t length = config->prefix6;

	if (address_is_ipv4(source))
		length = (uint8_t)(ADDRESS_IPV4_BITS + config->prefix4);
	return (Prefix){.address = address_mask(source, length), .length = length};
}

int decide(const Config *config, const Client *client, const Request *request,
	   Decision *ret_decision)
{
	_cleanup_port_list_ PortList ports = PORT_LIST_NULL, asked = PORT_LIST_NULL;
	Refusal refusal = decide_client(client, request->now_real_usec);
	int r;

	if (refusal != REFUSAL_NONE)
		return refusal;
	if (!source_is_allowed(client, &request->source))
		return REFUSAL_SOURCE;
	r = filter_ports(config, client, request->ports, &ports);
	if (r == -E2BIG)
		return REFUSAL_TOO_MANY_PORTS;
	if (r < 0)
		return r;
	refusal = judge_count(&ports);
	if (refusal != REFUSAL_NONE)
		return (int)refusal;
	if (request->ports) {
		r = port_list_copy(request->ports, &asked);
		if (r < 0)
			return r;
	}

	*ret_decision = (Decision){
		.source = source_prefix(config, &request->source),
		.address = request->source,
		.ifindex = address_is_link_local(&request->source) ? request->ifindex : 0,
		.ports = ports,
		.has_asked = request->ports,
		.asked = asked,
		.idle_ns = client->has_idle ? client->idle_ns : config->idle_ns,
		.grace_ns = client->has_grace ? client->grace_ns : config->grace_ns,
		.lifetime_ns = client->has_lifetime ? client->lifetime_ns : config->lifetime_ns,
	};
	ports = PORT_LIST_NULL;
	asked = PORT_LIST_NULL;
	return REFUSAL_NONE;
}
