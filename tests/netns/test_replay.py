# SPDX-License-Identifier: MIT
"""Knocks that must not open anything: replayed, late, early, forged, misdirected."""

import os
import socket
import time

import pytest

from lib import knock, netns, services
from lib.netns import tcp_closed, tcp_open, udp_open


@pytest.fixture(autouse=True)
def _inside_a_time_step():
    knock.settle()


def accepted(daemon):
    return daemon.log().count("knock accepted")


# ---- replays --------------------------------------------------------------------------------

def test_replay_opens_nothing_again(daemon, lab):
    daemon.start(Grant={"Idle": "1", "Grace": "0"})
    datagrams = {family: daemon.knock(family=family) for family in netns.FAMILIES}
    for family in netns.FAMILIES:
        assert tcp_open(lab.client, family, services.TCP)
    time.sleep(1.2)
    for family, datagram in datagrams.items():
        daemon.send(datagram, family=family)
        assert tcp_closed(lab.client, family, services.TCP)
    assert accepted(daemon) == 2
    assert daemon.counters()["knock-repeated"] == 2  # the daemon never saw them


def test_replay_does_not_renew(daemon, lab):
    daemon.start(Grant={"Idle": "1", "Grace": "0"})
    datagrams = {family: daemon.knock(family=family) for family in netns.FAMILIES}
    for _ in range(4):
        time.sleep(0.35)
        for family, datagram in datagrams.items():
            daemon.send(datagram, family=family)
    for family in netns.FAMILIES:
        assert tcp_closed(lab.client, family, services.TCP)


def test_replay_from_elsewhere(daemon, lab, family):
    """Captured, and sent again from another address after the owner's arrived."""
    daemon.start()
    datagram = daemon.knock(family=family)
    daemon.refused(datagram, "replayed", family=family, source=1)
    daemon.refused(datagram, "replayed", family=family, link=lab.attacker)
    assert tcp_closed(lab.client, family, services.TCP, source=1)
    assert tcp_closed(lab.attacker, family, services.TCP)
    assert tcp_open(lab.client, family, services.TCP)


def test_replay_in_the_other_family(daemon, lab):
    daemon.start()
    datagram = daemon.knock(family="ipv4")
    daemon.refused(datagram, "replayed", family="ipv6")
    assert tcp_closed(lab.client, "ipv6", services.TCP)


def test_replay_with_another_end(daemon, lab):
    """The kernel compares the end of a datagram: another one passes there, and is no knock."""
    daemon.start()
    datagram = daemon.knock()
    daemon.refused(datagram[:-1] + bytes([datagram[-1] ^ 1]), "bad-seal", source=1)
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)


def test_replay_to_the_other_knock_port(daemon, lab):
    daemon.start()
    datagram = daemon.knock()
    daemon.refused(datagram, "replayed", source=1, port=services.SHARED)
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)


def test_replay_after_kill_and_restart(daemon, lab):
    step = knock.now_step()
    daemon.start()
    datagram = daemon.knock(datagram=daemon.keys.knock(time_step=step))
    daemon.kill()
    daemon.start(first_start=False)
    assert tcp_closed(lab.client, "ipv4", services.TCP)  # grants are gone
    daemon.refused(datagram, "floor")
    daemon.refused(datagram, "floor", source=1)
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)
    # Nothing of the accepted step or before it, however fresh; what is later is taken.
    daemon.refused(daemon.keys.knock(time_step=step), "floor")
    daemon.knock(datagram=daemon.keys.knock(time_step=step + 1))
    assert tcp_open(lab.client, "ipv4", services.TCP)


def test_replay_after_stop_and_restart(daemon, lab):
    daemon.start()
    datagram = daemon.knock()
    assert daemon.stop() == 0
    daemon.start(first_start=False)
    daemon.refused(datagram, "floor")
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_start_without_state_takes_nothing_old(daemon, lab):
    """Nobody knows what was accepted: the daemon is deaf for a while, and says so."""
    mark = daemon.mark()
    daemon.start(first_start=False)
    assert daemon.wait_log(r"(?i)floor|until|first-start", mark), daemon.log(mark)
    for step in (-1, 0, 1):
        daemon.refused(daemon.keys.knock(time_step=knock.now_step() + step), "floor")
    assert tcp_closed(lab.client, "ipv4", services.TCP)


# ---- time -----------------------------------------------------------------------------------

@pytest.mark.parametrize("steps", [-2, -1, 0, 1, 2, -1000, 1000])
def test_time_steps(daemon, lab, steps):
    daemon.start()
    datagram = daemon.keys.knock(time_step=knock.now_step() + steps)
    if abs(steps) <= 1:
        daemon.knock(datagram=datagram)
    else:
        daemon.refused(datagram, "clock")
    assert (tcp_open if abs(steps) <= 1 else tcp_closed)(lab.client, "ipv4", services.TCP)


@pytest.mark.parametrize("step", [0, 0xffffffff])
def test_ends_of_time(daemon, lab, step):
    daemon.start()
    daemon.refused(daemon.keys.knock(time_step=step), "clock")
    assert tcp_closed(lab.client, "ipv4", services.TCP)


# ---- forgeries ------------------------------------------------------------------------------

def test_sealed_for_another_server(daemon, lab):
    daemon.start()
    stranger = daemon.keys.private["bob"].public_key()
    daemon.refused(knock.make(daemon.keys.private["alice"], stranger), "bad-seal")
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_of_a_version_that_nobody_knows(daemon, lab):
    daemon.start()
    daemon.refused(daemon.keys.knock(version=2), "version")
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_in_another_clients_name(daemon, lab):
    daemon.start()
    alice = knock.raw_public(daemon.keys.private["alice"].public_key())
    daemon.refused(alice + daemon.keys.knock("bob")[32:], "bad-seal")
    assert tcp_closed(lab.client, "ipv4", services.TCP)


@pytest.mark.parametrize("enc", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"],
                         ids=["zero", "one", "minus-one"])
def test_ephemeral_key_without_secret(daemon, lab, enc):
    """Points of small order, for which everybody knows the shared secret."""
    daemon.start()
    datagram = daemon.keys.knock()
    daemon.refused(datagram[:32] + enc + datagram[64:], "bad-(key|seal)")
    assert tcp_closed(lab.client, "ipv4", services.TCP)


def test_every_byte_counts(daemon, lab):
    daemon.start(Knock={"RateLimit": "10000/s", "RateBurst": "10000"})
    datagram = daemon.keys.knock()
    positions = range(32, len(datagram), 5)
    for position in positions:
        changed = bytearray(datagram)
        changed[position] ^= 0x04
        daemon.send(bytes(changed))
    daemon.knock("bob", source=1)
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert accepted(daemon) == 1
    counters = daemon.counters()
    assert counters["knock"] + counters["knock-repeated"] == len(positions) + 1


def test_client_that_is_not_enrolled(own_daemon, lab, family):
    """Its knock is no knock: it goes on as if nobody listened for knocks."""
    daemon = own_daemon
    daemon.keys.add("mallory", enrol=False)
    daemon.start()
    daemon.send(daemon.keys.knock("mallory"), family=family)
    daemon.knock(family=family, source=1)
    assert tcp_closed(lab.client, family, services.TCP)
    assert daemon.counters()["knock"] == 1


# ---- misdirected ----------------------------------------------------------------------------

@pytest.mark.parametrize("port", [services.CLOSED, services.UDP, services.FREE_UDP, 1])
def test_knock_to_another_port(daemon, lab, family, port):
    daemon.start()
    daemon.send(daemon.keys.knock(), family=family, port=port)
    daemon.knock("bob", family=family, source=1)
    assert tcp_closed(lab.client, family, services.TCP)
    assert daemon.counters()["knock"] == 1


def test_knock_to_an_address_that_takes_none(daemon, lab):
    daemon.start(Knock={"Addresses": "10.78.0.1"})
    daemon.send(daemon.keys.knock())
    daemon.knock(link=lab.attacker)
    daemon.send(daemon.keys.knock(), family="ipv6")
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.attacker, "ipv4", services.TCP)
    assert daemon.counters()["knock"] == 1


def unreachable(lab, family, port, payloads):
    """Which of PAYLOADS are answered by "port unreachable" (True) or by nothing (False)."""
    kind = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    sockets = []
    try:
        for payload in payloads:
            sock = lab.client.namespace.socket(kind, socket.SOCK_DGRAM)
            sockets.append(sock)
            sock.setblocking(False)
            sock.bind((lab.client.source(family), 0))
            sock.connect((lab.client.server[family], port))
            sock.send(payload)
        time.sleep(0.2)
        return [sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def test_garbage_meets_a_closed_port(daemon, lab, family):
    """Whatever is no knock sees the same as at any closed port, at every length."""
    daemon.start()
    garbage = [os.urandom(size) for size in range(201)]
    at_closed = unreachable(lab, family, services.CLOSED, garbage)
    assert all(at_closed)
    assert unreachable(lab, family, services.KNOCK, garbage) == at_closed
    counters = daemon.counters()
    assert not any(packets for reason, packets in counters.items() if reason.startswith("knock"))


def test_knocks_are_not_answered(daemon, lab, family):
    """A knock of an enrolled key, genuine or not, meets silence."""
    daemon.start()
    genuine = daemon.keys.knock()
    forged = genuine[:32] + os.urandom(65)
    longer, shorter = genuine + b"\0", genuine[:-1]
    assert unreachable(lab, family, services.KNOCK, [genuine, forged, longer, shorter]) == [
        False, False, True, True]


def test_knock_port_shared_with_a_service(daemon, lab, family):
    daemon.start()
    assert udp_open(lab.client, family, services.SHARED)
    answered = []
    mark = daemon.mark()
    for payload in (daemon.keys.knock(), os.urandom(knock.SIZE), os.urandom(1200)):
        with lab.client.namespace.socket(
                socket.AF_INET if family == "ipv4" else socket.AF_INET6,
                socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.25)
            sock.bind((lab.client.source(family), 0))
            sock.sendto(payload, (lab.client.server[family], services.SHARED))
            try:
                answered.append(sock.recv(2000) == payload)
            except TimeoutError:
                answered.append(False)
    assert answered == [False, True, True]
    assert daemon.wait_log("knock accepted", mark)
    assert tcp_open(lab.client, family, services.TCP)


def test_families(daemon, lab):
    """One client, two grants: one for each address that it knocked from."""
    daemon.start()
    for family in netns.FAMILIES:
        daemon.knock(family=family)
    for family in netns.FAMILIES:
        assert tcp_open(lab.client, family, services.TCP)
