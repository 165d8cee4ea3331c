# SPDX-License-Identifier: MIT
"""Pin=: what is protected outlives a spaled that was started by hand and killed."""

import contextlib
import os
import subprocess

import pytest

from lib import services
from lib.bpffs import Bpffs
from lib.daemon import SPALED
from lib.foreign import ForeignProgram
from lib.netns import tcp_closed, tcp_open, wait_until
from test_attach import hooks


@pytest.fixture
def bpffs(tmp_path):
    with contextlib.closing(Bpffs(tmp_path / "bpf")) as bpffs:
        yield bpffs


@pytest.fixture
def pins(bpffs):
    return bpffs.path / "spale"


@pytest.fixture
def daemon(make_daemon, mode, shared_keys, pins, lab):
    """Configured to pin. Whatever a test leaves is gone after it."""
    daemon = make_daemon(mode, shared_keys)
    daemon.settings["Attach"] = {"Pin": "yes", "PinDirectory": pins}
    yield daemon
    release(daemon, lab)


def unpin(daemon, lab):
    return lab.server.run(SPALED, "-c", daemon.conf_path, "--unpin")


def release(daemon, lab):
    """The kernel lets go of what nobody pins by and by, and later on a busy machine."""
    daemon.kill()
    unpin(daemon, lab)
    assert wait_until(lambda: open_for(lab, 0), 10)


def open_for(lab, index, family="ipv4"):
    return tcp_open(lab.client, family, services.TCP, source=index)


def closed_for(lab, index, family="ipv4"):
    return tcp_closed(lab.client, family, services.TCP, source=index)


def test_kill_leaves_it_closed(daemon, lab, family):
    daemon.start()
    datagram = daemon.knock(family=family)
    for _ in range(3):
        daemon.kill()
        assert closed_for(lab, 1, family)
        assert open_for(lab, 0, family)
        daemon.start(first_start=False)
        assert "grants of an earlier spaled that stay: 1" in daemon.log()
        assert closed_for(lab, 1, family)
        assert open_for(lab, 0, family)
    daemon.refused(datagram, "replayed", family=family, source=1)
    daemon.knock(family=family, source=1)
    assert open_for(lab, 1, family)


@pytest.mark.needs_tcx
def test_what_came_first_again_outlives_a_kill(make_daemon, lab, shared_keys, pins):
    """Somebody's program stood before ours meanwhile; what is pinned is what is first."""
    daemon = make_daemon("tc", shared_keys)
    daemon.settings["Attach"] = {"Pin": "yes", "PinDirectory": pins}
    daemon.start()
    mark = daemon.mark()
    try:
        with contextlib.closing(ForeignProgram(lab.server, "s0", "tcx", first=True)):
            assert daemon.wait_log("interface attached: interface=s0", mark, timeout=10)
            daemon.kill()
            assert closed_for(lab, 0)
            assert len([name for name in os.listdir(pins) if name.startswith("link-")]) == 2
            daemon.start(first_start=False)
            assert closed_for(lab, 0)
    finally:
        release(daemon, lab)


def test_sigterm_by_hand_leaves_nothing(daemon, lab, pins):
    before = hooks(lab)
    daemon.start()
    assert any(name.startswith("map-") for name in os.listdir(pins))
    assert closed_for(lab, 0)
    assert daemon.stop() == 0
    assert "nothing is protected any more" in daemon.log()
    assert not pins.exists()
    assert hooks(lab) == before
    assert open_for(lab, 0)


def test_sigterm_after_a_kill_leaves_no_pin(daemon, lab, pins):
    daemon.start()
    daemon.kill()
    daemon.start(first_start=False)
    assert daemon.stop() == 0
    assert not pins.exists()
    assert open_for(lab, 0)


def test_unpin_opens_what_a_killed_one_left(daemon, lab, pins):
    daemon.start()
    daemon.kill()
    assert closed_for(lab, 0)
    unpin(daemon, lab)
    assert not pins.exists()
    assert wait_until(lambda: open_for(lab, 0))
    unpin(daemon, lab)  # nothing is there, which is fine


def test_unpin_opens_nothing_of_a_living_one(daemon, lab):
    daemon.start()
    unpin(daemon, lab)
    assert closed_for(lab, 0)
    daemon.knock()
    assert open_for(lab, 0)


def test_unusable_configuration_after_a_kill(daemon, lab):
    """By hand it is refused, and what is pinned stays as it is."""
    daemon.start()
    daemon.knock()
    daemon.kill()
    daemon.write_conf(Protect={"Ports": "nonsense"})
    status, log = daemon.fails(first_start=False)
    assert status == 78, log
    assert closed_for(lab, 1)
    assert open_for(lab, 0)
    daemon.write_conf()


def test_failed_start_pins_nothing(daemon, lab, pins):
    daemon.write_conf(Protect={"Interfaces": "s0 nosuch0"})
    status, log = daemon.fails()
    assert status == 1, log
    assert not pins.exists()
    assert open_for(lab, 0)


def test_failed_start_after_a_kill_opens_nothing(daemon, lab):
    daemon.start()
    daemon.kill()
    daemon.write_conf(Protect={"Interfaces": "s0 nosuch0"})
    status, log = daemon.fails(first_start=False)
    assert status == 1, log
    assert closed_for(lab, 0)
    daemon.write_conf()


def test_interface_that_is_not_wanted_any_more(daemon, lab):
    daemon.start()
    daemon.kill()
    daemon.start(first_start=False, Protect={"Interfaces": "s1"})
    assert wait_until(lambda: open_for(lab, 0))
    assert tcp_closed(lab.attacker, "ipv4", services.TCP)


def test_interface_that_went_meanwhile(daemon, lab):
    lab.server.ip("link add gone0 type veth peer name gone1", "link set gone0 up")
    try:
        daemon.start(Protect={"Interfaces": "s0 gone0"})
        daemon.kill()
    finally:
        lab.server.ip("link del gone0")
    daemon.start(first_start=False, Protect={"Interfaces": "s0"})
    assert closed_for(lab, 0)


def test_other_abi_is_refused(daemon, lab, pins):
    """Nothing opens, and what to do is said."""
    daemon.start()
    daemon.kill()
    (pins / "map-abi").unlink()
    subprocess.run(["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "bpftool", "map", "create",
                    pins / "map-abi", "type", "array", "key", "4", "value", "4", "entries", "999",
                    "name", "abi"], check=True)
    status, log = daemon.fails(first_start=False)
    assert status == 1, log
    assert '"abi" of ABI 999' in log and "--unpin" in log
    assert closed_for(lab, 0)


def test_drop_privileges(daemon, lab, pins):
    """Where the new user may not even reach the directory."""
    os.chown(daemon.keys.server_path, 0, 0)
    daemon.start("--drop-privs", "nobody", Protect={"Interfaces": "s0 late0*"})
    lab.server.ip("link add late0 type veth peer name late1", "link set late0 up")
    try:
        assert daemon.wait_log(r"interface attached: .*late0"), daemon.log()
        daemon.kill()
        assert closed_for(lab, 0)
        attached = [name for name in os.listdir(pins) if name.startswith(("link-", "filter-"))]
        assert len(attached) == 2
        daemon.start(first_start=False)
    finally:
        lab.server.ip("link del late0")
    assert daemon.stop() == 0
    assert not pins.exists()


@pytest.mark.parametrize("kind", ["plain", "writable", "parent"])
def test_directory_that_cannot_be_used(daemon, lab, bpffs, tmp_path, kind):
    directory = {"plain": tmp_path / "plain", "writable": bpffs.path / "writable",
                 "parent": tmp_path / "none" / "spale"}[kind]
    if kind == "writable":
        directory.mkdir()
        directory.chmod(0o770)
    daemon.write_conf(Attach={"PinDirectory": directory})
    status, log = daemon.fails()
    assert status == 1, log
    assert f"PinDirectory={directory}: " in log
    assert {"plain": "no BPF file system", "writable": "others than its owner",
            "parent": "No such file"}[kind] in log
    assert open_for(lab, 0)
    daemon.write_conf()


def test_options_of_spale_0_3(make_daemon, lab, mode, shared_keys, pins):
    daemon = make_daemon(mode, shared_keys)
    daemon.start("-p", "--pin-dir", pins)
    daemon.kill()
    assert closed_for(lab, 0)
    daemon.start("-p", "--pin-dir", pins, first_start=False)
    assert daemon.stop() == 0
    assert open_for(lab, 0)


def test_third_prefix_length(daemon, lab):
    """Grants of two lengths live, and the configuration wants a third one: who is let in stays."""
    daemon.state.mkdir(exist_ok=True)
    (daemon.state / "grants.conf").write_text(
        "[Grant]\nSource=10.99.0.0/16\nPorts=all\nDeadlineUSec=infinity\n")
    daemon.start()
    daemon.knock()
    daemon.write_conf(Grant={"Prefix4": "24"})
    daemon.reload(expect="cannot change again while grants of two earlier lengths live")
    daemon.kill()
    daemon.start(first_start=False)
    assert "grants of an earlier spaled that stay: 2" in daemon.log()
    assert open_for(lab, 0)
