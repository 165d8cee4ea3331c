# SPDX-License-Identifier: MIT
"""spale-send: profiles, those of spale 0.3 among them."""

import os
import pty
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lib.client import (
    BUNDLE_HINT, CLIENT4, CLIENT4B, CLIENT6, PORT, assert_step, public_bytes, step_now, target)

LEGACY = f"HOST=dual4\nPORT={PORT}\nSTEP=30\nCOUNT=1\n"


@pytest.mark.parametrize("place", [".config/spale", ".spale"])
@pytest.mark.parametrize("argv", [
    ["--profile", "office"], ["-p", "office"], ["-poffice"], ["--profile=office"],
    ["send", "--profile", "office"], ["send", "-p", "office"], ["office"], ["send", "office"]])
def test_legacy_profile(user, place, argv):
    directory = user.profile("office", LEGACY, place)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert user.ok(*argv) == ""
    user.knocks(1)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


@pytest.mark.parametrize("config, count, source", [
    (LEGACY + f"SOURCE={CLIENT4B}\n", 1, CLIENT4B),
    (LEGACY + "SOURCE=\n", 1, CLIENT4),
    (f"# my server\nhost = dual4\nPort = {PORT}\n\n# COUNT=9\ncount=2\n", 2, CLIENT4),
    (LEGACY.replace("\n", "\r\n").replace("COUNT=1", "COUNT=2"), 2, CLIENT4),
    (f"HOST=dual4\nPORT={PORT}", 1, CLIENT4),
])
def test_config_files(user, config, count, source):
    user.profile("office", config, reverse=True)
    user.ok("office")
    assert [got for got, _ in user.knocks(count)] == [source] * count


def test_legacy_step(user):
    user.profile("office", LEGACY.replace("STEP=30", "STEP=11"))
    before = step_now(11)
    user.ok("office")
    [(_, knock)] = user.knocks(1)
    assert_step(knock, before, 11)


def test_places_in_order(user):
    """$XDG_CONFIG_HOME beats ~/.config beats ~/.spale; a profile in two places is told."""
    user.profile("office", LEGACY.replace("COUNT=1", "COUNT=3"), ".spale")
    user.profile("office", LEGACY.replace("COUNT=1", "COUNT=2"))
    done = user.send("office")
    assert done.returncode == 0
    assert done.stderr == (
        f"spale-send: warning: profile 'office' is in {user.home}/.config/spale and in "
        f"{user.home}/.spale: the former is used\n")
    user.knocks(2)
    user.profile("office", LEGACY, "xdg/spale")
    done = user.send("office", env={"XDG_CONFIG_HOME": f"{user.home}/xdg"})
    assert done.stderr.count(f"is in {user.home}/xdg/spale and in ") == 2
    user.knocks(1)
    # A relative one does not count.
    done = user.send("office", env={"XDG_CONFIG_HOME": "xdg"})
    assert done.stderr.count("profile 'office' is in") == 1
    user.knocks(2)


def test_without_home_the_user_database_is_asked(user):
    done = user.send("profile", "show", "no-such-profile-anywhere", env={"HOME": ""})
    assert done.returncode == 1
    assert "no profile is named" in done.stderr


def test_command_line_beats_profile(user):
    user.profile("office", f"HOST=nowhere\nPORT=1\nSTEP=5\nCOUNT=9\nSOURCE={CLIENT6}\n")
    other = X25519PrivateKey.generate()
    user.write_bundle(user.home / "other", other)
    before = step_now(7)
    user.ok("-p", "office", *target("dual4"), "--step", 7, "--count", 1, "--source", CLIENT4B,
            "--key", user.home / "other")
    [(source, knock)] = user.knocks(1)
    assert source == CLIENT4B and knock.sender == public_bytes(other)
    assert_step(knock, before, 7)
    user.ok("-p", "office", "dual4", "--port", PORT, "--count", 1, "--source", "")
    assert [source for source, _ in user.knocks(1)] == [CLIENT4]


def test_a_profile_hides_a_host_of_its_name(user):
    user.profile("dual", LEGACY)
    user.ok("dual")
    user.knocks(1)
    user.ok(*target("dual"), "--key", user.bundle)
    user.knocks(2)


def test_profile_errors(user):
    config = user.profile("office", LEGACY) / "config"
    user.fails(1, "no profile is named 'home': 'spale-send profile list' shows them", "-p", "home")
    for text, status, message in [
            ("HOST=h\n", 2, f"{config} names no port: give --port"),
            (f"PORT={PORT}\n", 2, f"{config} names no host: give --host"),
            ("HOST dual\n", 1, f"{config}:1: 'HOST dual' is not of the form KEY=VALUE"),
            (LEGACY + "\nPORT=x\n", 1, f"{config}:6: PORT='x' is not usable: it takes a number "
                                       "from 1 to 65535"),
            # Whoever wrote it says nothing to the terminal.
            ("HOST\033[2J dual\n", 1,
             f"{config}:1: 'HOST\\x1b[2J dual' is not of the form KEY=VALUE"),
            ("HOST=a\0b\n", 1, f"{config} is not a text: it holds a NUL byte")]:
        config.write_text(text)
        done = user.send("-p", "office")
        assert done.stderr.splitlines()[0] == f"spale-send: {message}"
        assert done.returncode == status
    config.write_text(LEGACY + "COLOUR=blue\n")
    done = user.send("office")
    assert done.returncode == 0
    assert done.stderr == f"spale-send: warning: {config}:5: unknown key 'COLOUR' is ignored\n"
    user.knocks(1)
    config.write_text(LEGACY)
    (config.parent / "key").unlink()
    user.fails(1, f"{config.parent}/key does not exist: {BUNDLE_HINT}", "office")


def modes(directory):
    return {str(path.relative_to(directory)): stat.S_IMODE(path.stat().st_mode)
            for path in directory.rglob("*")}


def create(user, name, *more, **options):
    return user.send("profile", "create", name, *target("dual4"), "--key", user.bundle, *more,
                     **options)


def test_create(user):
    done = create(user, "office", "--step", 60, "--count", 2, "--source", CLIENT4B)
    directory = user.home / ".config/spale/office"
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == (f"Profile 'office' is in {directory}. "
                           "To knock: spale-send office\n")
    assert modes(user.home / ".config") == {
        "spale": 0o700, "spale/office": 0o700, "spale/office/config": 0o600,
        "spale/office/key": 0o600}
    assert (directory / "config").read_text() == (
        f"HOST=dual4\nPORT={PORT}\nSTEP=60\nCOUNT=2\nSOURCE={CLIENT4B}\n")
    assert (directory / "key").read_bytes() == user.bundle.read_bytes()
    user.ok("office")
    assert [source for source, _ in user.knocks(2)] == [CLIENT4B] * 2


def test_create_with_defaults(user):
    assert create(user, "office", env={"XDG_CONFIG_HOME": f"{user.home}/a/b"}).returncode == 0
    assert (user.home / "a/b/spale/office/config").read_text() == LEGACY


def test_create_does_not_replace(user):
    directory = user.profile("office", "HOST=old\nPORT=1\n", ".spale")
    done = create(user, "office")
    assert done.returncode == 1
    assert done.stderr == (f"spale-send: profile 'office' exists in {user.home}/.spale: give "
                           "--overwrite to replace it\n")
    assert (directory / "config").read_text() == "HOST=old\nPORT=1\n"
    assert create(user, "office", "--overwrite").returncode == 0
    assert (directory / "config").read_text() == LEGACY
    assert not (user.home / ".config").exists()


def test_create_that_fails_leaves_nothing(user):
    done = user.send("profile", "create", "x", *target(), "--key", "nosuch")
    assert done.returncode == 1
    assert done.stderr == f"spale-send: nosuch does not exist: {BUNDLE_HINT}\n"
    assert not (user.home / ".config").exists()
    (user.home / ".config").write_text("in the way")
    done = create(user, "x")
    assert done.returncode == 1
    assert done.stderr == f"spale-send: {user.home}/.config/spale: Not a directory\n"


def test_list(user):
    assert user.ok("profile", "list") == ""
    user.profile("b", LEGACY)
    user.profile("c", LEGACY, ".spale")
    user.profile("a", LEGACY, ".spale")
    user.profile("b", LEGACY, ".spale")
    (user.home / ".config/spale/empty").mkdir()
    (user.home / ".config/spale/file").write_text("")
    assert user.ok("profile", "list") == "a\nb\nc\n"
    assert user.ok("profile", "list", "-v") == (
        f"a\t{user.home}/.spale/a\n"
        f"b\t{user.home}/.config/spale/b\n"
        f"b\t{user.home}/.spale/b\tnot used: hidden by the one above\n"
        f"c\t{user.home}/.spale/c\n")


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["profile", "list"],
                                  ["profile", "show", "office"]])
def test_what_nobody_can_read(user, argv):
    user.profile("office", LEGACY)
    with open("/dev/full", "w", encoding="ascii") as full:
        done = user.send(*argv, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "standard output cannot be written: No space left" in done.stderr


def test_show(user):
    directory = user.profile("office", f"HOST=h\nPORT=5\nSOURCE={CLIENT6}\n")
    assert user.ok("profile", "show", "office") == (
        f"name:      office\ndirectory: {directory}\nhost:      h\nport:      5\n"
        f"step:      30\ncount:     1\nsource:    {CLIENT6}\nkey:       {directory}/key\n")
    (directory / "config").write_text("")
    (directory / "key").write_text("")
    done = user.send("profile", "show", "office")
    assert "host:      not set\nport:      not set\n" in done.stdout
    assert done.returncode == 1
    assert done.stderr == (f"spale-send: {directory}/key: the client's private key is missing: "
                           f"{BUNDLE_HINT}\n")


def test_set(user):
    directory = user.profile("office", LEGACY + f"SOURCE={CLIENT4B}\n")
    key = (directory / "key").read_bytes()

    def changed(*argv):
        user.ok("profile", "set", "office", *argv)
        return (directory / "config").read_text()

    assert changed("--host", "dual") == LEGACY.replace("dual4", "dual") + f"SOURCE={CLIENT4B}\n"
    assert changed("--source", "") == LEGACY.replace("dual4", "dual")
    assert changed("--count=2", "--step=60", "--port=9") == "HOST=dual\nPORT=9\nSTEP=60\nCOUNT=2\n"
    assert changed("--source", CLIENT6).endswith(f"COUNT=2\nSOURCE={CLIENT6}\n")
    assert (directory / "key").read_bytes() == key
    other = X25519PrivateKey.generate()
    user.write_bundle(user.home / "other", other)
    changed("--key", user.home / "other")
    assert (directory / "key").read_bytes() == (user.home / "other").read_bytes()
    assert modes(directory) == {"config": 0o600, "key": 0o600}


def test_set_errors(user):
    directory = user.profile("office", LEGACY)
    user.fails(1, "no profile is named 'home': 'spale-send profile list' shows them",
               "profile", "set", "home", "--port", 1)
    user.fails(1, f"nosuch does not exist: {BUNDLE_HINT}",
               "profile", "set", "office", "--port", 1, "--key", "nosuch")
    assert (directory / "config").read_text() == LEGACY
    (directory / "config").write_text("PORT=1\n")
    user.fails(1, f"{directory}/config names no host: give --host too",
               "profile", "set", "office", "--count", 2)


@pytest.mark.parametrize("yes", ["--yes", "-y"])
def test_delete(user, yes):
    directory = user.profile("office", LEGACY)
    assert user.ok("profile", "delete", "office", yes) == ""
    assert directory.parent.exists() and not directory.exists()
    user.fails(1, "no profile is named 'office': 'spale-send profile list' shows them",
               "profile", "delete", "office", yes)


def test_delete_needs_a_yes(user):
    directory = user.profile("office", LEGACY)
    user.fails(2, "without a terminal to ask on, 'profile delete' needs --yes",
               "profile", "delete", "office")
    assert (directory / "config").exists()


@pytest.mark.parametrize("answer, deleted", [
    ("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("yesterday\n", False),
    ("\x04", False)])
def test_delete_asks_on_a_terminal(user, answer, deleted):
    directory = user.profile("office", LEGACY)
    controller, terminal = pty.openpty()
    try:
        os.write(controller, answer.encode())
        done = user.send("profile", "delete", "office", stdin=terminal)
    finally:
        os.close(controller)
        os.close(terminal)
    assert done.stderr.startswith(
        f"Delete profile 'office' with its key ({directory})? [y/N] ")
    assert done.returncode == (0 if deleted else 1)
    assert directory.exists() != deleted
    assert deleted or done.stderr.endswith("spale-send: not deleted\n")


def test_delete_leaves_what_is_not_its_own(user):
    directory = user.profile("office", LEGACY)
    (directory / "notes").write_text("")
    user.fails(1, f"{directory} holds 'notes', which is not part of a profile: move it away first",
               "profile", "delete", "office", "-y")
    assert sorted(path.name for path in directory.iterdir()) == ["config", "key", "notes"]
