# SPDX-License-Identifier: MIT
"""spale-send and spale-keygen with the real daemon, and a spale 0.3 installation as it was."""

import os
import shutil
import stat
import subprocess

import pytest

from lib import knock, services
from lib.daemon import SPALE_KEYGEN, SPALE_SEND
from lib.netns import tcp_closed, tcp_open, udp_closed, udp_open


def keygen(*argv, cwd, check=True):
    return subprocess.run([SPALE_KEYGEN, *map(str, argv)], cwd=cwd, check=check, text=True,
                          capture_output=True)


# ---- spale-send -----------------------------------------------------------------------------

def test_send(daemon, lab, family):
    daemon.start()
    mark = daemon.mark()
    daemon.spale_send(family=family)
    assert daemon.wait_log("knock accepted:.*client=alice", mark), daemon.log(mark)
    assert tcp_open(lab.client, family, services.TCP)
    assert udp_open(lab.client, family, services.UDP)


def test_send_and_wait(daemon, lab, family):
    daemon.start()
    daemon.spale_send("--wait", services.TCP, family=family)
    assert tcp_open(lab.client, family, services.TCP)


def test_wait_in_vain(daemon):
    """The knock arrives, the port is one that nobody listens on."""
    daemon.start()
    done = daemon.spale_send("--wait", services.CLOSED, "--timeout", "1", check=False)
    assert done.returncode == 3
    assert str(services.CLOSED) in done.stderr


def test_send_from_a_source(daemon, lab, family):
    daemon.start()
    mark = daemon.mark()
    daemon.spale_send("--source", lab.client.source(family, 2), family=family)
    assert daemon.wait_log("knock accepted", mark), daemon.log(mark)
    assert tcp_open(lab.client, family, services.TCP, source=2)
    assert tcp_closed(lab.client, family, services.TCP)


def test_send_several(daemon):
    """Each is a knock of its own, none a repetition."""
    daemon.start()
    daemon.spale_send("--count", "3")
    assert daemon.wait_log(r"(?s)(knock accepted.*){3}"), daemon.log()
    assert daemon.counters()["knock-repeated"] == 0


@pytest.fixture
def host_of_both_families(lab):
    """A name with an address in each family, for the client alone."""
    directory = f"/etc/netns/{lab.client.namespace.name}"
    os.makedirs(directory)
    with open(f"{directory}/hosts", "w", encoding="ascii") as file:
        for address in lab.client.server.values():
            file.write(f"{address} both.test\n")
    yield "both.test"
    shutil.rmtree(directory)


def test_send_to_every_address(daemon, lab, host_of_both_families):
    daemon.start()
    lab.client.namespace.run(SPALE_SEND, "--host", host_of_both_families, "--port", services.KNOCK,
                             "--key", daemon.keys.bundle("alice"))
    assert daemon.wait_log(r"(?s)(knock accepted.*){2}"), daemon.log()
    assert tcp_open(lab.client, "ipv4", services.TCP)
    assert tcp_open(lab.client, "ipv6", services.TCP)


def test_send_with_the_wrong_step(daemon):
    """--step is how long a time step is: with another length than the server's, nothing opens."""
    daemon.start()
    mark = daemon.mark()
    daemon.spale_send("--step", "60")
    assert daemon.wait_log("knock refused:.*clock", mark), daemon.log(mark)


# ---- spale-keygen ---------------------------------------------------------------------------

def test_keys_from_nothing_to_open(make_daemon, mode, lab, tmp_path, family):
    """As a person does it: server key, client, configuration, knock."""
    keygen("server", cwd=tmp_path)
    keygen("client", "--name", "zoe", "--bundle", "--server-pub", "server.pub", cwd=tmp_path)
    for name in ("server.key", "zoe.key", "zoe.bundle"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name
    (tmp_path / "run" / "clients").mkdir(parents=True)
    shutil.copy(tmp_path / "zoe.pem", tmp_path / "run" / "clients" / "zoe.pem")

    (tmp_path / "keys").mkdir()
    daemon = make_daemon(mode, directory=tmp_path / "keys")
    daemon.start(Knock={"ServerKey": tmp_path / "server.key",
                        "ClientsDirectory": tmp_path / "run" / "clients"})
    assert tcp_closed(lab.client, family, services.TCP)
    lab.client.namespace.run(SPALE_SEND, "--host", lab.client.server[family], "--port",
                             services.KNOCK, "--key", tmp_path / "zoe.bundle",
                             "--wait", services.TCP)
    assert tcp_open(lab.client, family, services.TCP)
    assert daemon.wait_log("knock accepted:.*client=zoe")


def test_openssl_reads_the_keys(tmp_path):
    keygen("server", cwd=tmp_path)
    public = subprocess.run(["openssl", "pkey", "-in", "server.key", "-pubout"], cwd=tmp_path,
                            check=True, capture_output=True).stdout
    assert public == (tmp_path / "server.pub").read_bytes()
    assert knock.load_private((tmp_path / "server.key").read_bytes())


def test_nothing_is_overwritten(tmp_path):
    keygen("server", cwd=tmp_path)
    before = (tmp_path / "server.key").read_bytes()
    done = keygen("server", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "server.key" in done.stderr and "--force" in done.stderr
    assert (tmp_path / "server.key").read_bytes() == before
    keygen("server", "--force", cwd=tmp_path)
    assert (tmp_path / "server.key").read_bytes() != before


# ---- spale 0.3, unchanged -------------------------------------------------------------------

LEGACY = """\
# spale.conf of spale 0.3
IFACE=nosuch0            # -i says which
LISTEN_ADDR=0.0.0.0
LISTEN_ADDR6=::          # any
LISTEN_PORT={knock}
MODE=xdp                 # -m says otherwise
PROTECTED_PORTS={tcp},{udp},{both}
ALWAYS_ALLOW=10.77.0.5,fd77::5   # the office
IDLE_SEC=60
GRACE_SEC=-1
SPA_RL_RATE=3
SPA_RL_BURST=10
SERVER_KEY={directory}/server.key
CLIENTS_DIR={directory}/clients
LOG_ONLY=0
LOG_LEVEL=info
LOG_USE_SYSLOG=0
ALICE_PORTS={tcp}
ALICE_IDLE_SEC=1
ALICE_GRACE_SEC=0
"""


@pytest.fixture
def legacy(own_daemon, mode):
    """A spale 0.3 configuration with the options that its unit file gave."""
    daemon = own_daemon
    daemon.conf_path.write_text(LEGACY.format(
        knock=services.KNOCK, tcp=services.TCP, udp=services.UDP, both=services.BOTH,
        directory=daemon.keys.directory))
    daemon.start("-i", "s0", "-m", mode, "--server-key", daemon.keys.server_path,
                 "--clients", daemon.keys.clients_directory)
    return daemon


def profile(directory, daemon, link, family, name="home", **more):
    """A profile directory of spale 0.3."""
    path = directory / name
    path.mkdir(parents=True)
    settings = {"HOST": link.server[family], "PORT": services.KNOCK, "STEP": 30, "COUNT": 1} | more
    (path / "config").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    # The client's private key first: any order is good.
    blocks = daemon.keys.bundle("bob").read_text().split("-----BEGIN PRIVATE KEY-----")
    (path / "key").write_text("-----BEGIN PRIVATE KEY-----" + blocks[1] + blocks[0])
    (path / "key").chmod(0o600)


def test_legacy_server(legacy, lab, family):
    assert tcp_closed(lab.client, family, services.TCP)
    assert udp_closed(lab.client, family, services.UDP)
    assert tcp_open(lab.client, family, services.ALSO)  # not protected in this one
    assert tcp_open(lab.client, family, services.TCP, source=3)  # always allowed
    legacy.knock("bob", family=family)
    for port in (services.TCP, services.BOTH):
        assert tcp_open(lab.client, family, port)
    for port in (services.UDP, services.BOTH):
        assert udp_open(lab.client, family, port)


def test_legacy_settings_of_a_client(legacy, lab, family):
    legacy.knock("alice", family=family)
    assert tcp_open(lab.client, family, services.TCP)
    assert tcp_closed(lab.client, family, services.BOTH)
    assert udp_closed(lab.client, family, services.UDP)
    assert legacy.wait_log("grant expired:.*client=alice", timeout=4), legacy.log()
    assert tcp_closed(lab.client, family, services.TCP)


def test_legacy_keys_are_noted_once_each(legacy):
    for key in ("PROTECTED_PORTS", "IDLE_SEC", "LISTEN_PORT"):
        assert sum(f"{key}" in line and f"_{key}" not in line
                   for line in legacy.log().splitlines()) == 1, legacy.log()
    assert "Lifetime" in legacy.log()  # grants without an absolute end are warned about


@pytest.mark.parametrize("place", ["XDG_CONFIG_HOME", ".config", ".spale"])
def test_legacy_profile(legacy, lab, tmp_path, family, place):
    home = tmp_path / "home"
    directory = {"XDG_CONFIG_HOME": tmp_path / "xdg" / "spale", ".config": home / ".config/spale",
                 ".spale": home / ".spale"}[place]
    profile(directory, legacy, lab.client, family)
    environment = {k: v for k, v in os.environ.items() if k != "XDG_CONFIG_HOME"}
    environment["HOME"] = str(home)
    if place == "XDG_CONFIG_HOME":
        environment["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    lab.client.namespace.run(SPALE_SEND, "--profile", "home", env=environment)
    assert legacy.wait_log("knock accepted:.*client=bob"), legacy.log()
    assert tcp_open(lab.client, family, services.TCP)


def test_legacy_profile_with_source(legacy, lab, tmp_path, family):
    profile(tmp_path / "spale", legacy, lab.client, family, SOURCE=lab.client.source(family, 1))
    lab.client.namespace.run(SPALE_SEND, "send", "--profile", "home",
                             env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path)})
    assert legacy.wait_log("knock accepted:.*client=bob"), legacy.log()
    assert tcp_open(lab.client, family, services.TCP, source=1)
    assert tcp_closed(lab.client, family, services.TCP)


@pytest.mark.parametrize("options", [
    ["-S", services.CLOSED], ["-t", "1", "-g", "0"], ["-n"]], ids=lambda o: o[0])
def test_legacy_options(own_daemon, lab, mode, options):
    daemon = own_daemon
    daemon.conf_path.write_text(LEGACY.format(
        knock=services.KNOCK, tcp=services.TCP, udp=services.UDP, both=services.BOTH,
        directory=daemon.keys.directory))
    daemon.start("-i", "s0", "-m", mode, *options)
    assert (tcp_open if options[0] == "-n" else tcp_closed)(lab.client, "ipv4", services.TCP)
    daemon.knock("bob", port=options[1] if options[0] == "-S" else services.KNOCK)
    assert tcp_open(lab.client, "ipv4", services.TCP)
    if options[0] == "-t":
        assert daemon.wait_log("grant expired", timeout=4), daemon.log()
        assert tcp_closed(lab.client, "ipv4", services.TCP)
