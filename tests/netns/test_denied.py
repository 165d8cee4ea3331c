# SPDX-License-Identifier: MIT
"""Denied attempts: who tried what is in the log, once in a while."""

import re

import pytest

from lib import services
from lib.netns import tcp_closed, tcp_open

DENIED = r"access denied: source=(\S+) ports=\"(\S+)\" reason=(\S+) interface=(\S+) \((.*)\)"


def denied(daemon, mark=0):
    return re.findall(DENIED, daemon.log(mark))


def test_denied_attempts_are_sampled(make_daemon, lab, mode, family):
    daemon = make_daemon(mode=mode).start(Protect={"LogDenied": "1/min"})
    mark = daemon.mark()
    for _ in range(3):
        assert tcp_closed(lab.client, family, services.TCP)
    source = lab.client.source(family)
    assert daemon.wait_log(DENIED, mark)
    assert denied(daemon, mark) == [(source, f"{services.TCP}/tcp", "denied", "s0", "1 packet")]


def test_later_lines_count_what_was_left_out(own_daemon, lab):
    own_daemon.start(Protect={"LogDenied": "1/s"})
    mark = own_daemon.mark()
    while len(denied(own_daemon, mark)) < 2:
        assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert re.fullmatch(r"(?!1 )\d+ packets", denied(own_daemon, mark)[1][4])


def test_nothing_is_said_without_reason(own_daemon, lab):
    """Neither of who has a grant, nor where it is not wanted."""
    own_daemon.start(Protect={"LogDenied": "10/s"})
    own_daemon.knock("alice")
    mark = own_daemon.mark()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.client, "ipv4", services.FREE_TCP)
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)
    assert own_daemon.wait_log(DENIED, mark)
    assert {row[0] for row in denied(own_daemon, mark)} == {lab.client.source("ipv4", 1)}

    own_daemon.write_conf(Protect={"LogDenied": "no"})
    own_daemon.reload()
    mark = own_daemon.mark()
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)
    assert not own_daemon.wait_log(DENIED, mark, timeout=0.5)


def test_log_only_says_that_it_passed(own_daemon, lab):
    own_daemon.start(Protect={"LogOnly": "yes"})
    mark = own_daemon.mark()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert own_daemon.wait_log(DENIED, mark)
    assert denied(own_daemon, mark)[0][4] == "1 packet, passed: log-only"
