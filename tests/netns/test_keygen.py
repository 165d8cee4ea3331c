# SPDX-License-Identifier: MIT
"""The real spale-keygen; what it makes is read by openssl and python3-cryptography."""

import os
import pathlib
import re
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding, PublicFormat, load_pem_private_key, load_pem_public_key)

from lib.daemon import SPALE_KEYGEN, SPALE_SEND

HINT = "Try 'spale-keygen --help'.\n"


def confdir():
    """Where this build looks for its configuration: it says so itself."""
    text = subprocess.run([SPALE_KEYGEN, "--help"], capture_output=True, text=True,
                          check=True).stdout
    return pathlib.PurePosixPath(re.search(r"(/\S+)/server\.key\.pub", text)[1])


class Place:
    """A working directory, and an own view of the machine where the configuration is empty."""

    def __init__(self, directory):
        self.work = directory / "work"
        self.above = directory / "etc"  # what stands above the configuration directory
        self.work.mkdir()
        self.above.mkdir()
        self.confdir = confdir()
        self.conf = self.above / self.confdir.name

    def run(self, *argv, program=SPALE_KEYGEN, umask=0o022, script=""):
        """PROGRAM in a private mount namespace, after SCRIPT."""
        return subprocess.run(
            ["unshare", "--mount", "sh", "-ec",
             f'mount --bind "$0" {self.confdir.parent}; {script}\n"$@"',
             self.above, program, *map(str, argv)], cwd=self.work, umask=umask,
            env=os.environ | {"HOME": str(self.work), "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=30, check=False)

    def ok(self, *argv, **options):
        done = self.run(*argv, **options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def fails(self, status, message, *argv, **options):
        """It says MESSAGE, and leaves everything as it was."""
        before = self.files()
        done = self.run(*argv, **options)
        assert done.stderr.removesuffix(HINT) == "".join(
            f"spale-keygen: {line}\n" for line in message.splitlines())
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.endswith(HINT) == (status == 2)
        assert self.files() == before

    def files(self):
        return {str(path): (path.read_bytes(), mode(path)) for top in (self.work, self.above)
                for path in sorted(top.rglob("*")) if path.is_file()}

    def names(self):
        return sorted(path.name for path in self.work.iterdir())


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def private(path):
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, X25519PrivateKey)
    # openssl agrees, and would have written the very same text.
    assert subprocess.run(["openssl", "pkey", "-in", path], check=True,
                          capture_output=True).stdout in path.read_bytes()
    return raw(key.public_key())


def public(path):
    key = load_pem_public_key(path.read_bytes())
    assert isinstance(key, X25519PublicKey)
    assert subprocess.run(["openssl", "pkey", "-pubin", "-in", path, "-pubout"], check=True,
                          capture_output=True).stdout in path.read_bytes()
    return raw(key)


def raw(key):
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


# ---- without --install -------------------------------------------------------------------------

@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_server(place, umask):
    text = place.ok("server", umask=umask)
    assert place.names() == ["server.key", "server.pub"]
    assert mode(place.work / "server.key") == 0o600
    assert mode(place.work / "server.pub") == 0o644
    assert private(place.work / "server.key") == public(place.work / "server.pub")
    assert text == (
        "wrote server.key (private key: give it to nobody)\n"
        "wrote server.pub (public key)\n"
        f"Next: on the server, server.key becomes {place.confdir}/server.key;\n"
        "      for each client, spale-keygen client --name NAME --bundle --server-pub "
        "server.pub\n")


def test_keys_differ(place):
    seen = set()
    for name in ("a", "b", "c"):
        place.ok("client", "--name", name)
        seen.add(public(place.work / f"{name}.pem"))
    assert len(seen) == 3


@pytest.mark.parametrize("umask", [0, 0o077])
def test_client(place, umask):
    text = place.ok("client", "--name", "alice", umask=umask)
    assert place.names() == ["alice.key", "alice.pem"]
    assert mode(place.work / "alice.key") == 0o600
    assert mode(place.work / "alice.pem") == 0o644
    assert private(place.work / "alice.key") == public(place.work / "alice.pem")
    assert text == (
        "wrote alice.pem (public key)\n"
        "wrote alice.key (private key: give it to nobody)\n"
        f"Next: on the server, copy alice.pem to {place.confdir}/clients/alice.pem.\n"
        "Then: put the server's public key and alice.key into one file, the client's key file.\n")


def test_bundle(place):
    place.ok("server")
    text = place.ok("client", "--name", "alice", "--bundle", "--server-pub", "server.pub",
                    "--out", "made")
    made = place.work / "made"
    assert sorted(path.name for path in made.iterdir()) == ["alice.bundle", "alice.key",
                                                            "alice.pem"]
    assert mode(made) == 0o700 and mode(made / "alice.bundle") == 0o600
    assert (made / "alice.bundle").read_bytes() == (
        (place.work / "server.pub").read_bytes() + (made / "alice.key").read_bytes())
    assert private(made / "alice.bundle") == public(made / "alice.pem")
    assert public(made / "alice.bundle") == private(place.work / "server.key")
    assert text.endswith(
        "Then: on the client, with made/alice.bundle:\n"
        "      spale-send profile create PROFILE --host HOST --port PORT --key "
        "made/alice.bundle\n")
    # And that is what spale-send takes.
    assert place.run("profile", "create", "x", "--host", "h", "--port", 1, "--key",
                     "made/alice.bundle", program=SPALE_SEND).returncode == 0


def test_nothing_is_replaced(place):
    place.ok("server")
    place.fails(1, "server.key exists: --force replaces it\nserver.pub exists: --force replaces it",
                "server")
    (place.work / "alice.key").write_text("mine")
    place.fails(1, "alice.key exists: --force replaces it", "client", "--name", "alice")
    (place.work / "bob.bundle").symlink_to("nowhere")
    place.fails(1, "bob.bundle exists: --force replaces it",
                "client", "--name", "bob", "--bundle", "--server-pub", "server.pub")
    assert place.names() == ["alice.key", "bob.bundle", "server.key", "server.pub"]


def test_force(place):
    place.ok("server")
    before = private(place.work / "server.key")
    (place.work / "server.key").chmod(0o666)
    place.ok("server", "--force")
    assert private(place.work / "server.key") == public(place.work / "server.pub") != before
    assert mode(place.work / "server.key") == 0o600
    place.ok("client", "--name", "new", "--force")


def test_force_replaces_files_only(place):
    (place.work / "server.pub").mkdir()
    place.fails(1, "server.pub cannot be replaced: Is a directory", "server", "--force")
    assert place.names() == ["server.pub"]


def test_all_or_nothing(place):
    """A file system with room for the first file, and none for the second."""
    place.fails(1, "small/server.pub: No space left on device", "server", "--out", "small",
                script="mkdir small; mount -t tmpfs -o nr_inodes=2 none small\n"
                       'set -- sh -c \'"$@"; r=$?; ls -A small; exit $r\' sh "$@"')


def test_what_was_there_comes_back(place):
    """With --force too: the second file cannot be replaced, so the first is the old one again."""
    done = place.run(
        "server", "--out", "old", "--force",
        script="mkdir old; echo private > old/server.key; chmod 640 old/server.key\n"
               "touch old/server.pub; mount --bind old/server.pub old/server.pub\n"
               'set -- sh -c \'"$@"; echo $?; cat old/server.key; stat -c %a old/server.key; '
               'ls -A old\' sh "$@"')
    assert done.stderr == "spale-keygen: old/server.pub: Device or resource busy\n"
    assert done.stdout.splitlines() == ["1", "private", "640", "server.key", "server.pub"]


def test_out_that_cannot_be(place):
    place.fails(1, "no/such: No such file or directory", "server", "--out", "no/such")
    (place.work / "file").write_text("")
    place.fails(1, "file/server.key: Not a directory\nfile/server.pub: Not a directory",
                "server", "--out", "file")


# ---- with --install ----------------------------------------------------------------------------

def test_install(place):
    """Server and client in the place where the daemon looks for them."""
    text = place.ok("server", "--install", umask=0)
    assert text == (
        f"wrote {place.confdir}/server.key (private key: give it to nobody)\n"
        f"wrote {place.confdir}/server.key.pub (public key)\n"
        "Next: spale-keygen client --name NAME --install, and start or restart spaled.\n")
    assert mode(place.conf) == 0o755
    assert mode(place.conf / "server.key") == 0o600
    assert mode(place.conf / "server.key.pub") == 0o644
    assert private(place.conf / "server.key") == public(place.conf / "server.key.pub")

    text = place.ok("client", "--name", "alice", "--install", umask=0o077)
    assert text == (
        f"wrote {place.confdir}/clients/alice.pem (public key)\n"
        "wrote alice.key (key file for spale-send, with the private key: for this client only)\n"
        "Next: on the client, with alice.key:\n"
        "      spale-send profile create PROFILE --host HOST --port PORT --key alice.key\n")
    assert place.names() == ["alice.key"]
    assert mode(place.conf / "clients/alice.pem") == 0o644
    assert mode(place.work / "alice.key") == 0o600
    assert private(place.work / "alice.key") == public(place.conf / "clients/alice.pem")
    assert public(place.work / "alice.key") == private(place.conf / "server.key")


def test_install_elsewhere(place):
    place.ok("server", "--install")
    place.ok("client", "--name", "alice", "--install", "--bundle", "--out", "made")
    assert place.names() == ["made"]
    assert [path.name for path in (place.work / "made").iterdir()] == ["alice.key"]


def test_install_replaces_nothing(place):
    place.ok("server", "--install")
    place.ok("client", "--name", "alice", "--install")
    place.fails(1, f"{place.confdir}/server.key exists: --force replaces it\n"
                f"{place.confdir}/server.key.pub exists: --force replaces it", "server",
                "--install")
    (place.work / "alice.key").unlink()
    place.fails(1, f"{place.confdir}/clients/alice.pem exists: --force replaces it",
                "client", "--name", "alice", "--install")
    assert place.names() == []
    place.ok("client", "--name", "alice", "--install", "--force")


def test_the_servers_key_for_a_bundle(place):
    """--server-pub, else the installed public key, else what the private one yields."""
    place.ok("server", "--install")
    installed = private(place.conf / "server.key")
    place.ok("client", "--name", "a", "--bundle")
    assert public(place.work / "a.bundle") == installed
    (place.conf / "server.key.pub").unlink()
    place.ok("client", "--name", "b", "--bundle")
    assert public(place.work / "b.bundle") == installed
    place.ok("server", "--out", "other")
    place.ok("client", "--name", "c", "--install", "--server-pub", "other/server.pub")
    assert public(place.work / "c.key") == private(place.work / "other/server.key")


def test_no_servers_key(place):
    place.fails(1, "no public key of the server: give --server-pub FILE, or make one with "
                f"'spale-keygen server --install' ({place.confdir}/server.key does not exist: "
                "make a key with 'spale-keygen server')", "client", "--name", "a", "--bundle")
    place.fails(1, "nosuch does not exist: it should be an X25519 public key in PEM",
                "client", "--name", "a", "--bundle", "--server-pub", "nosuch")
    place.ok("server")
    place.fails(1, "server.key: holds a private key, which is its owner's alone: the file with the "
                "public key is meant",
                "client", "--name", "a", "--bundle", "--server-pub", "server.key")
    place.ok("server", "--install")
    (place.conf / "server.key.pub").write_bytes((place.work / "server.pub").read_bytes())
    place.fails(1, f"{place.confdir}/server.key.pub does not belong to {place.confdir}/server.key: "
                "remove it, it can be derived", "client", "--name", "a", "--install")
    (place.conf / "server.key.pub").write_text("")
    place.fails(1, f"{place.confdir}/server.key.pub: the public key is missing: expected an X25519 "
                "key in PEM ('BEGIN PUBLIC KEY')", "client", "--name", "a", "--install")
    assert not (place.conf / "clients").exists()


# ---- usage -------------------------------------------------------------------------------------

NAME_HINT = ("cannot be the name of a client: it takes up to 64 letters, digits, '_', '-' and '.', "
             "and does not begin with '.'")


@pytest.mark.parametrize("argv, message", [
    ([], "say what to make: 'server' or 'client'"),
    (["--force"], "say what to make: 'server' or 'client'"),
    (["key"], "'key' cannot be made: 'server' or 'client'"),
    (["server", "client"], "unexpected argument 'client'"),
    (["server", "--name", "a"], "--name, --bundle and --server-pub belong to 'client'"),
    (["server", "--bundle"], "--name, --bundle and --server-pub belong to 'client'"),
    (["server", "--server-pub", "x"], "--name, --bundle and --server-pub belong to 'client'"),
    (["server", "--install", "--out", "x"], "'server' takes --install or --out, not both"),
    (["client"], "'client' needs --name"),
    (["client", "--name"], "option '--name' requires an argument"),
    (["client", "--name", ""], f"'' {NAME_HINT}"),
    (["client", "--name", "../x"], f"'../x' {NAME_HINT}"),
    (["client", "--name", ".x"], f"'.x' {NAME_HINT}"),
    (["client", "--name", "a b"], f"'a b' {NAME_HINT}"),
    (["client", "--name", "n" * 65], f"'{'n' * 65}' {NAME_HINT}"),
    (["client", "--name", "a", "--server-pub", "x"],
     "--server-pub is for a bundle: give --bundle too"),
    (["client", "--name", "a", "--bogus"], "unrecognized option '--bogus'"),
    (["client", "-n", "a"], "invalid option -- 'n'"),
])
def test_wrong_usage(place, argv, message):
    place.fails(2, message, *argv)


def test_longest_name(place):
    place.ok("client", "--name", "n" * 64)
    assert place.names() == ["n" * 64 + ".key", "n" * 64 + ".pem"]


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["client", "--help"], ["server", "-h"]])
def test_help(place, argv):
    text = place.ok(*argv)
    assert text.startswith("Usage: spale-keygen server ")
    assert f"({place.confdir}/server.key.pub, or from {place.confdir}/server.key)" in text


def test_what_nobody_can_read(place):
    done = place.run("-c", '"$0" --help >/dev/full', SPALE_KEYGEN, program="sh")
    assert done.returncode == 1
    assert "standard output cannot be written: No space left" in done.stderr
    # Keys that were made are, all the same.
    done = place.run("-c", '"$0" server >/dev/full', SPALE_KEYGEN, program="sh")
    assert done.returncode == 0
    assert place.names() == ["server.key", "server.pub"]


def test_version(place):
    assert re.fullmatch(r"spale-keygen \d+\.\d+\.\d+\n", place.ok("--version"))
