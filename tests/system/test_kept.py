# SPDX-License-Identifier: MIT
"""What the service keeps in its state directory, and does with it when it starts."""

import pathlib
import time

import machine
import pytest
from lib import services
from machine import active, run, show, systemctl, wait_until

GOOD = machine.STATE / "last-good.conf"
LAST_GOOD = "the configuration is unusable, the last good one is in force"


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
    assert systemctl("reload", "spaled", check=False).returncode != 0
    assert LAST_GOOD in show("StatusText")

    machine.write_configuration(extra="[Grant]\nIdle=61s\n")
    systemctl("reload", "spaled")
    assert wait_until(lambda: LAST_GOOD not in show("StatusText"))
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
