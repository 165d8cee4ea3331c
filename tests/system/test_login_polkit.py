# SPDX-License-Identifier: MIT
"""
Administrators and others in real sessions, over ssh and at the seat: what polkit takes them for,
whom its agent asks for a password on their terminals, and what comes of it.
"""

import contextlib
import json
import pathlib

import bus
import logins
import machine
import pytest
from bus import MANAGER, Caller
from lib import services
from machine import run, systemctl
from terminal import Terminal

PORT = services.TCP
GRANT = f"busctl call org.spale1 {MANAGER} org.spale1.Manager AddGrant"
KEY = pathlib.Path("/dev/shm/erna.key")
SERVER = pathlib.Path("/dev/shm/server.pub")

# Not of spale: shows what polkit takes somebody for.
PROBE = """<policyconfig><action id="org.spale1.test"><message>x</message><defaults>
<allow_any>no</allow_any><allow_inactive>auth_admin</allow_inactive><allow_active>yes</allow_active>
</defaults></action></policyconfig>"""

# A row of the table: its action, a command, and whether what that does has happened.
ROWS = {
    "inspect": ("list clients", None),
    "grant": ("grant 203.0.113.5", lambda: "203.0.113.5" in sources()),
    "revoke": ("revoke 203.0.113.6", lambda: "203.0.113.6" not in sources()),
    "manage-clients": (f"client add erna --out {KEY} --server-pub {SERVER}", lambda: KEY.exists() and "erna" in clients()),
    "manage-policy": ("allow 203.0.113.0/28", lambda: "203.0.113.0/28" in allowed()),
}


def rows(*argv):
    return json.loads(run("spalectl", "list", *argv, "--json").stdout)


def sources():
    return {row["source"] for row in rows("grants")}


def clients():
    return {row["name"] for row in rows("clients")}


def allowed():
    return {row["prefix"] for row in rows("allowed")}


@pytest.fixture(scope="module", autouse=True)
def people(outside):
    machine.install_packages()
    machine.configure()
    pathlib.Path("/usr/share/polkit-1/actions/org.spale1.test.policy").write_text(PROBE)
    bus.make_people()
    systemctl("restart", "spaled")
    assert bus.wait_for_name()
    run("install", "-m", "644", machine.CONF / "server.key.pub", SERVER)
    logins.start_sshd()
    logins.let_in("boss", "nobodys", "porter", "root")


@pytest.fixture(autouse=True)
def as_before():
    """Something to revoke, and nothing of what is tried."""
    run("spalectl", "revoke", "--all", check=False)
    run("spalectl", "grant", "203.0.113.6")
    yield
    run("spalectl", "disallow", "203.0.113.0/28", check=False)
    run("spalectl", "client", "remove", "erna", check=False)
    KEY.unlink(missing_ok=True)


@contextlib.contextmanager
def shell(*through):
    """A terminal in which somebody has one."""
    with Terminal(*through, "sh") as terminal:
        assert terminal.shows(r"(?m)^\$")
        yield terminal
        terminal.type("exit")
        terminal.status()


@contextlib.contextmanager
def boss_is(outside, where):
    """His shell in a session of this kind, and the session."""
    remote = where == "remote"
    through = logins.over_ssh(outside, "boss", "-tt") if remote else logins.at_the_seat("boss", "--pty")
    with shell(*through) as terminal, contextlib.ExitStack() as others:
        if where == "inactive":
            others.callback(Caller("nobodys", logins.at_the_seat("nobodys")).close)
        (session,) = logins.sessions(Name="boss", State="online" if where == "inactive" else "active")
        yield terminal, session


@pytest.mark.parametrize("where, properties, believed", [
    ("remote", {"Remote": "yes", "Active": "yes", "Service": "sshd"}, 1),  # not authorised
    ("inactive", {"Remote": "no", "Active": "no", "Seat": "seat0"}, 2),  # with a password
    ("active", {"Remote": "no", "Active": "yes", "Seat": "seat0"}, 0),
])
def test_administrators_can_work_wherever_they_are(outside, where, properties, believed):
    """By spalectl's agent on the terminal; busctl, where there is none, is refused."""
    with boss_is(outside, where) as (terminal, session):
        assert properties.items() <= session.items()
        terminal.type("pkcheck --action-id org.spale1.test --process $$; echo believed=$?")
        assert terminal.shows(f"(?m)^believed={believed}$")
        terminal.type(f"{GRANT} 'sa(sqq)a{{sv}}' 203.0.113.5 1 tcp {PORT} {PORT} 0 </dev/null; echo busctl=$?")
        assert terminal.shows("(?m)^busctl=1$")
        assert "203.0.113.5" not in sources()
        terminal.type("clear; spalectl grant 203.0.113.5; echo spalectl=$?")
        terminal.answer("open sesame")
        assert terminal.shows("(?m)^spalectl=0$")
        assert "203.0.113.5" in sources()


@pytest.mark.parametrize("action", ROWS)
def test_each_row_of_the_table_wants_a_password(outside, action):
    """Of who came over ssh, whom a dismissed dialog gives nothing."""
    verb, has_happened = ROWS[action]
    with boss_is(outside, "remote") as (terminal, _):
        terminal.type(f"spalectl {verb}; echo status=$?")
        assert terminal.shows(rf"org\.spale1\.{action}\b[^P]*(?s:.*)Password:")
        terminal.press("C-c")
        assert terminal.shows(r"(?m)^\$ *$")
        assert has_happened is None or not has_happened()
        # The terminal is as it was.
        terminal.type(f"clear; stty -a | grep -ow -e '-*echo'; spalectl {verb}; echo status=$?")
        assert terminal.shows("(?m)^echo$")
        terminal.answer("open sesame")
        assert terminal.status() == 0
        assert has_happened is None or has_happened()


def test_wrong_passwords_and_other_people(outside):
    """One has a wrong password; another may not, and has none of who may."""
    for user, password in (("boss", "open barley"), ("nobodys", "a password")):
        with Terminal(*logins.over_ssh(outside, user, "-tt"), "spalectl grant 203.0.113.5") as terminal:
            assert terminal.shows(r"Authenticating as: boss\s+Password:")
            terminal.answer(password)
            assert terminal.status() == 4
            assert "not authorised" in terminal.screen()
        assert "203.0.113.5" not in sources()


def test_without_a_terminal_nobody_is_asked(outside):
    for user in ("boss", "nobodys"):
        for verb, has_happened in ROWS.values():
            done = run(*logins.over_ssh(outside, user), f"spalectl {verb}", check=False)
            assert (done.returncode, done.stdout) == (4, ""), done
            assert "not authorised" in done.stderr
            assert has_happened is None or not has_happened()


@pytest.mark.parametrize("user", ["porter", "root"])
def test_operators_and_root_are_not_asked(outside, user):
    """Operators are, for what is not theirs."""
    for action, (verb, has_happened) in ROWS.items():
        his = user == "root" or bus.may(user, action)
        done = run(*logins.over_ssh(outside, user), f"spalectl {verb}", check=False)
        assert done.returncode == (0 if his else 4), done
        assert has_happened is None or has_happened() == his


def test_only_root_reads_the_servers_key(outside):
    done = run(*logins.over_ssh(outside, "boss"), "spalectl client add erna", check=False)
    assert done.returncode == 1 and "sudo" in done.stderr, done
