# SPDX-License-Identifier: MIT
"""What the service keeps in its state directory, and does with it when it starts."""

import contextlib
import pathlib
import time

import machine
import pytest
from lib import services
from machine import active, main_pid, run, show, systemctl, wait_until

GOOD = machine.STATE / "last-good.conf"
LAST_GOOD = "the configuration is unusable, the last good one is in force"
OUTDATED = "what they said before is in force"


@pytest.fixture(scope="session", autouse=True)
def configured(outside):
    machine.install_packages()
    machine.configure()


@pytest.fixture
def alice(configured, tmp_path):
    """The key file of a client who is new."""
    for path in (machine.CONF / "clients").iterdir():
        path.unlink()
    return machine.new_client(tmp_path, "alice")


@pytest.fixture
def service(alice):
    """The service with a configuration that can be used, started anew."""
    systemctl("stop", "spaled")
    machine.write_configuration()
    systemctl("start", "spaled")
    yield
    systemctl("stop", "spaled")
    systemctl("reset-failed", "spaled")


def start_broken():
    """As at a boot: nothing is left of an earlier daemon but its state directory."""
    systemctl("stop", "spaled")
    machine.write_configuration(ports="22/tcpp")
    return systemctl("start", "--no-block", "spaled")


def test_last_good_at_a_boot(outside, alice, service):
    """The gate is closed, knocks open it, and a repaired configuration takes over."""
    assert outside.is_kept_from(services.TCP)
    said = machine.Said()
    start_broken()
    assert machine.wait_active()
    assert LAST_GOOD in said, said.text()
    assert wait_until(lambda: LAST_GOOD in show("StatusText")), show("StatusText")
    assert outside.is_kept_from(services.TCP)
    assert outside.gets_in(alice)
    assert wait_until(lambda: OUTDATED in run("spalectl", "status", check=False).stdout)
    assert systemctl("reload", "spaled", check=False).returncode != 0
    assert LAST_GOOD in show("StatusText")

    machine.write_configuration(extra="[Grant]\nIdle=61s\n")
    systemctl("reload", "spaled")
    assert wait_until(lambda: LAST_GOOD not in show("StatusText"))
    assert OUTDATED not in run("spalectl", "status").stdout
    assert "\nIdle=61s\n" in GOOD.read_text()


def test_last_good_without_keys(outside, alice, service):
    """A server key that is gone takes the knocks with it, and opens nothing."""
    key = machine.CONF / "server.key"
    text = key.read_text()
    systemctl("stop", "spaled")
    key.write_text("no key\n")
    try:
        systemctl("start", "spaled")
        assert LAST_GOOD in show("StatusText")
        assert outside.is_kept_from(services.TCP)
        outside.knock(alice)
        assert outside.is_kept_from(services.TCP)
    finally:
        key.write_text(text)
        machine.write_configuration()
    systemctl("restart", "spaled")
    assert outside.gets_in(alice)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "foreign"])
def test_last_good_is_unusable(outside, alice, service, damage):
    """It is ignored, with an error, and the service fails as it would without one."""
    text = GOOD.read_text()
    systemctl("stop", "spaled")
    if damage == "gone":
        GOOD.unlink()
    else:
        GOOD.write_text({"empty": "", "cut": text[:len(text) // 2],
                         "foreign": (machine.CONF / "spale.conf").read_text()}[damage])
    said = machine.Said()
    start_broken()
    assert "status=78" in said, said.text()
    assert active() != "active"
    if damage != "gone":
        assert "last-good.conf: error: is damaged, or not spaled's own" in said, said.text()


def test_unreadable_configuration_is_told_by_check(service):
    """What is kept is read by --check-config and --show-config too."""
    path = machine.STATE / "policy.conf"
    path.write_text("[Protect]\nAlwaysAllow=192.0.2.9\n")
    try:
        shown = run("spaled", "--show-config").stdout
        assert f"AlwaysAllow=192.0.2.9\n# {path}:2\n" in shown
        path.write_text("[Protect]\nAlwaysAllow=192.0.2\n")
        done = run("spaled", "--check-config", check=False)
        assert done.returncode == 78
        assert f"{path}:2: error:" in done.stderr
    finally:
        pathlib.Path(path).unlink()


def write_trial(seconds):
    """A trial that an earlier daemon began, with so many seconds left."""
    (machine.STATE / "trial.conf").write_text(
        f"[Trial]\nUntilUSec={int((time.time() + seconds) * 1e6)}\n"
        "LengthNSec=600000000000\nOver=no\n")


def test_trial_ends_without_a_daemon(outside, alice, service):
    """The gate closes for the time of a trial; then it opens, though the daemon is stuck."""
    systemctl("stop", "spaled")
    machine.write_configuration()
    path = machine.CONF / "spale.conf"
    path.write_text(path.read_text().replace("[Protect]", "[Protect]\nLogOnly=yes"))
    write_trial(6)
    systemctl("start", "spaled")
    assert wait_until(lambda: "; trial until 20" in show("StatusText")), show("StatusText")
    assert outside.is_kept_from(services.TCP)
    systemctl("kill", "--signal=STOP", "spaled")
    try:
        assert wait_until(lambda: outside.reaches(services.TCP), 15)
    finally:
        systemctl("kill", "--signal=CONT", "spaled")
    assert wait_until(lambda: "a trial is over" in show("StatusText")), show("StatusText")

    # It stays over, until the administrator has the configuration read again.
    machine.write_configuration()
    systemctl("restart", "spaled")
    assert "a trial is over" in show("StatusText")
    assert outside.reaches(services.TCP)
    systemctl("reload", "spaled")
    assert wait_until(lambda: outside.is_kept_from(services.TCP))
    assert not (machine.STATE / "trial.conf").exists()


# ---- over D-Bus --------------------------------------------------------------------------------

def ctl(*argv, check=True):
    return run("spalectl", "--no-pager", *argv, check=check)


def status(name):
    """A property of org.spale1.Manager, as busctl shows it."""
    return run("busctl", "get-property", "org.spale1", "/org/spale1", "org.spale1.Manager",
               name).stdout.strip()


def restart():
    systemctl("restart", "spaled")
    machine.wait_for_the_bus()


def confirm(check=True):
    return run("busctl", "call", "org.spale1", "/org/spale1", "org.spale1.Manager", "Confirm",
               check=check)


@pytest.fixture
def on_the_bus(service):
    """The service, which has nothing that an earlier test kept."""
    systemctl("stop", "spaled")
    for name in ("policy.conf", "trial.conf"):
        (machine.STATE / name).unlink(missing_ok=True)
    for path in (machine.STATE / "clients").glob("*"):
        path.unlink()
    systemctl("start", "spaled")
    machine.wait_for_the_bus()
    yield
    for name in ("policy.conf", "trial.conf"):
        (machine.STATE / name).unlink(missing_ok=True)


def test_policy_for_a_while_and_for_good(outside, alice, on_the_bus):
    """A restart forgets the one and knows the other; disallowing cuts."""
    first, second = outside.source("ipv4"), outside.source("ipv4", 1)
    said = machine.Said()
    ctl("allow", "--permanent", first)
    ctl("allow", second)
    assert rf"policy changed: source={first} reason=allowed caller=\"uid=0 .*\" \(for good\)" in said
    assert outside.reaches(services.TCP) and outside.reaches(services.TCP, source=1)
    restart()
    assert outside.reaches(services.TCP)
    assert outside.is_kept_from(services.TCP, source=1)
    assert f"AlwaysAllow={first}" in run("spaled", "--show-config").stdout
    ctl("disallow", "--permanent", first)
    assert outside.is_kept_from(services.TCP)
    assert not (machine.STATE / "policy.conf").exists()


def test_prefix_length_that_only_a_restart_can_take(outside, alice, on_the_bus):
    """There are grants of two lengths, of which one goes with the restart, and one cannot stay."""
    said = machine.Said()
    ctl("grant", "--permanent", "198.51.100.16/28")
    outside.knock(alice)
    assert "knock accepted" in said
    try:
        machine.write_configuration(extra="[Grant]\nPrefix4=24\n")
        assert systemctl("reload", "spaled", check=False).returncode != 0
        assert "wait for their end, or restart" in said
        restart()
        assert outside.reaches(services.TCP) and outside.reaches(services.TCP, source=1)
        assert "198.51.100.16/28" in ctl("list", "grants").stdout
        ctl("revoke", "alice")
        assert outside.is_kept_from(services.TCP)
        # And so that nothing of the old length would have to go.
        machine.write_configuration(extra="[Grant]\nPrefix4=28\n")
        restart()
        ctl("grant", "--permanent", "203.0.113.128/26")
        machine.write_configuration()
        said = machine.Said()
        restart()
        assert r"grant revoked: source=203.0.113.128/26 .*reason=enforcer" in said
        assert "198.51.100.16/28" in ctl("list", "grants").stdout
    finally:
        machine.write_configuration()
        (machine.STATE / "grants.conf").unlink(missing_ok=True)
        systemctl("restart", "spaled")


def test_log_only_for_good(outside, alice, on_the_bus):
    ctl("log-only", "--permanent", "on")
    assert outside.reaches(services.TCP)
    systemctl("reload", "spaled")
    assert outside.reaches(services.TCP)
    ctl("log-only", "--permanent", "off")
    assert outside.is_kept_from(services.TCP)


def test_clients(outside, alice, on_the_bus, tmp_path):
    """Enrolled, disabled, removed; and so over restarts."""
    key = tmp_path / "carol.key"
    ctl("client", "add", "carol", "--out", key)
    assert outside.gets_in(key)
    ctl("client", "disable", "carol")
    assert wait_until(lambda: outside.is_kept_from(services.TCP))
    restart()
    outside.knock(key)
    assert outside.is_kept_from(services.TCP)
    ctl("client", "remove", "carol")
    assert not list((machine.STATE / "clients").iterdir())

    # The administrator's own.
    said = machine.Said()
    ctl("client", "remove", "alice")
    assert "client removed: client=alice caller=" in said, said.text()
    assert (machine.CONF / "clients/alice.pem").exists()
    restart()
    outside.knock(alice)
    assert outside.is_kept_from(services.TCP)


def test_trial(outside, alice, on_the_bus):
    """On a host that drops nothing: it drops for as long, or for good if that is confirmed."""
    ctl("log-only", "--permanent", "on")
    ctl("trial", "4")
    assert status("TrialUntil") != "t 0"
    assert status("LogOnly") == "b false"
    assert outside.is_kept_from(services.TCP)
    restart()
    assert outside.is_kept_from(services.TCP)
    assert wait_until(lambda: outside.reaches(services.TCP), 15)
    assert wait_until(lambda: status("LogOnly") == "b true")
    assert confirm(check=False).returncode != 0

    ctl("trial", "600")
    assert outside.is_kept_from(services.TCP)
    confirm()
    assert status("TrialUntil") == "t 0"
    restart()
    assert outside.is_kept_from(services.TCP)
    assert not (machine.STATE / "trial.conf").exists()


def test_full_disk(outside, alice, on_the_bus, tmp_path):
    """What cannot be kept is refused, with a reason, and changes nothing."""
    systemctl("stop", "spaled")
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=0700,uid=spale,gid=spale", "none",
        machine.STATE)
    try:
        systemctl("start", "spaled")
        machine.wait_for_the_bus()
        ctl("allow", "--permanent", "192.0.2.9")
        other = outside.source("ipv4", 1)
        ctl("grant", "--permanent", other)
        before = (machine.STATE / "policy.conf").read_text()
        for size in (32768, 16384, 8192, 4096, 2048, 1024, 512):
            for number in range(16):
                try:
                    (machine.STATE / f"filling-{size}-{number}").write_bytes(b"x" * size)
                except OSError:
                    break
        for argv in (("allow", "--permanent", outside.source("ipv4")),
                     ("grant", "--permanent", outside.source("ipv4")),
                     ("log-only", "--permanent", "on"), ("trial", "60"),
                     ("client", "add", "carol", "--out", tmp_path / "carol.key"),
                     ("client", "disable", "alice")):
            done = ctl(*argv, check=False)
            assert done.returncode == 1, argv
            assert "cannot be kept" in done.stderr, done.stderr
            assert outside.is_kept_from(services.TCP)
        assert (machine.STATE / "policy.conf").read_text() == before
        # What is to be closed is closed all the same, and that it may come back is said.
        assert outside.reaches(services.TCP, source=1)
        done = ctl("revoke", other, check=False)
        assert (done.returncode, "it is revoked, but" in done.stderr) == (1, True), done.stderr
        assert outside.is_kept_from(services.TCP, source=1)
        outside.knock(alice)
        ctl("allow", outside.source("ipv4"))
        assert outside.reaches(services.TCP)
    finally:
        systemctl("stop", "spaled")
        run("umount", machine.STATE)


# ---- a directory that cannot be used -----------------------------------------------------------

@contextlib.contextmanager
def no_directory_of_floors():
    """A file has its place."""
    place, kept = machine.STATE / "replay", machine.STATE / "replay-kept"
    place.rename(kept)
    place.write_text("")
    try:
        yield
    finally:
        place.unlink()
        kept.rename(place)


@contextlib.contextmanager
def everything_is_roots():
    """As after a backup was put back: even what was in force last cannot be read."""
    run("chown", "-R", "root:root", *machine.STATE.iterdir())
    try:
        yield
    finally:
        run("chown", "-R", "spale:spale", *machine.STATE.iterdir())


@contextlib.contextmanager
def full_from_the_beginning():
    """A new directory on a disk without room."""
    run("mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=0700,uid=spale,gid=spale", "none",
        machine.STATE)
    try:
        yield
        run("mount", "-o", "remount,nr_inodes=100", machine.STATE)
    finally:
        # What comes behind this test has the right directory again.
        run("umount", "--lazy", machine.STATE)


@pytest.mark.parametrize("broken", [no_directory_of_floors, everything_is_roots,
                                    full_from_the_beginning])
def test_unusable_directory_opens_nothing(outside, alice, on_the_bus, broken):
    """As at a boot: what is protected is closed, root can open it, and knocks count when it is mended."""
    without = "no knock can be taken: "
    ctl("allow", "--permanent", "192.0.2.9")
    systemctl("stop", "spaled")
    said = machine.Said()
    with broken():
        systemctl("start", "spaled")
        machine.wait_for_the_bus()
        assert "no knock can be taken until the state directory can be used" in said, said.text()
        assert without in show("StatusText")
        assert without in ctl("status").stdout
        assert str(machine.STATE) in status("KnockProblem")
        outside.knock(alice)
        if broken is not everything_is_roots:  # then nobody knows who alice is
            assert "knock refused: client=alice .*reason=state" in said, said.text()
        assert outside.is_kept_from(services.TCP)
        systemctl("reload", "spaled", check=False)
        assert outside.is_kept_from(services.TCP)
        assert ctl("allow", "--permanent", outside.source("ipv4"), check=False).returncode == 1
        ctl("grant", outside.source("ipv4"))
        assert outside.reaches(services.TCP)
        before = main_pid()
        said = machine.Said()
    assert wait_until(lambda: main_pid() not in (0, before) and active() == "active", 30)
    assert "the state directory can be used now" in said, said.text()
    assert without not in show("StatusText")
    assert outside.reaches(services.TCP)
    assert outside.is_kept_from(services.TCP, source=1)
    machine.wait_for_the_bus()
    assert without not in ctl("status").stdout
    ctl("revoke", "--all")
