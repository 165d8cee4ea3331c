/* SPDX-License-Identifier: MIT */
#include "enforce/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spale-tc.skel.h"
#include "spale-xdp.skel.h"

/* What the kernel says for "no such thing here"; errno.h does not know it (ENOTSUPP). */
#define KERNEL_ENOTSUPP 524

/*
 * The objects' maps are pinned by name where other loaders want that. Here they are shared and kept
 * in other ways. (libbpf 1.1 takes NULL for "nowhere".)
 */
static int pin_nothing(struct bpf_object *object)
{
	struct bpf_map *map;
	int error = 0;

	bpf_object__for_each_map(map, object)
	{
		if (error == 0)
			error = bpf_map__set_pin_path(map, NULL);
	}
	return error;
}

struct ProgramMaps {
	struct spale_tc *owner; /* its program is never loaded */
	bool inherited;
};

/* Names of maps in a store. */
#define STORE_NAME_MAX 32

static void spale_tc_destroyp(struct spale_tc **skeleton)
{
	spale_tc__destroy(*skeleton);
}

static void spale_xdp_destroyp(struct spale_xdp **skeleton)
{
	spale_xdp__destroy(*skeleton);
}

/* ---- why not ----------------------------------------------------------------------------- */

/* The verifier's reason for refusing the last program; libbpf's callback takes no context. */
static char verifier_said[160];

/* The last line of a verifier log that says why; the ones behind it are statistics. */
static void remember_reason(char *log)
{
	static const char *const statistics[] = {"processed ", "verification time", "stack depth",
						 "-- END"};
	char *rest = NULL;

	for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		bool is_reason = true;

		for (size_t i = 0; i < ARRAY_SIZE(statistics); i++)
			if (strncmp(line, statistics[i], strlen(statistics[i])) == 0)
				is_reason = false;
		if (is_reason)
			snprintf(verifier_said, sizeof(verifier_said), "%s", line);
	}
}

static int on_libbpf_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *message;

	if (level != LIBBPF_WARN || !strstr(format, "PROG LOAD LOG") ||
	    vasprintf(&message, format, arguments) < 0)
		return 0;
	remember_reason(message);
	free(message);
	return 0;
}

/* Writes " CAP_… CAP_…", those that we would need and have not. */
static void missing_capabilities(char *text, size_t size)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	static const struct {
		const char *name;
		unsigned bit;
		bool admin_will_do; /* CAP_SYS_ADMIN stands for it */
	} needed[] = {
		{" CAP_BPF", CAP_BPF, true},
		{" CAP_NET_ADMIN", CAP_NET_ADMIN, false},
		{" CAP_PERFMON", CAP_PERFMON, true},
	};
	size_t used = 0;
	uint64_t have;

	text[0] = '\0';
	if (syscall(SYS_capget, &header, data) < 0)
		return;
	have = data[0].effective | (uint64_t)data[1].effective << 32;
	for (size_t i = 0; i < ARRAY_SIZE(needed) && used < size; i++)
		if (!(have & 1ULL << needed[i].bit) &&
		    !(needed[i].admin_will_do && have & 1ULL << CAP_SYS_ADMIN))
			used += (size_t)snprintf(text + used, size - used, "%s", needed[i].name);
}

/* Tells that WHAT failed with ERROR, and what may be done about it. Returns ERROR. */
static int fail_with_hint(Enforcer *report, int error, const char *what)
{
	char missing[64];
	const char *hint = "";

	missing_capabilities(missing, sizeof(missing));
	if (missing[0])
		hint = "; what this process lacks:";
	else if (error == -EPERM)
		hint = "; a container, a security module or a low limit on locked memory may be "
		       "in the way";
	else if (error == -ENOMEM)
		hint = "; there is too little memory for the tables";
	else if (error == -EINVAL || error == -EOPNOTSUPP || error == -KERNEL_ENOTSUPP ||
		 error == -EACCES || error == -E2BIG)
		hint = "; this kernel may be too old";
	return enforcer_fail(report, error, "%s: %s%s%s%s%s%s", what,
			     error == -KERNEL_ENOTSUPP ? strerror(EOPNOTSUPP) : strerror(-error),
			     verifier_said[0] ? " (" : "", verifier_said,
			     verifier_said[0] ? ")" : "", hint, missing);
}

/* ---- maps -------------------------------------------------------------------------------- */

static const char *store_name(const struct bpf_map *map, char name[static STORE_NAME_MAX])
{
	snprintf(name, STORE_NAME_MAX, "map-%s", bpf_map__name(map));
	return name;
}

/* Whether INFO is of a map as this program declares it. */
static bool is_of_shape(const struct bpf_map *map, const struct bpf_map_info *info)
{
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->max_entries == bpf_map__max_entries(map) &&
	       info->map_flags == bpf_map__map_flags(map);
}

/* The ABI number in a map of settings, whatever else of it may have changed; 0: not filled yet. */
static int read_abi(int fd, uint32_t value_size, uint32_t *ret_abi)
{
	_cleanup_free_ uint32_t *value = calloc(1, value_size + sizeof(uint32_t));
	const uint32_t zero = 0;

	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value) < 0)
		return -errno;
	*ret_abi = value[0];
	return 0;
}

static int refuse_heritage(Enforcer *report, const EnforcerStore *store, const char *name,
			   uint32_t abi)
{
	char number[24] = "of another shape";

	if (abi)
		snprintf(number, sizeof(number), "of ABI %u", abi);
	if (store->is_foreign)
		return enforcer_fail(report, -EPROTO,
				     "External=: a map \"%s\" %s is pinned there, and this spaled "
				     "speaks ABI %u: %s",
				     name, number, SPALE_ABI, store->remedy);
	return enforcer_fail(report, -ESTALE,
			     "an earlier spaled enforces with a map \"%s\" %s, and this one "
			     "speaks ABI %u: what it enforces stays in force, and no knock is "
			     "taken; to go on with this one, %s",
			     name, number, SPALE_ABI, store->remedy);
}

/* The order in which maps are inherited: first what tells the ABI's number. */
enum {
	RANK_ABI,
	RANK_SETTINGS,
	RANK_OTHERS,
	RANKS,
};

static int rank_of(const struct spale_tc *owner, const struct bpf_map *map)
{
	if (map == owner->maps.abi)
		return RANK_ABI;
	return map == owner->maps.settings ? RANK_SETTINGS : RANK_OTHERS;
}

/* Uses the map FD, which was kept, in place of a new one. */
static int inherit(Enforcer *report, const EnforcerStore *store, struct bpf_map *map, int fd,
		   int rank)
{
	const char *name = bpf_map__name(map);
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info);
	uint32_t abi = SPALE_ABI;
	int error = bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ? -errno : 0;

	if (error == 0 && rank == RANK_ABI)
		abi = info.max_entries;
	if (error == 0 && rank == RANK_SETTINGS)
		error = read_abi(fd, info.value_size, &abi);
	if (error == 0 && abi && abi != SPALE_ABI)
		return refuse_heritage(report, store, name, abi);
	if (error == 0 && !is_of_shape(map, &info))
		return refuse_heritage(report, store, name, 0);
	if (error == 0)
		error = bpf_map__reuse_fd(map, fd);
	return error < 0
		       ? enforcer_fail(report, error, "cannot use the map \"%s\" that was kept: %s",
				       name, strerror(-error))
		       : 0;
}

static int missing_map(Enforcer *report, const EnforcerStore *store, const struct bpf_map *map,
		       int error)
{
	if (error != -ENOENT)
		return enforcer_fail(report, error, "External=: cannot open the map \"%s\": %s",
				     bpf_map__name(map), strerror(-error));
	return enforcer_fail(report, error, "External=: no map \"%s\" is pinned there: %s",
			     bpf_map__name(map), store->remedy);
}

/* *RET_COUNT: how many were there. */
static int inherit_all(Enforcer *report, const EnforcerStore *store, struct spale_tc *owner,
		       size_t *ret_count)
{
	struct bpf_map *map;
	size_t count = 0;

	for (int rank = 0; rank < RANKS; rank++) {
		bpf_object__for_each_map(map, owner->obj)
		{
			char name[STORE_NAME_MAX];
			int error;

			if (bpf_map__is_internal(map) || rank_of(owner, map) != rank)
				continue;
			_cleanup_close_ int fd =
				store->take(store->userdata, store_name(map, name));
			if (fd < 0 && store->is_foreign)
				return missing_map(report, store, map, fd);
			if (fd < 0)
				continue;
			error = inherit(report, store, map, fd, rank);
			if (error < 0)
				return error;
			count++;
		}
	}
	*ret_count = count;
	return 0;
}

static int keep_all(Enforcer *report, const EnforcerStore *store, struct spale_tc *owner)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, owner->obj)
	{
		char name[STORE_NAME_MAX];
		int error;

		if (bpf_map__is_internal(map))
			continue;
		error = store->put(store->userdata, store_name(map, name), bpf_map__fd(map));
		if (error < 0)
			return enforcer_fail(report, error, "cannot have the map \"%s\" kept: %s",
					     bpf_map__name(map), strerror(-error));
	}
	return 0;
}

int program_maps_new(Enforcer *report, const EnforcerStore *store, ProgramMaps **ret_maps)
{
	_cleanup_(spale_tc_destroyp) struct spale_tc *owner = NULL;
	ProgramMaps *maps;
	size_t inherited = 0;
	int error;

	libbpf_set_print(on_libbpf_message);
	verifier_said[0] = '\0';
	owner = spale_tc__open();
	if (!owner)
		return fail_with_hint(report, -errno, "cannot read the embedded eBPF programs");
	error = bpf_program__set_autoload(owner->progs.spale_tc, false);
	if (error == 0)
		error = pin_nothing(owner->obj);
	if (error == 0 && store) {
		error = inherit_all(report, store, owner, &inherited);
		if (error < 0)
			return error;
	}
	if (error == 0)
		error = spale_tc__load(owner);
	if (error < 0)
		return fail_with_hint(report, error, "cannot make the eBPF maps");
	if (store) {
		error = keep_all(report, store, owner);
		if (error < 0)
			return error;
	}
	maps = malloc(sizeof(*maps));
	if (!maps)
		return enforcer_fail(report, -ENOMEM, "out of memory");
	maps->owner = TAKE_PTR(owner);
	maps->inherited = inherited > 0;
	*ret_maps = maps;
	return 0;
}

bool program_maps_are_inherited(const ProgramMaps *maps)
{
	return maps->inherited;
}

void program_maps_free(ProgramMaps *maps)
{
	if (!maps)
		return;
	spale_tc__destroy(maps->owner);
	free(maps);
}

int program_maps_fd(const ProgramMaps *maps, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(maps->owner->obj, name);

	return fd < 0 ? -ENOENT : fd;
}

/* ---- instances --------------------------------------------------------------------------- */

/* Gives OBJECT our maps in place of its own. */
static int share_maps(const ProgramMaps *maps, struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		/* Each instance has constants of its own. */
		if (bpf_map__is_internal(map))
			continue;

		int fd = program_maps_fd(maps, bpf_map__name(map));
		int error = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
		if (error < 0)
			return error;
	}
	return 0;
}

static int load(Enforcer *report, const ProgramMaps *maps, struct bpf_object *object,
		const struct bpf_program *program)
{
	int error, fd;

	verifier_said[0] = '\0';
	error = pin_nothing(object);
	if (error == 0)
		error = share_maps(maps, object);
	if (error == 0)
		error = bpf_object__load(object);
	if (error < 0)
		return fail_with_hint(report, error, "the kernel does not take the eBPF program");
	fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? enforcer_fail(report, -errno, "cannot keep the eBPF program: %s",
				      strerror(errno))
		      : fd;
}

bool program_needs_fine_clock(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_ktime_get_coarse_ns,
				       NULL) == 0;
}

static int load_tc(Enforcer *report, const ProgramMaps *maps, uint32_t slot,
		   enum spale_header_kind header_kind)
{
	_cleanup_(spale_tc_destroyp) struct spale_tc *skeleton = spale_tc__open();

	if (!skeleton)
		return fail_with_hint(report, -errno, "cannot read the embedded TC program");
	skeleton->rodata->slot = slot;
	skeleton->rodata->header_kind = header_kind;
	skeleton->rodata->fine_clock = program_needs_fine_clock();
	return load(report, maps, skeleton->obj, skeleton->progs.spale_tc);
}

static int load_xdp(Enforcer *report, const ProgramMaps *maps, uint32_t slot,
		    enum spale_header_kind header_kind)
{
	_cleanup_(spale_xdp_destroyp) struct spale_xdp *skeleton = spale_xdp__open();

	if (!skeleton)
		return fail_with_hint(report, -errno, "cannot read the embedded XDP program");
	skeleton->rodata->slot = slot;
	skeleton->rodata->header_kind = header_kind;
	return load(report, maps, skeleton->obj, skeleton->progs.spale_xdp);
}

int program_load(Enforcer *report, const ProgramMaps *maps, Mode mode, uint32_t slot,
		 enum spale_header_kind header_kind)
{
	switch (mode) {
	case MODE_TC:
		return load_tc(report, maps, slot, header_kind);
	case MODE_XDP:
		return load_xdp(report, maps, slot, header_kind);
	}
	return enforcer_fail(report, -EINVAL, "unknown mode");
}
