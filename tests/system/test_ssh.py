# SPDX-License-Identifier: MIT
"""
The main story with a real ssh: setup by who is logged in over it, a knock before each connection, and
sessions that outlive their grant but not its revocation.
"""

import contextlib
import json
import pathlib
import re
from datetime import datetime, timedelta, timezone

import logins
import machine
import pytest
from lib import services
from machine import ROOT, run, wait_until
from terminal import Terminal

HOST = "office.example.org"
CONFIGURATION = machine.CONF / "spale.conf"
# What setup is to be told, so that it asks for the address alone.
ANSWERS = f"--interface eth0 --port 22/tcp --knock-port {services.KNOCK} --client office"


def spalectl(*argv):
    return run("spalectl", *argv, cwd="/root")


def state():
    return json.loads(spalectl("status", "--json").stdout)["state"]


def grants():
    return json.loads(spalectl("list", "grants", "--json").stdout)


@pytest.fixture(scope="module", autouse=True)
def keeper(outside):
    """A machine with a sshd and nothing else, and somebody who may become root with a password."""
    machine.install_packages()
    machine.first_start()
    with open("/etc/hosts", "a", encoding="ascii") as hosts:
        hosts.writelines(f"{address} {HOST}\n" for address in outside.server.values())
    run("useradd", "--create-home", "--groups", "sudo", "--shell", "/bin/bash", "keeper")
    run("chpasswd", input="keeper:open sesame\n")
    logins.start_sshd()
    logins.let_in("keeper", "root")


@contextlib.contextmanager
def over_ssh(outside, user, command, **options):
    """A terminal outside in which this command is run by ssh; sudo gets its password."""
    with Terminal(*logins.over_ssh(outside, user, "-tt", **options), command) as terminal:
        if "sudo" in command:
            assert terminal.shows("password for keeper:")
            terminal.type("open sesame")
        yield terminal


@pytest.mark.parametrize("user, family, before", [
    ("root", "ipv4", ""),
    ("root", "ipv6", ""),
    ("keeper", "ipv4", "sudo "),
    ("keeper", "ipv6", "sudo su - root -c "),
    # Nothing in any environment: logind knows.
    ("keeper", "ipv4", "exec env -u SSH_CONNECTION -u SSH_CLIENT sudo "),
    ("keeper", "ipv6", "exec env -u SSH_CONNECTION -u SSH_CLIENT sudo "),
])
def test_setup_knows_where_one_comes_from(outside, user, family, before):
    with over_ssh(outside, user, f"{before}'spalectl' setup {ANSWERS}" if " -c " not in before else
                  f"{before}'spalectl setup {ANSWERS}'", family=family) as terminal:
        assert terminal.shows(rf"Address that you come from .*\[{outside.source(family)}\]")
        terminal.press("C-c")
        assert terminal.shows(r"status=[1-9]")
    assert not CONFIGURATION.exists()


def test_where_one_comes_from_without_a_terminal(outside):
    """The interface is refused; that the address is not known would be said before."""
    done = run(*logins.over_ssh(outside, "root"), "exec env -u SSH_CONNECTION -u SSH_CLIENT "
               "spalectl setup --yes --interface nowhere0", check=False)
    assert done.returncode == 2 and "nowhere0" in done.stderr
    assert "cannot be found out" not in done.stderr


def test_setup_over_ssh(outside):
    """The dialogue below sudo, and the confirmation of its trial."""
    with over_ssh(outside, "keeper", f"sudo spalectl setup {ANSWERS}") as terminal:
        assert terminal.shows("Address that you come from")
        terminal.press("Enter")
        assert terminal.shows(r"Enforce for a trial .*\[10min\]")
        terminal.press("Enter")
        assert terminal.shows("Shall it be done?")
        terminal.press("Enter")
        assert terminal.shows("spalectl confirm", 30)
        assert terminal.status() == 0
    (grant,) = grants()
    assert (grant["source"], grant["ports"]) == (outside.source("ipv4"), ["22/tcp"])
    day = datetime.fromisoformat(grant["deadline"]) - datetime.now(timezone.utc)
    assert timedelta(hours=23, minutes=50) < day <= timedelta(hours=24)
    assert outside.is_kept_from(22, source=1)
    with over_ssh(outside, "keeper", "spalectl confirm") as terminal:
        terminal.answer("open sesame")
        assert terminal.shows("Confirmed")
        assert terminal.status() == 0
    assert state() == "enforcing"


@contextlib.contextmanager
def logged_in(outside):
    """A shell over ssh."""
    with Terminal(*logins.over_ssh(outside, "keeper", "-tt"), "sh") as terminal:
        assert terminal.shows(r"(?m)^\$")
        yield terminal


def test_revocation_cuts_a_session(outside):
    with logged_in(outside) as terminal:
        spalectl("revoke", outside.source("ipv4"))
        assert terminal.status() == 255
    assert outside.is_kept_from(22)


def expired():
    return wait_until(lambda: grants() == [], 20, 0.2)


@pytest.fixture
def profile(tmp_path, monkeypatch, outside):
    """The client's, whose grants are short."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    key = tmp_path / "guest.key"
    spalectl("client", "add", "guest", "--out", key, "--idle", "1", "--grace", "1", "--lifetime", "2")
    run("spale-send", "profile", "create", "office", "--host", HOST, "--port", services.KNOCK, "--key", key)
    yield
    spalectl("client", "remove", "guest")


LINES = re.findall(r"```\n((?:Match|Host) [^`]*)```", (ROOT / "man" / "spale-send.1.scd").read_text())


@pytest.mark.parametrize("lines", LINES, ids=lambda lines: lines.split()[0])
def test_the_lines_of_the_man_page(outside, profile, tmp_path, lines):
    assert outside.is_kept_from(22)
    config = tmp_path / "config"
    config.write_text(lines + "Host *\n" + logins.CLIENT_CONFIG.read_text())
    done = outside.namespace.run("ssh", "-F", config, f"keeper@{HOST}", "echo", "hello")
    assert done.stdout == "hello\n"
    assert expired()


def test_the_man_page_has_both():
    assert [lines.split()[0] for lines in LINES] == ["Match", "Host"]


def test_a_session_outlives_its_grant_and_not_the_revocation(outside, profile):
    outside.namespace.run("spale-send", "office", "--wait", "22")
    with logged_in(outside) as terminal:
        assert expired()
        assert outside.is_kept_from(22)
        terminal.type("echo alive=$((40 + 2))")
        assert terminal.shows("(?m)^alive=42$")
        done = run("spalectl", "revoke", "--client", "guest", check=False)
        assert done.returncode == 5, "there is a grant"
        assert terminal.status() == 255


def test_trial_by_who_has_no_grant(outside):
    """He stays, nobody else comes, and he can confirm."""
    spalectl("log-only", "on")
    with logged_in(outside) as terminal:
        for verb, shown in (("trial 1min", "Enforcing, for a trial"), ("confirm", "Confirmed")):
            terminal.type(f"clear; spalectl {verb}")
            terminal.answer("open sesame")
            assert terminal.shows(shown)
            assert outside.is_kept_from(22)
        assert state() == "enforcing"
