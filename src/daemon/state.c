/* SPDX-License-Identifier: MIT */
#include "daemon/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util/error.h"
#include "util/file.h"
#include "util/parse.h"

/* The files hold a line for each format, and there are not many formats. */
#define FORMATS_MAX    8
#define FLOOR_FILE_MAX 512

#define FILE_NAME_SIZE (2 * SPALE_KEY_SIZE + 1)

struct State {
	int dir_fd;
	int replay_fd;
	char *problem; /* NULL: none */
};

/* What one file says. */
typedef struct Floors {
	struct {
		uint32_t format;
		uint64_t floor;
	} items[FORMATS_MAX];
	size_t count;
} Floors;

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static const char *file_name(const PublicKey *key, char name[static FILE_NAME_SIZE])
{
	if (!key)
		return "all";
	for (size_t i = 0; i < sizeof(key->bytes); i++)
		snprintf(name + 2 * i, 3, "%02x", key->bytes[i]);
	return name;
}

/* "FORMAT FLOOR\n" for each format; anything else is damage. TEXT is cut up. */
static int parse_floors(char *text, size_t size, Floors *ret_floors)
{
	Floors floors = {.count = 0};

	if (size == 0 || strlen(text) != size || text[size - 1] != '\n')
		return -EBADMSG;
	for (char *line = text, *end; *line; line = end + 1) {
		char *blank = strchr(line, ' ');

		end = strchr(line, '\n');
		if (!blank || blank > end || floors.count == FORMATS_MAX)
			return -EBADMSG;
		*blank = *end = '\0';
		if (parse_u32(line, 1, UINT32_MAX, &floors.items[floors.count].format) < 0 ||
		    parse_u64(blank + 1, 0, UINT64_MAX, &floors.items[floors.count].floor) < 0)
			return -EBADMSG;
		floors.count++;
	}
	*ret_floors = floors;
	return 0;
}

static int read_floors(const State *state, const char *name, Floors *ret_floors)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = file_read(state->replay_fd, name, FLOOR_FILE_MAX, &text, &size);
	if (r == -EFBIG || r == -EINVAL || r == -EISDIR)
		return -EBADMSG;
	if (r < 0)
		return r;
	return parse_floors(text, size, ret_floors);
}

int state_floor(State *state, const PublicKey *key, unsigned format, uint64_t *ret_floor)
{
	char name[FILE_NAME_SIZE];
	Floors floors;
	int r;

	if (state->problem)
		return -EROFS;
	r = read_floors(state, file_name(key, name), &floors);
	if (r < 0)
		return r;
	for (size_t i = 0; i < floors.count; i++)
		if (floors.items[i].format == format) {
			*ret_floor = floors.items[i].floor;
			return 0;
		}
	return -ENOENT;
}

int state_set_floor(State *state, const PublicKey *key, unsigned format, uint64_t floor)
{
	char name_buffer[FILE_NAME_SIZE], text[FLOOR_FILE_MAX];
	const char *name = file_name(key, name_buffer);
	Floors floors = {.count = 0};
	size_t i = 0;
	int size = 0, r;

	if (state->problem)
		return -EROFS;
	/* The other formats' floors stay; a damaged file has none that could. */
	r = read_floors(state, name, &floors);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	while (i < floors.count && floors.items[i].format != format)
		i++;
	if (i == FORMATS_MAX)
		return -E2BIG;
	if (i == floors.count)
		floors.count++;
	floors.items[i].format = format;
	floors.items[i].floor = floor;
	for (i = 0; i < floors.count; i++)
		size += snprintf(text + size, sizeof(text) - (size_t)size,
				 "%" PRIu32 " %" PRIu64 "\n", floors.items[i].format,
				 floors.items[i].floor);
	return file_write(state->replay_fd, name, text, (size_t)size, 0600,
			  FILE_SYNC | FILE_REPLACE);
}

/* Opens the directory NAME of DIR_FD, making it where it is missing, so that it is there to stay.
 */
static int open_or_make(int dir_fd, const char *name)
{
	_cleanup_close_ int fd = -1, parent = -1;
	bool made;

	made = mkdirat(dir_fd, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return -errno;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (made) {
		parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0 || fsync(parent) < 0)
			return -errno;
	}
	return TAKE_FD(fd);
}

/* Those of a spaled that was killed while it wrote. */
static void remove_leftovers(const State *state)
{
	_cleanup_close_ int clients =
		openat(state->dir_fd, "clients", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	file_remove_leftovers(state->dir_fd);
	file_remove_leftovers(state->replay_fd);
	if (clients >= 0)
		file_remove_leftovers(clients);
}

int state_open(const char *directory, State **ret_state, bool *ret_fresh, char **ret_error)
{
	_cleanup_state_ State *state = malloc(sizeof(*state));
	struct stat st;
	Floors floors;

	if (!state)
		return error_set(ret_error, -ENOMEM, "no memory");
	*state = (State){-1, -1, NULL};
	state->dir_fd = open_or_make(AT_FDCWD, directory);
	if (state->dir_fd < 0)
		return error_set(ret_error, state->dir_fd,
				 "the state directory %s cannot be used: %s; make it, or say "
				 "--state-directory",
				 directory, strerror(-state->dir_fd));
	if (fstat(state->dir_fd, &st) < 0)
		return error_set(ret_error, -errno, "the state directory %s: %s", directory,
				 strerror(errno));
	if (st.st_mode & S_IWOTH)
		return error_set(
			ret_error, -EPERM,
			"everybody may write to the state directory %s, and so allow replays: "
			"chmod 0700 it",
			directory);
	if (flock(state->dir_fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(ret_error, errno == EWOULDBLOCK ? -EBUSY : -errno,
				 "the state directory %s cannot be locked: %s", directory,
				 errno == EWOULDBLOCK ? "another spaled is using it"
						      : strerror(errno));
	state->replay_fd = open_or_make(state->dir_fd, "replay");
	if (state->replay_fd < 0)
		return error_set(ret_error, state->replay_fd,
				 "the directory %s/replay cannot be used: %s", directory,
				 strerror(-state->replay_fd));
	remove_leftovers(state);
	*ret_fresh = read_floors(state, "all", &floors) < 0;
	*ret_state = TAKE_PTR(state);
	return 0;
}

int state_new_unusable(char *problem, State **ret_state)
{
	State *state = problem ? malloc(sizeof(*state)) : NULL;

	if (!state) {
		free(problem);
		return -ENOMEM;
	}
	*state = (State){-1, -1, problem};
	*ret_state = state;
	return 0;
}

const char *state_problem(const State *state)
{
	return state->problem;
}

void state_free(State *state)
{
	if (!state)
		return;
	closep(&state->dir_fd);
	closep(&state->replay_fd);
	free(state->problem);
	free(state);
}

int state_directory_fd(const State *state)
{
	return state->dir_fd;
}

int state_open_clients(State *state)
{
	return state->problem ? -EROFS : open_or_make(state->dir_fd, "clients");
}

/* Gives the directory DIR_FD and every file in it. */
static int give(int dir_fd, uid_t uid, gid_t gid)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	_cleanup_close_ int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)TAKE_FD(fd);
	if (fchown(dir_fd, uid, gid) < 0)
		return -errno;
	for (errno = 0; (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    fchownat(dirfd(dir), entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	return -errno;
}

int state_give(State *state, uid_t uid, gid_t gid)
{
	_cleanup_close_ int clients = state_open_clients(state);
	int r = clients < 0 ? clients : give(clients, uid, gid);

	if (r == 0)
		r = give(state->replay_fd, uid, gid);
	return r < 0 ? r : give(state->dir_fd, uid, gid);
}
