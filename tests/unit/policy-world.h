/* SPDX-License-Identifier: MIT */
/* A manager whose configuration is made of files, so that it can be changed as over D-Bus. */
#pragma once

#include "manager-world.h"

#include <errno.h>
#include <fcntl.h>

#include "daemon/manager-requests.h"
#include "util/file.h"

/* The manager of a Fixture with the files that its configuration is made of. */
typedef struct World {
	Fixture *fixture;
	Options options;
	char config_path[64];
} World;

static inline void set_layers(World *world, bool keep_good)
{
	_cleanup_diagnostics_ Diagnostics diagnostics = {0};
	PolicyLayers *layers = NULL;
	Config *config = NULL;

	assert_int_equal(policy_layers_load(&world->options, &diagnostics, &layers, &config, NULL),
			 0);
	config_free(config);
	manager_set_layers(world->fixture->manager, layers, keep_good);
}

static inline int set_up_world(void **data)
{
	World *world = calloc(1, sizeof(*world));
	char *arguments[] = {
		(char *)"spaled", (char *)"-c", NULL, (char *)"--state-directory", NULL, NULL};
	char *error;

	if (!world || set_up((void **)&world->fixture) < 0)
		return -1;
	snprintf(world->config_path, sizeof(world->config_path), "%s/spale.conf",
		 world->fixture->directory);
	arguments[2] = world->config_path;
	arguments[4] = world->fixture->directory;
	if (options_parse(5, arguments, &world->options, &error) < 0 ||
	    file_write(AT_FDCWD, world->config_path, CONFIG, strlen(CONFIG), 0600, 0) < 0)
		return -1;
	set_layers(world, false);
	*data = world;
	return 0;
}

static inline int tear_down_world(void **data)
{
	World *world = *data;
	int r = tear_down((void **)&world->fixture);

	options_done(&world->options);
	free(world);
	return r;
}

static inline bool has_file(const World *world, const char *name)
{
	return faccessat(state_directory_fd(world->fixture->state), name, F_OK, 0) == 0;
}

static inline int change_policy(World *world, const PolicyChange *change)
{
	_cleanup_free_ char *error = NULL;
	int r = manager_change_policy(world->fixture->manager, change, "uid=0", &error);

	assert_true(r < 0 ? error != NULL : error == NULL);
	return r;
}
