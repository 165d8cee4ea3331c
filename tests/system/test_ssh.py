# SPDX-License-Identifier: MIT
"""
The main story with a real ssh: setup by who is logged in over it, a knock before each connection, and
sessions that outlive their grant but not its revocation.
"""

import contextlib
import json
import pathlib
import re

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
