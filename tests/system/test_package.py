# SPDX-License-Identifier: MIT
"""The Debian packages, in the order of a machine's life: installed, upgraded, removed, purged."""

import pathlib
import pwd
import time

import machine
from lib import services
from machine import active, main_pid, run, show, systemctl


def files_of(package):
    return [pathlib.Path(line) for line in run("dpkg", "--listfiles", package).stdout.splitlines()]


def test_install_leaves_everything_open(outside):
    machine.install_packages()
    assert pwd.getpwnam("spale").pw_shell.endswith("nologin")
    assert systemctl("is-enabled", "spaled").stdout == "enabled\n"
    assert systemctl("is-enabled", "spale-pins", check=False).stdout == "disabled\n"
    assert (active(), show("Result")) == ("inactive", "success")
    assert "no trigger condition checks were met" in machine.journal()
    assert outside.reaches(services.TCP)


def test_configured_by_hand(outside, tmp_path):
    machine.configure()
    key = machine.new_client(tmp_path, "alice")
    systemctl("start", "spaled")
    assert outside.is_kept_from(services.TCP)
    assert outside.gets_in(key)


def test_upgrade_restarts_and_never_stops(outside, tmp_path):
    before = main_pid()
    run("dpkg", "--install", *machine.newer_packages(tmp_path))
    state, pid = pathlib.Path("/run/at-preinst").read_text().split()
    assert (state, int(pid)) == ("active", before)
    assert active() == "active" and main_pid() != before
    assert run("dpkg-query", "--show", "--showformat=${Version}", "spale").stdout.endswith("+more")
    assert outside.is_kept_from(services.TCP, source=1)


def test_remove_stops_and_keeps_what_somebody_made(outside):
    # Configuration stays until the package is purged, fail2ban's filter with it.
    files = [path for path in files_of("spale")
             if not path.is_dir() and pathlib.Path("/etc") not in path.parents]
    assert pathlib.Path("/usr/sbin/spaled") in files
    run("dpkg", "--remove", "spale")
    assert main_pid() == 0
    assert outside.reaches(services.TCP)
    assert [path for path in files if path.exists()] == []
    assert (machine.CONF / "server.key").exists()
    assert (machine.CONF / "clients" / "alice.pem").exists()
    assert (machine.STATE / "replay" / "all").exists()


def test_install_again_closes_again(outside, tmp_path):
    bob = machine.new_client(tmp_path, "bob")
    machine.install_packages()
    assert active() == "active"
    assert outside.is_kept_from(services.TCP)
    assert outside.gets_in(bob)


def test_without_configuration_nothing_opens(outside):
    """Where a daemon ran before, what has gone is not taken for a wish to be open."""
    configuration = machine.CONF / "spale.conf"
    text = configuration.read_text()
    configuration.unlink()
    # What the kernel enforces outlives the restart, and stays as it is.
    systemctl("restart", "spaled")
    assert outside.reaches(services.TCP)  # bob's grant
    assert outside.is_kept_from(services.TCP, "ipv4", source=1)
    assert "configuration" in show("StatusText")
    # Nothing outlives a stop, and so a start has nothing to stand on.
    systemctl("stop", "spaled")
    machine.forget_last_good()
    assert systemctl("start", "spaled", check=False).returncode != 0
    assert show("ConditionResult") == "yes"
    # Nobody gives up, nor says so more often than anybody can read.
    time.sleep(4)
    assert 1 <= int(show("NRestarts")) <= 2
    configuration.write_text(text)
    assert machine.wait_active()
    assert outside.is_kept_from(services.TCP)


def test_purge_removes_everything():
    """What an administrator enabled besides, too, and what that keeps in memory."""
    key = machine.CONF / "server.key"
    run("systemd-creds", "encrypt", "--with-key=host", "--name=server.key", key,
        machine.CONF / "server.key.cred")
    systemctl("enable", "--now", "spale-pins", "spale-key@server.key")
    assert pathlib.Path("/run/spale-bpf").is_mount()
    run("dpkg", "--purge", "spale", "spale-client")
    assert main_pid() == 0
    for path in (machine.CONF, machine.STATE, pathlib.Path("/usr/sbin/spaled")):
        assert not path.exists(), path
    left = run("find", "/etc", "/usr", "/lib/systemd", "/var/lib", "-xdev", "-name", "spale*",
               "-not", "-path", "/usr/local/*").stdout
    assert left == ""
    assert not pathlib.Path("/run/spale-bpf").exists()
    assert run("systemctl", "list-units", "--plain", "--no-legend", "spale*").stdout == ""
