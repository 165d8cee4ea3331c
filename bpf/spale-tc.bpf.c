/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("tc") int spale_tc(void *ctx) { return ctx ? 0 : 2; }
