# SPDX-License-Identifier: MIT
"""What a knock opens, for whom, and for how long."""

import time

import pytest

from lib import packets, services
from lib.netns import FAMILIES, PATIENCE, tcp_closed, tcp_open, udp_closed, udp_open, wait_until


def other(family):
    return "ipv6" if family == "ipv4" else "ipv4"


def test_closed_without_a_knock(daemon, lab, family):
    daemon.start()
    assert tcp_closed(lab.client, family, services.TCP)
    assert udp_closed(lab.client, family, services.UDP)
    assert tcp_closed(lab.attacker, family, services.TCP)
    assert daemon.counters()["denied"] >= 3


def test_unprotected_ports_stay_open(daemon, lab, family):
    daemon.start()
    assert tcp_open(lab.client, family, services.FREE_TCP)
    assert udp_open(lab.client, family, services.FREE_UDP)
    # Protected for one protocol is not protected for another.
    assert udp_closed(lab.client, family, services.TCP)  # nobody is there, but nothing is denied
    assert daemon.counters()["denied"] == 0


def test_knock_opens_every_port(daemon, lab, family):
    daemon.start()
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert udp_open(lab.client, family, services.UDP)
    assert tcp_open(lab.client, family, services.BOTH)
    assert udp_open(lab.client, family, services.BOTH)
    assert tcp_open(lab.client, family, services.ALSO)
    assert daemon.counters()["granted"] > 0


def test_grant_holds_for_its_source_only(daemon, lab, family):
    daemon.start()
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_closed(lab.client, family, services.TCP, source=1)
    assert udp_closed(lab.client, family, services.UDP, source=1)
    assert tcp_closed(lab.client, other(family), services.TCP)
    assert tcp_closed(lab.attacker, family, services.TCP)


def test_grant_holds_on_every_interface(daemon, lab, family):
    """A source may come in through another interface than its knock did."""
    daemon.start()
    daemon.knock(family=family, link=lab.attacker, server=lab.client.server[family])
    assert tcp_open(lab.attacker, family, services.TCP)
    assert tcp_open(lab.attacker, family, services.TCP, server=lab.client.server[family])
    assert tcp_closed(lab.client, family, services.TCP)


def test_grant_to_a_network(daemon, lab, family):
    daemon.start(Grant={"Prefix4": "24", "Prefix6": "64"})
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP, source=3)
    assert tcp_closed(lab.attacker, family, services.TCP)


def test_two_clients_at_one_address(own_daemon, lab, family):
    daemon = own_daemon
    daemon.keys.conf("alice", Ports=f"{services.TCP}/tcp")
    daemon.keys.conf("bob", Ports=f"{services.ALSO}/tcp")
    daemon.start()
    daemon.knock("alice", family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_closed(lab.client, family, services.ALSO)
    daemon.knock("bob", family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_open(lab.client, family, services.ALSO)
    assert tcp_closed(lab.client, family, services.BOTH)


# ---- times, in both families at once --------------------------------------------------------

def times(**seconds):
    """Settings of [Grant], longer where everything takes longer."""
    return {name: f"{round(value * PATIENCE * 1000)}ms" for name, value in seconds.items()}


def spend(seconds):
    time.sleep(seconds * PATIENCE)


def knock_in_both(daemon):
    for family in FAMILIES:
        daemon.knock(family=family)


def in_both(check, lab, port, **where):
    return all(check(lab.client, family, port, **where) for family in FAMILIES)


def test_idle_closes(daemon, lab):
    daemon.start(Grant=times(Idle=1, Grace=0))
    knock_in_both(daemon)
    assert in_both(tcp_open, lab, services.TCP)
    spend(1.2)
    assert in_both(tcp_closed, lab, services.TCP)
    assert daemon.wait_log(r"(?s)(grant expired.*){2}"), daemon.log()


def test_activity_extends(daemon, lab):
    """And on one port it is for that port: what is not used closes."""
    daemon.start(Grant=times(Idle=1, Grace=0))
    knock_in_both(daemon)
    end = time.monotonic() + 1.5 * PATIENCE
    while time.monotonic() < end:
        assert in_both(udp_open, lab, services.UDP)
        spend(0.3)
    assert in_both(tcp_closed, lab, services.TCP)
    assert in_both(udp_open, lab, services.UDP)
    spend(1.1)
    assert in_both(udp_closed, lab, services.UDP)


class Segments:
    """Single TCP segments from the client's first address, and what the server says to them."""

    def __init__(self, link, family):
        self.link = link
        self.family = family

    def answered(self, flags, timeout=2.0):
        """A SYN is answered by a SYN-ACK, an ACK out of the blue by a reset, if they get through."""
        probe = packets.Probe(self.link, self.family, "tcp", services.TCP)
        frame = probe.frame(probe.ip() / probe.transport(flags=flags, ack=1 if "A" in flags else 0))
        with packets.Wire(self.link) as wire:
            wire.send(frame)
            return bool(packets.collect(wire, {probe.source_port}, timeout, any_segment=True))

    def dropped(self, flags):
        return not self.answered(flags, 0.15)


def test_grace_lets_a_syn_reopen_and_not_an_ack(daemon, lab):
    daemon.start(Grant=times(Idle=1, Grace=30))
    ends = [Segments(lab.client, family) for family in FAMILIES]
    assert all(end.dropped("A") for end in ends)
    knock_in_both(daemon)
    assert all(end.answered("A") for end in ends)
    spend(1.2)
    assert all(end.dropped("A") for end in ends)
    assert all(end.dropped("SA") for end in ends)
    assert all(end.answered("S") for end in ends)
    assert all(end.answered("A") for end in ends)
    assert daemon.counters()["grace"] == len(FAMILIES)


def test_grace_ends(daemon, lab):
    daemon.start(Grant=times(Idle=1, Grace=1.8))
    knock_in_both(daemon)
    spend(1.2)
    assert in_both(udp_open, lab, services.UDP)  # any datagram may begin a conversation
    spend(1.9)
    assert in_both(udp_closed, lab, services.UDP)
    assert in_both(tcp_closed, lab, services.TCP)


def test_lifetime_ends_new_conversations(daemon, lab):
    daemon.start(Grant={"Idle": "infinity", "Grace": "infinity"} | times(Lifetime=1.5))
    knock_in_both(daemon)
    end = time.monotonic() + 1.0 * PATIENCE
    while time.monotonic() < end:
        assert in_both(tcp_open, lab, services.TCP)
    spend(0.7)
    assert in_both(tcp_closed, lab, services.TCP)
    assert in_both(udp_closed, lab, services.UDP)
    assert daemon.wait_log(r"(?s)(grant expired.*){2}"), daemon.log()


def test_knock_renews(daemon, lab):
    daemon.start(Grant=times(Idle=1, Grace=0))
    for _ in range(3):
        knock_in_both(daemon)
        spend(0.7)
    assert in_both(tcp_open, lab, services.TCP)


# ---- who may open what ----------------------------------------------------------------------

def test_ports_of_a_client(own_daemon, lab, family):
    daemon = own_daemon
    daemon.keys.conf("alice", Ports=f"{services.TCP}/tcp {services.BOTH}/udp 9/tcp")
    daemon.start()
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert udp_open(lab.client, family, services.BOTH)
    assert tcp_closed(lab.client, family, services.BOTH)
    assert tcp_closed(lab.client, family, services.ALSO)
    assert udp_closed(lab.client, family, services.UDP)


@pytest.mark.parametrize("ports", ["", "9/tcp", "9-10 11/udp", f"{services.TCP}/udp"])
def test_ports_that_filter_to_nothing_open_nothing(own_daemon, lab, ports):
    daemon = own_daemon
    daemon.keys.conf("alice", Ports=ports)
    daemon.start()
    daemon.refused(daemon.keys.knock(), "no-ports")
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert udp_closed(lab.client, "ipv4", services.UDP)


@pytest.mark.parametrize("settings, reason", [
    ({"NotAfter": "2020-01-31"}, "client-dates"),
    ({"NotBefore": "2120-01-31"}, "client-dates"),
    ({"AllowedSources": "10.77.0.3 fd77::3"}, "source"),
])
def test_clients_that_may_not(own_daemon, lab, settings, reason):
    daemon = own_daemon
    daemon.keys.conf("alice", **settings)
    daemon.start()
    daemon.refused(daemon.keys.knock(), reason)
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_disabled_client_does_not_reach_the_daemon(own_daemon, lab):
    daemon = own_daemon
    daemon.keys.conf("alice", Enabled="no")
    daemon.start()
    daemon.send(daemon.keys.knock())
    daemon.knock("bob", source=1)
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert daemon.counters()["knock"] == 1
    assert "alice" not in daemon.log().split("started", 1)[1]


def test_allowed_sources(own_daemon, lab, family):
    daemon = own_daemon
    daemon.keys.conf("alice", AllowedSources="10.77.0.2/32 fd77::2/127")
    daemon.start()
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP)


def test_times_of_a_client(own_daemon, lab):
    daemon = own_daemon
    daemon.keys.conf("alice", Idle="1", Grace="0")
    daemon.start()
    daemon.knock("alice")
    daemon.knock("bob", source=1)
    time.sleep(1.3)
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.client, "ipv4", services.TCP, source=1)


def test_always_allowed(daemon, lab, family):
    daemon.start(Protect={"AlwaysAllow": "10.77.0.3 fd77::3/128 10.78.0.0/24 fd78::/64"})
    assert tcp_closed(lab.client, family, services.TCP)
    assert tcp_open(lab.client, family, services.TCP, source=1)
    assert udp_open(lab.client, family, services.UDP, source=1)
    assert tcp_closed(lab.client, family, services.TCP, source=2)
    assert tcp_open(lab.attacker, family, services.TCP, source=4)
    assert daemon.counters()["always-allowed"] > 0


def test_log_only(daemon, lab, family):
    daemon.start(Protect={"LogOnly": "yes"})
    assert tcp_open(lab.client, family, services.TCP)
    assert udp_open(lab.client, family, services.UDP)
    assert daemon.counters()["denied"] == 0
    assert daemon.counters("would_drop")["denied"] >= 2
    # A knock is a knock all the same: it is taken, and the grant shows in the counters.
    daemon.knock(family=family)
    assert udp_open(lab.client, family, services.UDP)
    assert daemon.counters()["granted"] >= 1


def test_at_most_16_grants_a_client(daemon, lab):
    """The oldest yields."""
    daemon.start(Knock={"RateBurst": "100"})
    sources = [f"10.77.1.{n}" for n in range(1, 18)]
    for source in sources:
        mark = daemon.mark()
        with packets.Wire(lab.client) as wire:
            wire.send(packets.datagram(lab.client, "ipv4", source, services.KNOCK,
                                       daemon.keys.knock()))
        assert daemon.wait_log("knock accepted", mark), daemon.log(mark)
    assert wait_until(lambda: f"source={sources[0]}" in _lines(daemon, "grant revoked"))
    assert _lines(daemon, "grant revoked").count("\n") == 1


def _lines(daemon, text):
    return "".join(line + "\n" for line in daemon.log().splitlines() if text in line)
