# SPDX-License-Identifier: MIT
"""spalectl and the people in front of it: passwords, pagers, colours, completion."""

import json
import pathlib
import re

import machine
import pytest
from lib import services
from machine import run, wait_until
from terminal import Terminal

HOME = pathlib.Path("/root")
ESCAPE = "\033"


def spalectl(*argv, check=True, **options):
    return run("spalectl", *argv, check=check, **{"cwd": HOME} | options)


@pytest.fixture(scope="module", autouse=True)
def installed(outside):
    machine.install_packages()
    spalectl("setup", "--yes", "--interface", "eth0", "--port", f"{services.TCP}/tcp",
             "--knock-port", str(services.KNOCK), "--client", "alice", "--no-grant")
    # Somebody who may become root, and knows his password; and somebody who may not.
    run("useradd", "--create-home", "--groups", "sudo", "--shell", "/bin/bash", "keeper")
    run("chpasswd", input="keeper:open sesame\n")
    run("useradd", "--create-home", "--shell", "/bin/bash", "visitor")
    yield


def as_user(name, *argv, **options):
    """A command in a terminal of this user's."""
    return Terminal("runuser", "-u", name, "--", *argv, **options)


def test_setup_by_options(outside):
    assert json.loads(spalectl("status", "--json").stdout)["state"] == "enforcing"
    assert json.loads(spalectl("list", "grants", "--json").stdout) == []
    assert outside.is_kept_from(services.TCP)


def test_who_may_not(outside):
    for argv in (["status"], ["list", "clients"], ["grant", "10.77.0.2"], ["log-only", "on"],
                 ["client", "remove", "alice"], ["monitor"]):
        done = spalectl(*argv, check=False, user="visitor", cwd="/")
        assert (done.returncode, done.stdout) == (4, "")
        assert "not authorised: try sudo, a terminal to be asked on" in done.stderr
    assert outside.is_kept_from(services.TCP)


def test_password_at_a_terminal():
    with as_user("keeper", "spalectl", "list", "clients") as terminal:
        assert terminal.shows(r"org\.spale1\.inspect")
        terminal.answer("open sesame")
        assert terminal.shows("(?m)^alice ")
        assert terminal.status() == 0


def test_wrong_password():
    with as_user("keeper", "spalectl", "grant", "10.77.0.2") as terminal:
        terminal.answer("open barley")
        assert terminal.status(30) == 4
        assert "not authorised" in terminal.screen()
    assert json.loads(spalectl("list", "grants", "--json").stdout) == []


def test_nobody_is_asked_who_does_not_want_to_be():
    with as_user("keeper", "spalectl", "grant", "10.77.0.2", "--no-ask-password") as terminal:
        assert terminal.status() == 4
        assert "Password" not in terminal.screen()


def test_pager_for_what_is_long():
    with Terminal("spalectl", "counters", "--all", rows=12) as terminal:
        assert terminal.shows("packets +granted")
        assert "counters" not in terminal.screen()
        terminal.press("G")
        assert terminal.shows(r"\d+ counters")
        terminal.press("q")
        assert terminal.status() == 0


@pytest.mark.parametrize("how", [{"PAGER": "cat"}, {"PAGER": ""}, {"SPALE_PAGER": "", "PAGER": "less"}])
def test_no_pager(how):
    with Terminal("spalectl", "counters", "--all", rows=12, **how) as terminal:
        assert terminal.status() == 0
    with Terminal("spalectl", "counters", "--all", "--no-pager", rows=12) as terminal:
        assert terminal.status() == 0


def test_pager_of_ones_own():
    with Terminal("spalectl", "counters", "--all", rows=12, SPALE_PAGER="tr a-z A-Z",
                  PAGER="false") as terminal:
        assert terminal.shows(r"\d+ COUNTERS")
        assert terminal.status() == 0


def test_no_pager_on_a_dumb_terminal():
    with Terminal("spalectl", "counters", "--all", rows=12, TERM="dumb") as terminal:
        assert terminal.status() == 0


@pytest.mark.parametrize("less", ["-X", "X", "-X -PsMine$"])
def test_pager_shows_colours_whatever_less_is_told(less):
    with Terminal("spalectl", "counters", "--all", rows=12, LESS=less) as terminal:
        assert terminal.shows("(?m)^OF +REASON")
        assert "ESC" not in terminal.screen()
        terminal.press("q")
        assert terminal.status() == 0


@pytest.mark.parametrize("secure", ["1", ""])
def test_pager_that_is_stopped(secure):
    """Ctrl-Z stops both or none: a pager left alone would take what is typed for the shell."""
    with Terminal("bash", "--norc", "-i", rows=12, LESSSECURE=secure) as terminal:
        terminal.type("clear; spalectl counters --all")
        assert terminal.shows("(?m)^OF +REASON")
        terminal.press("C-z")
        if not secure:
            assert terminal.shows("Stopped")
            terminal.type("fg")
        terminal.press("G")
        assert terminal.shows(r"\d+ counters")
        assert secure == "" or "Stopped" not in terminal.screen()
        terminal.press("q")
        terminal.type("echo status=$?")
        assert terminal.status() == 0


def test_colour_on_a_terminal_only():
    with Terminal("spalectl", "list", "interfaces") as terminal:
        assert terminal.status() == 0
        assert f"{ESCAPE}[32mattached" in terminal.screen("-e")
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with Terminal("spalectl", "list", "interfaces", **plain) as terminal:
            assert terminal.status() == 0
            assert "attached" in terminal.screen()
            assert f"{ESCAPE}[32m" not in terminal.screen("-e")
    assert ESCAPE not in spalectl("list", "interfaces").stdout
    assert ESCAPE not in spalectl("counters", "--all").stdout


def test_cut_to_the_terminal_and_whole_in_a_pipe():
    name = "a-client-with-a-name-that-is-longer-than-a-narrow-terminal-is"
    spalectl("client", "add", name, "--out", "/dev/shm/key")
    with Terminal("spalectl", "list", "clients", columns=60) as terminal:
        assert terminal.status() == 0
        assert "…" in terminal.screen() and name not in terminal.screen()
    assert re.search(rf"(?m)^{name} +yes", spalectl("list", "clients").stdout)
    spalectl("client", "remove", name)


def test_control_characters_do_not_reach_the_terminal():
    done = spalectl("list", "\033[2Jgrants", check=False)
    assert done.returncode == 2
    assert ESCAPE not in done.stderr and "\\x1b[2Jgrants" in done.stderr


def bash_completes(*words):
    """What bash proposes for the last word, from what is installed."""
    program = words[0]
    line = " ".join(words)
    script = f"""source /usr/share/bash-completion/completions/{program}
        COMP_LINE="{line}" COMP_POINT={len(line)}
        COMP_WORDS=({' '.join(f'"{w}"' for w in words)}) COMP_CWORD={len(words) - 1}
        $(complete -p {program} | sed 's/.*-F //; s/ .*//'); printf '%s\\n' "${{COMPREPLY[@]}}" """
    return run("bash", "-c", script).stdout.split()


def test_completion_in_bash():
    assert bash_completes("spalectl", "sta") == ["status"]
    assert bash_completes("spalectl", "--json", "list", "c") == ["clients"]
    assert bash_completes("spalectl", "client", "show", "al") == ["alice"]
    assert bash_completes("spalectl", "grant", "--li") == ["--lifetime"]
    assert bash_completes("spalectl", "status", "--li") == []
    assert "eth0" in bash_completes("spalectl", "setup", "--interface", "")
    assert bash_completes("spaled", "--mode", "x") == ["xdp"]
    assert bash_completes("spale-send", "profile", "cr") == ["create"]
    assert bash_completes("spale-send", "profile", "show", "h") == []
    assert bash_completes("spale-keygen", "se") == ["server"]


@pytest.fixture
def things():
    """A grant whose address has colons, and a directory with a blank in its name."""
    spalectl("grant", "2001:db8::7")
    directory = HOME / "some keys"
    directory.mkdir()
    yield
    directory.rmdir()
    spalectl("revoke", "2001:db8::7")


def completes(terminal, typed, shown):
    """Whether the shell in this terminal makes that of it."""
    terminal.type(typed, enter=False)
    terminal.press("Tab")
    assert terminal.shows(f"(?m)^> {re.escape(shown)}")
    terminal.press("C-u")


def test_completion_in_bash_at_a_terminal(things):
    with Terminal("bash", "--norc", "-i") as terminal:
        terminal.type(f"cd {HOME}; source /usr/share/bash-completion/completions/spalectl; "
                      "PS1='> '; clear")
        assert terminal.shows("(?m)^> *$")
        completes(terminal, "spalectl revoke 20", "spalectl revoke 2001:db8::7")
        completes(terminal, "spalectl revoke 2001:db8:", "spalectl revoke 2001:db8::7")
        completes(terminal, "spalectl setup --out some", r"spalectl setup --out some\ keys/")


def fish_completes(line):
    done = run("fish", "-c", f"complete -C '{line}'", env={
        "HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})
    return [row.split("\t")[0] for row in done.stdout.splitlines()]


def test_completion_in_fish():
    assert fish_completes("spalectl sta") == ["status"]
    assert fish_completes("spalectl list c") == ["clients"]
    assert fish_completes("spalectl client show al") == ["alice"]
    assert fish_completes("spale-send --prof") == ["--profile"]
    # A second word, once.
    assert fish_completes("spalectl list grants c") == []
    assert fish_completes("spalectl client remove a") == ["alice"]
    assert fish_completes("spale-send profile show c") == []


def test_completion_of_grants_in_fish(things):
    assert fish_completes("spalectl revoke 20") == ["2001:db8::7"]


def test_completion_in_zsh(things):
    with Terminal("zsh", "-f", "-i") as terminal:
        terminal.type("autoload -U compinit; compinit -u -D; PS1='> '; clear")
        assert terminal.shows("(?m)^> *$")
        terminal.type("spalectl client sh", enter=False)
        terminal.press("Tab")
        assert terminal.shows("(?m)^> spalectl client show")
        terminal.type(" al", enter=False)
        terminal.press("Tab")
        assert terminal.shows("(?m)^> spalectl client show alice")
        terminal.type(" --js", enter=False)
        terminal.press("Tab")
        assert terminal.shows("(?m)^> spalectl client show alice +--json")
        terminal.press("C-u")
        terminal.type("spalectl grant 10.0.0.1 --li", enter=False)
        terminal.press("Tab")
        assert terminal.shows("(?m)^> spalectl grant 10.0.0.1 --lifetime")
        terminal.press("C-u")
        completes(terminal, "spalectl revoke 2001:db8:", "spalectl revoke 2001:db8::7")
        completes(terminal, "spale-send profile sh", "spale-send profile show")


def test_no_polkit_means_no():
    machine.systemctl("mask", "--runtime", "--now", "polkit.service")
    try:
        done = spalectl("status", check=False)
        assert done.returncode == 4
        assert "polkit has to be running" in done.stderr
    finally:
        machine.systemctl("unmask", "--runtime", "polkit.service")
    assert wait_until(lambda: spalectl("status", check=False).returncode == 0, 30, 0.5)
