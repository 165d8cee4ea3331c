# SPDX-License-Identifier: MIT
"""Other people's clients, and a bus that comes late, goes, and comes back."""

import os
import pathlib
import re
import shutil
import subprocess
import threading

import bus
import machine
import pytest
from bus import MANAGER, Caller, variant
from lib import services
from machine import ROOT, active, main_pid, run, systemctl, wait_until

PORTS = [("tcp", services.TCP, services.TCP)]
SUBSCRIBE = ("org.spale1.Manager", "Subscribe")


@pytest.fixture(scope="module", autouse=True)
def configured(outside):
    machine.install_packages()
    machine.configure()
    bus.make_people()
    shutil.copy(ROOT / "tests" / "system" / "panel.py", "/usr/local/bin/spale-test-panel")


@pytest.fixture(autouse=True)
def alice(configured, tmp_path):
    for path in (machine.CONF / "clients").iterdir():
        path.unlink()
    key = machine.new_client(tmp_path, "alice")
    systemctl("restart", "spaled")
    assert bus.wait_for_name()
    return key


@pytest.fixture(name="all_")
def _all(alice):
    caller = Caller("all")
    yield caller
    caller.close()


def add(caller, source="203.0.113.5", **options):
    answer = caller.manager("AddGrant", "(sa(sqq)a{sv})", (
        source, PORTS, {name: variant("t", value) for name, value in options.items()}))
    assert answer.error is None, answer
    return answer.value[0]


class Lines:
    """A program of a user's, and what it says."""

    def __init__(self, user, *argv):
        self._process = subprocess.Popen(
            ["setpriv", "--reuid", user, "--regid", user, "--init-groups", *argv],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, pattern, timeout=10):
        return wait_until(lambda: re.search(pattern, "\n".join(self.lines), re.MULTILINE), timeout, 0.05)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._thread.join(5)
        self._process.stdout.close()


# ---- GLib -------------------------------------------------------------------------------------

def test_a_panel_follows_grants(all_, outside, alice):
    """Those that are there, those that come by knocks and by hand, and how they end."""
    first = add(all_, "203.0.113.1")
    panel = Lines("may-inspect", "/usr/local/bin/spale-test-panel")
    try:
        assert panel.says("^ready$"), panel.lines
        assert f"added {first} 203.0.113.1/32" in panel.lines
        second = add(all_, "2001:db8:7::/64")
        assert panel.says(f"^added {second} 2001:db8:7::/64$"), panel.lines
        assert outside.gets_in(alice)
        assert panel.says(f"^added .* {outside.source('ipv4')}/32$"), panel.lines
        assert all_.call(second, "org.spale1.Grant", "Extend", variant("(t)", (1000,))).error is None
        assert panel.says(f"^changed {second} .*Deadline"), panel.lines
        assert all_.call(first, "org.spale1.Grant", "Revoke").error is None
        assert panel.says(f"^removed {first}$"), panel.lines
        short = add(all_, "203.0.113.2", lifetime=1)
        assert panel.says(f"^removed {short}$"), panel.lines
        assert f"added {short} 203.0.113.2/32" in panel.lines
    finally:
        panel.close()


def packets(caller, path):
    return caller.get("Packets", path, "org.spale1.Grant")


def test_packets_of_a_grant(all_, outside, alice):
    """Those that it let through, over a restart too; not those that nobody let through."""
    other = add(all_, "203.0.113.9", lifetime=3600)
    assert outside.is_kept_from(services.TCP)
    assert packets(all_, other) == 0
    assert outside.gets_in(alice)
    rows = all_.manager("ListGrants", "(a{sv}uu)", ({"client": variant("s", "alice")}, 0, 10)).value[1]
    grant = rows[0][0]
    # The handshake at least.
    counted = packets(all_, grant)
    assert counted >= 2
    assert packets(all_, other) == 0
    systemctl("restart", "spaled")
    assert bus.wait_for_name()
    assert packets(all_, grant) >= counted
    counted = packets(all_, grant)
    assert outside.reaches(services.TCP)
    assert packets(all_, grant) >= counted + 2
    # What is made anew begins anew.
    assert all_.call(grant, "org.spale1.Grant", "Revoke").error is None
    assert outside.is_kept_from(services.TCP)
    assert packets(all_, add(all_, outside.source("ipv4"))) == 0


def test_an_interface_whose_name_is_no_text(all_):
    """The bus takes UTF-8 only, and throws those out who send it anything else."""
    odd, half = os.fsdecode(b"odd\xff"), os.fsdecode(b"\xc3\xa4\xf0")
    run("ip", "link", "add", odd, "type", "veth", "peer", "name", half)
    try:
        run("ip", "link", "set", odd, "up")
        run("ip", "link", "set", half, "up")
        assert wait_until(lambda: {r"odd\xff", r"ä\xf0"} <= set(all_.get("UncoveredInterfaces")))
    finally:
        run("ip", "link", "del", odd)


def test_where_a_link_local_source_is(all_):
    """Also when the interface changes its name, and when it goes."""
    run("ip", "link", "add", "port7", "type", "veth", "peer", "name", "port8")
    index = int(pathlib.Path("/sys/class/net/port7/ifindex").read_text())
    answer = all_.manager("AddGrant", "(sa(sqq)a{sv})", (
        "fe80::77", PORTS, {"interface": variant("s", "port7")}))
    odd = os.fsdecode(b"odd\xff")

    def interfaces():
        rows = all_.manager("ListGrants", "(a{sv}uu)", ({"source": variant("s", "fe80::77")}, 0, 10)).value[1]
        return all_.get("Interface", answer.value[0], "org.spale1.Grant"), *(row[11] for row in rows)

    assert interfaces() == ("port7", "port7")
    run("ip", "link", "set", "port7", "name", odd)
    assert interfaces() == (r"odd\xff", r"odd\xff")
    run("ip", "link", "del", odd)
    assert interfaces() == (str(index), str(index))
    assert all_.get("Interface", add(all_), "org.spale1.Grant") == ""


def test_a_panel_outlives_the_daemon(all_):
    panel = Lines("may-inspect", "/usr/local/bin/spale-test-panel")
    try:
        assert panel.says("^ready$"), panel.lines
        systemctl("restart", "spaled")
        assert panel.says("^owner nobody$") and panel.says("^owner :"), panel.lines
        assert bus.wait_for_name()
        path = add(all_)
        assert panel.says(f"^added {path} 203.0.113.5/32$"), panel.lines
        assert not [line for line in panel.lines if line.startswith("not subscribed")]
    finally:
        panel.close()


def gdbus(user, *argv, check=True):
    return run("setpriv", "--reuid", user, "--regid", user, "--init-groups", "gdbus", argv[0],
               "--system", "--dest", bus.NAME, *argv[1:], check=check)


def test_gdbus(all_):
    text = gdbus("all", "introspect", "--object-path", MANAGER, "--recurse").stdout
    assert "AddGrant(in  s source," in text and "interface org.spale1.Client" in text
    text = gdbus("all", "call", "--object-path", MANAGER, "--method", "org.spale1.Manager.AddGrant",
                 "203.0.113.8", f"[('tcp', {services.TCP}, {services.TCP})]", "{'lifetime': <uint64 60>}").stdout
    assert re.match(r"\(objectpath '/org/spale1/grant/\d+',\)$", text)
    done = gdbus("nobodys", "call", "--object-path", MANAGER, "--method", "org.spale1.Manager.RevokeAll",
                 check=False)
    assert done.returncode != 0
    done = gdbus("nobodys", "introspect", "--object-path", MANAGER, check=False)
    assert "AddGrant" not in done.stdout


def test_gdbus_monitor_shows_a_stranger_nothing(all_):
    """It listens to everything of this name, and gets what is sent to everybody."""
    monitor = Lines("nobodys", "gdbus", "monitor", "--system", "--dest", bus.NAME)
    try:
        assert monitor.says("is owned by"), monitor.lines
        all_.call(add(all_), "org.spale1.Grant", "Revoke")
        bus.pause(0.5)
        assert not re.search(r"203\.0\.113|Grant|Properties", "\n".join(monitor.lines)), monitor.lines
    finally:
        monitor.close()


# ---- the bus ----------------------------------------------------------------------------------

def start_bus():
    systemctl("reset-failed", "dbus.socket", "dbus.service")
    systemctl("start", "dbus.socket", "dbus.service")
    bus.restart_polkit()


def test_starts_and_protects_before_there_is_a_bus(outside, alice):
    systemctl("stop", "dbus.socket", "dbus.service")
    try:
        systemctl("restart", "spaled")
        assert active() == "active"
        assert outside.is_kept_from(services.TCP)
        assert outside.gets_in(alice)
        pid = main_pid()
    finally:
        start_bus()
    assert bus.wait_for_name()
    assert main_pid() == pid
    caller = Caller("all")
    assert [row[2] for row in caller.manager("ListGrants", "(a{sv}uu)", ({}, 0, 10)).value[1]] == \
        [outside.source("ipv4")]
    caller.close()


def test_bus_restarted(outside, alice):
    """It keeps what it has, goes on meanwhile, and is back; who was subscribed is nobody any more."""
    before = Caller("all")
    assert before.call(MANAGER, *SUBSCRIBE).error is None
    path = add(before)
    pid, said = main_pid(), machine.Said()
    for _ in range(3):
        systemctl("stop", "dbus.socket", "dbus.service")
        assert outside.is_kept_from(services.TCP) or outside.reaches(services.TCP)
        start_bus()
        assert bus.wait_for_name()
    assert wait_until(lambda: before.closed, 5)
    before.close()
    assert main_pid() == pid
    assert outside.gets_in(alice)
    assert outside.is_kept_from(services.TCP, source=1)
    after = Caller("all")
    assert after.get("Source", path, "org.spale1.Grant") == ("203.0.113.5", 32)
    assert after.call(path, "org.spale1.Grant", "Revoke").error is None
    assert not after.heard("GrantRemoved", 0.5)
    after.close()
    assert "bus" in said.text()


def test_bus_killed_under_load(outside, alice):
    callers = [Caller("all") for _ in range(3)]
    pid = main_pid()
    for each in callers:
        for _ in range(200):
            each.begin(MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    systemctl("kill", "--signal=KILL", "dbus.service")
    start_bus()
    assert bus.wait_for_name()
    for each in callers:
        each.vanish()
    assert main_pid() == pid
    assert outside.gets_in(alice)


def test_bus_policy_that_comes_late(outside):
    """At a first installation the bus reads its policies before there is a user spale."""
    policy = machine.pathlib.Path("/usr/share/dbus-1/system.d/org.spale1.conf")
    kept = policy.read_text()
    policy.unlink()
    systemctl("reload", "dbus")
    try:
        systemctl("restart", "spaled")
        assert outside.is_kept_from(services.TCP)
        assert not bus.wait_for_name(timeout=1)
    finally:
        policy.write_text(kept)
        systemctl("reload", "dbus")
    assert bus.wait_for_name(timeout=90)


def test_nobody_hands_it_descriptors(all_):
    """They would stay open while polkit thinks, until it can open nothing any more."""
    stranger, pid = Caller("nobodys"), main_pid()
    before = len(os.listdir(f"/proc/{pid}/fd"))
    calls = [stranger.begin(MANAGER, "org.spale1.Manager", "RevokeAll", descriptors=16) for _ in range(120)]
    most = max(len(os.listdir(f"/proc/{pid}/fd")) for _ in range(50))
    assert {stranger.answer(call).error for call in calls} == {"org.freedesktop.DBus.Error.NotSupported"}
    assert most <= before + 1  # one that it opens itself
    assert stranger.manager("RevokeAll").error == bus.ASK
    stranger.close()


def test_descriptors_and_memory_do_not_grow(all_):
    """After many callers, subscribers and grants that came and went."""
    def round_trip():
        for _ in range(10):
            each = Caller("may-inspect")
            each.call(MANAGER, *SUBSCRIBE)
            each.close()
        for _ in range(200):
            all_.call(add(all_), "org.spale1.Grant", "Revoke")
            all_.call(MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")

    def measure():
        return (len(os.listdir(f"/proc/{main_pid()}/fd")),
                int(machine.status_of(main_pid())["VmRSS"].split()[0]))
    round_trip()
    descriptors, kilobytes = measure()
    for _ in range(3):
        round_trip()
    after = measure()
    assert after[0] == descriptors
    assert after[1] < kilobytes + 1024, (kilobytes, after[1])
