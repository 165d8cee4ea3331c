# SPDX-License-Identifier: MIT
"""Pins in the service, whose sandbox has no /sys/fs/bpf: its own BPF file system."""

import json
import os
import pathlib
import pwd
import shutil
import signal

import machine
import pytest
from lib import services
from machine import run, show, systemctl

BPFFS = pathlib.Path("/run/spale-bpf")
PINS = BPFFS / "spale"


@pytest.fixture(scope="session", autouse=True)
def installed(outside):
    machine.install_packages()
    machine.configure()
    systemctl("enable", "--now", "spale-pins")


@pytest.fixture
def alice(installed, tmp_path):
    for path in (machine.CONF / "clients").iterdir():
        path.unlink()
    return machine.new_client(tmp_path, "alice")


def configure(lines):
    machine.write_configuration()
    path = machine.CONF / "spale.conf"
    path.write_text(path.read_text() + f"\n[Attach]\nPinDirectory={PINS}\n{lines}\n")


def ids(kind):
    """Of what is pinned: path to id."""
    found = json.loads(run("/usr/sbin/bpftool", "--bpffs", "--json", kind, "show").stdout)
    return {pin: each["id"] for each in found for pin in each.get("pinned", [])
            if pin.startswith(f"{PINS}/")}


@pytest.fixture(params=["tc", "xdp"])
def pinned(request, outside, alice):
    configure(f"Pin=yes\n[Protect]\nMode={request.param}")
    systemctl("restart", "spaled")
    yield
    systemctl("stop", "spaled")
    run("/usr/sbin/spaled", "--unpin")


def test_file_system_is_for_the_service_alone():
    assert BPFFS.stat().st_uid == pwd.getpwnam("spale").pw_uid
    assert BPFFS.stat().st_mode & 0o777 == 0o700
    assert run("findmnt", "--noheadings", "--output", "FSTYPE", BPFFS).stdout.strip() == "bpf"


def test_pins_belong_to_the_service(pinned):
    uid = pwd.getpwnam("spale").pw_uid
    pins = [PINS / name for name in os.listdir(PINS)]
    # A filter, which is what there is before tcx, holds its program without a link.
    assert ids("map") and (ids("link") or ids("prog"))
    assert all(pin.stat().st_uid == uid and pin.stat().st_mode & 0o077 == 0 for pin in pins)


def test_closed_after_stop(pinned, outside, alice):
    assert outside.gets_in(alice)
    maps = ids("map")
    systemctl("stop", "spaled")
    assert show("NFileDescriptorStore") == "0"
    assert outside.is_kept_from(services.TCP, source=1)
    assert outside.reaches(services.TCP)
    systemctl("start", "spaled")
    assert ids("map") == maps
    assert outside.is_kept_from(services.TCP, source=1)
    assert outside.reaches(services.TCP)
    assert show("StatusText").startswith("1 grant,")


def test_kill_and_restart_keep_the_objects(pinned, outside, alice):
    maps = ids("map")
    os.kill(machine.main_pid(), signal.SIGKILL)
    assert machine.wait_until(lambda: machine.active() == "active" and machine.main_pid())
    systemctl("restart", "spaled")
    assert ids("map") == maps
    assert outside.is_kept_from(services.TCP)
    assert outside.gets_in(alice)


def test_unpin_opens(pinned, outside):
    systemctl("stop", "spaled")
    assert outside.is_kept_from(services.TCP)
    run("/usr/sbin/spaled", "--unpin")
    assert outside.reaches(services.TCP)
    assert not PINS.exists()


def test_mount_stays_when_its_service_stops(pinned, outside):
    maps = ids("map")
    systemctl("stop", "spale-pins")
    systemctl("start", "spale-pins")
    assert ids("map") == maps
    assert outside.is_kept_from(services.TCP)


@pytest.mark.parametrize("owner", [None, "root"])
def test_unusable_directory_opens_nothing(outside, alice, owner):
    """One that is not there, or somebody else's: the service goes on without pins, also at a boot."""
    elsewhere = BPFFS / "spale-else"
    configure(f"Pin=yes\nPinDirectory={elsewhere if owner else '/run/nowhere'}")
    if owner:
        elsewhere.mkdir(mode=0o755)
    try:
        systemctl("stop", "spaled")
        said = machine.Said()
        systemctl("start", "spaled")
        assert "nothing is pinned, so to stop the service opens the ports" in said
        assert outside.is_kept_from(services.TCP)
        assert outside.gets_in(alice)
        systemctl("reload", "spaled")
        assert machine.wait_until(lambda: show("StatusText") == (
            "1 grant, 1 knock accepted; PinDirectory= cannot be used and nothing is pinned"))
        systemctl("restart", "spaled")
        assert outside.is_kept_from(services.TCP, source=1)
        assert outside.reaches(services.TCP)
        systemctl("stop", "spaled")
        assert outside.reaches(services.TCP, source=1)
    finally:
        if owner:
            elsewhere.rmdir()


def test_drives_what_another_loader_attached(outside, alice):
    objects = run("dpkg", "--listfiles", "spale").stdout.split()
    PINS.mkdir(mode=0o700)
    try:
        run("xdp-loader", "load", "--mode", "skb", "--pin-path", PINS, "eth0",
            next(path for path in objects if path.endswith("/spale-xdp.bpf.o")))
        run("chown", "--recursive", "spale:spale", PINS)
        configure("External=yes")
        systemctl("restart", "spaled")
        assert outside.is_kept_from(services.TCP)
        assert outside.gets_in(alice)
        systemctl("stop", "spaled")
        assert outside.is_kept_from(services.TCP, source=1)
    finally:
        systemctl("stop", "spaled")
        run("xdp-loader", "unload", "--all", "eth0", check=False)
        shutil.rmtree(PINS)
