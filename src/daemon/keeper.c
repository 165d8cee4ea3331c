/* SPDX-License-Identifier: MIT */
#include "daemon/keeper.h"

#include <errno.h>
#include <string.h>

#include "daemon/journal.h"

void keeper_done(Keeper *self)
{
	/* Pins put into the other store too. */
	pins_free(self->pins);
	fd_store_free(self->fds);
	*self = (Keeper){0};
}

int keeper_open(Keeper *self, const Config *config)
{
	_cleanup_free_ char *error = NULL;
	int r = 0;

	self->is_external = config->external;
	if (config->external)
		r = pins_new_foreign(config->pin_directory, &self->pins, &error);
	else if (config->pin)
		r = pins_new(config->pin_directory, fd_store_for_enforcer(self->fds), &self->pins,
			     &error);
	/* What another loader attaches is with him; but for want of pins nothing may be open. */
	self->goes_unpinned = r < 0 && r != -ENOMEM && self->fds && !config->external;
	if (r < 0)
		journal_line(LOG_LEVEL_ERROR, "%s%s", error ?: strerror(-r),
			     self->goes_unpinned
				     ? ": nothing is pinned, so to stop the service "
				       "opens the ports; once that can be used, restart it"
				     : "");
	return self->goes_unpinned ? 0 : r;
}

const char *keeper_problem(const Keeper *self)
{
	return self->goes_unpinned ? "PinDirectory= cannot be used and nothing is pinned" : NULL;
}

const EnforcerStore *keeper_store(const Keeper *self)
{
	return pins_for_enforcer(self->pins) ?: fd_store_for_enforcer(self->fds);
}

void keeper_hold(Keeper *self)
{
	pins_hold(self->pins, true);
	/* An earlier spaled may have attached programs of its own. */
	if (self->is_external)
		fd_store_give_up(self->fds);
}

void keeper_let_go(Keeper *self)
{
	/* Nobody can tell the end of a service from the beginning of its restart. */
	if (!self->fds)
		pins_hold(self->pins, false);
}

const char *keeper_last_words(const Keeper *self)
{
	if (self->is_external)
		return "what is protected stays so, and no knock is taken";
	if (self->fds && self->pins)
		return "what is protected stays so until the service is stopped and \"spaled "
		       "--unpin\" said";
	return self->fds ? "what is protected stays so until the service is stopped"
			 : "nothing is protected any more";
}
