# SPDX-License-Identifier: MIT
"""Frames for other stations, where an interface receives such: they pass, what is ours does not."""

import contextlib
import os

import pytest

from lib import packets, services
from lib.netns import FAMILIES, Link, Namespace, tcp_closed, tcp_open, udp_send, wait_until
from lib.services import Services

MAC, BRIDGE_MAC, PORT_MAC = "02:00:00:00:97:02", "02:00:00:00:97:01", "02:00:00:00:97:07"
CHILD_MAC, FAR_MAC, NOBODY = "02:00:00:00:97:09", "02:00:00:00:97:0a", "02:00:00:00:97:ff"
GUEST = {"ipv4": "10.97.0.3", "ipv6": "fd97::3"}
CHILD = {"ipv4": "10.97.0.4", "ipv6": "fd97::4"}


def stack_of(namespace, device, addresses):
    return [f"addr add {addresses['ipv4']}/24 dev {device}",
            f"addr add {addresses['ipv6']}/64 dev {device} nodad", f"link set {device} up"]


def neighbour(link, family, mac, server=None):
    link.namespace.ip(f"neigh replace {server or link.server[family]} lladdr {mac} "
                      f"dev {link.device} nud permanent")


@pytest.fixture
def bridged(lab):
    """A link of the client to a port s7 of the server's bridge, which has a MAC of its own."""
    client, server = lab.client.namespace, lab.server
    link = Link(client, "c7", MAC, BRIDGE_MAC, {"ipv4": ["10.97.0.2"], "ipv6": ["fd97::2"]},
                {"ipv4": "10.97.0.1", "ipv6": "fd97::1"})
    client.ip(f"link add c7 address {MAC} type veth peer name s7 address {PORT_MAC} "
              f"netns {server.name}")
    with contextlib.ExitStack() as stack:
        stack.callback(client.ip, "link del c7")
        stack.callback(server.ip, "link del br7")
        server.ip(f"link add br7 address {BRIDGE_MAC} type bridge", "link set s7 master br7",
                  "link set s7 up", *stack_of(server, "br7", link.server))
        client.ip(*stack_of(client, "c7", {f: a[0] for f, a in link.sources.items()}))
        for family in FAMILIES:
            neighbour(link, family, BRIDGE_MAC)
            assert wait_until(lambda family=family: tcp_open(link, family, services.TCP))
        yield link


@pytest.fixture
def guest(lab, bridged):
    """Another station at the bridge, as a virtual machine is, with the same services."""
    with contextlib.ExitStack() as stack:
        namespace = Namespace(f"spaletest-{os.getpid()}-guest")
        stack.callback(namespace.delete)
        lab.server.ip(f"link add s8 type veth peer name g8 netns {namespace.name}")
        stack.callback(lab.server.ip, "link del s8")
        lab.server.ip("link set s8 master br7", "link set s8 up")
        namespace.ip(*stack_of(namespace, "g8", GUEST))
        stack.enter_context(contextlib.closing(Services(namespace)))
        assert all(wait_until(lambda family=family: tcp_open(bridged, family, services.TCP,
                                                             server=GUEST[family]))
                   for family in FAMILIES)
        yield namespace


def guarded(daemon, interface="s7"):
    """The daemon on an interface; it has had the time to find out whose frames come there."""
    daemon.start(Protect={"Interfaces": interface})
    assert wait_until(lambda: daemon.asks(), timeout=5)


def judged(daemon, link, family, mac):
    """Whether a SYN to a station is denied; else it passes as another station's."""
    probe = packets.Probe(link, family, "tcp", services.TCP)
    before = daemon.counters()
    with packets.Wire(link) as wire:
        wire.send(probe.frame(probe.ip() / probe.transport(), dst=mac))

    def moved():
        after = daemon.counters()
        return [name for name in ("denied", "other-station") if after[name] > before[name]]

    assert wait_until(moved)
    return moved() == ["denied"]


def test_bridge_port(daemon, bridged, guest):
    """What is for a guest goes its way; what is for the bridge itself is ours."""
    guarded(daemon)
    for family in FAMILIES:
        assert tcp_open(bridged, family, services.TCP, server=GUEST[family])
        assert tcp_closed(bridged, family, services.TCP)
        assert tcp_open(bridged, family, services.FREE_TCP)
        daemon.knock(link=bridged, family=family)
        assert tcp_open(bridged, family, services.TCP)
    assert daemon.counters()["other-station"] >= 2


def test_knock_for_a_guest_is_its_own(daemon, bridged, guest):
    guarded(daemon)
    for family in FAMILIES:
        udp_send(bridged, family, services.KNOCK, daemon.keys.knock(), server=GUEST[family])
        assert tcp_closed(bridged, family, services.TCP)
    assert daemon.counters()["knock"] == 0


def test_every_disguise_at_a_bridge_port(daemon, bridged, family):
    guarded(daemon)
    assert packets.answered(bridged, family) == set()


def test_stations_of_the_host(daemon, lab, bridged, family):
    """The port's own, the bridge's, that of an interface that has nothing to do with it, all."""
    guarded(daemon)
    for mac in (PORT_MAC, BRIDGE_MAC, lab.attacker.peer_mac, "ff:ff:ff:ff:ff:ff",
                "01:00:5e:00:00:01"):
        assert judged(daemon, bridged, family, mac), mac
    assert not judged(daemon, bridged, family, NOBODY)


def test_new_mac_of_the_bridge(daemon, lab, bridged, family):
    """Closed again as soon as the daemon has heard of it, without anything else happening."""
    guarded(daemon)
    assert not judged(daemon, bridged, family, FAR_MAC)
    lab.server.ip(f"link set br7 address {FAR_MAC}")
    neighbour(bridged, family, FAR_MAC)
    assert wait_until(lambda: judged(daemon, bridged, family, FAR_MAC))
    assert tcp_closed(bridged, family, services.TCP)
    assert not judged(daemon, bridged, family, BRIDGE_MAC)


def test_ordinary_interface_asks_nobody(daemon, lab, family):
    daemon.start()
    assert judged(daemon, lab.client, family, NOBODY)
    lab.server.ip("link set s0 promisc on")
    try:
        assert wait_until(lambda: not judged(daemon, lab.client, family, NOBODY))
        assert tcp_closed(lab.client, family, services.TCP)
        assert judged(daemon, lab.client, family, lab.client.peer_mac)
    finally:
        lab.server.ip("link set s0 promisc off")
    assert wait_until(lambda: judged(daemon, lab.client, family, NOBODY))


def test_macvlan_in_another_namespace(daemon, lab, bridged):
    """A child of the bridge is of this host wherever it lives; that it is there nobody tells."""
    guarded(daemon)
    assert not judged(daemon, bridged, "ipv4", CHILD_MAC)
    with contextlib.ExitStack() as stack:
        namespace = Namespace(f"spaletest-{os.getpid()}-child")
        stack.callback(namespace.delete)
        stack.enter_context(contextlib.closing(Services(namespace)))
        lab.server.ip(f"link add link br7 name m7 address {CHILD_MAC} netns {namespace.name} "
                      "type macvlan mode bridge")
        namespace.ip(*stack_of(namespace, "m7", CHILD))
        assert wait_until(lambda: judged(daemon, bridged, "ipv4", CHILD_MAC), timeout=15)
        for family in FAMILIES:
            neighbour(bridged, family, CHILD_MAC, CHILD[family])
            assert tcp_open(bridged, family, services.FREE_TCP, server=CHILD[family])
            assert tcp_closed(bridged, family, services.TCP, server=CHILD[family])


def test_macvlan_parent(daemon, lab, family):
    """Beside a child the parent hears other stations too; the child is judged as the parent is."""
    daemon.start()
    assert judged(daemon, lab.client, family, NOBODY)
    lab.server.ip(f"link add link s0 name m0 address {CHILD_MAC} type macvlan mode bridge",
                  "link set m0 up")
    try:
        assert wait_until(lambda: not judged(daemon, lab.client, family, NOBODY))
        assert judged(daemon, lab.client, family, CHILD_MAC)
        assert tcp_closed(lab.client, family, services.TCP)
    finally:
        lab.server.ip("link del m0")


@pytest.mark.needs_vlans
def test_vlan_of_a_bridge(daemon, lab, bridged):
    """A VLAN on the bridge, with a MAC of its own, behind a tag."""
    server, client = lab.server, bridged.namespace
    guarded(daemon)
    server.ip("link add link br7 name br7.7 type vlan id 7", f"link set br7.7 address {FAR_MAC}",
              "addr add 10.96.0.1/24 dev br7.7", "link set br7.7 up")
    client.ip("link add link c7 name c7.7 type vlan id 7", "addr add 10.96.0.2/24 dev c7.7",
              "link set c7.7 up", f"neigh replace 10.96.0.1 lladdr {FAR_MAC} dev c7.7 nud permanent")
    link = Link(client, "c7.7", MAC, FAR_MAC, {"ipv4": ["10.96.0.2"]}, {"ipv4": "10.96.0.1"})
    assert wait_until(lambda: judged(daemon, bridged, "ipv4", FAR_MAC))
    assert wait_until(lambda: tcp_open(link, "ipv4", services.FREE_TCP))
    assert tcp_closed(link, "ipv4", services.TCP)


@pytest.mark.needs_bonds
def test_bond_in_a_bridge(daemon, lab, bridged):
    """Two storeys: the covered port is the bond's, the bond is the bridge's."""
    server = lab.server
    server.ip("link set s7 nomaster", "link set s7 down", "link add bond7 type bond mode 1",
              "link set s7 master bond7", "link set bond7 up", "link set bond7 master br7")
    try:
        guarded(daemon)
        for family in FAMILIES:
            assert wait_until(lambda family=family: tcp_open(bridged, family, services.FREE_TCP))
            assert tcp_closed(bridged, family, services.TCP)
            assert judged(daemon, bridged, family, BRIDGE_MAC)
            assert not judged(daemon, bridged, family, NOBODY)
    finally:
        server.ip("link del bond7")
