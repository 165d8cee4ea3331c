# SPDX-License-Identifier: MIT
"""
People who log in: from outside, by a real sshd in the box and ssh in the namespace, and at the seat.
"""

import pathlib
import pwd
import re

import machine
from machine import run, systemctl

HOME = pathlib.Path("/run/ssh-test")
CLIENT_CONFIG = HOME / "config"


def start_sshd():
    """The distribution's sshd, which nothing else starts, with its PAM, and keys alone."""
    for unit in ("ssh.service", "ssh.socket"):
        assert machine.show("ActiveState", unit) == "inactive", f"{unit} runs, and nobody started it"
    HOME.mkdir()
    for name in ("host", "id"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", HOME / name)
    pathlib.Path("/etc/ssh/sshd_config").write_text(
        f"HostKey {HOME}/host\nUsePAM yes\nPasswordAuthentication no\n")
    CLIENT_CONFIG.write_text(
        f"IdentityFile {HOME}/id\nBatchMode yes\nConnectTimeout 5\nLogLevel ERROR\n"
        f"StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")
    systemctl("start", "ssh")


def let_in(*users):
    """Has them log in with the one key."""
    for user in users:
        directory = pathlib.Path(pwd.getpwnam(user).pw_dir) / ".ssh"
        run("install", "-d", "-o", user, "-g", user, "-m", "700", directory)
        run("install", "-o", user, "-g", user, "-m", "600", HOME / "id.pub",
            directory / "authorized_keys")


def over_ssh(outside, user, *options, family="ipv4"):
    """A command to log in from outside with, to which what is to run there can be added."""
    return outside.namespace.command("ssh", "-F", CLIENT_CONFIG, *options,
                                     f"{user}@{outside.server[family]}")


def at_the_seat(user, how="--pipe"):
    """The same for a session in front of the machine: that of who came last is active."""
    return ["systemd-run", "--quiet", how, "--wait", "--collect", "--property", f"User={user}",
            "--property", "PAMName=login", "--setenv=XDG_SESSION_CLASS=user",
            "--setenv=XDG_SEAT=seat0"]


def sessions(**wanted):
    """What logind knows of each session that has these properties."""
    found = []
    for row in run("loginctl", "list-sessions", "--no-legend").stdout.splitlines():
        said = run("loginctl", "show-session", row.split()[0], check=False).stdout
        properties = dict(re.findall(r"(?m)^(\w+)=(.*)$", said))
        if wanted.items() <= properties.items():
            found.append(properties)
    return found
