# SPDX-License-Identifier: MIT
"""What the server forwards to a host behind it, and what it publishes for that host."""

import contextlib
import os

import pytest

from lib import services
from lib.netns import FAMILIES, Namespace, tcp_closed, tcp_open, udp_closed, udp_open, wait_until
from lib.services import Services

PUBLISHED = 7100  # at the server: the inner host's FREE_TCP
INNER = {"ipv4": "10.79.0.2", "ipv6": "fd79::2"}
FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")

RULES = f"""
table inet published {{
	chain prerouting {{
		type nat hook prerouting priority dstnat;
		meta nfproto ipv4 tcp dport {PUBLISHED} dnat ip to {INNER['ipv4']}:{services.FREE_TCP}
		meta nfproto ipv6 tcp dport {PUBLISHED} dnat ip6 to [{INNER['ipv6']}]:{services.FREE_TCP}
	}}
}}
"""


def set_forwarding(server, value):
    with server.enter():
        for name in FORWARDING:
            with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                file.write(value)


@pytest.fixture(scope="module")
def inner(lab):
    """The host behind the server, with the same services."""
    server, client = lab.server, lab.client.namespace
    with contextlib.ExitStack() as stack:
        namespace = Namespace(f"spaletest-{os.getpid()}-inner")
        stack.callback(namespace.delete)
        namespace.ip(f"link add i0 type veth peer name i1 netns {server.name}",
                     "addr add 10.79.0.2/24 dev i0", "addr add fd79::2/64 dev i0 nodad",
                     "link set i0 up")
        stack.callback(server.ip, "link del i1")
        server.ip("addr add 10.79.0.1/24 dev i1", "addr add fd79::1/64 dev i1 nodad",
                  "link set i1 up")
        namespace.ip("route add default via 10.79.0.1", "route add default via fd79::1")
        client.ip(f"route add 10.79.0.0/24 via {lab.client.server['ipv4']}",
                  f"route add fd79::/64 via {lab.client.server['ipv6']}")
        stack.callback(client.ip, "route del 10.79.0.0/24", "route del fd79::/64")
        set_forwarding(server, "1")
        stack.callback(set_forwarding, server, "0")
        stack.enter_context(contextlib.closing(Services(namespace)))
        server.run("nft", "-f", "-", input=RULES)
        stack.callback(server.run, "nft", "delete", "table", "inet", "published", check=False)
        yield namespace


def test_forwarded_passes(daemon, lab, inner, family):
    """Local is the default: what is behind the server is none of ours, the server itself is."""
    daemon.start()
    assert tcp_open(lab.client, family, services.TCP, server=INNER[family])
    assert udp_open(lab.client, family, services.UDP, server=INNER[family])
    assert tcp_closed(lab.client, family, services.TCP)
    assert udp_closed(lab.client, family, services.UDP)
    # Nor is the server's address on its other side anybody else's.
    assert tcp_closed(lab.client, family, services.TCP,
                      server={"ipv4": "10.79.0.1", "ipv6": "fd79::1"}[family])
    counters = daemon.counters()
    assert counters["forwarded"] >= 2 and counters["denied"] >= 3


def test_forwarded_is_protected(daemon, lab, inner, family):
    daemon.start(Protect={"Scope": "all"})
    assert tcp_closed(lab.client, family, services.TCP, server=INNER[family])
    assert udp_closed(lab.client, family, services.UDP, server=INNER[family])
    assert tcp_open(lab.client, family, services.FREE_TCP, server=INNER[family])
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP, server=INNER[family])
    assert udp_open(lab.client, family, services.UDP, server=INNER[family])
    assert daemon.counters()["forwarded"] == 0


def test_scope_changes_at_a_reload(daemon, lab, inner):
    daemon.start()
    for scope, check in (("all", tcp_closed), ("local", tcp_open)):
        daemon.write_conf(Protect={"Scope": scope})
        daemon.reload()
        for family in FAMILIES:
            assert check(lab.client, family, services.TCP, server=INNER[family])


@pytest.mark.parametrize("scope", ["local", "all"])
def test_published_port_is_protected(daemon, lab, inner, family, scope):
    """It has the server's own address until it is translated, behind the gate."""
    assert tcp_open(lab.client, family, PUBLISHED)
    daemon.start(Protect={"Scope": scope, "Ports": f"{PUBLISHED}/tcp"})
    assert tcp_closed(lab.client, family, PUBLISHED)
    daemon.knock(family=family)
    assert tcp_open(lab.client, family, PUBLISHED)


def test_no_forwarding_no_exception(daemon, lab, inner, family):
    """Where forwarding is switched off, nothing is on its way to anybody else."""
    daemon.start()
    set_forwarding(lab.server, "0")
    try:
        assert tcp_closed(lab.client, family, services.TCP, server=INNER[family])
        assert daemon.counters()["forwarded"] == 0
        assert daemon.counters()["denied"] >= 1
    finally:
        set_forwarding(lab.server, "1")


@pytest.mark.needs_vlans
def test_frames_of_a_vlan(daemon, lab, inner):
    """Routes are asked for the VLAN's own interface, as soon as there is one."""
    behind, here = "10.79.0.3", "10.80.0.1"
    client, server = lab.client.namespace, lab.server
    daemon.start()
    with contextlib.ExitStack() as stack:
        stack.callback(inner.ip, f"addr del {behind}/24 dev i0")
        inner.ip(f"addr add {behind}/24 dev i0")
        client.ip("link add link c0 name c0.7 type vlan id 7")
        stack.callback(client.ip, "link del c0.7")
        client.ip("link set c0.7 up",
                  f"route add {here} dev c0.7", f"route add {behind} via {here} dev c0.7",
                  f"neigh replace {here} lladdr {lab.client.peer_mac} dev c0.7 nud permanent")
        # The tag has an interface, or not: then it is nobody's, and nothing gets through.
        assert tcp_closed(lab.client, "ipv4", services.TCP, server=behind)
        stack.callback(server.ip, "link del s0.7")
        server.ip("link add link s0 name s0.7 type vlan id 7", "link set s0.7 up",
                  f"addr add {here}/24 dev s0.7")
        set_forwarding(server, "1")
        assert wait_until(lambda: tcp_open(lab.client, "ipv4", services.TCP, server=behind))
        assert tcp_closed(lab.client, "ipv4", services.TCP, server=here)
        forwarded = daemon.counters()["forwarded"]
        assert forwarded >= 3
        if daemon.mode == "xdp":
            return  # veth hides the tag from XDP, so that only s0 can be asked for
        # What the VLAN's interface does not forward stays protected.
        with server.enter(), open("/proc/sys/net/ipv4/conf/s0.7/forwarding", "w",
                                  encoding="ascii") as file:
            file.write("0")
        denied = daemon.counters()["denied"]
        assert tcp_closed(lab.client, "ipv4", services.TCP, server=behind)
        assert daemon.counters()["denied"] > denied
        assert daemon.counters()["forwarded"] == forwarded
