/* SPDX-License-Identifier: MIT */
#include "enforce/nftables-query.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "enforce/netlink-socket.h"
#include "util/cleanup.h"
#include "util/parse.h"

/* A list that changed while it was read is read again, at most so often. */
#define DUMP_TRIES 5

/* How nft(8) numbers the types of keys; a field of several takes six bits (nft's datatype.h). */
#define TYPE_IPV4     7U
#define TYPE_IPV6     8U
#define TYPE_PROTOCOL 12U
#define TYPE_SERVICE  13U
#define TYPE_BITS     6

DEFINE_CLEANUP(struct nftnl_table, nftnl_table_free)
DEFINE_CLEANUP(struct nftnl_set, nftnl_set_free)
#define _cleanup_table_ _cleanup_(nftnl_table_freep)
#define _cleanup_set_	_cleanup_(nftnl_set_freep)

uint32_t nftables_key_type(bool ipv4)
{
	return (ipv4 ? TYPE_IPV4 : TYPE_IPV6) << 2 * TYPE_BITS | TYPE_PROTOCOL << TYPE_BITS |
	       TYPE_SERVICE;
}

/* Each field takes whole words. */
uint32_t nftables_key_length(bool ipv4)
{
	return (ipv4 ? 4 : 16) + 4 + 4;
}

static bool is_kind(const struct nlmsghdr *message, uint16_t type)
{
	return message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | type) &&
	       mnl_nlmsg_get_payload_len(message) >= sizeof(struct nfgenmsg);
}

/* ---- tables and sets ----------------------------------------------------------------------- */

static int note_comment(const struct nftnl_udata *attribute, void *userdata)
{
	const char **comment = userdata;
	const char *text = nftnl_udata_get(attribute);
	uint8_t length = nftnl_udata_len(attribute);

	/* The number of a comment is the same for tables and elements. */
	if (nftnl_udata_type(attribute) == NFTNL_UDATA_SET_ELEM_COMMENT && length > 0 &&
	    text[length - 1] == '\0')
		*comment = text;
	return 0;
}

/* The comment in what nft(8) keeps beside a table or element, or "". */
static const char *find_comment(const void *data, uint32_t size)
{
	const char *comment = "";

	if (data && nftnl_udata_parse(data, size, note_comment, &comment) < 0)
		return "";
	return comment;
}

static int on_table(const struct nlmsghdr *message, void *userdata)
{
	_cleanup_table_ struct nftnl_table *table = nftnl_table_alloc();
	NftablesTable *result = userdata;
	const char *comment;
	const void *data;
	uint32_t size = 0;

	if (!table)
		return netlink_socket_error(-ENOMEM);
	if (!is_kind(message, NFT_MSG_NEWTABLE) || nftnl_table_nlmsg_parse(message, table) < 0)
		return netlink_socket_error(-EPROTO);
	data = nftnl_table_get_data(table, NFTNL_TABLE_USERDATA, &size);
	comment = find_comment(data, size);
	result->owner = nftnl_table_get_u32(table, NFTNL_TABLE_OWNER);
	result->is_ours = strcmp(comment, NFTABLES_TABLE_COMMENT) == 0;
	return MNL_CB_OK;
}

int nftables_query_table(const NftablesName *name, NftablesTable *ret_table)
{
	_cleanup_table_ struct nftnl_table *table = nftnl_table_alloc();
	char buffer[512];
	struct nlmsghdr *request;
	NftablesTable result = {0};
	int r;

	if (!table || nftnl_table_set_str(table, NFTNL_TABLE_NAME, name->table) < 0)
		return -ENOMEM;
	request = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETTABLE, name->family, NLM_F_ACK, 1);
	nftnl_table_nlmsg_build_payload(request, table);
	r = netlink_socket_ask(NETLINK_NETFILTER, request, on_table, &result);
	if (r == 0)
		*ret_table = result;
	return r;
}

static int on_set(const struct nlmsghdr *message, void *userdata)
{
	_cleanup_set_ struct nftnl_set *set = nftnl_set_alloc();
	NftablesSet *result = userdata;

	if (!set)
		return netlink_socket_error(-ENOMEM);
	if (!is_kind(message, NFT_MSG_NEWSET) || nftnl_set_nlmsg_parse(message, set) < 0)
		return netlink_socket_error(-EPROTO);
	result->flags = nftnl_set_get_u32(set, NFTNL_SET_FLAGS);
	result->key_type = nftnl_set_get_u32(set, NFTNL_SET_KEY_TYPE);
	result->key_length = nftnl_set_get_u32(set, NFTNL_SET_KEY_LEN);
	return MNL_CB_OK;
}

/* A request about the set of NAME in BUFFER, of a kilobyte, or NULL: no memory. */
static struct nlmsghdr *put_set_request(char *buffer, const NftablesName *name, uint16_t type,
					uint16_t flags)
{
	_cleanup_set_ struct nftnl_set *set = nftnl_set_alloc();
	struct nlmsghdr *request;

	if (!set || nftnl_set_set_str(set, NFTNL_SET_TABLE, name->table) < 0 ||
	    nftnl_set_set_str(set, NFTNL_SET_NAME, name->set) < 0)
		return NULL;
	request = nftnl_nlmsg_build_hdr(buffer, type, name->family, flags, 1);
	if (type == NFT_MSG_GETSET)
		nftnl_set_nlmsg_build_payload(request, set);
	else
		nftnl_set_elems_nlmsg_build_payload(request, set);
	return request;
}

int nftables_query_set(const NftablesName *name, NftablesSet *ret_set)
{
	char buffer[1024];
	struct nlmsghdr *request = put_set_request(buffer, name, NFT_MSG_GETSET, NLM_F_ACK);
	NftablesSet result = {0};
	int r;

	if (!request)
		return -ENOMEM;
	r = netlink_socket_ask(NETLINK_NETFILTER, request, on_set, &result);
	if (r == 0)
		*ret_set = result;
	return r;
}

/* ---- elements ------------------------------------------------------------------------------ */

typedef struct ElementDump {
	bool ipv4;
	uint64_t now_mono_ns, slack_ns;
	NftablesElements *ours, *foreign;
} ElementDump;

/* The fields of a key (nftables_key_length() bytes). */
static void read_key(const uint8_t *key, bool ipv4, Address *ret_address, uint8_t *ret_protocol,
		     uint16_t *ret_port)
{
	struct in_addr in4;
	struct in6_addr in6;
	__be16 port;
	size_t at = ipv4 ? 4 : 16;

	if (ipv4) {
		memcpy(&in4, key, sizeof(in4));
		*ret_address = address_from_ipv4(in4);
	} else {
		memcpy(&in6, key, sizeof(in6));
		*ret_address = address_from_ipv6(&in6);
	}
	*ret_protocol = key[at];
	memcpy(&port, key + at + 4, sizeof(port));
	*ret_port = ntohs(port);
}

static uint64_t read_end(const ElementDump *dump, struct nftnl_set_elem *from, bool is_ours)
{
	uint64_t left_ns, slack_ns = is_ours ? dump->slack_ns : 0;

	if (!nftnl_set_elem_is_set(from, NFTNL_SET_ELEM_EXPIRATION) ||
	    __builtin_mul_overflow(nftnl_set_elem_get_u64(from, NFTNL_SET_ELEM_EXPIRATION),
				   NFTABLES_TICK_NS, &left_ns) ||
	    left_ns > SPALE_NEVER_NS - 1 - dump->now_mono_ns)
		return SPALE_NEVER_NS;
	return dump->now_mono_ns + left_ns > slack_ns ? dump->now_mono_ns + left_ns - slack_ns : 0;
}

static int read_element(struct nftnl_set_elem *from, void *userdata)
{
	const ElementDump *dump = userdata;
	NftablesElement element = {0};
	uint32_t length = 0, end_length = 0, comment_size = 0;
	const uint8_t *key = nftnl_set_elem_get(from, NFTNL_SET_ELEM_KEY, &length);
	const uint8_t *end = nftnl_set_elem_get(from, NFTNL_SET_ELEM_KEY_END, &end_length);
	const void *data = nftnl_set_elem_get(from, NFTNL_SET_ELEM_USERDATA, &comment_size);
	const char *comment = find_comment(data, comment_size);
	bool is_ours =
		strncmp(comment, NFTABLES_COMMENT_PREFIX, strlen(NFTABLES_COMMENT_PREFIX)) == 0;
	uint8_t last_protocol;

	/* One for everything else ("*") has no key. */
	if (!key || length != nftables_key_length(dump->ipv4) || (end && end_length != length))
		return 0;
	read_key(key, dump->ipv4, &element.first, &element.protocol, &element.first_port);
	read_key(end ?: key, dump->ipv4, &element.last, &last_protocol, &element.last_port);
	element.end_mono_ns = read_end(dump, from, is_ours);
	snprintf(element.comment, sizeof(element.comment), "%s", comment);
	if (is_ours && element.protocol == last_protocol)
		return nftables_elements_add(dump->ours, &element);
	/* Protocols may be a range too: each is one that nobody else may have. */
	for (unsigned protocol = element.protocol; protocol <= last_protocol; protocol++) {
		element.protocol = (uint8_t)protocol;
		if (port_protocol_name(element.protocol) &&
		    nftables_elements_add(dump->foreign, &element) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int on_elements(const struct nlmsghdr *message, void *userdata)
{
	_cleanup_set_ struct nftnl_set *set = nftnl_set_alloc();

	if (!set)
		return netlink_socket_error(-ENOMEM);
	if (!is_kind(message, NFT_MSG_NEWSETELEM) || nftnl_set_elems_nlmsg_parse(message, set) < 0)
		return netlink_socket_error(-EPROTO);
	if (nftnl_set_elem_foreach(set, read_element, userdata) < 0)
		return netlink_socket_error(-ENOMEM);
	return MNL_CB_OK;
}

int nftables_query_elements(const NftablesName *name, bool ipv4, uint64_t now_mono_ns,
			    uint64_t slack_ns, NftablesElements *ours, NftablesElements *foreign)
{
	ElementDump dump = {ipv4, now_mono_ns, slack_ns, ours, foreign};
	size_t our_count = ours->count, foreign_count = foreign->count;
	char buffer[1024];
	struct nlmsghdr *request = put_set_request(buffer, name, NFT_MSG_GETSETELEM, NLM_F_DUMP);
	int r = -EINTR;

	if (!request)
		return -ENOMEM;
	for (int tries = 0; r == -EINTR && tries < DUMP_TRIES; tries++) {
		ours->count = our_count;
		foreign->count = foreign_count;
		r = netlink_socket_ask(NETLINK_NETFILTER, request, on_elements, &dump);
	}
	nftables_elements_sort(ours);
	nftables_elements_sort(foreign);
	return r;
}
