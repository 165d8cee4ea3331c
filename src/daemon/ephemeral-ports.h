/* SPDX-License-Identifier: MIT */
/*
 * Ports that are protected, and that this host may open connections of its own from.
 */
#pragma once

#include "util/ports.h"

/*
 * Finds the first of PORTS that is in RANGE ("32768 60999", as /proc/sys/net/ipv4 has it) and not
 * in RESERVED ("8080,9148-9150"). A text that cannot be read counts as the kernel's default, and as
 * empty. Returns 0, -ENOENT (there is none) or -ENOMEM.
 */
int ephemeral_ports_find(const PortList *ports, const char *range, const char *reserved,
			 PortRange *ret_port);

/* Warns of such ports, by what the kernel says, where /proc/sys is to be seen. */
void ephemeral_ports_warn(const PortList *ports);
