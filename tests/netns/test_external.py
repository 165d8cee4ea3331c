# SPDX-License-Identifier: MIT
"""External=: other loaders attach the installed objects, spaled drives their maps."""

import contextlib
import subprocess

import pytest

from lib import services
from lib.bpffs import LOADERS, Bpffs, loaded
from lib.netns import tcp_closed, tcp_open, wait_until

# The objects as other loaders load them.
pytestmark = pytest.mark.needs_coarse_clock

NOTHING = {"Interfaces": None}


@pytest.fixture
def bpffs(tmp_path):
    with contextlib.closing(Bpffs(tmp_path / "bpf")) as bpffs:
        yield bpffs


@pytest.fixture(params=[pytest.param(kind, marks=() if kind == "tc" else pytest.mark.needs_xdp)
                        for kind in LOADERS])
def loader(request, lab, bpffs):
    with loaded(request.param, lab.server, bpffs, ["s0"]) as loader:
        yield loader


@pytest.fixture
def external(make_daemon, shared_keys, loader):
    """The daemon, configured to drive what LOADER attached."""
    daemon = make_daemon("tc", shared_keys)
    daemon.settings["Attach"] = {"External": "yes", "PinDirectory": loader.pins}
    daemon.write_conf(Protect=NOTHING)
    return daemon


def test_drives_the_maps(external, lab, loader, family):
    # Nobody has filled the maps: said in spaled(8).
    assert tcp_open(lab.client, family, services.TCP)
    external.start()
    assert tcp_closed(lab.client, family, services.TCP)
    external.knock(family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_closed(lab.client, family, services.TCP, source=1)
    # It attaches nothing: the other interface is nobody's.
    assert tcp_open(lab.attacker, family, services.TCP)
    assert external.counters()["denied"] > 0


def test_interfaces_of_one_directory_share(external, lab, loader):
    loader.load("s1")
    try:
        external.start()
        assert tcp_closed(lab.client, "ipv4", services.TCP)
        assert tcp_closed(lab.attacker, "ipv4", services.TCP)
        external.knock()
        assert tcp_open(lab.client, "ipv4", services.TCP)
        assert tcp_closed(lab.attacker, "ipv4", services.TCP)
    finally:
        loader.unload("s1")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_stays_closed_without_a_daemon(external, lab, end):
    """Who loaded the programs says when they go; the next spaled finds grants and replays."""
    external.start()
    datagram = external.knock()
    assert getattr(external, end)() in (0, None)
    assert tcp_closed(lab.client, "ipv4", services.TCP, source=1)
    assert tcp_open(lab.client, "ipv4", services.TCP)
    external.start(first_start=False)
    assert tcp_open(lab.client, "ipv4", services.TCP)
    external.refused(datagram, "replayed", source=1)
    external.knock(source=1)
    assert tcp_open(lab.client, "ipv4", services.TCP, source=1)


def test_options_of_spale_0_3(make_daemon, lab, loader, shared_keys):
    daemon = make_daemon("tc", shared_keys)
    daemon.start("--external-xdp", "--pin-dir", loader.pins)
    assert "Interfaces= has no effect" in daemon.log()
    assert tcp_closed(lab.client, "ipv4", services.TCP)
    daemon.knock()
    assert tcp_open(lab.client, "ipv4", services.TCP)


def bpftool_map(path, entries, name):
    subprocess.run(["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "bpftool", "map", "create", path,
                    "type", "array", "key", "4", "value", "4", "entries", str(entries), "name",
                    name], check=True)


def test_other_abi_is_refused(external, lab, loader):
    (loader.pins / "abi").unlink()
    bpftool_map(loader.pins / "abi", 999, "abi")
    status, log = external.fails()
    assert status == 1, log
    assert '"abi" of ABI 999' in log and "speaks ABI" in log
    assert tcp_open(lab.client, "ipv4", services.TCP)  # untouched


def test_other_shape_is_refused(external, loader):
    (loader.pins / "owners").unlink()
    bpftool_map(loader.pins / "owners", 7, "owners")
    status, log = external.fails()
    assert status == 1, log
    assert '"owners" of another shape' in log


def test_nothing_is_pinned(make_daemon, shared_keys, bpffs):
    daemon = make_daemon("tc", shared_keys)
    daemon.write_conf(Protect=NOTHING, Attach={"External": "yes", "PinDirectory": bpffs.path})
    status, log = daemon.fails()
    assert status == 1, log
    assert 'no map "abi" is pinned there' in log


def test_directory_that_is_missing(make_daemon, shared_keys, bpffs):
    daemon = make_daemon("tc", shared_keys)
    daemon.write_conf(Protect=NOTHING,
                      Attach={"External": "yes", "PinDirectory": bpffs.path / "none"})
    status, log = daemon.fails()
    assert status == 1, log
    assert f"PinDirectory={bpffs.path}/none: No such file" in log


def test_reload(external, lab):
    external.start()
    external.write_conf(Protect=NOTHING | {"Ports": services.CLOSED})
    external.reload()
    assert wait_until(lambda: tcp_open(lab.client, "ipv4", services.TCP))
    external.write_conf(Attach={"External": "no"})
    external.reload(r"reload failed")
    assert "Pin=, PinDirectory= and External= cannot change" in external.log()
