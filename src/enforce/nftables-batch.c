/* SPDX-License-Identifier: MIT */
#include "enforce/nftables-batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <limits.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"

/* The longest message here: a list of elements is an attribute, of 64 KiB at most. */
#define MESSAGE_MAX 65536

/* Elements of a message: with their comments (240 bytes at most) they fit into one list. */
#define ELEMENTS_MAX 200

/* Longest key: an IPv6 address, a protocol and a port, in whole words. */
#define KEY_MAX 24

DEFINE_CLEANUP(struct nftnl_table, nftnl_table_free)
DEFINE_CLEANUP(struct nftnl_set, nftnl_set_free)
DEFINE_CLEANUP(struct nftnl_set_elem, nftnl_set_elem_free)
DEFINE_CLEANUP(struct nftnl_udata_buf, nftnl_udata_buf_free)
#define _cleanup_table_	  _cleanup_(nftnl_table_freep)
#define _cleanup_set_	  _cleanup_(nftnl_set_freep)
#define _cleanup_element_ _cleanup_(nftnl_set_elem_freep)
#define _cleanup_udata_	  _cleanup_(nftnl_udata_buf_freep)

static int reserve(NftablesBatch *batch, size_t more)
{
	size_t room = batch->room ? batch->room : MESSAGE_MAX;
	char *data;

	while (room < batch->size + more)
		room *= 2;
	if (room == batch->room)
		return 0;
	/* The kernel takes no longer ones either. */
	if (room > INT_MAX / 2)
		return -EFBIG;
	data = realloc(batch->data, room);
	if (!data)
		return -ENOMEM;
	batch->data = data;
	batch->room = room;
	return 0;
}

/* Begins a message; NULL: the batch is beyond use. */
static struct nlmsghdr *begin(NftablesBatch *batch, uint16_t type, uint8_t family, uint16_t flags)
{
	int r = batch->error ?: reserve(batch, 2 * MESSAGE_MAX);

	batch->error = r;
	if (r < 0)
		return NULL;
	batch->last = batch->size;
	return nftnl_nlmsg_build_hdr(batch->data + batch->size, type, family, flags,
				     ++batch->sequence);
}

static void end(NftablesBatch *batch, const struct nlmsghdr *message)
{
	batch->size += MNL_ALIGN(message->nlmsg_len);
}

void nftables_batch_init(NftablesBatch *batch)
{
	*batch = (NftablesBatch){0};
	batch->error = reserve(batch, MESSAGE_MAX);
	if (batch->error < 0)
		return;
	batch->size = MNL_ALIGN(nftnl_batch_begin(batch->data, 0)->nlmsg_len);
}

void nftables_batch_done(NftablesBatch *batch)
{
	free(batch->data);
}

bool nftables_batch_is_empty(const NftablesBatch *batch)
{
	return batch->sequence == 0;
}

/* ---- tables and sets ----------------------------------------------------------------------- */

void nftables_batch_add_table(NftablesBatch *batch, const NftablesName *name, bool owned)
{
	_cleanup_table_ struct nftnl_table *table = nftnl_table_alloc();
	_cleanup_udata_ struct nftnl_udata_buf *comment = nftnl_udata_buf_alloc(256);
	struct nlmsghdr *message =
		begin(batch, NFT_MSG_NEWTABLE, name->family, NLM_F_CREATE | NLM_F_EXCL);

	if (!message)
		return;
	if (!table || !comment || nftnl_table_set_str(table, NFTNL_TABLE_NAME, name->table) < 0 ||
	    !nftnl_udata_put_strz(comment, NFTNL_UDATA_TABLE_COMMENT, NFTABLES_TABLE_COMMENT) ||
	    nftnl_table_set_data(table, NFTNL_TABLE_USERDATA, nftnl_udata_buf_data(comment),
				 nftnl_udata_buf_len(comment)) < 0) {
		batch->error = -ENOMEM;
		return;
	}
	nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS, owned ? NFT_TABLE_F_OWNER : 0);
	nftnl_table_nlmsg_build_payload(message, table);
	end(batch, message);
}

void nftables_batch_delete_table(NftablesBatch *batch, const NftablesName *name)
{
	_cleanup_table_ struct nftnl_table *table = nftnl_table_alloc();
	struct nlmsghdr *message = begin(batch, NFT_MSG_DELTABLE, name->family, 0);

	if (!message)
		return;
	if (!table || nftnl_table_set_str(table, NFTNL_TABLE_NAME, name->table) < 0) {
		batch->error = -ENOMEM;
		return;
	}
	nftnl_table_nlmsg_build_payload(message, table);
	end(batch, message);
}

void nftables_batch_add_set(NftablesBatch *batch, const NftablesName *name, bool ipv4)
{
	const uint8_t fields[] = {ipv4 ? 4 : 16, 1, 2};
	_cleanup_set_ struct nftnl_set *set = nftnl_set_alloc();
	struct nlmsghdr *message =
		begin(batch, NFT_MSG_NEWSET, name->family, NLM_F_CREATE | NLM_F_EXCL);

	if (!message)
		return;
	if (!set || nftnl_set_set_str(set, NFTNL_SET_TABLE, name->table) < 0 ||
	    nftnl_set_set_str(set, NFTNL_SET_NAME, name->set) < 0 ||
	    nftnl_set_set_data(set, NFTNL_SET_DESC_CONCAT, fields, sizeof(fields)) < 0) {
		batch->error = -ENOMEM;
		return;
	}
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS,
			  NFT_SET_INTERVAL | NFT_SET_TIMEOUT | NFT_SET_CONCAT);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, nftables_key_type(ipv4));
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, nftables_key_length(ipv4));
	/* Within this transaction; the kernel wants one. */
	nftnl_set_set_u32(set, NFTNL_SET_ID, batch->sequence);
	nftnl_set_nlmsg_build_payload(message, set);
	end(batch, message);
}

/* ---- elements ------------------------------------------------------------------------------ */

/* The key of an element, in the order of its type. Returns its length. */
static uint32_t write_key(uint8_t key[static KEY_MAX], const Address *address, uint8_t protocol,
			  uint16_t port)
{
	bool ipv4 = address_is_ipv4(address);
	const __be16 port_be = htons(port);
	size_t at = ipv4 ? 4 : 16;

	memset(key, 0, KEY_MAX);
	memcpy(key, address->bytes + (16 - at), at);
	key[at] = protocol;
	memcpy(key + at + 4, &port_be, sizeof(port_be));
	return (uint32_t)at + 8;
}

static int set_key(struct nftnl_set_elem *to, const NftablesElement *element, bool intervals)
{
	uint8_t key[KEY_MAX];
	uint32_t length = write_key(key, &element->first, element->protocol, element->first_port);
	int r = nftnl_set_elem_set(to, NFTNL_SET_ELEM_KEY, key, length);

	if (r == 0 && intervals) {
		write_key(key, &element->last, element->protocol, element->last_port);
		r = nftnl_set_elem_set(to, NFTNL_SET_ELEM_KEY_END, key, length);
	}
	return r < 0 ? -ENOMEM : 0;
}

static int set_comment(struct nftnl_set_elem *to, const char *comment)
{
	_cleanup_udata_ struct nftnl_udata_buf *data = nftnl_udata_buf_alloc(256);

	if (!data || !nftnl_udata_put_strz(data, NFTNL_UDATA_SET_ELEM_COMMENT, comment) ||
	    nftnl_set_elem_set(to, NFTNL_SET_ELEM_USERDATA, nftnl_udata_buf_data(data),
			       nftnl_udata_buf_len(data)) < 0)
		return -ENOMEM;
	return 0;
}

/* 0 is for ever, whatever the set's own timeout. */
static uint64_t timeout(uint64_t end_mono_ns, uint64_t now_mono_ns, uint64_t slack_ns)
{
	uint64_t ticks;

	if (end_mono_ns >= SPALE_NEVER_NS - slack_ns)
		return 0;
	end_mono_ns += slack_ns;
	ticks = end_mono_ns > now_mono_ns ? (end_mono_ns - now_mono_ns) / NFTABLES_TICK_NS : 0;
	return ticks > 0 ? ticks : 1;
}

typedef enum Deed {
	DEED_DELETE,
	DEED_UPDATE,
	DEED_ADD,
} Deed;

/* What all elements of a call have in common. */
typedef struct ElementWriting {
	Deed deed;
	const NftablesTiming *timing; /* NULL: DEED_DELETE */
	struct nftnl_set_elem *scratch;
} ElementWriting;

static int write_element(const NftablesBatch *batch, const ElementWriting *writing,
			 const NftablesElement *element, struct nlmsghdr *message, int number)
{
	struct nftnl_set_elem *to = writing->scratch;
	int r = set_key(to, element, batch->intervals);

	if (r == 0 && writing->deed != DEED_DELETE) {
		uint64_t ticks = timeout(element->end_mono_ns, writing->timing->now_mono_ns,
					 writing->timing->slack_ns);

		nftnl_set_elem_set_u64(to, NFTNL_SET_ELEM_TIMEOUT, ticks);
		/* A timeout that is the same as before would leave what is left of it. */
		if (writing->deed == DEED_UPDATE)
			nftnl_set_elem_set_u64(to, NFTNL_SET_ELEM_EXPIRATION, ticks);
		r = set_comment(to, element->comment);
	}
	if (r == 0)
		nftnl_set_elem_nlmsg_build(message, to, number);
	return r;
}

/* One message with COUNT elements. */
static void write_elements(NftablesBatch *batch, const ElementWriting *writing,
			   const NftablesElement *const *elements, size_t count)
{
	static const struct {
		uint16_t type, flags;
	} kinds[] = {
		[DEED_DELETE] = {NFT_MSG_DELSETELEM, 0},
		[DEED_UPDATE] = {NFT_MSG_NEWSETELEM, NLM_F_CREATE},
		[DEED_ADD] = {NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL},
	};
	struct nlmsghdr *message = begin(batch, kinds[writing->deed].type, batch->name->family,
					 kinds[writing->deed].flags);
	struct nlattr *list;
	int r = 0;

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, batch->name->table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, batch->name->set);
	list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = write_element(batch, writing, elements[i], message, (int)i + 1);
	mnl_attr_nest_end(message, list);
	if (r < 0)
		batch->error = r;
	else
		end(batch, message);
}

static void write_all(NftablesBatch *batch, Deed deed, const NftablesElement *const *elements,
		      size_t count, const NftablesTiming *timing)
{
	_cleanup_element_ struct nftnl_set_elem *scratch = nftnl_set_elem_alloc();
	const ElementWriting writing = {deed, timing, scratch};

	if (!scratch)
		batch->error = -ENOMEM;
	for (size_t i = 0; batch->error == 0 && i < count; i += ELEMENTS_MAX)
		write_elements(batch, &writing, elements + i,
			       count - i < ELEMENTS_MAX ? count - i : ELEMENTS_MAX);
}

void nftables_batch_begin_elements(NftablesBatch *batch, const NftablesName *name, bool intervals)
{
	batch->name = name;
	batch->intervals = intervals;
}

void nftables_batch_delete_elements(NftablesBatch *batch, const NftablesElement *const *elements,
				    size_t count)
{
	write_all(batch, DEED_DELETE, elements, count, NULL);
}

void nftables_batch_update_elements(NftablesBatch *batch, const NftablesElement *const *elements,
				    size_t count, const NftablesTiming *timing)
{
	write_all(batch, DEED_UPDATE, elements, count, timing);
}

void nftables_batch_add_elements(NftablesBatch *batch, const NftablesElement *const *elements,
				 size_t count, const NftablesTiming *timing)
{
	write_all(batch, DEED_ADD, elements, count, timing);
}

/* ---- commit -------------------------------------------------------------------------------- */

/* What the kernel says of the messages, the LAST of which it confirms when all is done. */
static int read_answers(struct mnl_socket *socket, uint32_t last)
{
	char answer[32768];
	int error = -EIO;
	ssize_t size;

	while ((size = recv(mnl_socket_get_fd(socket), answer, sizeof(answer), MSG_DONTWAIT)) > 0) {
		int left = (int)size;

		for (const struct nlmsghdr *message = (const void *)answer;
		     mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
			const struct nlmsgerr *said = mnl_nlmsg_get_payload(message);

			if (message->nlmsg_type != NLMSG_ERROR ||
			    mnl_nlmsg_get_payload_len(message) < sizeof(*said))
				continue;
			if (said->error < 0 && (error == -EIO || error == 0))
				error = said->error;
			else if (said->error == 0 && message->nlmsg_seq == last && error == -EIO)
				error = 0;
		}
	}
	/* More errors than there was room for. */
	if (size < 0 && errno == ENOBUFS && error == 0)
		error = -ENOBUFS;
	return error;
}

int nftables_batch_commit(NftablesBatch *batch, struct mnl_socket *socket)
{
	int room;

	if (batch->error == 0)
		batch->error = reserve(batch, MESSAGE_MAX);
	if (batch->error < 0)
		return batch->error;
	((struct nlmsghdr *)(batch->data + batch->last))->nlmsg_flags |= NLM_F_ACK;
	batch->size += MNL_ALIGN(
		nftnl_batch_end(batch->data + batch->size, batch->sequence + 1)->nlmsg_len);
	/* It has to go in one piece; what was there before is an answer to nobody. */
	room = (int)batch->size + MESSAGE_MAX;
	(void)setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &room,
			 sizeof(room));
	(void)read_answers(socket, 0);
	if (mnl_socket_sendto(socket, batch->data, batch->size) < 0)
		return -errno;
	/* The kernel has done it, and answered, by now. */
	return read_answers(socket, batch->sequence);
}
