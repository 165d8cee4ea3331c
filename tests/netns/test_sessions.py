# SPDX-License-Identifier: MIT
"""Conversations that go on without a grant (KeepEstablished=), and what ends them."""

import contextlib
import socket
import time

import pytest

from lib import packets, services
from lib.bpffs import Bpffs
from lib.netns import tcp_closed, tcp_open, udp_closed, wait_until

OWN = 7009  # protected, and no service's: for sockets that a test opens itself
SHORT = {"Idle": "1", "Grace": "0"}
PORTS = f"{services.PROTECTED} {OWN}"


def kind(family):
    return socket.AF_INET if family == "ipv4" else socket.AF_INET6


@contextlib.contextmanager
def sock(namespace, family, address, port=0, type_=socket.SOCK_STREAM, listen=False):
    with namespace.socket(kind(family), type_) as opened:
        opened.settimeout(2)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        if listen:
            opened.listen()
        yield opened


@contextlib.contextmanager
def session(lab, family, port=services.TCP, source=0):
    """A connection to a service, which has answered once."""
    link = lab.client
    with sock(link.namespace, family, link.source(family, source)) as opened:
        opened.connect((link.server[family], port))
        assert echoes(opened)
        yield opened


def echoes(opened):
    """Whether the other end still answers; it may have reset the connection or be silent."""
    opened.settimeout(0.5)
    try:
        opened.send(b"ping")
        return opened.recv(64) == b"ping"
    except OSError:
        return False


def is_reset(opened):
    """Whether the other end has ended the connection by itself, which is told at once."""
    opened.settimeout(2)
    try:
        return opened.recv(64) == b""
    except ConnectionError:
        return True
    except OSError:
        return False


def let_grant_end(daemon, mark):
    assert daemon.wait_log("grant expired", mark, timeout=5), daemon.log(mark)


# ---- what goes on ---------------------------------------------------------------------------

def test_idle_session_outlives_its_grant(daemon, lab, family):
    daemon.start(Grant=SHORT)
    mark = daemon.mark()
    daemon.knock(family=family)
    with session(lab, family) as opened:
        let_grant_end(daemon, mark)
        assert echoes(opened)
        assert tcp_closed(lab.client, family, services.TCP)
        time.sleep(1.1)
        assert echoes(opened)
    assert daemon.counters()["established"] >= 4


def test_session_outlives_the_lifetime(daemon, lab):
    daemon.start(Grant={"Idle": "infinity", "Grace": "infinity", "Lifetime": "1s"})
    mark = daemon.mark()
    daemon.knock()
    with session(lab, "ipv4") as opened:
        let_grant_end(daemon, mark)
        assert echoes(opened)
        assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_not_kept(daemon, lab):
    daemon.start(Protect={"KeepEstablished": "no"}, Grant=SHORT)
    mark = daemon.mark()
    daemon.knock()
    with session(lab, "ipv4") as opened:
        let_grant_end(daemon, mark)
        assert not echoes(opened)
    assert daemon.counters()["established"] == 0


def test_sessions_outlive_a_restart(daemon, lab):
    """Even one that the daemon knows nothing of: the kernel's table is what counts."""
    with session(lab, "ipv4") as opened:
        daemon.start()
        assert echoes(opened)
        assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_time_wait_answers_nobody(daemon, lab, family):
    """The server has closed first; a SYN from the same port would find its way to the listener."""
    server, client = lab.server, lab.client
    address = client.server[family]
    daemon.start(Protect={"Ports": PORTS}, Grant=SHORT)
    mark = daemon.mark()
    daemon.knock(family=family)
    with sock(server, family, address, OWN, listen=True) as listener:
        with sock(client.namespace, family, client.source(family)) as opened:
            opened.connect((address, OWN))
            port = opened.getsockname()[1]
            accepted, _ = listener.accept()
            accepted.close()
            assert opened.recv(1) == b""
        assert wait_until(lambda: "TIME-WAIT" in states(server, OWN, port))
        assert answered(client, family, OWN, port, "S")
        # The answered SYN has become a request, which may stay for a while.
        assert wait_until(lambda: answered(client, family, OWN, port, "S"))
        let_grant_end(daemon, mark)
        before = daemon.counters()["denied"] + daemon.counters()["grant-ended"]
        assert not answered(client, family, OWN, port, "S")
        assert daemon.counters()["denied"] + daemon.counters()["grant-ended"] > before


def states(namespace, port, peer):
    return namespace.run("ss", "-Htan", f"( sport = {port} and dport = {peer} )").stdout


def answered(link, family, port, source_port, flags):
    """Sends one segment by hand. Whether the server says anything to it."""
    probe = packets.Probe(link, family, "tcp", port)
    probe.source_port = source_port
    probe.number = int(time.monotonic() * 1e6) & 0x7fffffff | 0x40000000
    with packets.Wire(link) as wire:
        wire.send(probe.frame(probe.ip() / probe.transport(flags=flags)))
        return bool(packets.collect(wire, {source_port}, 0.25, any_segment=True))


def test_request_is_no_session(daemon, lab, family):
    """A request that waits for its first data is answered with a grant, and not without one."""
    server, client = lab.server, lab.client
    address = client.server[family]
    daemon.start(Protect={"Ports": PORTS}, Grant=SHORT)
    with sock(server, family, address, OWN, listen=True) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        for ended in (False, True):
            mark = daemon.mark()
            daemon.knock(family=family)
            with sock(client.namespace, family, client.source(family)) as opened:
                opened.connect((address, OWN))
                assert "SYN-RECV" in states(server, OWN, opened.getsockname()[1])
                if ended:
                    let_grant_end(daemon, mark)
                opened.send(b"ping")
                listener.settimeout(0.5 if ended else 2)
                if ended:
                    with pytest.raises(TimeoutError):
                        listener.accept()
                else:
                    listener.accept()[0].close()


def test_outgoing_connection_from_a_protected_port(daemon, lab, family):
    server, client = lab.server, lab.client
    daemon.start(Protect={"Ports": PORTS})
    with sock(client.namespace, family, client.source(family), 9000, listen=True) as listener, \
            sock(server, family, client.server[family], OWN) as opened:
        opened.connect((client.source(family), 9000))
        accepted, _ = listener.accept()
        with accepted:
            accepted.send(b"out")
            assert opened.recv(8) == b"out"
            opened.send(b"in")
            assert accepted.recv(8) == b"in"
    assert daemon.counters()["established"] >= 3


def test_protected_udp_port_as_an_ephemeral_one(daemon, lab, family):
    """A connected socket gets its peer's datagrams, and nobody else's; another one gets none."""
    server, client = lab.server, lab.client
    address = client.server[family]
    daemon.start(Protect={"Ports": PORTS})
    with sock(client.namespace, family, client.source(family), 9001,
              socket.SOCK_DGRAM) as peer, \
            sock(client.namespace, family, client.source(family, 1), 9001,
                 socket.SOCK_DGRAM) as stranger, \
            sock(server, family, address, OWN, socket.SOCK_DGRAM) as opened:
        opened.sendto(b"question", (client.source(family), 9001))
        assert peer.recvfrom(64)[1][:2] == (address, OWN)
        peer.sendto(b"answer", (address, OWN))
        opened.settimeout(0.2)
        with pytest.raises(TimeoutError):
            opened.recv(64)
        opened.connect((client.source(family), 9001))
        stranger.sendto(b"answer", (address, OWN))
        peer.sendto(b"answer", (address, OWN))
        opened.settimeout(2)
        assert opened.recv(64) == b"answer"
        assert daemon.counters()["established"] == 1


# ---- what ends ------------------------------------------------------------------------------

def remove(daemon):
    (daemon.keys.clients_directory / "alice.pem").unlink()


def disable(daemon):
    daemon.keys.conf("alice", Enabled="no")


def replace(daemon):
    daemon.keys.add("alice")


def narrow(daemon):
    daemon.keys.conf("alice", Ports=f"{services.ALSO}/tcp")


@pytest.mark.parametrize("ended", [False, True], ids=["granted", "ended"])
@pytest.mark.parametrize("lose", [remove, disable, replace, narrow])
def test_lost_right_cuts(own_daemon, lab, family, lose, ended):
    """Whether a grant is left or not; and nobody else's session."""
    daemon = own_daemon
    daemon.start(Grant=SHORT if ended else {})
    mark = daemon.mark()
    daemon.knock("alice", family=family)
    daemon.knock("bob", family=family, source=1)
    with session(lab, family) as cut, session(lab, family, source=1) as kept, \
            session(lab, family, services.ALSO) as rest:
        if ended:
            assert daemon.wait_log(r"(?s)(grant expired.*){2}", mark, timeout=5), daemon.log(mark)
        daemon.reload()
        assert echoes(cut)
        lose(daemon)
        daemon.reload()
        assert is_reset(cut)
        assert echoes(kept)
        assert echoes(rest) == (lose is narrow)
        assert "connections to which nobody has a right now" in daemon.log(mark)


def test_disallowed_prefix_cuts(daemon, lab, family):
    allowed = {"AlwaysAllow": "10.77.0.0/29 fd77::/64 10.78.0.0/24"}
    daemon.start(Protect=allowed)
    with session(lab, family) as opened:
        daemon.reload()
        assert echoes(opened)
        daemon.write_conf(Protect={"AlwaysAllow": "10.78.0.0/24"})
        daemon.reload()
        assert is_reset(opened)
    assert tcp_closed(lab.client, family, services.TCP)


@pytest.fixture
def pinned(make_daemon, mode, shared_keys, tmp_path):
    """A daemon that leaves what it enforces to the next one when it is killed."""
    with contextlib.closing(Bpffs(tmp_path / "bpf")) as bpffs:
        daemon = make_daemon(mode, shared_keys)
        daemon.settings["Attach"] = {"Pin": "yes", "PinDirectory": bpffs.path / "spale"}
        yield daemon
        if daemon.process.poll() is None:
            daemon.stop()


def test_prefix_that_went_between_two_daemons_cuts(pinned, lab, family):
    """Only what nobody else allows, and only where the port was protected before."""
    daemon = pinned
    both = {"AlwaysAllow": "10.77.0.0/29 fd77::/64 10.78.0.0/24"}
    daemon.start(Protect=both)
    daemon.kill()
    with session(lab, family) as opened, session(lab, family, services.FREE_TCP) as free:
        daemon.start(first_start=False)
        assert echoes(opened)
        daemon.knock(family=family, source=1)
        with session(lab, family, source=1) as granted:
            daemon.kill()
            daemon.start(first_start=False, Protect={
                "AlwaysAllow": "10.78.0.0/24", "Ports": f"{PORTS} {services.FREE_TCP}/tcp"})
            assert is_reset(opened)
            assert echoes(granted)
            assert echoes(free)
    assert tcp_closed(lab.client, family, services.TCP)


def test_shared_address_is_cut_with_its_last_grant(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.knock("alice")
    daemon.knock("bob")
    with session(lab, "ipv4") as opened:
        remove(daemon)
        daemon.reload()
        assert echoes(opened)
        (daemon.keys.clients_directory / "bob.pem").unlink()
        daemon.keys.add("carol")
        daemon.reload()
        assert is_reset(opened)


def test_connected_datagrams_are_cut(own_daemon, lab, family):
    """The owner of the socket is told."""
    daemon, client = own_daemon, lab.client
    address = client.server[family]
    daemon.start(Protect={"Ports": PORTS})
    daemon.knock(family=family)
    with sock(lab.server, family, address, OWN, socket.SOCK_DGRAM) as opened:
        opened.connect((client.source(family), 9001))
        remove(daemon)
        daemon.reload()
        with pytest.raises(ConnectionAbortedError):
            opened.recv(64)
    assert udp_closed(client, family, services.UDP)


def test_what_is_not_protected_is_not_cut(own_daemon, lab):
    daemon = own_daemon
    daemon.start()
    daemon.knock()
    with session(lab, "ipv4", services.FREE_TCP) as opened:
        remove(daemon)
        daemon.reload()
        assert echoes(opened)
    assert tcp_open(lab.client, "ipv4", services.FREE_TCP)
