/* SPDX-License-Identifier: GPL-2.0-only */
/* For tests: puts a VLAN tag into the skb's metadata, then runs the program under test. */
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

SEC("tc")
int tag_tc(struct __sk_buff *ctx)
{
	if (bpf_skb_vlan_push(ctx, bpf_htons(tpid), 1) == 0)
		bpf_tail_call(ctx, &next, 0);
	return TC_ACT_STOLEN; /* neither pass nor drop: the test fails */
}

char LICENSE[] SEC("license") = "GPL";
