# SPDX-License-Identifier: MIT
"""Kinds of devices and of traffic that a judge of packets could stumble over."""

import contextlib
import socket
import threading

import pytest

from lib import netns, packets, services
from lib.netns import tcp_closed, tcp_open, udp_open

FAR = "02:00:00:00:00:99"  # a MAC address that nobody has at first


@contextlib.contextmanager
def mtu(lab, size):
    """Both ends of the client's link at another MTU."""
    def change(value):
        lab.client.namespace.ip(f"link set c0 mtu {value}")
        lab.server.ip(f"link set s0 mtu {value}")

    change(size)
    try:
        yield
    finally:
        change(1500)


def echo_much(link, family, size):
    """Sends SIZE bytes over TCP and gets them back."""
    data = bytes(range(256)) * (size // 256)
    kind = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    with link.namespace.socket(kind, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.bind((link.source(family), 0))
        sock.connect((link.server[family], services.TCP))
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        received = b""
        while len(received) < len(data):
            part = sock.recv(1 << 20)
            if not part:
                break
            received += part
        sender.join()
        return received == data


@pytest.mark.parametrize("size", [1280, 1500, 9000])
def test_much_data_passes(daemon, lab, size):
    """Segments that the kernel merges and cuts, at every size of frames."""
    with mtu(lab, size):
        daemon.start()
        for family in netns.FAMILIES:
            assert tcp_closed(lab.client, family, services.TCP)
            daemon.knock(family=family)
            assert echo_much(lab.client, family, 1 << 20)
        daemon.stop()


def test_large_datagrams_pass(daemon, lab, family):
    """In fragments, of which all but the first have no ports."""
    daemon.start()
    daemon.knock(family=family)
    kind = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    with lab.client.namespace.socket(kind, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.bind((lab.client.source(family), 0))
        sock.connect((lab.client.server[family], services.UDP))
        sock.send(b"x" * 20000)
        assert len(sock.recv(65536)) == 20000
    assert daemon.counters()["fragment"] > 0


def test_new_mac_opens_nothing(daemon, lab, family):
    """The server's interface gets another MAC address while it is guarded."""
    daemon.start()
    lab.server.ip(f"link set s0 address {FAR}")
    lab.client.namespace.ip(f"neigh replace {lab.client.server[family]} lladdr {FAR} dev c0 "
                            "nud permanent")
    try:
        assert udp_open(lab.client, family, services.FREE_UDP)
        assert tcp_closed(lab.client, family, services.TCP)
        daemon.knock(family=family)
        assert tcp_open(lab.client, family, services.TCP)
    finally:
        lab.server.ip(f"link set s0 address {lab.client.peer_mac}")
        lab.client.namespace.ip(f"neigh replace {lab.client.server[family]} lladdr "
                                f"{lab.client.peer_mac} dev c0 nud permanent")


@contextlib.contextmanager
def link_local(lab):
    """The client and the attacker have the same link-local address, each on its own link."""
    source, server = "fe80::77", "fe80::1"
    links = []
    try:
        for link, device in ((lab.client, "s0"), (lab.attacker, "s1")):
            lab.server.ip(f"addr add {server}/64 dev {device} nodad",
                          f"neigh replace {source} lladdr {link.mac} dev {device} nud permanent")
            links.append(netns.Link(link.namespace, link.device, link.mac, link.peer_mac,
                                    {"ipv6": [source]}, {"ipv6": server}))
        yield links
    finally:
        for device in ("s0", "s1"):
            lab.server.ip(f"addr del {server}/64 dev {device}", f"neigh del {source} dev {device}")


def answered(link, timeout=2.0):
    """Whether a plain SYN from the link's first IPv6 address is."""
    probe = packets.Probe(link, "ipv6", "tcp", services.TCP)
    return packets.probe_syn(link, probe.frame(probe.ip() / probe.transport()), probe.source_port,
                             timeout)


def dropped(link):
    return not answered(link, 0.2)


def test_link_local_grant_holds_on_one_interface(daemon, lab):
    with link_local(lab) as (client, attacker):
        # The kernel takes new addresses into use by and by.
        assert netns.wait_until(lambda: answered(client, 0.2) and answered(attacker, 0.2), 5)
        daemon.start()
        assert dropped(client)
        mark = daemon.mark()
        with packets.Wire(client) as wire:
            wire.send(packets.datagram(client, "ipv6", client.source("ipv6"), services.KNOCK,
                                       daemon.keys.knock()))
        assert daemon.wait_log("knock accepted", mark), daemon.log(mark)
        assert answered(client)
        assert dropped(attacker)


@pytest.fixture
def bridged(lab):
    """A third link of the client, to a bridge on the server, where XDP is generic only."""
    mac, server_mac = "02:00:00:00:00:07", "02:00:00:00:00:08"
    namespace = lab.client.namespace
    namespace.ip(f"link add c7 address {mac} type veth peer name s7 netns {lab.server.name}")
    try:
        lab.server.ip(f"link add br7 address {server_mac} type bridge", "link set s7 master br7",
                      "link set s7 up", "link set br7 up",
                      "addr add 10.97.0.1/24 dev br7", "addr add fd97::1/64 dev br7 nodad")
        namespace.ip("addr add 10.97.0.2/24 dev c7", "addr add fd97::2/64 dev c7 nodad",
                     "link set c7 up")
        link = netns.Link(namespace, "c7", mac, server_mac,
                          {"ipv4": ["10.97.0.2"], "ipv6": ["fd97::2"]},
                          {"ipv4": "10.97.0.1", "ipv6": "fd97::1"})
        assert netns.wait_until(lambda: all(tcp_open(link, family, services.TCP)
                                            for family in netns.FAMILIES))
        yield link
    finally:
        namespace.ip("link del c7")
        lab.server.ip("link del br7")


def test_bridge(daemon, bridged):
    daemon.start(Protect={"Interfaces": "br7"})
    for family in netns.FAMILIES:
        assert tcp_closed(bridged, family, services.TCP)
        assert tcp_open(bridged, family, services.FREE_TCP)
        daemon.knock(link=bridged, family=family)
        assert tcp_open(bridged, family, services.TCP)


def test_disguises_at_a_bridge(daemon, bridged, family):
    """Behind the bridge's own parsing."""
    daemon.start(Protect={"Interfaces": "br7"})
    assert packets.answered(bridged, family) == set()
