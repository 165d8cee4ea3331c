# SPDX-License-Identifier: MIT
"""
Whatever happens to the daemon, a closed port stays closed, an open one open, and what was accepted is
not accepted again. Stopping the service opens. With SPALE_LONG=1 everything is done a hundred times.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys

import machine
import pytest
from lib import services
from machine import active, main_pid, run, show, systemctl, wait_until

COUNT = 100 if os.environ.get("SPALE_LONG") == "1" else 10


@pytest.fixture(scope="session", autouse=True)
def configured(outside):
    machine.install_packages()
    machine.configure()


@pytest.fixture
def alice(configured, tmp_path):
    """
    The key file of a client who is new: the old ones' knocks of these seconds might be those that
    were accepted before the service was stopped.
    """
    for path in (machine.CONF / "clients").iterdir():
        path.unlink()
    return machine.new_client(tmp_path, "alice")


def configure(mode, **options):
    machine.write_configuration(**options)
    path = machine.CONF / "spale.conf"
    path.write_text(path.read_text().replace("[Protect]", f"[Protect]\nMode={mode}"))


@pytest.fixture(params=["tc", "xdp"])
def mode(request, outside, alice):
    """The service, started anew in this mode."""
    systemctl("stop", "spaled")
    configure(request.param)
    systemctl("start", "spaled")
    yield request.param
    systemctl("stop", "spaled")


class Session:
    """A connection from outside that says something now and then."""

    def __init__(self, outside):
        self._sock = outside.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sock.settimeout(5)
        self._sock.bind((outside.source("ipv4"), 0))
        self._sock.connect((outside.server["ipv4"], services.TCP))

    def lives(self):
        try:
            self._sock.send(b"still there?")
            return self._sock.recv(64) == b"still there?"
        except OSError:
            return False

    def close(self):
        self._sock.close()


class Attacker:
    """Somebody outside who never stops trying, from the second address."""

    def __init__(self, outside):
        mac = pathlib.Path("/sys/class/net/eth0/address").read_text().strip()
        script = pathlib.Path(__file__).with_name("attacker.py")
        self._process = outside.namespace.popen(
            sys.executable, script, "far0", mac, outside.source("ipv4", 1),
            outside.server["ipv4"], services.TCP, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n"

    def end(self):
        """How many it sent, and how many answers it got."""
        self._process.send_signal(signal.SIGTERM)
        sent, answers = self._process.communicate(timeout=10)[0].split()
        return int(sent), int(answers)


@contextlib.contextmanager
def nothing_gets_through(outside, alice):
    """A client is in, and stays so, and nobody else is."""
    assert outside.gets_in(alice)
    session = Session(outside)
    kept = show("NFileDescriptorStore")
    assert int(kept) > 0
    attacker = Attacker(outside)
    with contextlib.closing(session):
        yield session
        assert session.lives()
        assert outside.reaches(services.TCP), "the grant is gone"
        sent, answers = attacker.end()
        assert answers == 0 and sent > 1000, (sent, answers)
        assert "may not have got" not in machine.journal()
    assert show("NFileDescriptorStore") == kept


def comes_back(before):
    return wait_until(lambda: main_pid() not in (0, before) and active() == "active", 15)


def test_killed(outside, alice, mode):
    with nothing_gets_through(outside, alice) as session:
        for _ in range(COUNT):
            before = main_pid()
            os.kill(before, signal.SIGKILL)
            assert session.lives()
            assert comes_back(before)
            assert session.lives()
        assert show("StatusText") == "1 grants, 0 knocks accepted"


def test_restarted(outside, alice, mode):
    with nothing_gets_through(outside, alice) as session:
        for _ in range(COUNT):
            systemctl("restart", "spaled")
            assert session.lives()


def test_reloaded(outside, alice, mode):
    with nothing_gets_through(outside, alice) as session:
        for _ in range(COUNT):
            systemctl("reload", "spaled")
            assert session.lives()


def test_systemd_is_started_anew(outside, alice, mode):
    with nothing_gets_through(outside, alice) as session:
        systemctl("daemon-reexec")
        systemctl("restart", "spaled")
        assert session.lives()
        systemctl("daemon-reload")
        before = main_pid()
        os.kill(before, signal.SIGKILL)
        assert comes_back(before)


def test_stop_opens_and_forgets(outside, alice, mode):
    assert outside.gets_in(alice)
    systemctl("restart", "spaled")
    assert outside.is_kept_from(services.TCP, source=1)
    systemctl("stop", "spaled")
    assert outside.reaches(services.TCP, source=1)
    assert "xdp" not in run("ip", "link", "show", "eth0").stdout
    systemctl("start", "spaled")
    assert outside.is_kept_from(services.TCP)


def test_mode_changes_without_a_gap(outside, alice, mode):
    with nothing_gets_through(outside, alice):
        configure("xdp" if mode == "tc" else "tc")
        systemctl("restart", "spaled")
        assert ("xdp" in run("ip", "link", "show", "eth0").stdout) == (mode == "tc")


def test_what_is_not_allowed_any_more_is_gone(outside, alice, mode):
    """By the configuration that the new daemon finds."""
    configure(mode, ports=f"{services.TCP}/tcp {services.ALSO}/tcp")
    systemctl("restart", "spaled")
    assert outside.gets_in(alice)
    conf = machine.CONF / "clients" / "alice.conf"
    conf.write_text(f"[Client]\nPorts={services.ALSO}/tcp\n")
    try:
        systemctl("restart", "spaled")
        assert outside.reaches(services.ALSO)
        assert outside.is_kept_from(services.TCP)
        conf.write_text("[Client]\nEnabled=no\n")
        said = machine.Said()
        systemctl("restart", "spaled")
        assert "grant revoked: client=alice source=10.77.0.2 reason=client-disabled" in said
        assert outside.is_kept_from(services.ALSO)
    finally:
        conf.unlink()


def capture_knock(outside, key):
    """Knocks, and returns the datagram."""
    with outside.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
        sock.settimeout(5)
        sock.bind(("far0", 3))
        outside.knock(key)
        while True:
            frame = sock.recv(2048)
            if frame[12:14] == b"\x08\x00" and frame[23] == 17 \
                    and frame[36:38] == services.KNOCK.to_bytes(2, "big"):
                return frame[42:]


def test_what_was_accepted_is_remembered(outside, alice, mode):
    said = machine.Said()
    datagram = capture_knock(outside, alice)
    assert "knock accepted" in said
    before = main_pid()
    os.kill(before, signal.SIGKILL)
    assert comes_back(before)
    systemctl("restart", "spaled")
    said = machine.Said()
    with outside.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((outside.source("ipv4", 1), 0))
        sock.sendto(datagram, (outside.server["ipv4"], services.KNOCK))
    assert "knock refused:.*source=10.77.0.3.*reason=replayed" in said, said.text()
    assert outside.is_kept_from(services.TCP, source=1)
    # And a new one of the same half minute is none of those.
    said = machine.Said()
    outside.knock(alice)
    assert "knock accepted" in said, said.text()


def test_unusable_configuration(outside, alice, mode):
    """The last good one takes its place, with all grants, until there is one that can be used."""
    with nothing_gets_through(outside, alice) as session:
        said = machine.Said()
        machine.write_configuration(ports="22/tcpp")
        systemctl("restart", "spaled")
        assert active() == "active"
        assert wait_until(lambda: show("StatusText").endswith(
            "; the configuration is unusable, the last good one is in force")), show("StatusText")
        assert r"spale.conf:3: error: .*22/tcpp" in said
        assert "the configuration is unusable, the last good one is in force" in said
        assert session.lives()
        said = machine.Said()
        outside.knock(alice)
        assert "knock accepted" in said, said.text()
        assert systemctl("reload", "spaled", check=False).returncode != 0
        assert session.lives()
        configure(mode)
        systemctl("reload", "spaled")
        assert wait_until(lambda: show("StatusText") == "1 grants, 1 knocks accepted")


def test_unusable_configuration_without_a_good_one(outside, alice, mode):
    """What was in force stays so, and says so, until there is one that can be used."""
    with nothing_gets_through(outside, alice) as session:
        said = machine.Said()
        machine.write_configuration(ports="22/tcpp")
        (machine.STATE / "last-good.conf").unlink()
        systemctl("restart", "spaled")
        assert active() == "active"
        assert show("StatusText") == "No knock is taken: the configuration is unusable"
        assert r"spale.conf:3: error: .*22/tcpp" in said
        assert session.lives()
        assert systemctl("reload", "spaled", check=False).returncode != 0
        assert session.lives()
        before = main_pid()
        os.kill(before, signal.SIGKILL)
        assert comes_back(before)
        configure(mode)
        systemctl("reload", "spaled")
        assert wait_until(lambda: show("StatusText") == "1 grants, 0 knocks accepted")
        assert outside.gets_in(alice)


def test_unusable_configuration_can_be_stopped(outside, alice, mode):
    machine.write_configuration(ports="22/tcpp")
    (machine.STATE / "last-good.conf").unlink()
    systemctl("restart", "spaled")
    assert outside.is_kept_from(services.TCP)
    systemctl("stop", "spaled")
    assert outside.reaches(services.TCP)
    assert show("Result") == "success"
