/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For benchmarks: writes a number into the frame, another one for each run, then runs the program
 * under test. So that a knock is a new one each time.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 offset = 0; /* of the number: four bytes */
__u32 number;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

SEC("tc")
int renew_tc(struct __sk_buff *ctx)
{
	__u32 value = number++;

	if (bpf_skb_store_bytes(ctx, offset, &value, sizeof(value), 0) == 0)
		bpf_tail_call(ctx, &next, 0);
	return TC_ACT_STOLEN;
}

SEC("xdp.frags")
int renew_xdp(struct xdp_md *ctx)
{
	__u32 value = number++;

	if (bpf_xdp_store_bytes(ctx, offset, &value, sizeof(value)) == 0)
		bpf_tail_call(ctx, &next, 0);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
