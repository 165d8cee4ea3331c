/* SPDX-License-Identifier: GPL-2.0-only */
/* For tests: two programs that run before the one under test. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

volatile __u16 tpid = 0x8100;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

/* Puts a VLAN tag into the skb's metadata. */
SEC("tc")
int tag_tc(struct __sk_buff *ctx)
{
	if (bpf_skb_vlan_push(ctx, bpf_htons(tpid), 1) == 0)
		bpf_tail_call(ctx, &next, 0);
	return TC_ACT_STOLEN; /* neither pass nor drop: the test fails */
}

/* What the last frame looked like, and how many there were. */
__u32 probe_linear, probe_length, probe_tagged, probe_frames;

SEC("tc")
int probe_tc(struct __sk_buff *ctx)
{
	probe_linear = ctx->data_end - ctx->data;
	probe_length = ctx->len;
	probe_tagged = ctx->vlan_present;
	probe_frames++;
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
