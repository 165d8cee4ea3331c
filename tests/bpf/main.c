/* SPDX-License-Identifier: MIT */
/* Runs all rows and sequences. Its last line is the sum. */
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>

#include "rows.h"

static unsigned long passed, failed;

bool check(bool ok, const char *format, ...)
{
	va_list arguments;

	if (ok) {
		passed++;
		return true;
	}
	failed++;
	va_start(arguments, format);
	printf("FAILED: ");
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	return false;
}

int main(void)
{
	static struct bench bench;

	bench.first = if_nametoindex("gate0");
	bench.second = if_nametoindex("gate1");
	if (!bench.first || !bench.second) {
		fprintf(stderr, "test-bpf: needs the namespace that tests/bpf/run makes for it\n");
		return 1;
	}
	gate_open(&bench.tc, "TC", false, SPALE_HEADER_ETHERNET);
	bench.modes = gate_has_xdp() ? 2 : 1;
	if (bench.modes > 1)
		gate_open(&bench.xdp, "XDP", true, SPALE_HEADER_ETHERNET);
	else
		printf("# left out, for this kernel has no XDP of Linux 5.18: all rows in XDP\n");
	gate_open(&bench.bare, "TC without link headers", false, SPALE_HEADER_NONE);
	bench.tc.ifindex = bench.xdp.ifindex = bench.bare.ifindex = bench.first;

	rows_run(&bench, parse_rows, parse_row_count);
	rows_run(&bench, bounds_rows, bounds_row_count);
	rows_run(&bench, decide_rows, decide_row_count);
	rows_run(&bench, host_rows, host_row_count);
	rows_run(&bench, knock_rows, knock_row_count);
	bounds_run(&bench);
	policy_run(&bench);
	sockets_run(&bench);
	knocks_run(&bench);
	events_run(&bench);
	devices_run(&bench);

	check(gate_is_tidy(&bench.tc) && (bench.modes < 2 || gate_is_tidy(&bench.xdp)) &&
		      gate_is_tidy(&bench.bare),
	      "something was counted in another slot");
	printf("%zu rows\n", parse_row_count + bounds_row_count + decide_row_count +
				     host_row_count + knock_row_count);
	gate_close(&bench.tc);
	if (bench.modes > 1)
		gate_close(&bench.xdp);
	gate_close(&bench.bare);
	printf("%lu passed, %lu failed, 0 skipped\n", passed, failed);
	return failed ? 1 : 0;
}
