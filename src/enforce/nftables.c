/* SPDX-License-Identifier: MIT */
#include "enforce/nftables.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "enforce/nftables-batch.h"
#include "enforce/nftables-change.h"
#include "enforce/nftables-elements.h"
#include "enforce/nftables-query.h"
#include "enforce/nftables-watch.h"
#include "util/parse.h"

/* What others change meanwhile makes a transaction fail; it is tried again, at most so often. */
#define SYNC_TRIES 4

/* An element that the kernel may be removing by itself at this moment is not touched. */
#define EXPIRY_NS (NSEC_PER_SEC / 2)

/* One set, and what it holds as far as is known. */
typedef struct Side {
	NftablesName name;
	bool ipv4;
	bool intervals;
	NftablesElements have, foreign;
} Side;

struct Nftables {
	MirrorTarget target;
	struct mnl_socket *socket;
	int watch_fd;
	uint8_t family;
	bool updates; /* the kernel changes an element's time where it is */
	Side sides[2];
	NftablesStatus status;
	char error[512];
};

static int __attribute__((format(printf, 3, 4)))
fail(Nftables *nftables, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(nftables->error, sizeof(nftables->error), format, arguments);
	va_end(arguments);
	return error;
}

/* ---- life ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint8_t family;
} families[] = {
	{"inet", NFPROTO_INET},	    {"ip", NFPROTO_IPV4},	{"ip6", NFPROTO_IPV6},
	{"netdev", NFPROTO_NETDEV}, {"bridge", NFPROTO_BRIDGE},
};

static void name_sides(Nftables *nftables)
{
	MirrorTarget *target = &nftables->target;

	if (target->mode == MIRROR_OWN)
		*target = (MirrorTarget){MIRROR_OWN, NFTABLES_OWN_FAMILY, NFTABLES_OWN_TABLE,
					 NFTABLES_OWN_SET4, NFTABLES_OWN_SET6};
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (strcmp(families[i].name, target->family) == 0)
			nftables->family = families[i].family;
	nftables->sides[0].ipv4 = true;
	for (size_t i = 0; i < ARRAY_SIZE(nftables->sides); i++)
		nftables->sides[i].name = (NftablesName){nftables->family, target->table,
							 i == 0 ? target->set4 : target->set6};
}

int nftables_new(const MirrorTarget *target, int socket_fd, Nftables **ret_nftables)
{
	_cleanup_close_ int inherited = socket_fd;
	_cleanup_nftables_ Nftables *nftables = calloc(1, sizeof(*nftables));

	if (!nftables)
		return -ENOMEM;
	nftables->watch_fd = -1;
	nftables->target = *target;
	nftables->updates = nftables_change_can_update();
	name_sides(nftables);
	if (inherited >= 0) {
		nftables->socket = mnl_socket_fdopen(inherited);
		if (nftables->socket)
			inherited = -1;
	} else {
		nftables->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
		if (nftables->socket &&
		    mnl_socket_bind(nftables->socket, 0, MNL_SOCKET_AUTOPID) < 0)
			return -errno;
	}
	if (!nftables->socket)
		return errno > 0 ? -errno : -EIO;
	nftables->watch_fd = nftables_watch_open(mnl_socket_get_portid(nftables->socket));
	if (nftables->watch_fd < 0)
		return nftables->watch_fd;
	*ret_nftables = TAKE_PTR(nftables);
	return 0;
}

void nftables_free(Nftables *nftables)
{
	if (!nftables)
		return;
	closep(&nftables->watch_fd);
	if (nftables->socket)
		mnl_socket_close(nftables->socket);
	for (size_t i = 0; i < ARRAY_SIZE(nftables->sides); i++) {
		nftables_elements_done(&nftables->sides[i].have);
		nftables_elements_done(&nftables->sides[i].foreign);
	}
	free(nftables);
}

const char *nftables_error(const Nftables *nftables)
{
	return nftables->error;
}

int nftables_socket_fd(const Nftables *nftables)
{
	return mnl_socket_get_fd(nftables->socket);
}

int nftables_watch_fd(const Nftables *nftables)
{
	return nftables->watch_fd;
}

int nftables_consume_changes(Nftables *nftables)
{
	const NftablesName names[] = {nftables->sides[0].name, nftables->sides[1].name};
	int r = nftables_watch_consume(nftables->watch_fd, names, ARRAY_SIZE(names));

	return r < 0 ? fail(nftables, r, "nftables cannot be watched: %s", strerror(-r)) : r;
}

const NftablesStatus *nftables_status(const Nftables *nftables)
{
	return &nftables->status;
}

/* ---- tables and sets ----------------------------------------------------------------------- */

static int make_own(Nftables *nftables, bool replaces, bool owned)
{
	_cleanup_nftables_batch_ NftablesBatch batch;

	nftables_batch_init(&batch);
	if (replaces)
		nftables_batch_delete_table(&batch, &nftables->sides[0].name);
	nftables_batch_add_table(&batch, &nftables->sides[0].name, owned);
	for (size_t i = 0; i < ARRAY_SIZE(nftables->sides); i++)
		nftables_batch_add_set(&batch, &nftables->sides[i].name, nftables->sides[i].ipv4);
	return nftables_batch_commit(&batch, nftables->socket);
}

/* Sees to it that our own table is there. */
static int ensure_own(Nftables *nftables)
{
	const uint32_t port_id = mnl_socket_get_portid(nftables->socket);
	const char *name = nftables->target.table;
	NftablesTable table = {0};
	int r = nftables_query_table(&nftables->sides[0].name, &table);
	bool exists = r == 0;

	if (r < 0 && r != -ENOENT)
		return fail(nftables, r, "nftables does not answer: %s", strerror(-r));
	if (exists && table.is_ours && table.owner == port_id)
		return 0;
	if (exists && !table.is_ours)
		return fail(nftables, -EBUSY,
			    "there is a table %s %s that spaled did not make, and leaves alone",
			    nftables->target.family, name);
	if (exists && table.owner != 0)
		return fail(nftables, -EBUSY, "the table %s %s belongs to another spaled",
			    nftables->target.family, name);
	r = make_own(nftables, exists, true);
	/* Tables have owners since Linux 5.12. There what is left of an earlier spaled will do. */
	if (r == -EOPNOTSUPP || r == -EINVAL)
		r = exists ? 0 : make_own(nftables, false, false);
	if (r < 0)
		return fail(nftables, r, "the table %s %s cannot be made: %s",
			    nftables->target.family, name, strerror(-r));
	return 0;
}

/* Whether a set can hold grants; says why not. */
static int check_kind(Nftables *nftables, Side *side, const NftablesSet *set)
{
	const MirrorTarget *target = &nftables->target;
	const char *wrong = NULL;

	side->intervals = set->flags & NFT_SET_INTERVAL;
	if (set->key_type != nftables_key_type(side->ipv4) ||
	    set->key_length != nftables_key_length(side->ipv4))
		return fail(nftables, -EINVAL,
			    "set %s of table %s %s is not of type %s . inet_proto . inet_service",
			    side->name.set, target->family, target->table,
			    side->ipv4 ? "ipv4_addr" : "ipv6_addr");
	if (set->flags & (NFT_SET_MAP | NFT_SET_OBJECT))
		wrong = "is a map, not a set";
	else if (set->flags & NFT_SET_CONSTANT)
		wrong = "has the flag constant, so that nothing can be added";
	else if (!(set->flags & NFT_SET_TIMEOUT))
		wrong = "lacks \"flags timeout\", without which grants would outlive spaled";
	if (wrong)
		return fail(nftables, -EINVAL, "set %s of table %s %s %s", side->name.set,
			    target->family, target->table, wrong);
	return 0;
}

static int check_set(Nftables *nftables, Side *side)
{
	NftablesTable table;
	NftablesSet set;
	int r = nftables_query_set(&side->name, &set);

	if (r == 0)
		return check_kind(nftables, side, &set);
	if (r != -ENOENT)
		return fail(nftables, r, "nftables does not answer: %s", strerror(-r));
	if (nftables_query_table(&side->name, &table) == -ENOENT)
		return fail(nftables, r, "there is no table %s %s", nftables->target.family,
			    side->name.table);
	return fail(nftables, r, "there is no set %s in table %s %s", side->name.set,
		    nftables->target.family, side->name.table);
}

/* ---- changes ------------------------------------------------------------------------------- */

/* Whether the kernel has removed it by itself, or may be doing so. */
static bool is_over(const NftablesElement *element, uint64_t now_mono_ns)
{
	return element->end_mono_ns != SPALE_NEVER_NS &&
	       element->end_mono_ns + NFTABLES_SLACK_NS <= now_mono_ns + EXPIRY_NS;
}

/* What of the kernel's own accord is gone is not there. */
static void forget_over(NftablesElements *elements, uint64_t now_mono_ns)
{
	size_t count = 0;

	for (size_t i = 0; i < elements->count; i++)
		if (!is_over(&elements->items[i], now_mono_ns))
			elements->items[count++] = elements->items[i];
	elements->count = count;
}

/* Makes both sets hold WANT, which becomes what they have, by one transaction. */
static int commit(Nftables *nftables, NftablesElements want[static 2], uint64_t now_mono_ns)
{
	_cleanup_nftables_batch_ NftablesBatch batch;
	int r = 0;

	nftables_batch_init(&batch);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(nftables->sides); i++) {
		const Side *side = &nftables->sides[i];
		const NftablesChange change = {
			.name = &side->name,
			.intervals = side->intervals,
			.updates = nftables->updates,
			.have = &side->have,
			.want = &want[i],
			.now_mono_ns = now_mono_ns,
		};

		forget_over(&nftables->sides[i].have, now_mono_ns);
		r = nftables_change_put(&change, &batch);
	}
	if (r == 0 && !nftables_batch_is_empty(&batch))
		r = nftables_batch_commit(&batch, nftables->socket);
	if (r < 0)
		return fail(nftables, r, "nftables did not take a change of grants: %s",
			    strerror(-r));
	return 0;
}

/* ---- grants -------------------------------------------------------------------------------- */

/* What both sets are to have. */
typedef struct Wanted {
	NftablesElements sides[2];
	NftablesStatus status;
} Wanted;

static void wanted_done(Wanted *wanted)
{
	nftables_elements_done(&wanted->sides[0]);
	nftables_elements_done(&wanted->sides[1]);
}
#define _cleanup_wanted_ _cleanup_(wanted_done)

static int want_grants(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns,
		       Wanted *wanted)
{
	NftablesLeftOut left_out = {0};
	uint64_t end_mono_ns;
	int r = 0;

	wanted->status =
		(NftablesStatus){.again_mono_ns = SPALE_NEVER_NS, .resync_mono_ns = SPALE_NEVER_NS};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(nftables->sides); i++) {
		const Side *side = &nftables->sides[i];
		const NftablesForm form = {side->ipv4, side->intervals, side->name.set};

		r = nftables_elements_of_grants(grants, &form, now_mono_ns, &wanted->sides[i],
						&left_out);
		if (r == 0)
			r = nftables_elements_yield(&wanted->sides[i], &side->foreign, &left_out,
						    &form, &end_mono_ns);
		if (r < 0)
			return fail(nftables, r, "%s", strerror(-r));
		if (end_mono_ns < wanted->status.resync_mono_ns)
			wanted->status.resync_mono_ns = end_mono_ns;
		wanted->status.elements += wanted->sides[i].count;
		r = 0;
	}
	wanted->status.left_out = left_out.grants;
	memcpy(wanted->status.why, left_out.why, sizeof(left_out.why));
	return 0;
}

/*
 * WANT is what there is now, but for ends that were close enough to be left as they were. What is
 * there longest without a change says when to look again.
 */
static void accept_wanted(Nftables *nftables, Wanted *wanted)
{
	for (size_t i = 0; i < ARRAY_SIZE(nftables->sides); i++) {
		NftablesElements *have = &nftables->sides[i].have, *want = &wanted->sides[i];

		for (size_t h = 0, w = 0; h < have->count && w < want->count;) {
			const NftablesElement *old = &have->items[h];
			NftablesElement *new = &want->items[w];
			int order = nftables_elements_compare(old, new);
			uint64_t apart = old->end_mono_ns > new->end_mono_ns
						 ? old->end_mono_ns - new->end_mono_ns
						 : new->end_mono_ns - old->end_mono_ns;

			if (order == 0 && apart <= NFTABLES_TOLERANCE_NS)
				new->end_mono_ns = old->end_mono_ns;
			h += order <= 0;
			w += order >= 0;
		}
		for (size_t w = 0; w < want->count; w++)
			if (want->items[w].end_mono_ns < wanted->status.again_mono_ns)
				wanted->status.again_mono_ns = want->items[w].end_mono_ns;
		nftables_elements_done(have);
		*have = *want;
		*want = (NftablesElements){0};
	}
	nftables->status = wanted->status;
}

/* Leaves for the next time what would take the kernel too long now. */
static int postpone(Nftables *nftables, const Side *side, NftablesElements *want,
		    uint64_t now_mono_ns, bool *postponed)
{
	int r;

	if (!side->intervals)
		return 0;
	r = nftables_change_postpone(&side->have, want, nftables->updates, now_mono_ns);
	if (r < 0)
		return fail(nftables, r, "%s", strerror(-r));
	*postponed = *postponed || r > 0;
	return 0;
}

int nftables_apply(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns)
{
	_cleanup_wanted_ Wanted wanted = {0};
	bool postponed = false;
	int r = want_grants(nftables, grants, now_mono_ns, &wanted);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(nftables->sides); i++)
		r = postpone(nftables, &nftables->sides[i], &wanted.sides[i], now_mono_ns,
			     &postponed);
	if (r == 0)
		r = commit(nftables, wanted.sides, now_mono_ns);
	if (r < 0)
		return r;
	accept_wanted(nftables, &wanted);
	nftables->status.postponed = postponed;
	return 0;
}

/* How many of BEFORE, which were there, are not in NOW any more. */
static size_t count_missing(NftablesElements *before, const NftablesElements *now,
			    uint64_t now_mono_ns)
{
	size_t missing = 0;

	forget_over(before, now_mono_ns);
	for (size_t b = 0, n = 0; b < before->count; b++) {
		int order = 1;

		while (n < now->count &&
		       (order = nftables_elements_compare(&now->items[n], &before->items[b])) < 0)
			n++;
		missing += order != 0 || n == now->count;
	}
	return missing;
}

/* Reads what a set holds. Adds to *MISSING what was there before and is not. */
static int look(Nftables *nftables, Side *side, uint64_t now_mono_ns, size_t *missing)
{
	_cleanup_nftables_elements_ NftablesElements ours = {0}, foreign = {0};
	int r = check_set(nftables, side);

	if (r < 0)
		return r;
	r = nftables_query_elements(&side->name, side->ipv4, now_mono_ns, NFTABLES_SLACK_NS, &ours,
				    &foreign);
	if (r < 0)
		return fail(nftables, r, "set %s of table %s %s cannot be read: %s", side->name.set,
			    nftables->target.family, side->name.table, strerror(-r));
	*missing += count_missing(&side->have, &ours, now_mono_ns);
	nftables_elements_done(&side->have);
	nftables_elements_done(&side->foreign);
	side->have = ours;
	side->foreign = foreign;
	ours = foreign = (NftablesElements){0};
	return 0;
}

static int look_around(Nftables *nftables, uint64_t now_mono_ns, size_t *missing)
{
	int r = nftables->target.mode == MIRROR_OWN ? ensure_own(nftables) : 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(nftables->sides); i++)
		r = look(nftables, &nftables->sides[i], now_mono_ns, missing);
	return r;
}

/* Whether an error may come of what somebody else did since we looked. */
static bool is_passing(int error)
{
	return error == -ENOENT || error == -EEXIST || error == -ENOTEMPTY || error == -EBUSY ||
	       error == -EINTR;
}

int nftables_sync(Nftables *nftables, const GrantTable *grants, uint64_t now_mono_ns)
{
	size_t missing = 0;
	int r = 0;

	for (int tries = 0; tries < SYNC_TRIES; tries++) {
		r = look_around(nftables, now_mono_ns, &missing);
		if (r == -EINTR)
			continue;
		if (r < 0)
			break;
		r = nftables_apply(nftables, grants, now_mono_ns);
		if (!is_passing(r))
			break;
	}
	if (r == 0)
		nftables->status.missing = missing;
	return r;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* Has every element end at END at the latest. */
static int fade(Nftables *nftables, uint64_t end_mono_ns, uint64_t now_mono_ns)
{
	_cleanup_wanted_ Wanted wanted = {0};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(nftables->sides); i++) {
		const NftablesElements *have = &nftables->sides[i].have;

		for (size_t j = 0; r == 0 && j < have->count; j++) {
			NftablesElement element = have->items[j];

			/* Most end by themselves; where it takes long this is for the others. */
			if (element.end_mono_ns == SPALE_NEVER_NS ||
			    (nftables->updates && element.end_mono_ns > end_mono_ns))
				element.end_mono_ns = end_mono_ns;
			r = nftables_elements_add(&wanted.sides[i], &element);
		}
	}
	return r < 0 ? r : commit(nftables, wanted.sides, now_mono_ns);
}

static int remove_own(Nftables *nftables)
{
	_cleanup_nftables_batch_ NftablesBatch batch;
	NftablesTable table;
	int r = nftables_query_table(&nftables->sides[0].name, &table);

	if (r < 0 || !table.is_ours)
		return r == -ENOENT ? 0 : r;
	nftables_batch_init(&batch);
	nftables_batch_delete_table(&batch, &nftables->sides[0].name);
	return nftables_batch_commit(&batch, nftables->socket);
}

int nftables_leave(Nftables *nftables, uint64_t within_ns, uint64_t now_mono_ns)
{
	_cleanup_wanted_ Wanted nothing = {0};
	NftablesTable table;
	size_t missing = 0;

	if (nftables->target.mode == MIRROR_OWN) {
		if (within_ns > 0 && nftables_query_table(&nftables->sides[0].name, &table) == 0 &&
		    table.owner == mnl_socket_get_portid(nftables->socket))
			return 0;
		return remove_own(nftables);
	}
	if (look_around(nftables, now_mono_ns, &missing) < 0)
		return 0; /* it is lost already */
	if (within_ns > NFTABLES_SLACK_NS)
		return fade(nftables, now_mono_ns + within_ns - NFTABLES_SLACK_NS, now_mono_ns);
	return commit(nftables, nothing.sides, now_mono_ns);
}
