/* SPDX-License-Identifier: MIT */
#include "daemon/service.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "daemon/client-watch.h"
#include "daemon/journal.h"
#include "daemon/keeper.h"
#include "daemon/knock-judge.h"
#include "daemon/manager.h"
#include "daemon/mirror.h"
#include "daemon/policy-before.h"
#include "daemon/privileges.h"
#include "daemon/reload-notice.h"
#include "daemon/setup.h"
#include "daemon/standstill.h"
#include "daemon/state-start.h"
#include "daemon/status.h"
#include "enforce/ebpf.h"
#include "util/parse.h"
#include "util/process.h"

/*
 * A timer comes this much late: the coarse clock that grants are kept in lags by up to a tick
 * (10 ms at HZ=100), and before it is there, there is nothing to do.
 */
#define TIMER_SLACK_USEC (20 * 1000ULL)

/* What goes on at once leaves this much for knocks and calls. */
#define TIMER_GAP_USEC 1000ULL

/* How often is looked whether somebody detached what is attached, of which nobody hears. */
#define GUARD_USEC (2 * USEC_PER_SEC)

/* How long a start takes that fails as the one before it did. */
#define FAILURE_SEC 5

typedef struct Service {
	const Options *options;
	State *state;
	Keeper *keeper; /* borrowed */
	Manager *manager;
	Mirror *mirror;
	sd_event *event;
	sd_event_source *timer;
	ClientWatch *client_watch;
	int clock_fd; /* readable when CLOCK_REALTIME jumps, as it does after a suspend */
	const ServicePart *part;
	void *running_part;
	ServiceHooks hooks;
	bool dropped;
	Status status; /* as told */
	ReloadNotice reload;
} Service;

static void service_done(Service *service)
{
	sd_event_source_disable_unref(service->timer);
	if (service->running_part)
		service->part->stop(service->running_part);
	mirror_free(service->mirror);
	manager_free(service->manager); /* detaches */
	client_watch_free(service->client_watch);
	sd_event_unref(service->event);
	state_free(service->state);
	closep(&service->clock_fd);
}
#define _cleanup_service_ _cleanup_(service_done)

static int fail(int error, const char *what)
{
	journal_line(LOG_LEVEL_ERROR, "%s: %s", what, strerror(-error));
	return error;
}

static void announce_started(const Service *service)
{
	const Config *config = manager_config(service->manager);
	_cleanup_free_ char *knock_ports = port_list_format(&config->knock_ports);
	_cleanup_free_ char *ports = port_list_format(&config->protected_ports);
	_cleanup_free_ char *detail = NULL;

	if (asprintf(&detail, "spaled " SPALE_VERSION ", knocks at %s%s", knock_ports ?: "?",
		     config->log_only ? ", log-only: nothing is dropped" : "") < 0)
		detail = NULL;
	journal_event(JOURNAL_STARTED, &(JournalFields){.ports = ports, .detail = detail});
}

/* ---- events -------------------------------------------------------------------------------- */

/* Removes what has ended, and sets the timer for the next time. */
static int expire(Service *service)
{
	uint64_t next_mono_ns, now_mono_ns, now_boot_usec, slack_usec = TIMER_SLACK_USEC;
	int r;

	manager_expire(service->manager, &next_mono_ns);
	reload_notice_settle(&service->reload, service->manager);
	status_tell(&service->status, service->manager);
	if (next_mono_ns == SPALE_NEVER_NS)
		return sd_event_source_set_enabled(service->timer, SD_EVENT_OFF);
	now_mono_ns = clock_system.mono_ns(NULL);
	now_boot_usec = clock_system.boot_ns(NULL) / NSEC_PER_USEC;
	if (next_mono_ns <= now_mono_ns) {
		next_mono_ns = now_mono_ns;
		slack_usec = TIMER_GAP_USEC;
	}
	r = sd_event_source_set_time(service->timer,
				     now_boot_usec + (next_mono_ns - now_mono_ns) / NSEC_PER_USEC +
					     slack_usec);
	return r < 0 ? r : sd_event_source_set_enabled(service->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	return expire(userdata);
}

static int on_packets(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	Service *service = userdata;
	Enforcer *enforcer = manager_enforcer(service->manager);
	bool are_knocks = fd == enforcer_ring_fd(enforcer, ENFORCER_KNOCKS);
	int r;

	(void)source;
	(void)revents;
	r = enforcer_ring_consume(enforcer, are_knocks ? ENFORCER_KNOCKS : ENFORCER_DENIED,
				  are_knocks ? manager_knock : manager_denied, service->manager);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "%s", enforcer_error(enforcer));
		return r;
	}
	return expire(service);
}

static int on_interfaces(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	Service *service = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	manager_interfaces_changed(service->manager);
	return expire(service);
}

static int on_guard(sd_event_source *source, uint64_t usec, void *userdata)
{
	Service *service = userdata;
	int r;

	(void)usec;
	manager_guard(service->manager);
	r = sd_event_source_set_time_relative(source, GUARD_USEC);
	if (r >= 0)
		r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return r < 0 ? r : expire(service);
}

static int arm_clock(int clock_fd)
{
	/* A time that does not come; what counts is that setting the clock cancels it. */
	const struct itimerspec never = {.it_value.tv_sec = INT32_MAX};

	return timerfd_settime(clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static int on_clock_set(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	uint64_t expirations;

	(void)source;
	(void)revents;
	if (read(fd, &expirations, sizeof(expirations)) >= 0 || errno != ECANCELED)
		return 0;
	if (arm_clock(fd) < 0)
		return fail(-errno, "the clock cannot be watched");
	return expire(userdata);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	Service *service = userdata;

	(void)source;
	sd_notify(false, "STOPPING=1");
	journal_line(LOG_LEVEL_DEBUG, "signal %" PRIu32, info->ssi_signo);
	manager_stop(service->manager);
	return sd_event_exit(service->event, 0);
}

static int watch_clients(Service *service)
{
	return client_watch_directory(service->client_watch,
				      manager_config(service->manager)->clients_directory);
}

/* A ClientWatchChanged. What is wrong is said in the journal, and the old clients stay. */
static void on_clients(void *userdata)
{
	Service *service = userdata;
	ClientSet *clients;

	if (setup_load_clients(service->options, manager_config(service->manager),
			       manager_roster(service->manager), &clients) < 0 ||
	    manager_set_clients(service->manager, clients) < 0)
		return;
	(void)expire(service);
}

/* Reads everything anew and puts it into force. What goes wrong is said in the journal. */
static int reload(Service *service)
{
	_cleanup_setup_ Setup setup = {0};
	int r;

	r = setup_load(service->options, service->dropped, &setup);
	if (r < 0) {
		manager_reload_failed(service->manager, r == -EINVAL
								? "the configuration is unusable"
								: strerror(-r));
		return r;
	}
	r = manager_reload(service->manager, TAKE_PTR(setup.config),
			   setup.keeps_keys ? NULL : &setup.keys, TAKE_PTR(setup.clients));
	if (r < 0)
		return r;
	service->status.fallback = keeper_problem(service->keeper);
	manager_set_layers(service->manager, TAKE_PTR(setup.layers), service->keeper->fds);
	manager_set_roster(service->manager, &setup.roster);
	return watch_clients(service);
}

/* A reload as the service manager sees it. ASKER: the signal for it, or NULL. */
static int reload_notified(Service *service, const struct signalfd_siginfo *asker)
{
	int r;

	reload_notice_begin();
	r = reload(service);
	service->status.reload_failed = r < 0;
	reload_notice_end(&service->reload, service->manager, asker, r);
	return r;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	Service *service = userdata;

	(void)source;
	(void)reload_notified(service, info);
	return expire(service);
}

/* ---- parts above --------------------------------------------------------------------------- */

static void on_changed(void *userdata)
{
	Service *service = userdata;
	int r = expire(service);

	if (r < 0)
		(void)fail(r, "the timer cannot be set");
}

static int on_reload_asked(void *userdata)
{
	Service *service = userdata;
	int r = reload_notified(service, NULL);

	on_changed(service);
	return r;
}

static void start_part(Service *service, const ServicePart *part)
{
	int r;

	service->part = part;
	service->hooks = (ServiceHooks){service->mirror, on_reload_asked, on_changed, service};
	if (!part)
		return;
	r = part->start(service->event, service->manager, &service->hooks, &service->running_part);
	if (r < 0)
		(void)fail(r, "there will be no D-Bus service");
}

/* ---- start --------------------------------------------------------------------------------- */

/* Loads the programs and has them enforce SETUP, which is taken over. Attaches nothing. */
static int make_manager(Service *service, Setup *setup)
{
	const Options *options = service->keeper->fds ? service->options : NULL;
	_cleanup_config_ Config *before = NULL;
	_cleanup_free_ char *error = NULL;
	Enforcer *enforcer;
	int r;

	r = ebpf_enforcer_new(keeper_store(service->keeper), &enforcer, &error);
	if (r < 0) {
		journal_line(LOG_LEVEL_ERROR, "%s", error ?: strerror(-r));
		return r;
	}
	before = policy_before(enforcer, options);
	service->status.fallback = setup->fallback ?: keeper_problem(service->keeper);
	r = manager_new(enforcer, TAKE_PTR(setup->config), &setup->keys, TAKE_PTR(setup->clients),
			service->state, &clock_system, &service->manager);
	if (r < 0)
		return r;
	if (before)
		manager_end_sessions(service->manager, before);
	if (setup->fallback)
		manager_set_outdated(service->manager);
	manager_set_layers(service->manager, TAKE_PTR(setup->layers), service->keeper->fds);
	manager_set_roster(service->manager, &setup->roster);
	return 0;
}

static int drop_privileges(Service *service, const Privileges *privileges)
{
	int r;

	if (!service->options->drop_privs)
		return 0;
	r = state_give(service->state, privileges->uid, privileges->gid);
	if (r < 0)
		return fail(r, "the state directory cannot be given to the new user");
	r = pins_give(service->keeper->pins, privileges->uid, privileges->gid);
	if (r < 0)
		return fail(r, "the directory of pins cannot be given to the new user");
	r = privileges_drop(privileges);
	if (r < 0)
		return fail(r, "privileges cannot be dropped");
	service->dropped = true;
	return 0;
}

static int add_signals(Service *service)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};
	sigset_t mask;
	int r = 0;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i].number);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++) {
		_cleanup_(sd_event_source_unrefp) sd_event_source *source = NULL;

		r = sd_event_add_signal(service->event, &source, signals[i].number,
					signals[i].handler, service);
		if (r >= 0)
			r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
		if (r >= 0)
			r = sd_event_source_set_floating(source, true);
	}
	return r;
}

static int add_clocks(Service *service)
{
	int r;

	r = sd_event_add_time(service->event, &service->timer, CLOCK_BOOTTIME, 0, 1000, on_timer,
			      service);
	if (r >= 0)
		r = sd_event_source_set_enabled(service->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(service->event, NULL, CLOCK_MONOTONIC, GUARD_USEC, 0,
				       on_guard, service);
	if (r < 0)
		return r;
	service->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (service->clock_fd < 0 || arm_clock(service->clock_fd) < 0)
		return -errno;
	return sd_event_add_io(service->event, NULL, service->clock_fd, EPOLLIN, on_clock_set,
			       service);
}

/* What strangers send comes last: neither expiry nor signals wait for it. */
static int add_packets(Service *service, EnforcerRing ring)
{
	_cleanup_(sd_event_source_unrefp) sd_event_source *source = NULL;
	int fd = enforcer_ring_fd(manager_enforcer(service->manager), ring), r;

	if (fd < 0)
		return fd;
	r = sd_event_add_io(service->event, &source, fd, EPOLLIN, on_packets, service);
	if (r >= 0)
		r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
	return r < 0 ? r : sd_event_source_set_floating(source, true);
}

/* Clients' files take effect by themselves. */
static int add_clients(Service *service)
{
	int r;

	r = client_watch_new(service->event, on_clients, service, &service->client_watch);
	if (r < 0)
		return r;
	return watch_clients(service);
}

/* Before knocks: an interface that appears is open until it is attached. */
static int add_interfaces(Service *service)
{
	_cleanup_(sd_event_source_unrefp) sd_event_source *source = NULL;
	int fd = enforcer_changes_fd(manager_enforcer(service->manager)), r;

	if (fd < 0)
		return fd;
	r = sd_event_add_io(service->event, &source, fd, EPOLLIN, on_interfaces, service);
	return r < 0 ? r : sd_event_source_set_floating(source, true);
}

/* Brings everything up; what half of it is there is taken down by service_done(). */
static int start(Service *service, Setup *setup, const Privileges *privileges)
{
	int r;

	r = state_start(service->options, service->keeper->fds, &service->state);
	if (r == 0)
		r = keeper_open(service->keeper, setup->config);
	if (r == 0)
		r = make_manager(service, setup);
	if (r < 0)
		return r;
	r = sd_event_new(&service->event);
	if (r >= 0)
		r = add_signals(service);
	if (r >= 0)
		r = add_clocks(service);
	if (r >= 0)
		r = add_packets(service, ENFORCER_KNOCKS);
	if (r >= 0)
		r = add_packets(service, ENFORCER_DENIED);
	if (r >= 0)
		r = add_clients(service);
	if (r >= 0)
		r = add_interfaces(service);
	if (r >= 0)
		r = state_wait(service->state, service->options, service->event);
	if (r >= 0)
		r = mirror_new(service->event, service->manager,
			       fd_store_for_enforcer(service->keeper->fds), &service->mirror);
	/* Where the service manager wants it ($WATCHDOG_USEC): a loop that is stuck is killed. */
	if (r >= 0)
		r = sd_event_set_watchdog(service->event, true);
	if (r < 0)
		return fail(r, "the event loop cannot be set up");
	/*
	 * Whoever starts a service at boot cannot wait for the network first, so what is named and
	 * not there will come. By hand it is a mistake.
	 */
	r = manager_attach(service->manager, service->keeper->fds);
	if (r < 0)
		return r;
	mirror_configure(service->mirror);
	return drop_privileges(service, privileges);
}

static int run(const Options *options, const ServicePart *part, Keeper *keeper, Setup *setup,
	       const Privileges *privileges)
{
	_cleanup_service_ Service service = {
		.options = options,
		.keeper = keeper,
		.clock_fd = -1,
		.status.grants = SIZE_MAX, /* nothing was told */
	};
	int r;

	r = start(&service, setup, privileges);
	if (r < 0)
		return r;
	announce_started(&service);
	fd_store_note_success(keeper->fds);
	start_part(&service, part);
	keeper_hold(keeper);
	r = fd_store_settle(keeper->fds);
	if (r < 0)
		journal_line(LOG_LEVEL_WARNING,
			     "the service manager may not have got what it has to keep: %s",
			     strerror(-r));
	r = expire(&service);
	if (r >= 0) {
		sd_notify(false, "READY=1");
		r = sd_event_loop(service.event);
	}
	if (r < 0)
		return fail(r, "the event loop failed");
	keeper_let_go(keeper);
	return 0;
}

/*
 * What cannot start is started again, without end and at once, and says the same each time. Whoever
 * asked for the first start hears at once; those that follow take their time. Returns ERROR.
 */
static int fail_slowly(const Keeper *keeper, int error)
{
	if (error == -EINVAL && fd_store_note_failure(keeper->fds))
		sleep(FAILURE_SEC);
	return error;
}

int service_run(const Options *options, const ServicePart *part)
{
	_cleanup_keeper_ Keeper keeper = {0};
	_cleanup_setup_ Setup setup = {0};
	_cleanup_free_ char *error = NULL;
	Privileges privileges = {0};
	int r;

	r = process_forbid_dumps();
	if (r < 0)
		return fail(r, "core dumps cannot be turned off");
	if (options->drop_privs) {
		r = privileges_parse(options->drop_privs, &privileges, &error);
		if (r < 0) {
			journal_line(LOG_LEVEL_ERROR, "%s", error ?: strerror(-r));
			return -EINVAL;
		}
	}
	r = fd_store_new(&keeper.fds);
	if (r < 0)
		return fail(r, "what the service manager has kept cannot be used");
	r = standstill_load(options, keeper.fds, &setup);
	if (r == 0)
		r = run(options, part, &keeper, &setup, &privileges);
	else if (r != -ECANCELED)
		return fail_slowly(&keeper, r);
	if (r == -ESTALE && keeper.fds)
		r = standstill("an earlier spaled cannot be taken over from", options, NULL);
	/* From here on -EINVAL would be the kernel's, not the configuration's. */
	if (r < 0 && r != -ECANCELED)
		return r == -EINVAL ? -EIO : r;
	journal_event(JOURNAL_STOPPED, &(JournalFields){.detail = keeper_last_words(&keeper)});
	return 0;
}
