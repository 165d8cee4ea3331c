/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <spale/bus-names.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "ctl/client.h"
#include "ctl/dialogue.h"
#include "ctl/grant.h"
#include "ctl/report.h"
#include "ctl/setup-steps.h"
#include "ctl/surroundings.h"
#include "ctl/text.h"
#include "ctl/verbs.h"
#include "util/address.h"
#include "util/parse.h"

/* How long the dialogue proposes to try. */
#define TRIAL_PROPOSAL "10min"

static int check_interface(const char *name)
{
	if (strlen(name) < IF_NAMESIZE && if_nametoindex(name) != 0)
		return 0;
	report_error("there is no interface '%s': 'ip link' shows them", name);
	return -EINVAL;
}

/* Each of these reads one answer, or the value of an option, into the plan: 0, or -EINVAL said. */
static int set_interface(SetupPlan *plan, const char *text)
{
	if (check_interface(text) < 0)
		return -EINVAL;
	snprintf(plan->interface, sizeof(plan->interface), "%s", text);
	return 0;
}

static int set_ports(SetupPlan *plan, const char *text)
{
	port_list_done(&plan->ports);
	if (options_ports("port", text, &plan->ports) < 0)
		return -EINVAL;
	if (plan->ports.count > 0)
		return 0;
	report_error("there have to be ports to protect");
	return -EINVAL;
}

static int set_knock_port(SetupPlan *plan, const char *text)
{
	uint32_t port;

	if (parse_u32(text, 1, UINT16_MAX, &port) < 0) {
		report_error("'%s' is not a port", text);
		return -EINVAL;
	}
	plan->knock_port = (uint16_t)port;
	return 0;
}

static int set_client(SetupPlan *plan, const char *text)
{
	if (client_check_name(text) < 0)
		return -EINVAL;
	snprintf(plan->client, sizeof(plan->client), "%s", text);
	return 0;
}

/* What spaled would refuse when everything else was done. */
static int check_source(const Prefix *source, const char *zone)
{
	bool is_ipv4 = address_is_ipv4(&source->address);
	int length = source->length - (is_ipv4 ? ADDRESS_IPV4_BITS : 0);
	char text[ADDRESS_TEXT_MAX];

	prefix_format(source, text);
	if (!address_can_send(&source->address))
		report_error("nobody comes from %s", text);
	else if (length < (is_ipv4 ? SPALE_PREFIX4_MIN : SPALE_PREFIX6_MIN))
		report_error("%s is too wide: no grant is wider than /%d", text,
			     is_ipv4 ? SPALE_PREFIX4_MIN : SPALE_PREFIX6_MIN);
	else if (zone && !address_is_link_local(&source->address))
		report_error("only a link-local address has an interface, and %s is none", text);
	else
		return zone ? check_interface(zone) : 0;
	return -EINVAL;
}

/* An empty one is none. A link-local one is at the interface that is closed, or at its own. */
static int set_address(SetupPlan *plan, const char *text)
{
	_cleanup_free_ char *address = NULL, *source = NULL, *own = NULL;
	const char *zone;
	Prefix prefix;

	if (*text && (grant_split_zone(text, &address, &own) < 0 ||
		      options_prefix("address", address, &source) < 0 ||
		      prefix_parse(source, &prefix) < 0 || check_source(&prefix, own) < 0))
		return -EINVAL;
	zone = own || !source || !address_is_link_local(&prefix.address) ? own : plan->interface;
	free(plan->address);
	plan->address = TAKE_PTR(source);
	snprintf(plan->zone, sizeof(plan->zone), "%s", zone ? zone : "");
	return 0;
}

/* What there is to know: an option, a question, and what to propose. */
typedef struct Item {
	OptionId id;
	const char *question;
	int (*set)(SetupPlan *plan, const char *text);
	char proposal[ADDRESS_TEXT_MAX + NAME_LENGTH_MAX];
	bool may_be_empty;
} Item;

enum { ITEM_INTERFACE, ITEM_PORTS, ITEM_KNOCK_PORT, ITEM_CLIENT, ITEM_ADDRESS, ITEM_COUNT };

static void propose(Item items[static ITEM_COUNT], const Origin *origin)
{
	char interface[IF_NAMESIZE], client[NAME_LENGTH_MAX + 1];
	uint16_t port;

	if (surroundings_find_interface(interface) == 0)
		snprintf(items[ITEM_INTERFACE].proposal, IF_NAMESIZE, "%s", interface);
	snprintf(items[ITEM_PORTS].proposal, sizeof(items[ITEM_PORTS].proposal), "%u/tcp",
		 origin->server_port ? origin->server_port : 22);
	if (surroundings_find_port(&port) == 0)
		snprintf(items[ITEM_KNOCK_PORT].proposal, sizeof(items[ITEM_KNOCK_PORT].proposal),
			 "%u", port);
	surroundings_find_name(client);
	snprintf(items[ITEM_CLIENT].proposal, sizeof(client), "%s", client);
	snprintf(items[ITEM_ADDRESS].proposal, sizeof(items[ITEM_ADDRESS].proposal), "%s%s%s",
		 origin->client, *origin->zone ? "%" : "", origin->zone);
}

/* Asks until the answer can be used. */
static int ask_item(SetupPlan *plan, const Item *item)
{
	for (;;) {
		_cleanup_free_ char *answer = dialogue_ask(item->question, item->proposal);

		if (!answer)
			return -ECANCELED;
		if (*answer || item->may_be_empty) {
			if (item->set(plan, answer) == 0)
				return 0;
		}
	}
}

/* Takes what options say, then proposals, which are asked for where ASK. */
static int fill_plan(const Options *options, bool ask, Item items[static ITEM_COUNT],
		     SetupPlan *plan)
{
	for (size_t i = 0; i < ITEM_COUNT; i++) {
		const Item *item = &items[i];
		const char *given = options->values[item->id];
		int r;

		if (item->id == OPTION_ADDRESS && options_has(options, OPTION_NO_GRANT))
			continue;
		if (given) {
			r = item->set(plan, given);
		} else if (ask) {
			r = ask_item(plan, item);
		} else if (*item->proposal || item->may_be_empty) {
			r = item->set(plan, item->proposal);
		} else {
			report_error("give --%s: it cannot be found out", options_name(item->id));
			r = -EINVAL;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Nobody is to lock himself out: without a grant nothing is dropped, unless that was asked for. */
static int choose_mode(const Options *options, bool ask, SetupPlan *plan)
{
	const char *trial = options->values[OPTION_TRIAL];
	_cleanup_free_ char *answer = NULL;

	plan->mode = plan->address || options_has(options, OPTION_NO_GRANT) ? SETUP_ENFORCE
									    : SETUP_LOG_ONLY;
	if (options_has(options, OPTION_LOG_ONLY)) {
		plan->mode = SETUP_LOG_ONLY;
		return 0;
	}
	while (ask && !trial) {
		free(answer);
		answer = dialogue_ask("Enforce for a trial of some time (such as " TRIAL_PROPOSAL
				      "), at once ('yes'), or not yet ('no')",
				      TRIAL_PROPOSAL);
		if (!answer)
			return -ECANCELED;
		if (strcasecmp(answer, "yes") == 0 || strcasecmp(answer, "no") == 0) {
			plan->mode =
				strcasecmp(answer, "yes") == 0 ? SETUP_ENFORCE : SETUP_LOG_ONLY;
			return 0;
		}
		if (options_trial("the time", answer, &plan->trial_seconds) == 0) {
			plan->mode = SETUP_TRIAL;
			return 0;
		}
	}
	if (trial) {
		plan->mode = SETUP_TRIAL;
		return options_trial("--trial", trial, &plan->trial_seconds);
	}
	return 0;
}

static int confirm_plan(const SetupPlan *plan)
{
	_cleanup_free_ char *ports = text_ports(&plan->ports);
	char duration[TEXT_TIME_MAX] = "";
	int r;

	if (plan->mode == SETUP_TRIAL)
		text_duration(plan->trial_seconds, duration);
	fprintf(stderr,
		"\nThis closes port %s of %s to everybody who did not knock at UDP port "
		"%u%s%s%s.\n",
		ports ? ports : "?", plan->interface, plan->knock_port,
		plan->mode == SETUP_TRIAL ? ", for a trial of " : "", duration,
		plan->mode == SETUP_LOG_ONLY ? "; not yet: at first it only counts" : "");
	if (plan->address)
		fprintf(stderr, "%s, where you come from, needs no knock for 24 hours.\n",
			plan->address);
	r = dialogue_agree("Shall it be done?", true);
	if (r > 0)
		return 0;
	report_error("nothing was done");
	return -ECANCELED;
}

static ExitCode carry_out(const SetupPlan *plan)
{
	ExitCode code = setup_write_files(plan);

	if (code == EXIT_CODE_DONE)
		code = setup_forget_changes(plan);
	if (code == EXIT_CODE_DONE)
		code = setup_start_service(plan);
	if (code == EXIT_CODE_DONE)
		code = setup_check_interface(plan);
	if (code == EXIT_CODE_DONE)
		code = setup_check_client(plan);
	if (code == EXIT_CODE_DONE)
		code = setup_add_grant(plan);
	return code == EXIT_CODE_DONE ? setup_enforce(plan) : code;
}

/* Where clients find this server, as well as that can be told from here. */
static const char *server_name(const Origin *origin, char name[static 256])
{
	if (*origin->server)
		return origin->server;
	if (gethostname(name, 256) < 0)
		return "HOST";
	name[255] = '\0';
	return name;
}

static ExitCode say_next(const Options *options, const SetupPlan *plan, const Origin *origin)
{
	static const char *const modes[] = {[SETUP_LOG_ONLY] = "log-only",
					    [SETUP_TRIAL] = "trial",
					    [SETUP_ENFORCE] = "enforcing"};
	_cleanup_record_ Record record = {0};
	_cleanup_free_ char *key_file = NULL;
	_cleanup_value_ Value ports = {.kind = VALUE_PORTS};
	char host[256];
	int r;

	if (asprintf(&key_file, "%s%s", plan->key_file ? plan->key_file : plan->client,
		     plan->key_file ? "" : ".key") < 0) {
		key_file = NULL;
		return bus_filled(-ENOMEM);
	}
	r = record_set_text(&record, "interface", plan->interface);
	if (r >= 0)
		r = port_list_copy(&plan->ports, &ports.ports);
	if (r >= 0)
		r = record_set(&record, "protected_ports", value_take(&ports));
	if (r >= 0)
		r = record_set_number(&record, "knock_port", plan->knock_port);
	if (r >= 0)
		r = record_set_text(&record, "client", plan->client);
	if (r >= 0)
		r = record_set_text(&record, "key_file", key_file);
	if (r >= 0)
		r = plan->address ? record_set_text(&record, "granted", plan->address)
				  : record_set(&record, "granted", (Value){0});
	if (r >= 0)
		r = record_set_text(&record, "state", modes[plan->mode]);
	if (r < 0)
		return bus_filled(r);
	if (options->output.json)
		return output_record(&options->output, NULL, 0, &record) < 0 ? EXIT_CODE_FAILED
									     : EXIT_CODE_DONE;
	printf("\nNext, on the client, with %s, over a channel that you trust:\n"
	       "  spale-send profile create myserver --host %s --port %u --key %s\n"
	       "  spale-send myserver\n"
	       "For its first minute spaled takes no knock: what was sent before its start cannot "
	       "be told from new.\n"
	       "%s'spalectl status' and 'spalectl monitor' show what happens.\n",
	       key_file, server_name(origin, host), plan->knock_port, key_file,
	       plan->mode == SETUP_LOG_ONLY
		       ? "When your knock was accepted, 'spalectl trial 10min' tries it for real; "
			 "then take LogOnly= out of the configuration.\n"
	       : plan->mode == SETUP_TRIAL ? "When that works: spalectl confirm\n"
					   : "");
	return output_flush() < 0 ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

/* Whether it may begin at all. */
static ExitCode check(const Options *options, bool ask, SetupPlan *plan)
{
	_cleanup_free_ char *drop_in = NULL;
	const char *configuration;

	if (geteuid() != 0) {
		report_error("only root can set spale up: sudo spalectl setup");
		return EXIT_CODE_NOT_AUTHORISED;
	}
	if (!ask && !options_has(options, OPTION_YES)) {
		report_error("without a terminal to ask on, 'setup' needs --yes");
		return EXIT_CODE_USAGE;
	}
	if (options_has(options, OPTION_LOG_ONLY) && options_has(options, OPTION_TRIAL)) {
		report_error("--trial enforces, and --log-only does not: one of them");
		return EXIT_CODE_USAGE;
	}
	if (options_has(options, OPTION_NO_GRANT) && options_has(options, OPTION_ADDRESS)) {
		report_error("--address gets a grant, and --no-grant gives none: one of them");
		return EXIT_CODE_USAGE;
	}
	drop_in = setup_find_drop_in();
	if (drop_in) {
		report_error("%s would change what 'setup' makes, and might enforce too early: "
			     "move it away, and back afterwards",
			     drop_in);
		return EXIT_CODE_FAILED;
	}
	plan->force = options_has(options, OPTION_FORCE);
	configuration = setup_find_configuration();
	if (!configuration || plan->force)
		return EXIT_CODE_DONE;
	if (ask && dialogue_agree("There is a configuration already. Replace it?", false) > 0) {
		plan->force = true;
		return EXIT_CODE_DONE;
	}
	report_error("%s exists: --force replaces it", configuration);
	return EXIT_CODE_FAILED;
}

ExitCode verb_setup(const Options *options)
{
	bool ask = dialogue_is_possible() && !options_has(options, OPTION_YES);
	_cleanup_setup_plan_ SetupPlan plan = {
		.key_file = options->values[OPTION_OUT],
		.quiet = options->output.json,
	};
	Item items[ITEM_COUNT] = {
		[ITEM_INTERFACE] = {OPTION_INTERFACE, "Interface that faces the network",
				    set_interface},
		[ITEM_PORTS] = {OPTION_PORT, "Ports to close", set_ports},
		[ITEM_KNOCK_PORT] = {OPTION_KNOCK_PORT, "UDP port for knocks", set_knock_port},
		[ITEM_CLIENT] = {OPTION_CLIENT, "Name of the first client", set_client},
		[ITEM_ADDRESS] = {OPTION_ADDRESS,
				  "Address that you come from (empty: no grant for it)",
				  set_address, .may_be_empty = true},
	};
	Origin origin = {0};
	ExitCode code;
	int r;

	code = check(options, ask, &plan);
	if (code != EXIT_CODE_DONE)
		return code;
	if (surroundings_find_origin(&origin) < 0 && !options_has(options, OPTION_ADDRESS) &&
	    !options_has(options, OPTION_NO_GRANT))
		report_warning("where you come from cannot be found out: at the machine itself "
			       "that does not matter, otherwise give --address");
	propose(items, &origin);
	r = fill_plan(options, ask, items, &plan);
	if (r >= 0)
		r = choose_mode(options, ask, &plan);
	if (r == -ECANCELED)
		report_error("nothing was done");
	if (r < 0)
		return r == -ECANCELED ? EXIT_CODE_FAILED : EXIT_CODE_USAGE;
	if (ask && confirm_plan(&plan) < 0)
		return EXIT_CODE_FAILED;
	code = carry_out(&plan);
	return code == EXIT_CODE_DONE ? say_next(options, &plan, &origin) : code;
}
