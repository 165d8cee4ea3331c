/* SPDX-License-Identifier: MIT */
#include "daemon/policy-layers.h"

#include <errno.h>
#include <string.h>

#include "daemon/kept-file.h"
#include "policy/grammar.h"
#include "policy/ini.h"
#include "util/error.h"
#include "util/parse.h"

#define POLICY_FILE "policy.conf"
#define GOOD_FILE   "last-good.conf"

static const char policy_head[] =
	"# Changed over D-Bus, for good. Written by spaled, read after every other file.\n";

/* Both have to be there: the file is whole, and ours. */
static const char good_head[] = "# The configuration that was in force last. Written by spaled, "
				"read where the files of the\n"
				"# administrator are unusable.\n";
static const char good_end[] = "# The end.\n";

/* The file's name in origins. */
#define TEMPORARY_ORIGIN "changed over D-Bus until reload or restart"

/* What was changed until reload or restart. */
typedef struct PolicyLayer {
	bool has_ports;
	PortList ports;
	bool has_log_only, log_only;
	PrefixList allowed;    /* besides those that are allowed for good */
	PrefixList disallowed; /* of those */
} PolicyLayer;

struct PolicyLayers {
	ConfigSources files;
	const Options *options; /* NULL: the last good configuration, which has them in it */
	ConfigSource permanent; /* policy.conf; text NULL: there is none */
	PolicyLayer *temporary;
	Config *lasting;
};

/* ---- objects ------------------------------------------------------------------------------- */

static void policy_layer_free(PolicyLayer *layer)
{
	if (!layer)
		return;
	port_list_done(&layer->ports);
	prefix_list_done(&layer->allowed);
	prefix_list_done(&layer->disallowed);
	free(layer);
}
DEFINE_CLEANUP(PolicyLayer, policy_layer_free)
#define _cleanup_policy_layer_ _cleanup_(policy_layer_freep)

void policy_proposal_done(PolicyProposal *proposal)
{
	policy_layer_free(proposal->temporary);
	free(proposal->permanent);
	config_free(proposal->lasting);
	config_free(proposal->config);
	*proposal = (PolicyProposal){0};
}

void policy_layers_free(PolicyLayers *layers)
{
	if (!layers)
		return;
	config_sources_done(&layers->files);
	free(layers->permanent.path);
	free(layers->permanent.text);
	policy_layer_free(layers->temporary);
	config_free(layers->lasting);
	free(layers);
}

/* ---- lists of prefixes --------------------------------------------------------------------- */

static size_t prefix_place(const PrefixList *list, const Prefix *prefix)
{
	size_t i = 0;

	while (i < list->count && prefix_compare(&list->items[i], prefix) != 0)
		i++;
	return i;
}

static bool prefix_is_in(const PrefixList *list, const Prefix *prefix)
{
	return prefix_place(list, prefix) < list->count;
}

static int prefix_add(PrefixList *list, const Prefix *prefix)
{
	Prefix *items;

	if (prefix_is_in(list, prefix))
		return 0;
	items = reallocarray(list->items, list->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count++] = *prefix;
	return 0;
}

static void prefix_remove(PrefixList *list, const Prefix *prefix)
{
	size_t i = prefix_place(list, prefix);

	if (i < list->count)
		list->items[i] = list->items[--list->count];
}

static int prefixes_copy(const PrefixList *list, PrefixList *ret_list)
{
	Prefix *items = calloc(list->count ?: 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	if (list->count > 0)
		memcpy(items, list->items, list->count * sizeof(*items));
	*ret_list = (PrefixList){items, list->count};
	return 0;
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/* The same for a sorted list, which can be long. */
static bool is_sorted_in(const PrefixList *list, const Prefix *prefix)
{
	return list->count > 0 &&
	       bsearch(prefix, list->items, list->count, sizeof(*prefix), compare_prefixes);
}

static bool config_allows(const Config *config, const Prefix *prefix)
{
	return is_sorted_in(&config->always_allow, prefix);
}

/* ---- texts --------------------------------------------------------------------------------- */

/* What a text is to say; a list as it is to be in the end. */
typedef struct Sayings {
	const PortList *ports; /* NULL: nothing */
	const bool *log_only;
	const Config *below;	   /* what the texts before it come to; NULL: nobody knows */
	const PrefixList *allowed; /* sorted */
} Sayings;

/*
 * AlwaysAllow= lines. Where nothing is taken away they add to what is there, so that what somebody
 * writes into a file later counts too.
 */
static bool print_allowed(FILE *stream, const Sayings *sayings)
{
	bool resets = !sayings->below;
	bool said;

	for (size_t i = 0; !resets && i < sayings->below->always_allow.count; i++)
		resets = !is_sorted_in(sayings->allowed, &sayings->below->always_allow.items[i]);
	if (resets)
		fputs("AlwaysAllow=\n", stream);
	said = resets;
	for (size_t i = 0; i < sayings->allowed->count; i++) {
		const Prefix *prefix = &sayings->allowed->items[i];
		char text[ADDRESS_TEXT_MAX];

		if (!resets && config_allows(sayings->below, prefix))
			continue;
		fprintf(stream, "AlwaysAllow=%s\n", prefix_format(prefix, text));
		said = true;
	}
	return said;
}

/* What SAYINGS come to, behind HEAD; *RET_TEXT is NULL where that is nothing. */
static int print_sayings(const char *head, const Sayings *sayings, char **ret_text,
			 size_t *ret_size)
{
	_cleanup_free_ char *text = NULL, *ports = NULL;
	_cleanup_fclose_ FILE *stream = NULL;
	size_t size;
	bool said;

	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	fprintf(stream, "%s[Protect]\n", head);
	if (sayings->ports) {
		ports = port_list_format(sayings->ports);
		if (!ports)
			return -ENOMEM;
		fprintf(stream, "Ports=\nPorts=%s\n", ports);
	}
	if (sayings->log_only)
		fprintf(stream, "LogOnly=%s\n", *sayings->log_only ? "yes" : "no");
	said = print_allowed(stream, sayings) || sayings->ports || sayings->log_only;
	if (fflush(stream) != 0)
		return -ENOMEM;
	fclose(TAKE_PTR(stream));
	*ret_size = said ? size : 0;
	*ret_text = said ? TAKE_PTR(text) : NULL;
	return 0;
}

/* ---- building ------------------------------------------------------------------------------ */

/* What the files say with PERMANENT and TEMPORARY (texts; NULL: none) behind them. */
static int build(const PolicyLayers *layers, const ConfigSource *permanent,
		 const ConfigSource *temporary, Diagnostics *diagnostics, Config **ret_config,
		 ConfigBuilder **ret_builder)
{
	ConfigSource extra[2];
	size_t count = 0;

	if (permanent && permanent->text)
		extra[count++] = *permanent;
	if (temporary && temporary->text)
		extra[count++] = *temporary;
	return config_sources_build(&layers->files, extra, count, layers->options, diagnostics,
				    ret_config, ret_builder);
}

/* With a sentence where it cannot be. */
static int build_or_say(const PolicyLayers *layers, const ConfigSource *permanent,
			const ConfigSource *temporary, Config **ret_config, char **ret_error)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	int r = build(layers, permanent, temporary, &diagnostics, ret_config, NULL);

	for (size_t i = 0; r == -EINVAL && i < diagnostics.count; i++)
		if (diagnostics.items[i].severity == SEVERITY_ERROR)
			return error_set(ret_error, r, "%s", diagnostics.items[i].text);
	return r < 0 ? error_set(ret_error, r, "%s", strerror(-r)) : 0;
}

static PolicyLayers *new_layers(const char *directory, const char *file)
{
	_cleanup_policy_layers_ PolicyLayers *layers = calloc(1, sizeof(*layers));

	if (!layers)
		return NULL;
	layers->temporary = calloc(1, sizeof(*layers->temporary));
	if (asprintf(&layers->permanent.path, "%s/%s", directory, file) < 0)
		layers->permanent.path = NULL;
	return layers->temporary && layers->permanent.path ? TAKE_PTR(layers) : NULL;
}

/* Moves the last file that was read to where policy.conf is kept. */
static void take_permanent(PolicyLayers *layers)
{
	free(layers->permanent.path);
	layers->permanent = layers->files.items[--layers->files.count];
}

int policy_layers_load(const Options *options, Diagnostics *diagnostics, PolicyLayers **ret_layers,
		       Config **ret_config, ConfigBuilder **ret_builder)
{
	_cleanup_free_ char *buffer = NULL;
	const char *directory = options_state_directory(options, &buffer);
	_cleanup_policy_layers_ PolicyLayers *layers = NULL;
	_cleanup_diagnostics_ Diagnostics again = {0};
	_cleanup_config_ Config *config = NULL;
	int r;

	layers = directory ? new_layers(directory, POLICY_FILE) : NULL;
	if (!layers)
		return -ENOMEM;
	layers->options = options;
	r = config_files_read(options, diagnostics, &layers->files);
	if (r < 0)
		return r;
	r = config_sources_add_file(&layers->files, layers->permanent.path, diagnostics);
	if (r == 0)
		take_permanent(layers);
	else if (r != -ENOENT)
		return r;
	r = build(layers, &layers->permanent, NULL, diagnostics, &config, ret_builder);
	if (r == 0)
		r = build(layers, &layers->permanent, NULL, &again, &layers->lasting, NULL);
	if (r < 0)
		return r;
	*ret_config = TAKE_PTR(config);
	*ret_layers = TAKE_PTR(layers);
	return 0;
}

/* Whether the text is all that policy_layers_save_good() wrote. */
static bool is_whole(const ConfigSource *good)
{
	size_t head = strlen(good_head), end = strlen(good_end);

	return good->size >= head + end && memcmp(good->text, good_head, head) == 0 &&
	       memcmp(good->text + good->size - end, good_end, end) == 0;
}

int policy_layers_load_good(const Options *options, Diagnostics *diagnostics,
			    PolicyLayers **ret_layers, Config **ret_config)
{
	_cleanup_free_ char *buffer = NULL;
	const char *directory = options_state_directory(options, &buffer);
	_cleanup_policy_layers_ PolicyLayers *layers = NULL;
	_cleanup_diagnostics_ Diagnostics again = {0};
	_cleanup_config_ Config *config = NULL;
	int r;

	layers = directory ? new_layers(directory, GOOD_FILE) : NULL;
	if (!layers)
		return -ENOMEM;
	layers->files.directory = strdup(directory);
	if (!layers->files.directory)
		return -ENOMEM;
	r = config_sources_add_file(&layers->files, layers->permanent.path, diagnostics);
	if (r < 0)
		return r;
	if (!is_whole(&layers->files.items[0])) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, layers->permanent.path,
				"is damaged, or not spaled's own, and is not used");
		return -EINVAL;
	}
	r = build(layers, NULL, NULL, diagnostics, &config, NULL);
	if (r == 0)
		r = build(layers, NULL, NULL, &again, &layers->lasting, NULL);
	if (r < 0)
		return r;
	*ret_config = TAKE_PTR(config);
	*ret_layers = TAKE_PTR(layers);
	return 0;
}

/* ---- changing ------------------------------------------------------------------------------ */

/* What policy.conf says besides AlwaysAllow=. */
typedef struct Permanent {
	bool has_ports, has_log_only, log_only;
} Permanent;

static int read_permanent(const IniLine *line, void *userdata)
{
	Permanent *permanent = userdata;

	if (strcmp(line->key, "Ports") == 0)
		permanent->has_ports = true;
	if (strcmp(line->key, "LogOnly") == 0 && parse_bool(line->value, &permanent->log_only) == 0)
		permanent->has_log_only = true;
	return 0;
}

static int copy_layer(const PolicyLayer *layer, PolicyLayer **ret_layer)
{
	_cleanup_policy_layer_ PolicyLayer *copy = calloc(1, sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *layer;
	copy->ports = PORT_LIST_NULL;
	copy->allowed = copy->disallowed = (PrefixList){0};
	r = port_list_copy(&layer->ports, &copy->ports);
	if (r == 0)
		r = prefixes_copy(&layer->allowed, &copy->allowed);
	if (r == 0)
		r = prefixes_copy(&layer->disallowed, &copy->disallowed);
	if (r < 0)
		return r;
	*ret_layer = TAKE_PTR(copy);
	return 0;
}

/* What policy.conf is to say after CHANGE. */
static int change_permanent(const PolicyLayers *layers, const PolicyChange *change,
			    PolicyProposal *proposal)
{
	_cleanup_(prefix_list_done) PrefixList allowed = {0};
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_config_ Config *below = NULL;
	Permanent permanent = {0};
	Sayings sayings = {.allowed = &allowed};
	int r = 0;

	if (layers->permanent.text)
		r = ini_parse(layers->permanent.path, layers->permanent.text,
			      layers->permanent.size, &diagnostics, read_permanent, &permanent);
	/* The files alone may be unusable: then the list is written down whole. */
	if (r == 0)
		r = build(layers, NULL, NULL, &diagnostics, &below, NULL);
	if (r == -ENOMEM)
		return r;
	r = prefixes_copy(&layers->lasting->always_allow, &allowed);
	if (r == 0 && change->allow)
		r = prefix_add(&allowed, change->allow);
	if (r < 0)
		return r;
	if (change->disallow)
		prefix_remove(&allowed, change->disallow);
	qsort(allowed.items, allowed.count, sizeof(*allowed.items), compare_prefixes);
	sayings.below = below;
	if (change->has_log_only)
		sayings.log_only = &change->log_only;
	else if (permanent.has_log_only)
		sayings.log_only = &permanent.log_only;
	if (change->ports)
		sayings.ports = change->ports;
	else if (permanent.has_ports)
		sayings.ports = &layers->lasting->protected_ports;
	proposal->writes = true;
	return print_sayings(policy_head, &sayings, &proposal->permanent,
			     &proposal->permanent_size);
}

/* What is changed until reload or restart, after CHANGE. */
static int change_temporary(const PolicyLayers *layers, const PolicyChange *change,
			    PolicyLayer *layer)
{
	/* What is changed for good counts, whatever was changed for a while. */
	if (change->has_log_only) {
		layer->has_log_only = !change->permanent;
		layer->log_only = change->log_only;
	}
	if (change->ports) {
		port_list_done(&layer->ports);
		layer->ports = PORT_LIST_NULL;
		layer->has_ports = !change->permanent;
		return change->permanent ? 0 : port_list_copy(change->ports, &layer->ports);
	}
	if (change->allow) {
		prefix_remove(&layer->disallowed, change->allow);
		if (!change->permanent && !config_allows(layers->lasting, change->allow))
			return prefix_add(&layer->allowed, change->allow);
		prefix_remove(&layer->allowed, change->allow);
	}
	if (change->disallow) {
		prefix_remove(&layer->allowed, change->disallow);
		if (!change->permanent && config_allows(layers->lasting, change->disallow))
			return prefix_add(&layer->disallowed, change->disallow);
		prefix_remove(&layer->disallowed, change->disallow);
	}
	return 0;
}

/* What LAYER says after LASTING, as a text. */
static int print_temporary(const PolicyLayer *layer, const Config *lasting, ConfigSource *source)
{
	_cleanup_(prefix_list_done) PrefixList allowed = {0};
	Sayings sayings = {.below = lasting, .allowed = &allowed};
	int r;

	r = prefixes_copy(&lasting->always_allow, &allowed);
	for (size_t i = 0; r == 0 && i < layer->allowed.count; i++)
		r = prefix_add(&allowed, &layer->allowed.items[i]);
	if (r < 0)
		return r;
	for (size_t i = 0; i < layer->disallowed.count; i++)
		prefix_remove(&allowed, &layer->disallowed.items[i]);
	qsort(allowed.items, allowed.count, sizeof(*allowed.items), compare_prefixes);
	if (layer->has_ports)
		sayings.ports = &layer->ports;
	if (layer->has_log_only)
		sayings.log_only = &layer->log_only;
	return print_sayings("", &sayings, &source->text, &source->size);
}

/* Whether CHANGE can be made at all. */
static int check_change(const PolicyLayers *layers, const PolicyChange *change, char **ret_error)
{
	const Config *lasting = layers->lasting;
	char text[ADDRESS_TEXT_MAX];

	if (!!change->ports + !!change->allow + !!change->disallow + change->has_log_only != 1)
		return error_set(ret_error, -EINVAL, "exactly one thing is changed at a time");
	if (change->permanent && !layers->options)
		return error_set(ret_error, -EROFS,
				 "the configuration's files are unusable and the last good one is "
				 "in force: repair them and reload before anything is changed for "
				 "good");
	if (change->disallow && !config_allows(lasting, change->disallow) &&
	    !prefix_is_in(&layers->temporary->allowed, change->disallow))
		return error_set(ret_error, -EADDRNOTAVAIL,
				 "%s is not in the list of what is always allowed",
				 prefix_format(change->disallow, text));
	if (change->allow &&
	    lasting->always_allow.count + layers->temporary->allowed.count >= CONFIG_PREFIXES_MAX)
		return error_set(ret_error, -E2BIG, "there are %d prefixes, and no more can be",
				 CONFIG_PREFIXES_MAX);
	return 0;
}

/* Whether the command line leaves CHANGE any effect. */
static int check_effect(const PolicyChange *change, const Config *config, char **ret_error)
{
	if (change->has_log_only && config->log_only != change->log_only)
		return error_set(ret_error, -EACCES,
				 "the daemon was started with -n, which beats everything else: "
				 "start it without");
	return 0;
}

int policy_layers_propose(const PolicyLayers *layers, const PolicyChange *change,
			  PolicyProposal *ret_proposal, char **ret_error)
{
	_cleanup_policy_proposal_ PolicyProposal proposal = {0};
	_cleanup_free_ char *text = NULL;
	ConfigSource permanent = layers->permanent;
	ConfigSource temporary = {.path = (char *)TEMPORARY_ORIGIN};
	int r;

	r = check_change(layers, change, ret_error);
	if (r < 0)
		return r;
	r = copy_layer(layers->temporary, &proposal.temporary);
	if (r == 0)
		r = change_temporary(layers, change, proposal.temporary);
	if (r == 0 && change->permanent)
		r = change_permanent(layers, change, &proposal);
	if (r < 0)
		return error_set(ret_error, r, "%s", strerror(-r));
	if (proposal.writes) {
		permanent.text = proposal.permanent;
		permanent.size = proposal.permanent_size;
	}
	r = build_or_say(layers, &permanent, NULL, &proposal.lasting, ret_error);
	if (r < 0)
		return r;
	r = print_temporary(proposal.temporary, proposal.lasting, &temporary);
	text = temporary.text;
	if (r < 0)
		return error_set(ret_error, r, "%s", strerror(-r));
	r = build_or_say(layers, &permanent, &temporary, &proposal.config, ret_error);
	if (r == 0)
		r = check_effect(change, proposal.config, ret_error);
	if (r < 0)
		return r;
	*ret_proposal = proposal;
	proposal = (PolicyProposal){0};
	return 0;
}

int policy_layers_write(const PolicyLayers *layers, const PolicyProposal *proposal, int dir_fd,
			const char **ret_why)
{
	const char *text = proposal ? proposal->permanent : layers->permanent.text;
	size_t size = proposal ? proposal->permanent_size : layers->permanent.size;

	return text ? kept_file_write(dir_fd, POLICY_FILE, text, size, ret_why)
		    : kept_file_remove(dir_fd, POLICY_FILE, ret_why);
}

void policy_layers_commit(PolicyLayers *layers, PolicyProposal *proposal)
{
	policy_layer_free(layers->temporary);
	layers->temporary = TAKE_PTR(proposal->temporary);
	config_free(layers->lasting);
	layers->lasting = TAKE_PTR(proposal->lasting);
	if (!proposal->writes)
		return;
	free(layers->permanent.text);
	layers->permanent.text = TAKE_PTR(proposal->permanent);
	layers->permanent.size = proposal->permanent_size;
}

const Config *policy_layers_lasting(const PolicyLayers *layers)
{
	return layers->lasting;
}

int policy_layers_save_good(const PolicyLayers *layers, int dir_fd, const char **ret_why)
{
	_cleanup_config_builder_ ConfigBuilder *builder = NULL;
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	_cleanup_free_ char *format = NULL, *text = NULL;
	_cleanup_config_ Config *config = NULL;
	int size, r;

	if (!layers->options)
		return 0;
	r = build(layers, &layers->permanent, NULL, &diagnostics, &config, &builder);
	if (r < 0)
		return r;
	format = config_builder_format(builder);
	if (!format)
		return -ENOMEM;
	size = asprintf(&text, "%s%s%s", good_head, format, good_end);
	if (size < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return kept_file_write(dir_fd, GOOD_FILE, text, (size_t)size, ret_why);
}
