/* SPDX-License-Identifier: MIT */
#include "daemon/interfaces.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/interfaces-wanted.h"
#include "daemon/journal.h"
#include "util/parse.h"

/* What cannot be attached is tried again after this time, then after twice as long, and so on. */
#define RETRY_FIRST_NS NSEC_PER_SEC
#define RETRY_LAST_NS  (60 * NSEC_PER_SEC)

/* Interfaces get their addresses one by one: what is uncovered is told when they have them. */
#define SETTLE_NS NSEC_PER_SEC

/*
 * Where frames for other stations pass, those of this host have to be known. A child in another
 * namespace gets its address without a word to ours: then it is found within this time.
 */
#define STATIONS_NS (10 * NSEC_PER_SEC)

/* Names in one line at most. */
#define UNCOVERED_NAMES_MAX 16

/* What there is at the moment. */
typedef struct Present {
	EnforcerInterface *items;
	size_t count;
} Present;

static void present_done(Present *present)
{
	free(present->items);
}
#define _cleanup_present_ _cleanup_(present_done)

static int look(Interfaces *self, Present *ret_present)
{
	int r = enforcer_interfaces(self->enforcer, &ret_present->items, &ret_present->count);

	if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "%s", enforcer_error(self->enforcer));
	return r;
}

static const EnforcerInterface *by_index(const Present *present, uint32_t ifindex)
{
	for (size_t i = 0; i < present->count; i++)
		if (present->items[i].ifindex == ifindex)
			return &present->items[i];
	return NULL;
}

static const EnforcerInterface *by_name(const Present *present, const char *name)
{
	for (size_t i = 0; i < present->count; i++)
		if (strcmp(present->items[i].name, name) == 0)
			return &present->items[i];
	return NULL;
}

/* ---- the list ------------------------------------------------------------------------------ */

static Interface *find_index(Interfaces *self, uint32_t ifindex)
{
	for (size_t i = 0; i < self->count; i++)
		if (self->items[i].ifindex == ifindex)
			return &self->items[i];
	return NULL;
}

static Interface *find_missing(Interfaces *self, const char *name)
{
	for (size_t i = 0; i < self->count; i++)
		if (self->items[i].state == INTERFACE_MISSING &&
		    strcmp(self->items[i].name, name) == 0)
			return &self->items[i];
	return NULL;
}

static void set_problem(Interface *item, char *problem)
{
	free(item->problem);
	item->problem = problem;
}

static void forget(Interfaces *self, Interface *item)
{
	self->has_changed = true;
	set_problem(item, NULL);
	*item = self->items[--self->count];
	self->items[self->count] = (Interface){0};
}

/* A new item, or NULL: there is no room, which is said. */
static Interface *add(Interfaces *self, const char *name, InterfaceState state)
{
	Interface *item;

	if (self->count == ARRAY_SIZE(self->items)) {
		if (!self->told_full)
			journal_line(LOG_LEVEL_ERROR,
				     "Interfaces= means more interfaces than can be attached: %s "
				     "and maybe others are not protected",
				     name);
		self->told_full = true;
		return NULL;
	}
	self->has_changed = true;
	item = &self->items[self->count++];
	*item = (Interface){.state = state, .is_fresh = true};
	snprintf(item->name, sizeof(item->name), "%s", name);
	return item;
}

static void tell(Interfaces *self, JournalEvent event, const char *name, const char *detail)
{
	journal_event(event, &(JournalFields){.interface = name, .detail = detail});
	self->has_changed = true;
}

/* Whether INTERFACE is guarded as it should be: in this mode, once, and before everybody else. */
static bool is_guarded(const Config *config, const EnforcerInterface *interface)
{
	return interface->is_attached && interface->mode == config->mode && !interface->is_behind &&
	       !interface->is_twice;
}

/* ---- following ----------------------------------------------------------------------------- */

/* What was attached to ITEM is gone. A named interface is waited for from now on. */
static void lose(Interfaces *self, const Config *config, Interface *item, const char *why)
{
	if (item->state == INTERFACE_ATTACHED)
		tell(self, JOURNAL_INTERFACE_LOST, item->name, why);
	if (!interfaces_wanted_by_name(config, item->name) || find_missing(self, item->name)) {
		forget(self, item);
		return;
	}
	self->has_changed = true;
	set_problem(item, NULL);
	item->state = INTERFACE_MISSING;
	item->ifindex = 0;
}

/* The enforcer goes by the new name already. */
static void rename_item(Interfaces *self, Interface *item, const EnforcerInterface *interface,
			const Config *config)
{
	char detail[64];

	if (item->state == INTERFACE_ATTACHED) {
		snprintf(detail, sizeof(detail), "it is called %s now", interface->name);
		tell(self, JOURNAL_INTERFACE_LOST, item->name, detail);
		snprintf(detail, sizeof(detail), "%s, it was called %s",
			 config_mode_name(config->mode), item->name);
		if (interfaces_wanted(config, interface))
			tell(self, JOURNAL_INTERFACE_ATTACHED, interface->name, detail);
		else
			item->state = INTERFACE_FAILING; /* that it is lost was said */
	}
	memcpy(item->name, interface->name, sizeof(item->name));
}

static uint64_t backoff_ns(unsigned failures)
{
	uint64_t delay_ns = RETRY_FIRST_NS << (failures < 8 ? failures - 1 : 7);

	return delay_ns < RETRY_LAST_NS ? delay_ns : RETRY_LAST_NS;
}

/*
 * Somebody's program is asked before ours: that is changed at once, but with somebody who wants to
 * be first as well less and less often.
 */
static void fall_behind(Interfaces *self, Interface *item, const EnforcerInterface *interface,
			uint64_t now_mono_ns)
{
	static const char why[] = "somebody's program came before it";
	bool again = item->behind_mono_ns && now_mono_ns - item->behind_mono_ns < 2 * RETRY_LAST_NS;

	item->fights = again ? item->fights + 1 : 0;
	tell(self, JOURNAL_INTERFACE_LOST, item->name, why);
	item->state = INTERFACE_FAILING;
	item->was_up = interface->is_up;
	item->failures = 0;
	item->retry_mono_ns = again ? now_mono_ns + backoff_ns(item->fights) : 0;
	item->behind_mono_ns = now_mono_ns;
	set_problem(item, strdup(why));
	self->again_mono_ns = 0;
}

/* Whoever stood before ours has gone by himself. */
static void come_forward(Interfaces *self, const Config *config, Interface *item)
{
	item->state = INTERFACE_ATTACHED;
	item->failures = 0;
	set_problem(item, NULL);
	tell(self, JOURNAL_INTERFACE_ATTACHED, item->name, config_mode_name(config->mode));
}

/* Brings what we know up to date with what there is, whoever wants it. */
static void follow(Interfaces *self, const Config *config, const Present *present,
		   uint64_t now_mono_ns)
{
	for (size_t i = self->count; i-- > 0;) {
		Interface *item = &self->items[i];
		const EnforcerInterface *interface = by_index(present, item->ifindex);

		item->is_fresh = false;
		if (item->state == INTERFACE_MISSING)
			continue;
		if (!interface) {
			lose(self, config, item, "it was removed or taken elsewhere");
			continue;
		}
		if (strcmp(item->name, interface->name) != 0)
			rename_item(self, item, interface, config);
		if (item->state == INTERFACE_ATTACHED && !interface->is_attached) {
			tell(self, JOURNAL_INTERFACE_LOST, item->name, "somebody detached it");
			forget(self, item);
			/* Wherever that was noticed. */
			self->again_mono_ns = 0;
		} else if (item->state == INTERFACE_ATTACHED && interface->is_behind) {
			fall_behind(self, item, interface, now_mono_ns);
		} else if (item->state == INTERFACE_FAILING && is_guarded(config, interface) &&
			   interfaces_wanted(config, interface)) {
			come_forward(self, config, item);
		}
	}
}

/* Notes what is attached and unknown: an earlier daemon's, or what could not be detached. */
static void note_attached(Interfaces *self, const Config *config, const Present *present)
{
	for (size_t i = 0; i < present->count; i++) {
		const EnforcerInterface *interface = &present->items[i];
		Interface *item;

		if (!interface->is_attached || find_index(self, interface->ifindex))
			continue;
		/* In another mode, or behind somebody, it is still to be attached. */
		item = add(self, interface->name,
			   is_guarded(config, interface) ? INTERFACE_ATTACHED : INTERFACE_FAILING);
		if (!item)
			return;
		item->ifindex = interface->ifindex;
		item->is_fresh = false;
	}
}

/* ---- attaching ----------------------------------------------------------------------------- */

/* Notes that ITEM could not be attached, and says so unless it was said before. */
static void note_failure(Interfaces *self, Interface *item, const EnforcerInterface *interface,
			 uint64_t now_mono_ns)
{
	const char *problem = enforcer_error(self->enforcer);

	if (!item->problem || strcmp(item->problem, problem) != 0)
		journal_line(LOG_LEVEL_ERROR,
			     "interface %s is not protected, which is tried again: %s",
			     interface->name, problem);
	self->has_changed = true;
	set_problem(item, strdup(problem));
	item->state = INTERFACE_FAILING;
	item->ifindex = interface->ifindex;
	item->was_up = interface->is_up;
	item->failures++;
	item->retry_mono_ns = now_mono_ns + backoff_ns(item->failures);
}

/* Attaches to INTERFACE, which is wanted. A negative errno only for what MUST be. */
static int attach(Interfaces *self, const Config *config, const EnforcerInterface *interface,
		  unsigned must, uint64_t now_mono_ns)
{
	Interface *item =
		find_index(self, interface->ifindex) ?: find_missing(self, interface->name);
	bool failed_before = item && item->state == INTERFACE_FAILING;
	int r;

	if (failed_before && now_mono_ns < item->retry_mono_ns && item->was_up == interface->is_up)
		return 0;
	if (!item)
		item = add(self, interface->name, INTERFACE_FAILING);
	if (!item)
		return must & INTERFACES_MUST_ATTACH ? -E2BIG : 0;
	r = enforcer_attach(self->enforcer, interface->name, config->mode);
	if (r == 0) {
		item->state = INTERFACE_ATTACHED;
		item->ifindex = interface->ifindex;
		item->is_fresh = true;
		item->failures = 0;
		set_problem(item, NULL);
		return 0;
	}
	/* It went after we looked: we shall hear of that. */
	if (r == -ENODEV && !must) {
		if (item->is_fresh)
			forget(self, item);
		return 0;
	}
	if (must & INTERFACES_MUST_ATTACH && !failed_before) {
		journal_line(LOG_LEVEL_ERROR, "%s", enforcer_error(self->enforcer));
		return r;
	}
	note_failure(self, item, interface, now_mono_ns);
	return 0;
}

static int attach_wanted(Interfaces *self, const Config *config, const Present *present,
			 unsigned must, uint64_t now_mono_ns)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < present->count; i++) {
		const EnforcerInterface *interface = &present->items[i];
		const Interface *item = find_index(self, interface->ifindex);

		if (interfaces_wanted(config, interface) &&
		    !(item && item->state == INTERFACE_ATTACHED))
			r = attach(self, config, interface, must, now_mono_ns);
	}
	return r;
}

/* Notes which named ones are not there. */
static int note_missing(Interfaces *self, const Config *config, const Present *present,
			unsigned must)
{
	for (size_t i = 0; i < config->interfaces.count; i++) {
		const char *name = config->interfaces.items[i];

		if (interfaces_wanted_is_pattern(name) || by_name(present, name) ||
		    find_missing(self, name))
			continue;
		journal_line(must & INTERFACES_MUST_EXIST ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			     "there is no interface \"%s\"%s", name,
			     must & INTERFACES_MUST_EXIST ? ""
							  : ": it is attached when it appears");
		if (must & INTERFACES_MUST_EXIST)
			return -ENODEV;
		(void)add(self, name, INTERFACE_MISSING);
	}
	return 0;
}

static void detach(Interfaces *self, Interface *item)
{
	if (enforcer_detach(self->enforcer, item->name) < 0)
		journal_line(LOG_LEVEL_WARNING, "interface %s: %s", item->name,
			     enforcer_error(self->enforcer));
	forget(self, item);
}

/* Takes back what was done by a change that failed. */
static void undo(Interfaces *self)
{
	for (size_t i = self->count; i-- > 0;) {
		Interface *item = &self->items[i];

		if (!item->is_fresh)
			continue;
		if (item->state == INTERFACE_ATTACHED)
			detach(self, item);
		else
			forget(self, item);
	}
}

/* Says what is attached now, and lets go of what nobody wants. */
static void settle(Interfaces *self, const Config *config, const Present *present)
{
	for (size_t i = 0; i < self->count; i++)
		if (self->items[i].is_fresh && self->items[i].state == INTERFACE_ATTACHED)
			tell(self, JOURNAL_INTERFACE_ATTACHED, self->items[i].name,
			     config_mode_name(config->mode));
	for (size_t i = self->count; i-- > 0;) {
		Interface *item = &self->items[i];
		const EnforcerInterface *interface = by_index(present, item->ifindex);

		if (interface ? interfaces_wanted(config, interface)
			      : interfaces_wanted_by_name(config, item->name) &&
					!by_name(present, item->name))
			continue;
		if (item->state == INTERFACE_ATTACHED)
			tell(self, JOURNAL_INTERFACE_LOST, item->name, "it is not covered now");
		if (interface && interface->is_attached)
			detach(self, item);
		else
			forget(self, item);
	}
}

/* One pass of all that. */
static int update(Interfaces *self, const Config *config, const Present *present, unsigned must,
		  uint64_t now_mono_ns)
{
	int r;

	r = note_missing(self, config, present, must);
	if (r == 0)
		r = attach_wanted(self, config, present, must, now_mono_ns);
	if (r < 0)
		undo(self);
	else
		settle(self, config, present);
	return r;
}

int interfaces_set(Interfaces *self, const Config *config, unsigned must, uint64_t now_mono_ns)
{
	_cleanup_present_ Present present = {0};
	int r;

	r = look(self, &present);
	if (r == 0)
		r = interfaces_wanted_check(config, present.items, present.count);
	if (r < 0)
		return r;
	self->told_full = false;
	follow(self, config, &present, now_mono_ns);
	note_attached(self, config, &present);
	r = update(self, config, &present, must, now_mono_ns);
	if (r == 0)
		self->look_mono_ns = now_mono_ns + SETTLE_NS;
	return r;
}

/* ---- what is not covered ------------------------------------------------------------------- */

static bool is_uncovered(const Config *config, const Present *present,
			 const EnforcerInterface *interface)
{
	const EnforcerInterface *parent = by_index(present, interface->parent_ifindex);

	if (interface->is_attached || interface->is_loopback ||
	    interfaces_wanted(config, interface))
		return false;
	return interface->delivers || (parent && parent->is_attached);
}

/* "eth1, macvlan0 and 3 more", or NULL: none, or no memory. */
static char *format_uncovered(const Config *config, const Present *present)
{
	char *text = NULL;
	size_t size, count = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < present->count; i++) {
		if (!is_uncovered(config, present, &present->items[i]))
			continue;
		if (count < UNCOVERED_NAMES_MAX)
			fprintf(f, "%s%s", count > 0 ? ", " : "", present->items[i].name);
		count++;
	}
	if (count > UNCOVERED_NAMES_MAX)
		fprintf(f, " and %zu more", count - UNCOVERED_NAMES_MAX);
	if (fclose(f) != 0 || count == 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void keep_uncovered(Interfaces *self, const Config *config, const Present *present)
{
	self->uncovered_count = 0;
	for (size_t i = 0; i < present->count && self->uncovered_count < INTERFACES_UNCOVERED_MAX;
	     i++)
		if (is_uncovered(config, present, &present->items[i]))
			memcpy(self->uncovered_names[self->uncovered_count++],
			       present->items[i].name, IF_NAMESIZE);
}

static void tell_uncovered(Interfaces *self, const Config *config, uint64_t now_mono_ns)
{
	_cleanup_present_ Present present = {0};
	_cleanup_free_ char *uncovered = NULL;

	/* Where another loader attaches, only he knows. */
	if (config->external || look(self, &present) < 0)
		return;
	follow(self, config, &present, now_mono_ns);
	for (size_t i = 0; i < present.count; i++)
		if (present.items[i].asks_for_stations)
			self->look_mono_ns = now_mono_ns + STATIONS_NS;
	keep_uncovered(self, config, &present);
	uncovered = format_uncovered(config, &present);
	if (strcmp(uncovered ?: "", self->uncovered ?: "") == 0)
		return;
	if (uncovered)
		journal_line(LOG_LEVEL_WARNING,
			     "not covered by Interfaces=, and open for what reaches this host "
			     "through them: %s",
			     uncovered);
	else
		journal_line(LOG_LEVEL_INFO,
			     "Interfaces= covers everything that brings this host packets now");
	free(self->uncovered);
	self->uncovered = TAKE_PTR(uncovered);
	self->has_changed = true;
}

/* ---- in time ------------------------------------------------------------------------------- */

static void look_again(Interfaces *self, const Config *config, uint64_t now_mono_ns)
{
	_cleanup_present_ Present present = {0};

	self->again_mono_ns = now_mono_ns + RETRY_FIRST_NS;
	if (look(self, &present) < 0)
		return;
	self->again_mono_ns = SPALE_NEVER_NS;
	follow(self, config, &present, now_mono_ns);
	note_attached(self, config, &present);
	(void)update(self, config, &present, 0, now_mono_ns);
}

void interfaces_follow(Interfaces *self, const Config *config, int changed, uint64_t now_mono_ns)
{
	if (changed & ENFORCER_INTERFACES_CHANGED)
		look_again(self, config, now_mono_ns);
	if (changed && self->look_mono_ns > now_mono_ns + SETTLE_NS)
		self->look_mono_ns = now_mono_ns + SETTLE_NS;
}

static uint64_t next_retry_mono_ns(const Interfaces *self)
{
	uint64_t next_mono_ns = SPALE_NEVER_NS;

	for (size_t i = 0; i < self->count; i++)
		if (self->items[i].state == INTERFACE_FAILING &&
		    self->items[i].retry_mono_ns < next_mono_ns)
			next_mono_ns = self->items[i].retry_mono_ns;
	return next_mono_ns;
}

uint64_t interfaces_run(Interfaces *self, const Config *config, uint64_t now_mono_ns)
{
	uint64_t next_mono_ns;

	if (self->again_mono_ns <= now_mono_ns || next_retry_mono_ns(self) <= now_mono_ns)
		look_again(self, config, now_mono_ns);
	if (self->look_mono_ns <= now_mono_ns) {
		self->look_mono_ns = SPALE_NEVER_NS;
		tell_uncovered(self, config, now_mono_ns);
	}
	/* Where nothing could be seen, nothing could be tried either. */
	next_mono_ns = self->again_mono_ns;
	if (next_mono_ns == SPALE_NEVER_NS)
		next_mono_ns = next_retry_mono_ns(self);
	return next_mono_ns < self->look_mono_ns ? next_mono_ns : self->look_mono_ns;
}

/* ---- life ---------------------------------------------------------------------------------- */

size_t interfaces_count(const Interfaces *self, InterfaceState state)
{
	size_t count = 0;

	for (size_t i = 0; i < self->count; i++)
		count += self->items[i].state == state;
	return count;
}

void interfaces_init(Interfaces *self, Enforcer *enforcer)
{
	*self = (Interfaces){
		.enforcer = enforcer,
		.look_mono_ns = SPALE_NEVER_NS,
		.again_mono_ns = SPALE_NEVER_NS,
	};
}

void interfaces_done(Interfaces *self)
{
	for (size_t i = 0; i < self->count; i++)
		set_problem(&self->items[i], NULL);
	free(self->uncovered);
}
