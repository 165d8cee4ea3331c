# SPDX-License-Identifier: MIT
"""
Whatever happens to the daemon, a closed port stays closed, an open one open, and what was accepted is
not accepted again. Stopping the service opens. With SPALE_LONG=1 everything is done a hundred times.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import machine
import pytest
from lib import services
from machine import active, main_pid, run, show, systemctl, wait_until

LONG = os.environ.get("SPALE_LONG") == "1"
COUNT = 100 if LONG else 10
UPGRADES = 20 if LONG else 10


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

    def close(self):
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()


@contextlib.contextmanager
def nothing_gets_through(outside, alice):
    """A client is in, and stays so, and nobody else is."""
    assert outside.gets_in(alice)
    session = Session(outside)
    kept = show("NFileDescriptorStore")
    assert int(kept) > 0
    with contextlib.closing(session), contextlib.closing(Attacker(outside)) as attacker:
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
        assert show("StatusText") == "1 grant, 0 knocks accepted"


# What a start with a tracer needs besides.
TRACED = """[Service]
ExecStartPre=+/bin/sh -c 'mv /run/kill/next /run/kill/now 2>/dev/null || rm -f /run/kill/now'
ExecStart=
ExecStart=/run/kill/spaled
RestartSec=50ms
NoExecPaths=
ExecPaths=
SystemCallFilter=
LimitNPROC=infinity
AmbientCapabilities=CAP_SYS_PTRACE
CapabilityBoundingSet=CAP_SYS_PTRACE
"""


@pytest.fixture
def restart_killed(mode):
    """
    Restarts, with a daemon that is killed when it is about to make a system call for the nth time,
    and one after it that is not. Returns whether it came to that.
    """
    place = pathlib.Path("/run/kill")
    place.mkdir()
    script = place / "spaled"
    script.write_text("#!/bin/sh\n[ ! -e /run/kill/now ] || set -- strace -D -f -q -o /dev/null "
                      "$(cat /run/kill/now)\nexec \"$@\" /usr/sbin/spaled --first-start\n")
    script.chmod(0o755)

    def restart(call, number):
        (place / "next").write_text(f"-e trace={call} -e inject={call}:signal=KILL:when={number}")
        systemctl("restart", "spaled", check=False)
        assert wait_until(lambda: not (place / "next").exists() and active() == "active", 30)
        return not (place / "now").exists()

    machine.drop_in("traced", TRACED)
    yield restart
    machine.drop_in_remove("traced")
    systemctl("restart", "spaled")
    shutil.rmtree(place)


def test_killed_between_two_system_calls(outside, alice, restart_killed):
    """Wherever a start has just come to; every place is tried with SPALE_LONG=1."""
    with nothing_gets_through(outside, alice) as session:
        for call, step in (("bpf", 100), ("sendmsg", 12)):
            number = 1
            while restart_killed(call, number):
                assert session.lives()
                number += 1 if LONG else step
            assert number > 2 * step
        assert show("StatusText") == "1 grant, 0 knocks accepted"


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


@pytest.fixture
def binaries(tmp_path):
    """The installed spaled, and one whose programs are others. The installed one is back at the end."""
    shutil.copy("/usr/sbin/spaled", tmp_path / "spaled")
    # It looks for its configuration where a build without a prefix has it.
    others = pathlib.Path("/usr/local/etc/spale")
    others.parent.mkdir(exist_ok=True)
    others.symlink_to(machine.CONF)
    yield tmp_path / "spaled", machine.BUILD / "tests" / "system" / "next" / "spaled-next"
    machine.install_binary(tmp_path / "spaled")
    others.unlink()


def test_upgraded(outside, alice, mode, binaries):
    """To a binary with another program, and back. It takes its place in one step: the link stays."""
    with nothing_gets_through(outside, alice) as session:
        link, program, tag = machine.judge(main_pid())
        tags = {tag}
        for number in range(UPGRADES):
            machine.install_binary(binaries[(number + 1) % 2])
            systemctl("restart", "spaled")
            assert session.lives()
            before = (link, program, tag)
            link, program, tag = machine.judge(main_pid())
            assert link == before[0]
            assert program != before[1] and tag != before[2]
            tags.add(tag)
        assert len(tags) == 2
        assert show("StatusText") == "1 grant, 0 knocks accepted"


def test_killed_while_upgraded(outside, alice, mode, binaries):
    """Whoever comes after the kill has another program."""
    with nothing_gets_through(outside, alice) as session:
        _, _, tag = machine.judge(main_pid())
        machine.install_binary(binaries[1])
        before = main_pid()
        os.kill(before, signal.SIGKILL)
        assert comes_back(before)
        assert session.lives()
        assert machine.judge(main_pid())[2] != tag


def test_killed_while_the_package_is_upgraded(outside, alice, mode, tmp_path):
    """Again and again, whatever dpkg is just doing."""
    packages = machine.newer_packages(tmp_path)
    with nothing_gets_through(outside, alice) as session:
        kills = 0
        with subprocess.Popen(["dpkg", "--install", *packages], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as dpkg:
            while dpkg.poll() is None:
                pid = main_pid()
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        kills += 1
                assert session.lives()
            said = dpkg.stdout.read()
        assert dpkg.returncode == 0, said
        assert kills > 1
        assert wait_until(lambda: active() == "active", 15)
        assert session.lives()
        assert show("StatusText") == "1 grant, 0 knocks accepted"


def test_out_of_memory(outside, alice, mode):
    """The kernel kills it for want of memory."""
    with nothing_gets_through(outside, alice) as session:
        before = main_pid()
        with machine.no_memory_for(before) as was_killed:
            # Something to do, so that it asks for some.
            systemctl("reload", "spaled", check=False)
            assert wait_until(lambda: main_pid() != before, 15)
            assert was_killed()
        assert comes_back(before)
        assert session.lives()


def mark_as_oomd():
    for name in ("user.oomd_ooms", "user.oomd_kill"):
        os.setxattr("/sys/fs/cgroup" + show("ControlGroup"), name, b"1")


def test_killed_for_the_memory_of_others(outside, alice, mode):
    """As systemd-oomd does it: it leaves a mark at the cgroup, which systemd finds."""
    with nothing_gets_through(outside, alice) as session:
        said = machine.Said()
        before = main_pid()
        mark_as_oomd()
        os.kill(before, signal.SIGKILL)
        assert comes_back(before)
        assert session.lives()
        assert "systemd-oomd killed 1 process" in said, said.text()


def set_abi(number):
    """Has the tables in force say that they are of another version."""
    settings = machine.bpf_map(main_pid(), "settings")
    value = machine.bpftool("map", "dump", "id", settings)[0]["value"]
    value[:4] = [hex(byte) for byte in number.to_bytes(4, sys.byteorder)]
    machine.bpftool("map", "update", "id", settings, "key", 0, 0, 0, 0, "value", *value)


def test_tables_of_another_version(outside, alice, mode):
    """They are not understood, so they are left as they are; who wants the new version has to stop."""
    with nothing_gets_through(outside, alice) as session:
        judge = machine.judge(main_pid())
        set_abi(1000)
        said = machine.Said()
        systemctl("restart", "spaled")
        assert r'an earlier spaled enforces with a map "settings" of ABI 1000, and this one speaks ' \
               r"ABI \d+: what it enforces stays in force, and no knock is taken; to go on with " \
               r"this one, stop the service, which opens the ports, and start it" in said
        assert show("StatusText") == "No knock is taken: an earlier spaled cannot be taken over from"
        assert active() == "active"
        assert session.lives()
        before = main_pid()
        os.kill(before, signal.SIGKILL)
        assert comes_back(before)
        assert systemctl("reload", "spaled", check=False).returncode != 0
        assert session.lives()
        # Nothing of it was touched.
        assert run("/usr/sbin/bpftool", "prog", "show", "id", judge[1]).returncode == 0
    systemctl("stop", "spaled")
    assert outside.reaches(services.TCP, source=1)
    systemctl("start", "spaled")
    assert show("StatusText") == "0 grants, 0 knocks accepted"
    assert outside.is_kept_from(services.TCP, source=1)


def test_stop_opens_and_forgets(outside, alice, mode):
    assert outside.gets_in(alice)
    systemctl("restart", "spaled")
    assert outside.is_kept_from(services.TCP, source=1)
    systemctl("stop", "spaled")
    assert outside.reaches(services.TCP, source=1)
    assert "xdp" not in run("ip", "link", "show", "eth0").stdout
    systemctl("start", "spaled")
    assert outside.is_kept_from(services.TCP)


def test_stop_where_the_store_is_preserved(outside, alice, mode):
    """What systemd has from 254 on; earlier ones know no such line, and stop opens (spaled(8))."""
    version = int(run("systemctl", "--version").stdout.split()[1])
    machine.drop_in("preserve", "[Service]\nFileDescriptorStorePreserve=yes\n")
    systemctl("enable", "spaled")
    try:
        assert outside.gets_in(alice)
        systemctl("stop", "spaled")
        assert outside.reaches(services.TCP)
        assert outside.reaches(services.TCP, source=1) == (version < 254)
        systemctl("start", "spaled")
        assert outside.is_kept_from(services.TCP, source=1)
        if version >= 254:
            assert outside.reaches(services.TCP)
            systemctl("stop", "spaled")
            systemctl("clean", "--what=fdstore", "spaled")
            assert outside.reaches(services.TCP, source=1)
    finally:
        systemctl("disable", "spaled")
        machine.drop_in_remove("preserve")
        systemctl("stop", "spaled")


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
        assert "grant revoked: client=alice source=10.77.0.2 ports=\"all\" reason=client-disabled" in said
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


@pytest.mark.parametrize("when", ["after", "before"])
def test_session_without_a_grant_is_cut(outside, alice, mode, when):
    """Its grant has ended, its daemon is gone, and then its client is removed; or meanwhile."""
    configure(mode, extra="[Grant]\nIdle=1\nGrace=0\n")
    systemctl("restart", "spaled")
    said = machine.Said()
    assert outside.gets_in(alice)
    with contextlib.closing(Session(outside)) as session:
        assert session.lives()
        assert "grant expired: client=alice" in said, said.text()
        systemctl("restart", "spaled")
        before = main_pid()
        os.kill(before, signal.SIGKILL)
        assert comes_back(before)
        assert session.lives()
        assert outside.is_kept_from(services.TCP)
        said = machine.Said()
        (machine.CONF / "clients" / "alice.pem").unlink()
        if when == "before":
            systemctl("restart", "spaled")
        assert "ended 1 connections to which nobody has a right now" in said, said.text()
        assert not session.lives()


def test_prefix_that_was_removed_meanwhile(outside, mode):
    """A restart cuts what only that allowed, as a reload does."""
    configure(mode, extra="[Protect]\nAlwaysAllow=10.77.0.2 10.78.0.0/16\n")
    systemctl("restart", "spaled")
    with contextlib.closing(Session(outside)) as session:
        systemctl("restart", "spaled")
        assert session.lives()
        configure(mode, extra="[Protect]\nAlwaysAllow=10.78.0.0/16\n")
        said = machine.Said()
        systemctl("restart", "spaled")
        assert "ended 1 connections to which nobody has a right now" in said, said.text()
        assert not session.lives()


def test_prefix_that_was_allowed_until_a_restart(outside, mode):
    """A crash takes it away, and cuts nothing."""
    machine.wait_for_the_bus()
    run("spalectl", "allow", "10.77.0.2")
    with contextlib.closing(Session(outside)) as session:
        before = main_pid()
        os.kill(before, signal.SIGKILL)
        assert comes_back(before)
        assert outside.is_kept_from(services.TCP)
        assert session.lives()
        machine.wait_for_the_bus()
        run("spalectl", "allow", "10.77.0.2")
        systemctl("restart", "spaled")
        assert not session.lives()
        assert outside.is_kept_from(services.TCP)


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
        assert wait_until(lambda: show("StatusText") == "1 grant, 1 knock accepted")


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
        assert wait_until(lambda: show("StatusText") == "1 grant, 0 knocks accepted")
        assert outside.gets_in(alice)


def test_unusable_configuration_can_be_stopped(outside, alice, mode):
    machine.write_configuration(ports="22/tcpp")
    (machine.STATE / "last-good.conf").unlink()
    systemctl("restart", "spaled")
    assert outside.is_kept_from(services.TCP)
    systemctl("stop", "spaled")
    assert outside.reaches(services.TCP)
    assert show("Result") == "success"
