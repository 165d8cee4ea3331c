# SPDX-License-Identifier: MIT
"""SIGHUP: what it keeps, what it changes, what it refuses."""

import os

import pytest

from lib import knock, services
from lib.netns import tcp_closed, tcp_open, udp_closed, wait_until


def test_reload_keeps_grants(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.knock("alice", family="ipv4")
    daemon.knock("bob", family="ipv6")
    daemon.reload()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.client, "ipv6", services.TCP)
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)


def test_reload_is_not_a_gap(own_daemon, lab):
    """Not one of many attempts gets in while configuration is put into force again and again."""
    daemon = own_daemon
    daemon.start()
    for _ in range(5):
        daemon.reload()
        assert udp_closed(lab.client, "ipv4", services.UDP)
    assert daemon.counters()["unprotected"] == 0


def test_removed_client_is_cut(own_daemon, lab, family):
    daemon = own_daemon
    daemon.start()
    daemon.knock("alice", family=family)
    daemon.knock("bob", family=family, source=1)
    mark = daemon.mark()
    (daemon.keys.clients_directory / "alice.pem").unlink()
    daemon.reload()
    assert daemon.wait_log(r"grant revoked:.*client=alice", mark), daemon.log(mark)
    assert tcp_closed(lab.client, family, services.TCP)
    assert tcp_open(lab.client, family, services.TCP, source=1)
    daemon.send(daemon.keys.knock("alice"), family=family)
    assert tcp_closed(lab.client, family, services.TCP)


def test_replaced_key_is_cut(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.knock("alice")
    daemon.keys.add("alice")
    daemon.reload()
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    daemon.knock("alice")
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_disabled_client_is_cut(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.knock("alice")
    daemon.keys.conf("alice", Enabled="no")
    daemon.reload()
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_narrowed_client_keeps_what_is_left(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.knock("alice")
    daemon.keys.conf("alice", Ports=f"{services.ALSO}/tcp")
    daemon.reload()
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.client, "ipv4", services.ALSO)


def test_added_client_may_knock(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.keys.add("carol")
    daemon.reload()
    daemon.knock("carol")
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_ports_change(own_daemon, lab, family):
    daemon = own_daemon
    daemon.start()
    daemon.knock(family=family)
    daemon.write_conf(Protect={"Ports": f"{services.TCP}/tcp {services.FREE_TCP}/tcp"})
    daemon.reload()
    assert tcp_closed(lab.client, family, services.FREE_TCP, source=1)
    assert tcp_closed(lab.client, family, services.TCP, source=1)
    assert tcp_open(lab.client, family, services.ALSO, source=1)
    # The grant is for every port that alice may open, so it follows.
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_open(lab.client, family, services.FREE_TCP)


def test_knock_port_changes(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.write_conf(Knock={"Ports": services.CLOSED})
    daemon.reload()
    daemon.send(daemon.keys.knock())
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    daemon.knock(port=services.CLOSED)
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_always_allowed_changes(own_daemon, lab, family):
    daemon = own_daemon
    daemon.start(Protect={"AlwaysAllow": "10.77.0.3 fd77::3"})
    daemon.write_conf(Protect={"AlwaysAllow": "10.77.0.2 fd77::2"})
    daemon.reload()
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_closed(lab.client, family, services.TCP, source=1)
    daemon.write_conf()
    daemon.reload()
    assert tcp_closed(lab.client, family, services.TCP)


def test_replay_memory_outlives_a_reload(own_daemon):
    daemon = own_daemon
    daemon.start()
    datagram = daemon.knock()
    daemon.reload()
    daemon.refused(datagram, "replayed", source=1)


@pytest.mark.parametrize("broken", [
    {"Protect": {"Ports": "http"}},
    {"Protect": {"Ports": None}},
    {"Protect": {"AlwaysAllow": "10.0.0.0/33"}},
    {"Grant": {"Idle": "soon"}},
    {"Knock": {"ServerKey": "/nonexistent/server.key"}},
    {"Knock": {"ClientsDirectory": "/nonexistent/clients"}},
], ids=["bad-ports", "no-ports", "bad-prefix", "bad-time", "no-key", "no-clients"])
def test_bad_configuration_keeps_the_old(own_daemon, lab, broken):
    daemon = own_daemon
    daemon.start()
    daemon.knock()
    daemon.write_conf(**broken)
    daemon.reload(expect="reload failed")
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)
    daemon.knock("bob", source=1)
    assert tcp_open(lab.client, "ipv4", services.TCP, source=1)
    daemon.write_conf()
    daemon.reload()
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_bad_client_file_keeps_the_others(own_daemon, lab):
    """One unusable client is said, and keeps nobody else out."""
    daemon = own_daemon
    daemon.start()
    (daemon.keys.clients_directory / "broken.pem").write_text("-----BEGIN NOTHING-----\n")
    mark = daemon.mark()
    daemon.reload()
    assert daemon.wait_log("broken", mark), daemon.log(mark)
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_one_key_in_two_files_counts_for_neither(own_daemon, lab):
    daemon = own_daemon
    directory = daemon.keys.clients_directory
    (directory / "twin.pem").write_bytes((directory / "alice.pem").read_bytes())
    daemon.start()
    assert daemon.wait_log("twin"), daemon.log()
    daemon.send(daemon.keys.knock("alice"))
    daemon.knock("bob", source=1)
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_server_key_rotation(own_daemon, lab):
    """Two keys: knocks for either are taken."""
    daemon = own_daemon
    old = daemon.keys.server
    second = daemon.keys.directory / "second.key"
    daemon.keys.generate(second)
    daemon.start(Knock={"ServerKey": f"{second} {daemon.keys.server_path}"})
    new = knock.load_private(second.read_bytes()).public_key()
    daemon.knock(datagram=knock.make(daemon.keys.private["alice"], old))
    daemon.knock(datagram=knock.make(daemon.keys.private["alice"], new), source=1)
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.client, "ipv4", services.TCP, source=1)


def test_reload_leaks_nothing(own_daemon):
    daemon = own_daemon
    daemon.start()
    daemon.reload()
    before = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    for _ in range(30):
        daemon.reload()
    # One more may be open for a moment, now or when they were counted first.
    assert wait_until(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) <= before)
