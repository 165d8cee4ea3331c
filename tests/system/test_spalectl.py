# SPDX-License-Identifier: MIT
"""spalectl against the installed daemon, from a fresh installation on: what an administrator does."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import machine
import pytest
from gi.repository import Gio, GLib
from lib import services
from machine import active, main_pid, run, show, systemctl, wait_until
from terminal import Terminal

HOME = pathlib.Path("/root")
CLIENT = HOME / "alice.key"
CONNECTION = f"10.77.0.2 50000 10.77.0.1 {services.TCP}"
CONFIGURATION = machine.CONF / "spale.conf"


def spalectl(*argv, check=True, **options):
    options = {"cwd": HOME} | options
    return run("spalectl", *argv, check=check, **options)


def as_json(*argv):
    return json.loads(spalectl(*argv, "--json").stdout)


def fails(status, pattern, *argv, **options):
    """Whether it fails with this status, and says so on standard error alone."""
    done = spalectl(*argv, check=False, **options)
    assert done.returncode == status, done.stdout + done.stderr
    assert re.search(pattern, done.stderr), done.stderr
    assert done.stdout == ""
    return True


@pytest.fixture(scope="module", autouse=True)
def routed(outside):
    """What faces the network is found by the default route."""
    machine.install_packages()
    machine.first_start()
    run("ip", "route", "add", "default", "via", "10.77.0.2")
    yield


def test_not_running():
    assert fails(3, "not running, and not configured: 'spalectl setup'", "status")
    assert fails(3, "not running", "list", "grants", "--json")
    assert fails(3, "not running", "grant", "192.0.2.1")
    for address, said in (("unix:path=/nowhere", "no system bus"),
                          ("tcp:host=127.0.0.1,port=1", "the system bus has hung up")):
        assert fails(3, said, "status", env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": address})


def test_wrong_usage():
    assert fails(2, "did you mean 'status'", "sttaus")
    assert fails(2, "an address or prefix", "grant", "example.org")
    assert fails(2, "ports such as", "grant", "192.0.2.1", "ssh")
    assert fails(2, "--lifetime", "grant", "192.0.2.1", "--lifetime")
    assert fails(2, "does not belong to 'status'", "status", "--all")
    assert fails(2, r"(?m)unexpected argument 'x': spalectl status$", "status", "x")
    # What an empty variable of a script stands for is not every port.
    assert fails(2, "ports such as", "grant", "192.0.2.1", "")
    assert fails(2, "ports such as", "protect", " ,")
    assert fails(2, "wants more", "client", "add")


def test_setup_wants_root_and_an_answer():
    assert fails(4, "sudo spalectl setup", "setup", "--yes", user="nobody", cwd="/")
    assert fails(2, "needs --yes", "setup", stdin=subprocess.DEVNULL)
    assert fails(2, "no interface 'nowhere0'", "setup", "--yes", "--interface", "nowhere0")
    assert not CONFIGURATION.exists()


def nothing_is_made(directory=HOME):
    return not any(path.is_file() for path in [*machine.CONF.rglob("*"), *directory.glob("*.key")])


def test_setup_refuses_before_it_makes_anything():
    for options, said in (
            (("--trial", "-1"), "at most seven days"),
            (("--trial", "8d"), "at most seven days"),
            (("--address", "224.0.0.1"), "nobody comes from 224.0.0.1"),
            (("--address", "::/0"), "nobody comes from ::/0"),
            (("--address", "10.77.0.2/8"), "too wide"),
            (("--address", "10.77.0.2%eth0"), "only a link-local address"),
            (("--address", "fe80::2%nowhere0"), "no interface 'nowhere0'")):
        assert fails(2, said, "setup", "--yes", *options)
        assert nothing_is_made()


def test_setup_on_a_full_disk(tmp_path):
    """Whichever of the files has no room any more."""
    for files in range(4):
        # The directory and that of the clients take room, too.
        run("mount", "-t", "tmpfs", "-o", f"mode=755,nr_inodes={files + 2}", "tmpfs", machine.CONF)
        try:
            assert fails(1, "No space left", "setup", "--yes", "--no-grant", cwd=tmp_path)
            assert nothing_is_made(tmp_path)
        finally:
            run("umount", machine.CONF)
    assert active() == "inactive"


def test_setup_passes_over_routes_that_refuse():
    """A machine with IPv6 only, which knows that it has no IPv4."""
    run("ip", "route", "add", "unreachable", "default", "metric", "4278198272")
    run("ip", "route", "del", "default", "via", "10.77.0.2")
    run("ip", "route", "add", "default", "via", "fd77::2")
    try:
        # The interface comes first.
        assert fails(2, "a time in whole seconds", "setup", "--yes", "--no-grant", "--trial", "x")
    finally:
        run("ip", "route", "del", "default", "via", "fd77::2")
        run("ip", "route", "add", "default", "via", "10.77.0.2")
        run("ip", "route", "del", "unreachable", "default")


def test_setup_in_a_dialogue(outside):
    # As sudo does: the variable is in the environment of the shell above only.
    command = "env -u SSH_CONNECTION spalectl setup; exit $?"
    with Terminal("sh", "-c", f"cd {HOME} && {command}", SSH_CONNECTION=CONNECTION) as terminal:
        assert terminal.shows(r"Interface that faces the network \[eth0\]:")
        terminal.type("nowhere0")
        assert terminal.shows("there is no interface 'nowhere0'")
        terminal.press("Enter")
        assert terminal.shows(rf"Ports to close \[{services.TCP}/tcp\]")
        terminal.press("Enter")
        assert terminal.shows(r"UDP port for knocks \[\d+\]")
        terminal.type(str(services.KNOCK))
        assert terminal.shows(r"Name of the first client \[admin\]")
        terminal.type("alice")
        assert terminal.shows(r"Address that you come from .*\[10\.77\.0\.2\]")
        terminal.type("224.0.0.1")
        assert terminal.shows("nobody comes from 224.0.0.1")
        terminal.press("Enter")
        assert terminal.shows(r"Enforce for a trial .*\[10min\]")
        terminal.type("infinity")
        assert terminal.shows("at most seven days")
        terminal.type("yes")
        assert terminal.shows(r"Shall it be done\? \[Y/n\]")
        assert not CONFIGURATION.exists()
        terminal.press("Enter")
        assert terminal.shows("spale-send profile create", 30)
        assert terminal.status() == 0
    assert active() == "active" and show("UnitFileState") == "enabled"
    assert "LogOnly" not in CONFIGURATION.read_text()
    assert CLIENT.stat().st_mode & 0o777 == 0o600
    assert (machine.CONF / "server.key").stat().st_mode & 0o777 == 0o600


def test_setup_lets_in_who_did_it_and_nobody_else(outside):
    assert as_json("status")["state"] == "enforcing"
    (grant,) = as_json("list", "grants")
    assert (grant["source"], grant["ports"]) == ("10.77.0.2", [f"{services.TCP}/tcp"])
    assert outside.reaches(services.TCP, source=0)
    assert outside.is_kept_from(services.TCP, source=1)


def test_setup_wants_no_drop_in():
    drop_in = machine.CONF / "spale.conf.d" / "closed.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Protect]\nLogOnly=no\n")
    try:
        assert fails(1, f"{drop_in} would change what 'setup' makes", "setup", "--yes", "--force")
    finally:
        drop_in.unlink()


def test_setup_replaces_nothing():
    before = CONFIGURATION.read_text()
    assert fails(1, "--force replaces it", "setup", "--yes")
    assert CONFIGURATION.read_text() == before


def test_the_first_client_gets_in(outside):
    assert outside.gets_in(CLIENT, "ipv6")
    assert [g["client"] for g in as_json("list", "grants", "--client", "alice")] == ["alice"]
    assert spalectl("revoke", "alice").stdout == "Revoked 1 grant.\n"


def test_grant_and_revoke(outside):
    assert outside.is_kept_from(services.TCP, source=1)
    granted = as_json("grant", "10.77.0.3", f"{services.TCP}/tcp", "--lifetime", "1h")
    assert outside.reaches(services.TCP, source=1)
    (row,) = as_json("list", "grants", "--source", "10.77.0.3")
    assert (row["id"], row["origin"], row["interface"]) == (granted["id"], "administrator", None)
    # The handshake at least.
    assert row["packets"] >= 2
    spalectl("extend", "0" + granted["id"], "2h")
    (longer,) = as_json("list", "grants", "--source", "10.77.0.3")
    assert longer["deadline"] > row["deadline"]
    assert re.search(rf"(?m)^ *{granted['id']}  10\.77\.0\.3 .* in 1h 59min",
                     spalectl("list", "grants").stdout)
    spalectl("revoke", "10.77.0.3", f"{services.TCP}/tcp")
    assert wait_until(lambda: outside.is_kept_from(services.TCP, source=1))
    assert fails(5, "list grants", "revoke", "10.77.0.3")
    assert fails(5, "no such grant", "revoke", "--id", granted["id"])
    assert fails(1, "list ports", "grant", "10.77.0.3", "1/tcp")


def test_a_grant_at_one_interface():
    """Addresses of a link say something only together with it."""
    for zone in "eth0", "lo":
        spalectl("grant", f"fe80::77%{zone}")
    rows = as_json("list", "grants", "--source", "fe80::77")
    assert [(row["source"], row["interface"], row["packets"]) for row in rows] == [
        ("fe80::77%eth0", "eth0", 0), ("fe80::77%lo", "lo", 0)]
    assert re.search(rf"(?m)^ *{rows[1]['id']}  fe80::77%lo .*  active +0 ",
                     spalectl("list", "grants").stdout)
    spalectl("revoke", "--id", rows[1]["id"])
    assert [row["source"] for row in as_json("list", "grants", "--source", "fe80::77")] == ["fe80::77%eth0"]
    spalectl("revoke", "fe80::77")
    assert as_json("list", "grants", "--source", "fe80::77") == []


@pytest.mark.parametrize("written", ["[fe80::77%eth0]", "[fe80::77]%eth0", "FE80::77%eth0"])
def test_ways_to_write_an_interface(written):
    spalectl("grant", written)
    # As the list has it, and as others may have it: the same grant.
    for way in ("fe80::%eth0/64", "fe80::/64%eth0", "[fe80::%eth0]/64"):
        spalectl("grant", way)
    assert [row["source"] for row in as_json("list", "grants", "--source", "fe80::/64")] == [
        "fe80::77%eth0", "fe80::%eth0/64"]
    assert spalectl("revoke", "fe80::/64").stdout == "Revoked 2 grants.\n"


def test_wrong_ways_to_write_an_interface():
    for written in ("fe80::77%", "[fe80::77%]", "fe80::77%/64"):
        assert fails(2, "lacks the interface", "grant", written)
    assert fails(2, "is not usable", "grant", "[fe80::77%eth0")
    assert fails(2, "two interfaces: eth0 and lo", "grant", "fe80::77%eth0", "--interface", "lo")


def test_allowed(outside):
    spalectl("allow", "[fd77::]/64")
    assert {"prefix": "fd77::/64", "permanent": False} in as_json("list", "allowed")
    assert outside.reaches(services.TCP, "ipv6", 1)
    spalectl("disallow", "fd77::/64")
    assert wait_until(lambda: outside.is_kept_from(services.TCP, "ipv6", 1))


def test_clients(outside, tmp_path):
    spalectl("client", "add", "bob", "--ports", f"{services.TCP}/tcp", cwd=tmp_path)
    key = tmp_path / "bob.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert fails(1, "exists", "client", "add", "bob", cwd=tmp_path)
    assert fails(5, "did you mean 'bob'", "client", "show", "bop")
    assert fails(5, "list clients", "client", "remove", "somebody")
    assert outside.gets_in(key, "ipv6")
    spalectl("client", "disable", "bob")
    assert wait_until(lambda: outside.is_kept_from(services.TCP, "ipv6"))
    assert as_json("client", "show", "bob")["enabled"] is False
    spalectl("client", "enable", "bob")
    spalectl("client", "set", "bob", "--lifetime", "90", "--allowed-sources", "fd77::/64,10.0.0.0/8")
    bob = as_json("client", "show", "bob")
    assert (bob["lifetime"], bob["allowed_sources"]) == (90, ["fd77::/64", "10.0.0.0/8"])
    spalectl("client", "set", "bob", "--grace", "0", "--require-source-match", "no")
    bob = as_json("client", "show", "bob")
    assert (bob["grace"], bob["require_source_match"]) == (0, "no")
    assert [c["name"] for c in as_json("list", "clients")] == ["alice", "bob"]
    spalectl("client", "remove", "bob")
    assert [c["name"] for c in as_json("list", "clients")] == ["alice"]


def test_a_client_with_a_key_of_its_own(tmp_path):
    run("spale-keygen", "client", "--name", "carol", cwd=tmp_path)
    spalectl("client", "add", "carol", "--public-key", tmp_path / "carol.pem", "--disabled")
    assert as_json("client", "show", "carol")["enabled"] is False
    # What cannot be enrolled leaves no key file.
    assert fails(1, "", "client", "add", "carol", "--out", "other.key", cwd=tmp_path)
    assert not (tmp_path / "other.key").exists()
    spalectl("client", "remove", "carol")


def test_policy(outside):
    spalectl("protect", f"{services.TCP}/tcp", "9/tcp")
    assert [row["first"] for row in as_json("list", "ports")] == sorted([9, services.TCP])
    spalectl("reload")
    assert [row["first"] for row in as_json("list", "ports")] == [services.TCP]
    spalectl("log-only", "on")
    assert as_json("status")["state"] == "log-only"
    assert outside.reaches(services.TCP, source=1)
    for where in ((), ("--interface", "eth0")):
        assert any(row["kind"] == "would-drop" and row["reason"] == "denied" and row["count"] > 0
                   for row in as_json("counters", *where)), where
    spalectl("log-only", "off")
    assert wait_until(lambda: outside.is_kept_from(services.TCP, source=1))
    assert any(row["reason"] == "denied" and row["count"] > 0 for row in as_json("counters"))
    (interface,) = as_json("list", "interfaces")
    assert (interface["name"], interface["state"]) == ("eth0", "attached")


def test_status_says_what_is_wrong():
    good = CONFIGURATION.read_text()
    assert as_json("status")["problems"] == []
    try:
        CONFIGURATION.write_text(good.replace("Interfaces=eth0", "Interfaces=eth0 wan7"))
        spalectl("reload")
        assert "there is no interface wan7" in spalectl("status").stdout
        CONFIGURATION.write_text("[Protect]\nPorts=nonsense\n")
        assert fails(1, "stays in force", "reload")
        assert len(as_json("status")["problems"]) == 2
    finally:
        CONFIGURATION.write_text(good)
        spalectl("reload")
    assert as_json("status")["problems"] == []


def test_bytes_that_are_no_text():
    """The bus takes UTF-8 only, and throws those out who send it anything else."""
    good = CONFIGURATION.read_bytes()
    try:
        CONFIGURATION.write_bytes(good.replace(b"Interfaces=eth0", b"Interfaces=eth0 w\xe4n"))
        spalectl("reload")
        assert [row["name"] for row in as_json("list", "interfaces")] == ["eth0", r"w\xe4n"]
    finally:
        CONFIGURATION.write_bytes(good)
        spalectl("reload")
    assert as_json("status")["problems"] == []


class Monitor:
    """spalectl monitor in the background, and what it has said."""

    def __init__(self, path):
        self._path = path
        with path.open("w") as output:
            self._process = subprocess.Popen(["spalectl", "monitor", "--json"], stdout=output)

    def has(self, event, timeout=10, **fields):
        """Waits for such an event."""
        def came():
            rows = [json.loads(line) for line in self._path.read_text().splitlines(True)
                    if line.endswith("\n")]
            return any(fields.items() <= row.items() for row in rows if row["event"] == event)

        return wait_until(came, timeout, 0.1)

    def interrupt(self):
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.kill()
        self._process.wait()


def is_heard(monitor):
    """Nothing says that it listens but the first event."""
    spalectl("grant", "10.77.0.9")
    spalectl("revoke", "10.77.0.9")
    return monitor.has("grant removed", 1, address="10.77.0.9")


def test_monitor(outside, tmp_path):
    with Monitor(tmp_path / "events") as monitor:
        assert wait_until(lambda: is_heard(monitor), 20)
        # After a revocation a client has to wait for the next step of time: a new one need not.
        spalectl("client", "add", "dora", cwd=tmp_path)
        outside.knock(tmp_path / "dora.key", "ipv6")
        assert monitor.has("knock accepted", client="dora", address="fd77::2")
        assert monitor.has("grant added", client="dora", ports=[f"{services.TCP}/tcp"])
        spalectl("revoke", "--client", "dora")
        assert monitor.has("grant removed", client="dora", reason="revoked")
        systemctl("restart", "spaled")
        assert monitor.has("spaled ended") and monitor.has("spaled started")
        assert wait_until(lambda: spalectl("reload", check=False) and monitor.has("reloaded", 1), 20)
        assert monitor.interrupt() == -signal.SIGINT


def trial_ends(outside):
    return wait_until(lambda: outside.reaches(services.TCP, source=1), 30, 0.5)


def test_trial_that_nobody_confirms(outside):
    spalectl("log-only", "on")
    assert "confirm" in spalectl("trial", "4s").stdout
    assert as_json("status")["state"] == "trial"
    assert outside.is_kept_from(services.TCP, source=1)
    assert trial_ends(outside)
    assert wait_until(lambda: as_json("status")["state"] == "log-only")
    assert fails(5, "begins one", "confirm")
    assert "nobody has confirmed it" in spalectl("status").stdout
    spalectl("reload")
    assert as_json("status")["problems"] == []


def test_trial_ends_though_the_daemon_was_killed(outside):
    spalectl("log-only", "on")
    spalectl("trial", "8s")
    before = main_pid()
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: main_pid() not in (0, before) and active() == "active", 20)
    assert outside.is_kept_from(services.TCP, source=1)
    assert trial_ends(outside)


def test_trial_in_a_terminal_that_is_confirmed(outside):
    spalectl("log-only", "on")
    with Terminal("spalectl", "trial", "6s") as terminal:
        assert terminal.shows("Enforcing, for a trial: it drops nothing any more in 6s, at")
        assert terminal.status() == 0
    with Terminal("spalectl", "confirm") as terminal:
        assert terminal.shows("Confirmed")
    time.sleep(8)
    assert outside.is_kept_from(services.TCP, source=1)
    assert as_json("status")["state"] == "enforcing"


def test_lists_of_many_pages():
    # One answer of the daemon holds a thousand.
    run("bash", "-c", "for i in {0..4}; do for j in {0..204}; do "
        "echo 10.99.$i.$j; done; done | xargs -P 4 -n 1 spalectl grant >/dev/null")
    rows = as_json("list", "grants", "--source", "10.99.0.0/16")
    assert len(rows) == len({row["id"] for row in rows}) == 1025
    assert spalectl("list", "grants").stdout.endswith(" grants\n")
    assert as_json("revoke", "--all")["revoked"] >= 1025
    # So many end in several steps, between which knocks are judged.
    assert wait_until(lambda: as_json("list", "grants") == [], 10, 0.1)


def test_monitor_goes_on_after_events_are_lost(tmp_path):
    """More happens than the daemon keeps for a bus that hangs."""
    address = Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM)
    flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
             | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
    others = [Gio.DBusConnection.new_for_address_sync(address, flags) for _ in range(28)]

    def call(bus, member, arguments=None):
        bus.call_sync("org.spale1", "/org/spale1", "org.spale1.Manager", member, arguments, None,
                      Gio.DBusCallFlags.NONE, -1)

    for i in range(1000):
        call(others[0], "AddGrant", GLib.Variant(
            "(sa(sqq)a{sv})", (f"10.98.{i // 250}.{i % 250}", [], {})))
    for each in others:
        call(each, "Subscribe")
    daemons, said = (main_pid(), int(show("MainPID", "dbus"))), machine.Said()
    with Monitor(tmp_path / "events") as monitor:
        assert wait_until(lambda: is_heard(monitor), 20)
        os.kill(daemons[1], signal.SIGSTOP)
        try:
            os.kill(daemons[0], signal.SIGHUP)  # at which all these grants end
            assert "subscriptions end" in said
        finally:
            os.kill(daemons[1], signal.SIGCONT)
        assert monitor.has("events lost")
        spalectl("grant", "10.97.0.2")
        assert monitor.has("grant added", address="10.97.0.2")
    for each in others:
        each.close_sync()


AGAIN = ("setup", "--yes", "--force", "--client", "alice", "--knock-port", services.KNOCK,
         "--port", f"{services.TCP}/tcp")


def test_setup_anew_forgets_what_was_changed(outside):
    """Nothing of before closes a port too early, or keeps the new client out."""
    spalectl("log-only", "off", "--permanent")
    spalectl("protect", "9/tcp", "--permanent")
    spalectl("client", "remove", "alice")
    spalectl(*AGAIN, "--log-only")
    assert as_json("status")["state"] == "log-only"
    assert [row["first"] for row in as_json("list", "ports")] == [services.TCP]
    public = (machine.CONF / "clients" / "alice.pem").read_text()
    assert as_json("client", "show", "alice")["public_key"] == public
    spalectl(*AGAIN, "--no-grant")
    assert outside.is_kept_from(services.TCP)


def test_setup_from_a_link_local_address():
    """It is one of the link that is closed; where one comes from otherwise says itself which."""
    for given in ("fe80::2", "[fe80::2]%eth0"):
        spalectl(*AGAIN, "--address", given)
        assert [row["source"] for row in as_json("list", "grants")] == ["fe80::2%eth0"]


def test_setup_enforces_only_what_protects(outside):
    """A name that the configuration takes for two."""
    run("ip", "link", "add", "a,b", "type", "veth", "peer", "name", "peer0")
    try:
        assert fails(1, "a,b is not protected", *AGAIN, "--no-grant", "--json",
                     "--interface", "a,b")
        assert as_json("status")["state"] == "log-only"
    finally:
        run("ip", "link", "del", "a,b")
