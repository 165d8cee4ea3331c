# SPDX-License-Identifier: MIT
"""Interfaces that come and go, while spaled runs."""

import contextlib
import re
import signal
import socket
import threading
import time

import pytest

from lib import packets, services
from lib.foreign import ForeignProgram
from lib.netns import Link, tcp_closed, tcp_open, wait_until


class Cable:
    """One more cable from the client's namespace into the server."""

    SERVER = {"ipv4": "10.99.0.1", "ipv6": "fd99::1"}
    SOURCE = {"ipv4": ["10.99.0.2"], "ipv6": ["fd99::2"]}
    MAC, SERVER_MAC = "02:00:00:00:99:02", "02:00:00:00:99:01"

    def __init__(self, lab, name, ifindex=None):
        self.lab = lab
        self.name = name
        self.link = Link(lab.client.namespace, "far99", self.MAC, self.SERVER_MAC, self.SOURCE,
                         self.SERVER)
        index = f"index {ifindex} " if ifindex else ""
        lab.server.ip(f"link add {name} {index}address {self.SERVER_MAC} type veth peer name far99 "
                      f"address {self.MAC} netns {lab.client.namespace.name}")
        lab.client.namespace.ip("addr add 10.99.0.2/24 dev far99",
                                "addr add fd99::2/64 dev far99 nodad", "link set far99 up",
                                *self.neighbours(self.SERVER, self.SERVER_MAC, "far99"))
        self.give_addresses()

    @staticmethod
    def neighbours(addresses, mac, device):
        return [f"neigh replace {a} lladdr {mac} dev {device} nud permanent"
                for a in addresses.values()]

    def give_addresses(self):
        peers = {family: sources[0] for family, sources in self.SOURCE.items()}
        self.lab.server.ip(f"addr replace 10.99.0.1/24 dev {self.name}",
                           f"addr replace fd99::1/64 dev {self.name} nodad",
                           f"link set {self.name} up",
                           *self.neighbours(peers, self.MAC, self.name))

    def rename(self, name):
        self.lab.server.ip(f"link set {self.name} down", f"link set {self.name} name {name}")
        self.name = name
        self.give_addresses()

    def delete(self):
        self.lab.server.run("ip", "link", "del", self.name, check=False)

    def closed(self):
        return all(tcp_closed(self.link, family, services.TCP) for family in self.SERVER)

    def open(self):
        return all(tcp_open(self.link, family, services.TCP) for family in self.SERVER)


@pytest.fixture
def plug(lab):
    """Plugs cables in, and pulls them out at the end."""
    plugged = []

    def make(name, ifindex=None):
        plugged.append(Cable(lab, name, ifindex))
        return plugged[-1]

    yield make
    for cable in plugged:
        cable.delete()


def attached(daemon, name, mark):
    return daemon.wait_log(rf"interface attached: interface={name}\b", mark)


def lost(daemon, name, mark):
    return daemon.wait_log(rf"interface lost: interface={name}\b", mark)


def test_appears_and_vanishes(daemon, plug):
    daemon.start(Protect={"Interfaces": "s0 new*"})
    mark = daemon.mark()
    cable = plug("new0")
    assert attached(daemon, "new0", mark), daemon.log(mark)
    assert cable.closed()
    daemon.knock(link=cable.link)
    assert tcp_open(cable.link, "ipv4", services.TCP)
    mark = daemon.mark()
    cable.delete()
    assert lost(daemon, "new0", mark), daemon.log(mark)
    daemon.knock(source=1)  # the others are as they were
    assert tcp_closed(daemon.lab.client, "ipv4", services.TCP, source=2)


@pytest.mark.parametrize("wanted", ["s0 new0", "s0 new*"])
def test_made_again_under_the_same_name(daemon, plug, wanted):
    cable = plug("new0", 900)
    daemon.start(Protect={"Interfaces": wanted})
    for ifindex in (901, 901, 900):
        mark = daemon.mark()
        cable.delete()
        cable = plug("new0", ifindex)
        assert attached(daemon, "new0", mark), daemon.log(mark)
        assert wait_until(cable.closed)
    assert "new0 is not protected" not in daemon.log()
    assert daemon.stop() == 0
    assert cable.open()


def detach_by_force(daemon, lab):
    """As root can: every link, or the qdisc where there are none."""
    links = daemon.links()
    for link in links:
        lab.server.run("env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "bpftool", "link", "detach",
                       "id", link)
    for device in () if links else lab.SERVER_DEVICES:
        lab.server.run("tc", "qdisc", "del", "dev", device, "clsact")


def test_detached_by_somebody(daemon, lab, mode):
    """That is noticed soon, and it is attached again; the grants are as they were."""
    daemon.start()
    daemon.knock()
    if mode == "xdp":
        assert lab.server.run("ip", "link", "set", "s0", "xdp", "off", check=False).returncode != 0
        assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)
    for _ in range(2):
        mark = daemon.mark()
        detach_by_force(daemon, lab)
        for device in lab.SERVER_DEVICES:
            for what in ("lost", "attached"):
                assert daemon.wait_log(rf"interface {what}: interface={device}\b", mark, 20), \
                    daemon.log(mark)
        assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)
        assert tcp_open(lab.client, "ipv4", services.TCP)
        assert "somebody detached it" in daemon.log(mark)
    assert daemon.stop() == 0
    assert tcp_open(lab.client, "ipv4", services.TCP, source=1)


def test_renamed_and_still_covered(daemon, plug):
    """From one pattern to another: its link is never let go."""
    cable = plug("old0")
    daemon.start(Protect={"Interfaces": "s0 old* new*"})
    mark = daemon.mark()
    cable.rename("new0")
    assert lost(daemon, "old0", mark) and attached(daemon, "new0", mark), daemon.log(mark)
    assert cable.closed()
    daemon.knock(link=cable.link)
    assert tcp_open(cable.link, "ipv4", services.TCP)


def test_renamed_out_of_and_into_what_is_covered(daemon, plug):
    cable = plug("new0")
    daemon.start(Protect={"Interfaces": "s0 new0"})
    assert cable.closed()
    mark = daemon.mark()
    cable.rename("free0")
    assert lost(daemon, "new0", mark), daemon.log(mark)
    assert cable.open()
    mark = daemon.mark()
    cable.rename("new0")
    assert attached(daemon, "new0", mark), daemon.log(mark)
    assert cable.closed()


def test_names_are_swapped(daemon, lab, plug):
    cable = plug("new0")
    lab.server.ip("link add other0 type veth peer name other1")
    try:
        daemon.start(Protect={"Interfaces": "s0 new0"})
        mark = daemon.mark()
        lab.server.ip("link set new0 down", "link set new0 name swap0",
                      "link set other0 name new0", "link set swap0 name other0")
        cable.name = "other0"
        cable.give_addresses()
        assert attached(daemon, "new0", mark), daemon.log(mark)
        assert cable.open()
    finally:
        lab.server.ip("link del other1")


def test_moves_to_another_namespace_and_back(daemon, lab, plug):
    cable = plug("new0")
    daemon.start(Protect={"Interfaces": "s0 new0"})
    mark = daemon.mark()
    lab.server.ip(f"link set new0 netns {lab.attacker.namespace.name}")
    assert lost(daemon, "new0", mark), daemon.log(mark)
    shown = lab.attacker.namespace.run("ip", "-d", "link", "show", "new0").stdout
    assert "prog" not in shown
    mark = daemon.mark()
    lab.attacker.namespace.ip(f"link set new0 netns {lab.server.name}")
    cable.give_addresses()
    assert attached(daemon, "new0", mark), daemon.log(mark)
    assert cable.closed()


def test_goes_down_and_up(daemon, lab, plug):
    """One that is down at the start is attached all the same, and stays so."""
    cable = plug("new0")
    lab.server.ip("link set new0 down")
    daemon.start(Protect={"Interfaces": "s0 new0"})
    for _ in range(3):
        cable.give_addresses()
        assert cable.closed()
        lab.server.ip("link set new0 down")
    assert len(re.findall(r"interface (attached|lost): interface=new0", daemon.log())) == 1


@pytest.mark.needs_xdp
def test_what_cannot_be_attached_is_tried_again(make_daemon, lab, plug, shared_keys):
    daemon = make_daemon("xdp", shared_keys)
    daemon.start(Protect={"Interfaces": "s0 new*"})
    cable = plug("held0")
    with contextlib.closing(ForeignProgram(lab.server, "held0", "xdp")):
        mark = daemon.mark()
        cable.rename("new0")
        assert daemon.wait_log(r"new0 is not protected.*somebody_else", mark), daemon.log(mark)
        time.sleep(3.5)  # several tries
        assert daemon.log(mark).count("not protected") == 1, daemon.log(mark)
        daemon.reload()  # which is not refused for what was so before
    assert daemon.wait_log(r"interface attached: interface=new0", mark, timeout=10)
    assert cable.closed()


def test_messages_that_the_kernel_dropped(daemon, lab, plug):
    """More changes than the daemon's socket holds, while it cannot read: it looks anew."""
    daemon.start(Protect={"Interfaces": "s0 new*"})
    mark = daemon.mark()
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        lab.server.ip("link add busy0 type veth peer name busy1",
                      *["link set busy0 mtu 1400", "link set busy0 mtu 1500"] * 400)
        with open(f"/proc/{daemon.process.pid}/net/netlink", encoding="ascii") as file:
            rows = [line.split() for line in file]
        drops = [int(row[8]) for row in rows if row[1:3] == ["0", str(daemon.process.pid)]]
        assert any(drops), rows
        cable = plug("new0")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
        lab.server.ip("link del busy0")
    assert attached(daemon, "new0", mark), daemon.log(mark)
    assert cable.closed()


# ---- interfaces that are not there yet -------------------------------------------------------

class ServiceManager:
    """Hears what a service manager is told, and keeps nothing of it."""

    def __init__(self, path):
        self.told = ""
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(path)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            message = self._sock.recv(4096).decode()
            if message == "end":
                return
            self.told += message + "\n"

    def hears(self, text):
        return wait_until(lambda: text in self.told)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"end", self._sock.getsockname())


@pytest.fixture
def service_manager(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with contextlib.closing(ServiceManager(path)) as manager:
        yield manager


def test_by_hand_a_missing_interface_is_an_error(daemon):
    daemon.write_conf(Protect={"Interfaces": "s0 new0"})
    status, log = daemon.fails()
    assert status == 1
    assert 'there is no interface "new0"' in log


def test_a_service_waits_for_a_missing_interface(daemon, lab, plug, service_manager):
    daemon.start(Protect={"Interfaces": "s0 new0"})
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert 'there is no interface "new0": it is attached when it appears' in daemon.log()
    assert service_manager.hears("READY=1\n")
    assert "interfaces missing: 1\n" in service_manager.told
    mark = daemon.mark()
    cable = plug("new0")
    assert attached(daemon, "new0", mark), daemon.log(mark)
    assert cable.closed()
    assert service_manager.hears("knocks accepted\n")
    daemon.write_conf(Protect={"Interfaces": "s0 new0 other0"})
    daemon.reload()


def test_a_reload_by_hand_refuses_a_missing_interface(daemon, lab, plug):
    plug("new0")
    daemon.start(Protect={"Interfaces": "s0 new0"})
    daemon.write_conf(Protect={"Interfaces": "s0 new0 other0"})
    daemon.reload(expect="reload failed")
    mark = daemon.mark()
    lab.server.ip("link del new0")
    assert lost(daemon, "new0", mark), daemon.log(mark)
    # One that went while spaled ran is waited for.
    daemon.write_conf(Protect={"Interfaces": "s0 new0"})
    daemon.reload()


# ---- interfaces that nobody covers -----------------------------------------------------------

def test_uncovered_interfaces_are_named_once(make_daemon, lab, plug, shared_keys):
    daemon = make_daemon("tc", shared_keys)
    daemon.start(Protect={"Interfaces": "s0"})
    assert daemon.wait_log(r"(?m)not covered by Interfaces=.*: s1$", timeout=6), daemon.log()
    mark = daemon.mark()
    lab.server.ip("addr add 10.98.0.1/24 dev s1", "addr del 10.98.0.1/24 dev s1")
    cable = plug("more0")
    assert daemon.wait_log(r"(?m)not covered by Interfaces=.*: (s1, more0|more0, s1)$", mark,
                           timeout=6), daemon.log(mark)
    daemon.write_conf(Protect={"Interfaces": "s0 s1 more0"})
    daemon.reload()
    assert daemon.wait_log("covers everything", mark, timeout=6), daemon.log(mark)
    cable.delete()
    time.sleep(1.5)
    assert daemon.log(mark).count("not covered") == 1, daemon.log(mark)


def test_uncovered_interface_without_addresses(make_daemon, lab, plug, shared_keys):
    """It answers all the same, on the addresses of others, so it is named; down it does not."""
    daemon = make_daemon("tc", shared_keys)
    daemon.start()
    mark = daemon.mark()
    cable = plug("more0")
    lab.server.ip("addr flush dev more0")
    assert daemon.wait_log(r"(?m)not covered by Interfaces=.*: more0$", mark, timeout=6), \
        daemon.log(mark)
    lab.server.ip("addr flush dev more0")
    link = Link(cable.link.namespace, "far99", Cable.MAC, Cable.SERVER_MAC, lab.client.sources,
                lab.client.server)
    probe = packets.Probe(link, "ipv4", "tcp", services.TCP)
    with packets.Wire(link) as sender, packets.Wire(lab.client) as listener:
        sender.send(probe.frame(probe.ip() / probe.transport()))
        assert packets.collect(listener, {probe.source_port}, 2)
    mark = daemon.mark()
    lab.server.ip("addr add 10.98.0.1/24 dev s1", "addr del 10.98.0.1/24 dev s1")
    time.sleep(1.5)
    assert "covers everything" not in daemon.log(mark)
    lab.server.ip("link set more0 down")
    assert daemon.wait_log("covers everything", mark, timeout=6), daemon.log(mark)


def test_children_of_covered_interfaces_are_named(make_daemon, lab, shared_keys):
    daemon = make_daemon("tc", shared_keys)
    daemon.start()
    mark = daemon.mark()
    lab.server.ip("link add link s0 name child0 type macvlan mode bridge")
    try:
        assert daemon.wait_log(r"(?m)not covered by Interfaces=.*: child0$", mark, timeout=6), \
            daemon.log(mark)
    finally:
        lab.server.ip("link del child0")
