/* SPDX-License-Identifier: MIT */
#include "daemon/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/journal.h"
#include "enforce/nftables.h"
#include "util/parse.h"

#define MSEC_NS 1000000ULL

/* How long changes are collected at least. */
#define COLLECT_NS (2 * MSEC_NS)

/* Between two looks at what others have done, at least. */
#define LOOK_NS (50 * MSEC_NS)

/* A call is paid for with a pause: of the daemon's time this takes a tenth at most, … */
#define PAUSE_FACTOR 10
/* … but no pause is longer than this, for what others remove is to be back within a second. */
#define PAUSE_MAX_NS (400 * MSEC_NS)

/* When to look whether a grant goes on whose element would end: the manager knows by then. */
#define AGAIN_NS NSEC_PER_SEC

/* When to try again what failed, if nobody changes anything meanwhile. */
#define RETRY_MIN_NS NSEC_PER_SEC
#define RETRY_MAX_NS (30 * NSEC_PER_SEC)

/* What somebody keeps removing is told no more often than this. */
#define TELL_NS (10 * NSEC_PER_SEC)

/* How long elements outlive the daemon in the administrator's sets, if another one may come. */
#define LEAVE_NS (60 * NSEC_PER_SEC)

#define STORED_SOCKET "nftables"

struct Mirror {
	sd_event_source *timer, *watch;
	sd_event *event;
	Manager *manager;
	const EnforcerStore *store;
	ManagerObserver observer;
	MirrorTarget target;
	Nftables *nftables; /* NULL: off, or it could not be made */
	bool is_dirty;	    /* grants have changed */
	bool must_look;	    /* nftables may have */
	bool is_lost;
	uint64_t pause_mono_ns; /* nothing is done before */
	uint64_t retry_ns;
	uint64_t told_mono_ns;
	size_t untold; /* times that something was put back since */
	char state[640];
	char told_left_out[256];
	void (*changed)(void *userdata);
	void *changed_userdata;
};

static uint64_t mono_ns(void)
{
	return clock_system.mono_ns(NULL);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- what is told -------------------------------------------------------------------------- */

static void set_state(Mirror *mirror, const char *word, const char *why)
{
	char state[sizeof(mirror->state)];

	snprintf(state, sizeof(state), "%s%s%s", word, why ? ": " : "", why ?: "");
	if (strcmp(state, mirror->state) == 0)
		return;
	memcpy(mirror->state, state, sizeof(state));
	if (mirror->changed)
		mirror->changed(mirror->changed_userdata);
}

static void tell(JournalEvent event, const char *detail)
{
	journal_event(event, &(JournalFields){.detail = detail});
}

static void tell_lost(Mirror *mirror, const char *why)
{
	char before[sizeof(mirror->state)];

	memcpy(before, mirror->state, sizeof(before));
	set_state(mirror, "lost", why);
	if (!mirror->is_lost || strcmp(before, mirror->state) != 0)
		tell(JOURNAL_NFTABLES_LOST, why);
	mirror->is_lost = true;
}

/* Somebody took MISSING elements away, which are back. */
static void tell_put_back(Mirror *mirror, size_t missing)
{
	uint64_t now_mono_ns = mono_ns();
	char detail[128];

	if (mirror->told_mono_ns > 0 && now_mono_ns < mirror->told_mono_ns + TELL_NS) {
		mirror->untold++;
		return;
	}
	snprintf(detail, sizeof(detail), "somebody removed elements of grants: %zu", missing);
	tell(JOURNAL_NFTABLES_LOST, detail);
	if (mirror->untold > 0)
		snprintf(detail, sizeof(detail), "they are back, as %zu times since the last line",
			 mirror->untold);
	else
		snprintf(detail, sizeof(detail), "they are back");
	tell(JOURNAL_NFTABLES_RESTORED, detail);
	mirror->told_mono_ns = now_mono_ns;
	mirror->untold = 0;
}

static void tell_left_out(Mirror *mirror, const NftablesStatus *status)
{
	if (status->left_out > 0 && strcmp(status->why, mirror->told_left_out) != 0)
		journal_line(LOG_LEVEL_WARNING,
			     "nftables cannot show all grants (%zu parts of them missing): %s",
			     status->left_out, status->why);
	memcpy(mirror->told_left_out, status->why, sizeof(mirror->told_left_out));
}

/* All is as it should be. */
static void tell_status(Mirror *mirror, bool looked)
{
	const NftablesStatus *status = nftables_status(mirror->nftables);
	char detail[64];

	if (mirror->is_lost) {
		snprintf(detail, sizeof(detail), "elements of grants: %zu", status->elements);
		tell(JOURNAL_NFTABLES_RESTORED, detail);
	} else if (looked && status->missing > 0) {
		tell_put_back(mirror, status->missing);
	}
	mirror->is_lost = false;
	tell_left_out(mirror, status);
	if (status->left_out > 0)
		set_state(mirror, "partial", status->why);
	else
		set_state(mirror, "ok", NULL);
}

/* ---- what is done -------------------------------------------------------------------------- */

/* When there is something to do next. */
static uint64_t next_mono_ns(const Mirror *mirror, uint64_t now_mono_ns)
{
	const NftablesStatus *status;
	uint64_t next_mono_ns = SPALE_NEVER_NS;

	if (mirror->target.mode == MIRROR_NO)
		return SPALE_NEVER_NS;
	if (mirror->is_dirty && !mirror->is_lost)
		next_mono_ns = now_mono_ns + COLLECT_NS;
	if (mirror->must_look)
		next_mono_ns = now_mono_ns + LOOK_NS;
	else if (mirror->is_lost)
		next_mono_ns = smaller(next_mono_ns, now_mono_ns + mirror->retry_ns);
	if (mirror->nftables && !mirror->is_lost) {
		status = nftables_status(mirror->nftables);
		if (status->postponed)
			next_mono_ns = now_mono_ns;
		else if (status->again_mono_ns < now_mono_ns)
			/* The manager has not come to it yet. */
			next_mono_ns = smaller(next_mono_ns, now_mono_ns + AGAIN_NS / 4);
		else if (status->again_mono_ns != SPALE_NEVER_NS)
			next_mono_ns = smaller(next_mono_ns, status->again_mono_ns + AGAIN_NS);
		next_mono_ns = smaller(next_mono_ns, status->resync_mono_ns);
	}
	return next_mono_ns < mirror->pause_mono_ns ? mirror->pause_mono_ns : next_mono_ns;
}

static void schedule(Mirror *mirror)
{
	uint64_t due_mono_ns = next_mono_ns(mirror, mono_ns());
	int r;

	if (due_mono_ns == SPALE_NEVER_NS) {
		(void)sd_event_source_set_enabled(mirror->timer, SD_EVENT_OFF);
		return;
	}
	r = sd_event_source_set_time(mirror->timer, due_mono_ns / NSEC_PER_USEC);
	if (r >= 0)
		r = sd_event_source_set_enabled(mirror->timer, SD_EVENT_ONESHOT);
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "the nftables mirror cannot be timed: %s",
			     strerror(-r));
}

/* Brings forward what is scheduled; what is already due sooner stays so. */
static void want(Mirror *mirror, bool *flag)
{
	if (*flag || mirror->target.mode == MIRROR_NO)
		return;
	*flag = true;
	schedule(mirror);
}

static int on_watch(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	Mirror *mirror = userdata;
	int r = nftables_consume_changes(mirror->nftables);

	(void)fd;
	(void)revents;
	/* Without it what others do is seen when grants change. */
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "%s", nftables_error(mirror->nftables));
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	if (r != 0)
		want(mirror, &mirror->must_look);
	return 0;
}

/* The socket that an earlier daemon has left, for the next one or to be closed. */
static int take_stored(const Mirror *mirror)
{
	return mirror->store ? mirror->store->take(mirror->store->userdata, STORED_SOCKET)
			     : -ENOENT;
}

static void store_socket(const Mirror *mirror)
{
	int r;

	if (!mirror->store || mirror->target.mode != MIRROR_OWN)
		return;
	mirror->store->remove(mirror->store->userdata, STORED_SOCKET);
	r = mirror->store->put(mirror->store->userdata, STORED_SOCKET,
			       nftables_socket_fd(mirror->nftables));
	if (r < 0)
		journal_line(LOG_LEVEL_WARNING,
			     "the table of grants in nftables will not outlive this spaled: %s",
			     strerror(-r));
}

/* Makes what TARGET says, with the socket INHERITED or, -1, one of its own. */
static int make(Mirror *mirror, int inherited)
{
	int r = nftables_new(&mirror->target, inherited, &mirror->nftables);

	if (r < 0)
		return r;
	r = sd_event_add_io(mirror->event, &mirror->watch, nftables_watch_fd(mirror->nftables),
			    EPOLLIN, on_watch, mirror);
	if (r < 0) {
		nftables_free(TAKE_PTR(mirror->nftables));
		return r;
	}
	if (inherited < 0)
		store_socket(mirror);
	return 0;
}

/* Has nftables show what it should, as far as that is not so. Returns whether it was looked at. */
static int update(Mirror *mirror, bool *ret_looked)
{
	const GrantTable *grants = manager_grants(mirror->manager);
	uint64_t now_mono_ns = mono_ns();
	bool look = mirror->must_look || mirror->is_lost ||
		    nftables_status(mirror->nftables)->resync_mono_ns <= now_mono_ns;
	int r = 0;

	if (!look)
		r = nftables_apply(mirror->nftables, grants, now_mono_ns);
	*ret_looked = look || r < 0;
	if (*ret_looked)
		r = nftables_sync(mirror->nftables, grants, now_mono_ns);
	return r;
}

static void run(Mirror *mirror)
{
	uint64_t begin_mono_ns = mono_ns(), end_mono_ns, pause_ns;
	bool looked = false;
	int r = 0;

	if (!mirror->nftables)
		r = make(mirror, -1);
	if (r < 0)
		tell_lost(mirror, strerror(-r));
	else
		r = update(mirror, &looked);
	mirror->is_dirty = false;
	mirror->must_look = false;
	if (r < 0 && mirror->nftables)
		tell_lost(mirror, nftables_error(mirror->nftables));
	mirror->retry_ns = r == 0 ? RETRY_MIN_NS / 2 : mirror->retry_ns;
	mirror->retry_ns = smaller(2 * mirror->retry_ns, RETRY_MAX_NS);
	if (r == 0)
		tell_status(mirror, looked);
	end_mono_ns = mono_ns();
	pause_ns = smaller(PAUSE_FACTOR * (end_mono_ns - begin_mono_ns), PAUSE_MAX_NS);
	mirror->pause_mono_ns = end_mono_ns + (pause_ns > COLLECT_NS ? pause_ns : COLLECT_NS);
	schedule(mirror);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	run(userdata);
	return 0;
}

/* ---- where to ------------------------------------------------------------------------------ */

/* Shows nothing any more. With FOR_NEXT the next daemon may go on where this one has stopped. */
static void leave(Mirror *mirror, bool for_next)
{
	mirror->watch = sd_event_source_disable_unref(mirror->watch);
	if (!mirror->nftables)
		return;
	if (nftables_leave(mirror->nftables, for_next ? LEAVE_NS : 0, mono_ns()) < 0)
		journal_line(LOG_LEVEL_WARNING, "nftables may show grants for some time still: %s",
			     nftables_error(mirror->nftables));
	nftables_free(TAKE_PTR(mirror->nftables));
	if (!for_next && mirror->store)
		mirror->store->remove(mirror->store->userdata, STORED_SOCKET);
}

static bool is_same(const MirrorTarget *a, const MirrorTarget *b)
{
	return a->mode == b->mode && strcmp(a->family, b->family) == 0 &&
	       strcmp(a->table, b->table) == 0 && strcmp(a->set4, b->set4) == 0 &&
	       strcmp(a->set6, b->set6) == 0;
}

void mirror_configure(Mirror *mirror)
{
	const MirrorTarget *target = &manager_config(mirror->manager)->mirror;
	_cleanup_close_ int inherited = take_stored(mirror);

	/* A socket that is not wanted is closed, and its table goes with it. */
	if (inherited >= 0 && target->mode != MIRROR_OWN)
		mirror->store->remove(mirror->store->userdata, STORED_SOCKET);
	if (is_same(target, &mirror->target)) {
		want(mirror, &mirror->must_look);
		return;
	}
	leave(mirror, false);
	mirror->target = *target;
	mirror->is_lost = mirror->is_dirty = mirror->must_look = false;
	mirror->pause_mono_ns = 0;
	mirror->retry_ns = RETRY_MIN_NS;
	mirror->told_left_out[0] = '\0';
	if (target->mode == MIRROR_NO) {
		set_state(mirror, "off", NULL);
		schedule(mirror);
		return;
	}
	if (inherited >= 0 && target->mode == MIRROR_OWN)
		(void)make(mirror, TAKE_FD(inherited)); /* else with a new one */
	mirror->must_look = true;
	run(mirror);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void on_grant(void *userdata, const Grant *grant)
{
	Mirror *mirror = userdata;

	(void)grant;
	want(mirror, &mirror->is_dirty);
}

static void on_grant_removed(void *userdata, const Grant *grant, GrantEnd end)
{
	(void)end;
	on_grant(userdata, grant);
}

static void on_policy(void *userdata)
{
	mirror_configure(userdata);
}

int mirror_new(sd_event *event, Manager *manager, const EnforcerStore *store, Mirror **ret_mirror)
{
	_cleanup_mirror_ Mirror *mirror = calloc(1, sizeof(*mirror));
	int r;

	if (!mirror)
		return -ENOMEM;
	mirror->event = sd_event_ref(event);
	mirror->manager = manager;
	mirror->store = store;
	mirror->observer = (ManagerObserver){
		.grant_added = on_grant,
		.grant_changed = on_grant,
		.grant_removed = on_grant_removed,
		.policy_changed = on_policy,
		.userdata = mirror,
	};
	set_state(mirror, "off", NULL);
	r = sd_event_add_time(event, &mirror->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, mirror);
	if (r >= 0)
		r = sd_event_source_set_enabled(mirror->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = manager_observe(manager, &mirror->observer);
	if (r < 0)
		return r;
	*ret_mirror = TAKE_PTR(mirror);
	return 0;
}

void mirror_free(Mirror *mirror)
{
	if (!mirror)
		return;
	leave(mirror, mirror->store);
	manager_ignore(mirror->manager, &mirror->observer);
	sd_event_source_disable_unref(mirror->timer);
	sd_event_unref(mirror->event);
	free(mirror);
}

const char *mirror_state(const Mirror *mirror)
{
	return mirror->state;
}

void mirror_set_observer(Mirror *mirror, void (*changed)(void *userdata), void *userdata)
{
	mirror->changed = changed;
	mirror->changed_userdata = userdata;
}
