# SPDX-License-Identifier: MIT
"""
Grants in nftables, as the service shows them: within its sandbox, over restarts and kills, and beside
a real firewalld.
"""

import contextlib
import pathlib
import subprocess
import threading

import machine
import pytest
from lib import netns, nft as nftables, services
from machine import main_pid, run, systemctl, wait_until

HOST = nftables.example("A HOST WITH NFTABLES")
FIREWALLD = nftables.example("A HOST WITH FIREWALLD")


class Here:
    """The box's own network."""

    @staticmethod
    def run(*argv, check=True, **options):
        return run(*argv, check=check, **options)


@pytest.fixture(scope="module", autouse=True)
def configured(outside):
    machine.install_packages()
    machine.configure()


@pytest.fixture
def nft():
    rules = nftables.Nft(Here)
    rules.flush()
    yield rules
    systemctl("stop", "spaled")
    rules.flush()


@pytest.fixture
def alice(configured, tmp_path):
    """The key file of a client who is new: knocks of one second are not told apart by a stop."""
    systemctl("stop", "spaled")
    for path in (machine.CONF / "clients").iterdir():
        path.unlink()
    return machine.new_client(tmp_path, "alice")


def start(mirror):
    machine.write_configuration(extra=f"[Nftables]\nMirror={mirror}\n")
    systemctl("start", "spaled")


def shown(outside):
    """What a grant for the host outside looks like."""
    return {(outside.source("ipv4"), "tcp", f"{services.TCP}")}


def holds(nft, name, table, keys, timeout=3.0):
    return wait_until(lambda: nft.keys(name, table) == keys, timeout)


def kill():
    before = main_pid()
    systemctl("kill", "--signal", "KILL", "--kill-whom", "main", "spaled")
    assert wait_until(lambda: main_pid() not in (0, before), 10)
    assert machine.wait_active()


@contextlib.contextmanager
def watched(nft):
    """What nft monitor tells of meanwhile: a list, filled at the end."""
    events = []
    process = subprocess.Popen(["nft", "monitor"], stdout=subprocess.PIPE, text=True)
    try:
        # It listens once it shows a change.
        threading.Timer(0.3, lambda: nft("add", "table", "inet", "begin")).start()
        for line in process.stdout:
            if "begin" in line:
                break
        yield events
        nft("add", "table", "inet", "end")
        for line in process.stdout:
            if "add table inet end" in line:
                break
            events.append(line)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("what", ["restart", "kill"])
def test_own_table_stays(outside, alice, nft, what):
    """It belongs to a socket that the service manager keeps."""
    start("own")
    assert outside.gets_in(alice)
    assert holds(nft, "grants4", "inet spale", shown(outside))
    said = machine.Said()
    with watched(nft) as events:
        if what == "restart":
            systemctl("restart", "spaled")
        else:
            kill()
        assert "started:" in said
        assert holds(nft, "grants4", "inet spale", shown(outside))
    assert not [event for event in events if "spale" in event and "delete" in event]
    assert "nftables mirror" not in said.text()
    systemctl("stop", "spaled")
    assert wait_until(lambda: not nft.has_own_table())


def test_own_table_goes_when_it_is_not_wanted(outside, alice, nft):
    start("own")
    assert nft.has_own_table()
    machine.write_configuration()
    systemctl("restart", "spaled")
    assert wait_until(lambda: not nft.has_own_table())


@pytest.mark.parametrize("what", ["restart", "kill"])
def test_rules_stay_open(outside, alice, nft, what):
    """New connections are accepted by a firewall that drops by default, all the time."""
    nft.load(HOST)
    start("inet filter spale4 spale6")
    assert outside.gets_in(alice)
    refused, stop = [], threading.Event()

    def connect():
        while not stop.is_set():
            if not netns.tcp_open(outside, "ipv4", services.TCP):
                refused.append(True)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        for _ in range(3):
            if what == "restart":
                systemctl("restart", "spaled")
            else:
                kill()
    finally:
        stop.set()
        thread.join()
    assert not refused
    assert holds(nft, "spale4", "inet filter", shown(outside))


def test_state_on_the_bus(outside, alice, nft):
    """What is wrong meanwhile is a property, too."""
    def state():
        return run("busctl", "get-property", "org.spale1", "/org/spale1", "org.spale1.Manager",
                   "NftablesState", check=False).stdout.strip()

    nft.load(HOST)
    start("inet filter spale4 spale6")
    assert wait_until(lambda: state() == 's "ok"', 5)
    nft.flush()
    assert wait_until(lambda: state() == 's "lost: there is no table inet filter"')
    nft.load(HOST)
    assert wait_until(lambda: state() == 's "ok"')
    machine.write_configuration()
    systemctl("reload", "spaled")
    assert wait_until(lambda: state() == 's "off"')


def test_stop_leaves_nothing_for_long(outside, alice, nft):
    """A daemon that ends cannot know whether another one comes: it leaves elements for a minute."""
    nft.load(HOST)
    start("inet filter spale4 spale6")
    assert outside.gets_in(alice)
    assert holds(nft, "spale4", "inet filter", shown(outside))
    assert all(element.expires > 60 for element in nft.elements("spale4"))
    systemctl("stop", "spaled")
    assert all(0 < element.expires <= 60 for element in nft.elements("spale4"))


# ---- firewalld -------------------------------------------------------------------------------

@pytest.fixture
def firewalld(nft):
    """A real one, with eth0 in its default zone, which lets the protected port through."""
    pathlib.Path("/etc/systemd/system/firewalld.service").unlink(missing_ok=True)
    systemctl("daemon-reload")
    systemctl("start", "firewalld")
    run("firewall-cmd", "--permanent", f"--add-port={services.TCP}/tcp")
    run("firewall-cmd", "--reload")
    yield
    systemctl("stop", "firewalld")


def test_firewalld(outside, alice, nft, firewalld):
    """The page's table beside it: what either closes is closed, and its reload changes nothing."""
    nft.load(FIREWALLD.replace("tcp . 22", f"tcp . {services.TCP}"))
    start("inet granted spale4 spale6")
    assert outside.is_kept_from(services.FREE_TCP)  # by firewalld: nobody else protects it
    assert outside.is_kept_from(services.TCP)
    for family in ("ipv4", "ipv6"):
        assert outside.gets_in(alice, family)
        assert outside.is_kept_from(services.TCP, family, source=1)

    said = machine.Said()
    for option in ("--reload", "--complete-reload"):
        run("firewall-cmd", option)
        assert nft.keys("spale4", "inet granted") == shown(outside)
        for family in ("ipv4", "ipv6"):
            assert wait_until(lambda: outside.reaches(services.TCP, family))
    assert outside.is_kept_from(services.FREE_TCP)
    assert "nftables mirror" not in said.text()

    # Firewalld alone would let the port through; the table does for grants only.
    (machine.CONF / "clients" / "alice.pem").unlink()
    systemctl("reload", "spaled")
    assert holds(nft, "spale4", "inet granted", set(), timeout=1.0)
    systemctl("stop", "spaled")
    assert outside.is_kept_from(services.TCP)
    nft("delete", "table", "inet", "granted")
    assert outside.reaches(services.TCP)


def test_firewalld_restarts(outside, alice, nft, firewalld):
    """It knows nothing of tables that are not its own, and neither does the mirror of its table."""
    nft.load(FIREWALLD.replace("tcp . 22", f"tcp . {services.TCP}"))
    start("inet granted spale4 spale6")
    assert outside.gets_in(alice)
    said = machine.Said()
    systemctl("restart", "firewalld")
    assert wait_until(lambda: outside.reaches(services.TCP))
    assert nft.keys("spale4", "inet granted") == shown(outside)
    assert "nftables mirror" not in said.text()
