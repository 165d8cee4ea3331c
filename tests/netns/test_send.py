# SPDX-License-Identifier: MIT
"""The real spale-send between two namespaces; what it sends is opened by an implementation of
format 1 that shares no code with it."""

import contextlib
import hashlib
import hmac
import os
import pty
import re
import select
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)

from lib import netns
from lib.daemon import SPALE_SEND

PORT = 62201
CLIENT4, CLIENT4B, SERVER4, SERVER4B = "10.88.0.2", "10.88.0.3", "10.88.0.1", "10.88.0.4"
CLIENT6, CLIENT6B, SERVER6 = "fd88::2", "fd88::3", "fd88::1"
SILENT4 = "10.88.0.50"  # a neighbour that nobody is

HOSTS = f"""
127.0.0.1 localhost
{SERVER4} dual dual4 two
{SERVER6} dual dual6
{SERVER4} dual
{SERVER4B} two
{SERVER4} half
2001:db8::99 half
198.51.100.9 nowhere
2001:db8::99 nowhere
{SILENT4} silent
"""


# ---- the receiving end of format 1 -------------------------------------------------------------

SUITE = b"HPKE\x00\x20\x00\x01\x00\x03"
AAD = b"\0\0\0\0\0\0\1"


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(label, ikm):
    return mac(bytes(32), b"HPKE-v1" + SUITE + label + ikm)


def expand(prk, label, info, length):
    """At most one block."""
    return mac(prk, length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info + b"\1")[:length]


def public_bytes(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Knock:
    """A datagram, opened with the server's private key. ValueError: it is none for that key."""

    def __init__(self, datagram, server):
        if len(datagram) != 97:
            raise ValueError(f"{len(datagram)} bytes")
        self.sender, self.enc, ciphertext = datagram[:32], datagram[32:64], datagram[64:]
        dh = b"".join(server.exchange(X25519PublicKey.from_public_bytes(key))
                      for key in (self.enc, self.sender))
        shared = expand(extract(b"eae_prk", dh), b"shared_secret",
                        self.enc + public_bytes(server) + self.sender, 32)
        context = b"\x02" + extract(b"psk_id_hash", b"") + extract(b"info_hash", AAD)
        secret = extract(b"secret", shared)
        try:
            plain = ChaCha20Poly1305(expand(secret, b"key", context, 32)).decrypt(
                expand(secret, b"base_nonce", context, 12), ciphertext, AAD)
        except InvalidTag as error:
            raise ValueError("does not open") from error
        if len(plain) != 17 or plain[0] != 1:
            raise ValueError(f"plaintext {plain.hex()}")
        self.time_step = int.from_bytes(plain[1:5], "big")
        self.nonce = plain[5:]


def test_the_receiver_opens_the_known_answer():
    server = X25519PrivateKey.from_private_bytes(bytes.fromhex(
        "3ca22a6d1cda1bb9480949ec5329d3bf0b080ca4c45879c95eddb55c70b80b82"))
    datagram = bytes.fromhex(
        "f0f4f9e96c54aeed3f323de8534fffd7e0577e4ce269896716bcb95643c8712b"
        "f7674cc8cd7baa5872d1f33dbaffe3314239f6197ddf5ded1746760bfc847e0e"
        "8d5f0f145a88b973eed0c6400bb93c50d8c6b5a6315100f6c2ff4379da24482a69")
    knock = Knock(datagram, server)
    assert (knock.time_step, knock.nonce) == (58792320, bytes(range(12)))
    with pytest.raises(ValueError):
        Knock(datagram[:-1] + b"\0", server)


# ---- the network -------------------------------------------------------------------------------

class Net:
    """client c0 ------ s0 server; the server counts what arrives at the knock port."""

    def __init__(self, directory):
        self.client = netns.Namespace(f"spaletest-{os.getpid()}-sendc")
        self.server = netns.Namespace(f"spaletest-{os.getpid()}-sends")
        self.client.ip(f"link add c0 type veth peer name s0 netns {self.server.name}",
                       "link set c0 addrgenmode none")
        self.server.ip("link set s0 addrgenmode none")
        self.client.ip(f"addr add {CLIENT4}/24 dev c0", f"addr add {CLIENT4B}/24 dev c0",
                       f"addr add {CLIENT6}/64 dev c0 nodad",
                       f"addr add {CLIENT6B}/64 dev c0 nodad preferred_lft 0",
                       "addr add fe80::c/64 dev c0 nodad",
                       "link set c0 up")
        self.server.ip(f"addr add {SERVER4}/24 dev s0", f"addr add {SERVER4B}/24 dev s0",
                       f"addr add {SERVER6}/64 dev s0 nodad", "addr add fe80::5/64 dev s0 nodad",
                       "link set s0 up")
        self.client.ip(f"neigh replace {SILENT4} lladdr 02:00:00:00:00:99 dev c0 nud permanent")
        assert netns.wait_until(lambda: "state UP" in self.client.run(
            "ip", "link", "show", "c0").stdout)
        self.etc = directory
        (self.etc / "hosts").write_text(HOSTS)
        (self.etc / "nsswitch.conf").write_text("passwd: files\nhosts: files\n")
        self.sockets = [self._socket(family) for family in (socket.AF_INET, socket.AF_INET6)]

    def _socket(self, family):
        sock = self.server.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("", PORT))
        return sock

    def received(self, count, timeout=2.0):
        """The next COUNT datagrams with their sources, and that there are no more than those."""
        datagrams = []
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic() if len(datagrams) < count else 0.1
            ready, _, _ = select.select(self.sockets, [], [], max(left, 0))
            if not ready:
                break
            datagrams += [(*sock.recvfrom(2048)[:2],) for sock in ready]
        assert len(datagrams) == count
        return [(datagram, source[0].partition("%")[0]) for datagram, source in datagrams]

    def close(self):
        for sock in self.sockets:
            sock.close()
        self.client.delete()
        self.server.delete()

    def command(self, *argv):
        """ARGV in the client's namespace, with a hosts file of ours and no DNS."""
        return self.client.command(
            "unshare", "--mount", "sh", "-ec",
            'mount --bind "$0/hosts" /etc/hosts; '
            'mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf; exec "$@"', self.etc, *argv)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    netns.remove_stale()
    with contextlib.closing(Net(tmp_path_factory.mktemp("etc"))) as network:
        yield network


class User:
    """Somebody with a home directory, a key, and spale-send."""

    def __init__(self, network, home):
        self.net = network
        self.home = home
        self.server = X25519PrivateKey.generate()
        self.key = X25519PrivateKey.generate()
        self.bundle = home / "bundle"
        self.write_bundle(self.bundle)

    def write_bundle(self, path, key=None, reverse=False):
        halves = [self.server.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            (key or self.key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
        path.write_bytes(b"".join(reversed(halves) if reverse else halves))
        path.chmod(0o600)

    def environment(self, **variables):
        kept = {name: value for name, value in os.environ.items() if name != "XDG_CONFIG_HOME"}
        return kept | {"HOME": str(self.home), "LC_ALL": "C"} | variables

    def send(self, *argv, env=None, **options):
        options = {"capture_output": True, "text": True, "timeout": 30,
                   "stdin": subprocess.DEVNULL} | options
        return subprocess.run(self.net.command(SPALE_SEND, *argv), check=False, cwd=self.home,
                              env=self.environment(**(env or {})), **options)

    def ok(self, *argv, **options):
        done = self.send(*argv, **options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def knocks(self, count):
        """COUNT knocks that arrived, opened: (source, knock)."""
        return [(source, Knock(datagram, self.server))
                for datagram, source in self.net.received(count)]

    def profile(self, name, config, place=".config/spale", reverse=False):
        """A profile as spale 0.3 wrote it."""
        directory = self.home / place / name
        directory.mkdir(parents=True)
        (directory / "config").write_text(config)
        self.write_bundle(directory / "key", reverse=reverse)
        return directory

    def fails(self, status, message, *argv, **options):
        """It says MESSAGE (usage: and where help is), and nothing goes out."""
        done = self.send(*argv, **options)
        hint = "Try 'spale-send --help'.\n"
        assert done.stderr.removesuffix(hint) == f"spale-send: {message}\n"
        assert done.returncode == status
        self.net.received(0)
        return done


@pytest.fixture
def user(net, tmp_path):
    return User(net, tmp_path)


def target(host="dual", port=PORT):
    return ("--host", host, "--port", port)


# ---- knocking ----------------------------------------------------------------------------------

def step_now(seconds=30):
    return int(time.time()) // seconds


def assert_step(knock, before, seconds=30):
    assert before <= knock.time_step <= step_now(seconds)


def test_both_families_are_knocked_at(user):
    before = step_now()
    done = user.send(*target(), "--key", user.bundle, "-v")
    assert done.returncode == 0 and done.stdout == ""
    assert sorted(done.stderr.splitlines()) == [
        f"spale-send: knocked at {SERVER4}:{PORT}", f"spale-send: knocked at [{SERVER6}]:{PORT}"]
    knocks = user.knocks(2)
    assert sorted(source for source, _ in knocks) == [CLIENT4, CLIENT6]
    for _, knock in knocks:
        assert knock.sender == public_bytes(user.key)
        assert_step(knock, before)
    assert len({knock.enc for _, knock in knocks}) == 2
    assert len({knock.nonce for _, knock in knocks}) == 2


@pytest.mark.parametrize("words", [("send",), ()])
@pytest.mark.parametrize("form", [
    lambda key: ["--host=dual4", f"--port={PORT}", f"--key={key}"],
    lambda key: ["dual4", "--port", PORT, "--key", key],
    lambda key: ["--port", PORT, "--key", key, "--format", "1", "dual4"],
    lambda key: ["--port", PORT, "--key", key, "--format=1", "--", SERVER4],
    lambda key: ["--host", f"[{SERVER6}]", "--port", PORT, "--key", key],
], ids=["equals", "bare", "format", "address", "brackets"])
def test_ways_to_say_it(user, words, form):
    assert user.ok(*words, *form(user.bundle)) == ""
    user.knocks(1)


def test_all_addresses_of_one_family(user):
    user.ok(*target("two"), "--key", user.bundle)
    user.knocks(2)


def test_count(user):
    begin = time.monotonic()
    user.ok(*target(), "--key", user.bundle, "--count", 3)
    assert 0.4 <= time.monotonic() - begin < 3
    knocks = user.knocks(6)
    assert len({knock.enc for _, knock in knocks}) == 6
    assert len({knock.nonce for _, knock in knocks}) == 6


def test_step(user):
    before = step_now(7)
    user.ok(*target("dual4"), "--key", user.bundle, "--step", 7)
    [(_, knock)] = user.knocks(1)
    assert_step(knock, before, 7)


@pytest.mark.parametrize("source", [CLIENT4B, CLIENT6B, f"[{CLIENT6B}]"])
def test_source(user, source):
    user.ok(*target(), "--key", user.bundle, "--source", source)
    assert [got for got, _ in user.knocks(1)] == [source.strip("[]")]


def test_link_local(user):
    user.ok(*target("fe80::5%c0"), "--key", user.bundle)
    user.ok(*target("[fe80::5%c0]"), "--key", user.bundle, "--source", "fe80::c%c0")
    assert [source for source, _ in user.knocks(2)] == ["fe80::c"] * 2


def test_one_family_may_be_unreachable(user):
    assert user.ok(*target("half"), "--key", user.bundle) == ""
    user.knocks(1)
    done = user.send(*target("half"), "--key", user.bundle, "-v")
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == [
        f"spale-send: could not knock at [2001:db8::99]:{PORT}: Network is unreachable",
        f"spale-send: knocked at {SERVER4}:{PORT}"]
    user.knocks(1)


def test_nothing_is_reachable(user):
    user.fails(1, "no knock left this machine: Network is unreachable",
               *target("nowhere"), "--key", user.bundle)


def test_a_firewall_is_worth_a_warning(user):
    """What is not for lack of a way is told without -v, and the other family still goes out."""
    user.net.client.ip(f"route add prohibit 10.88.9.9")
    try:
        done = user.send(*target("10.88.9.9"), "--key", user.bundle)
    finally:
        user.net.client.ip("route del prohibit 10.88.9.9")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"spale-send: warning: could not knock at 10.88.9.9:{PORT}: Permission denied",
        "spale-send: no knock left this machine: Permission denied"]


def test_source_errors(user):
    key = ("--key", user.bundle)
    user.fails(1, "host 'dual4' has no IPv6 address, which the source address asks for",
               *target("dual4"), *key, "--source", CLIENT6)
    user.fails(1, "no knock left: 192.0.2.1 is not an address of this machine",
               *target(), *key, "--source", "192.0.2.1")
    user.fails(1, "source 'fe80::c%c9' is not an address of this machine: is its interface there?",
               *target(), *key, "--source", "fe80::c%c9")


def test_exposed_key(user):
    user.bundle.chmod(0o644)
    done = user.send(*target("dual4"), "--key", user.bundle)
    assert done.returncode == 0
    assert done.stderr == (f"spale-send: warning: others than its owner have access to "
                           f"{user.bundle}: chmod 600 it\n")
    user.knocks(1)


# ---- errors ------------------------------------------------------------------------------------

BUNDLE_HINT = ("a client's key file holds the server's public and the client's private key, as "
               "'spale-keygen client --bundle' writes it")


def pem(*argv):
    return subprocess.run(["openssl", *argv], check=True, capture_output=True).stdout


@pytest.mark.parametrize("content, message", [
    (b"", f"the client's private key is missing: {BUNDLE_HINT}"),
    (b"\xff\xfe garbage\n" * 70000, f"the client's private key is missing: {BUNDLE_HINT}"),
    (pem("genpkey", "-algorithm", "x25519"),
     f"the server's public key is missing: {BUNDLE_HINT}"),
    (pem("genpkey", "-algorithm", "ed25519"),
     "the client's private key is encrypted or of another algorithm: only plain X25519 keys work"),
    (pem("genpkey", "-algorithm", "x25519", "-aes-128-cbc", "-pass", "pass:x"),
     "the client's private key is encrypted or of another algorithm: only plain X25519 keys work"),
    (pem("genpkey", "-algorithm", "x25519")[:-40], "the client's private key is damaged"),
], ids=["empty", "garbage", "no-server", "ed25519", "encrypted", "cut-off"])
def test_unusable_keys(user, content, message):
    path = user.home / "bad"
    path.write_bytes(content)
    path.chmod(0o600)
    user.fails(1, f"{path}: {message}", *target(), "--key", path)


def test_key_files_that_cannot_be_read(user):
    user.fails(1, f"nosuch does not exist: {BUNDLE_HINT}", *target(), "--key", "nosuch")
    user.fails(1, f"{user.home} is a directory, not a key file", *target(), "--key", user.home)
    (user.home / "large").write_bytes(bytes(1024 * 1024 + 1))
    user.fails(1, "large is larger than 1048576 bytes: not a key file", *target(), "--key", "large")


def test_own_public_key_in_the_bundle(user):
    path = user.home / "own"
    private = user.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + user.key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    path.chmod(0o600)
    user.fails(1, f"{path}: the public key in it is the client's own, not the server's: "
               f"{BUNDLE_HINT}", *target(), "--key", path)


def test_unknown_host(user):
    user.fails(1, "host 'no.invalid' cannot be found: Name or service not known",
               *target("no.invalid"), "--key", user.bundle)


HOST_HINT = "say where to knock: a host, --host, or --profile"
NAME_HINT = ("cannot be the name of a profile: it may hold no '/', no '..', no blank, and begins "
             "with neither '.' nor '-'")
SET_HINT = ("'profile set' needs something to set: --host, --port, --key, --source, --count or "
            "--step")


@pytest.mark.parametrize("argv, message", [
    ("", HOST_HINT),
    ("send", HOST_HINT),
    ("-v", HOST_HINT),
    ("--host dual", "there is no port: give --port, or a profile"),
    ("--host dual --port 1", "there is no key: give --key, or a profile"),
    ("dual", "no profile is named 'dual', and as a host it has no port: give --port"),
    ("dual --port 1", "no profile is named 'dual', and as a host it has no key: give --key"),
    ("dual other", "unexpected argument 'other'"),
    ("dual --host dual", "two hosts: give one, or --host alone"),
    ("dual --port 0", "--port '0' is not usable: it takes a number from 1 to 65535"),
    ("dual --port 22/udp", "--port '22/udp' is not usable: it takes a number from 1 to 65535"),
    ("dual --port=", "--port '' is not usable: it takes a number from 1 to 65535"),
    ("dual --host=", "--host '' is not usable: it takes a host name or an address"),
    ("dual --key=", "--key '' is not usable: it takes the path of a key file"),
    ("dual --count 0", "--count '0' is not usable: it takes a number from 1 to 1000"),
    ("dual --count 1001", "--count '1001' is not usable: it takes a number from 1 to 1000"),
    ("dual --step 0", "--step '0' is not usable: it takes seconds from 1 to 86400"),
    ("dual --source eth0", "--source 'eth0' is not usable: it takes an IPv4 or IPv6 address of "
                           "this machine, or nothing"),
    ("dual --format 2", "--format '2' is not usable: it takes 1, the only format"),
    ("dual --wait ssh", "--wait 'ssh' is not usable: it takes a TCP port from 1 to 65535"),
    ("dual --wait 22/udp", "--wait '22/udp' is not usable: it takes a TCP port from 1 to 65535"),
    ("dual --wait 0", "--wait '0' is not usable: it takes a TCP port from 1 to 65535"),
    ("dual --wait 22 --timeout 0", "--timeout '0' is not usable: it takes a time of at most a "
                                   "day, in seconds"),
    ("dual --wait 22 --timeout infinity", "--timeout 'infinity' is not usable: it takes a time "
                                          "of at most a day, in seconds"),
    ("dual --timeout 5", "--timeout needs --wait"),
    ("dual --yes", "--yes does not belong to 'send'"),
    ("dual --overwrite", "--overwrite does not belong to 'send'"),
    ("--bogus", "unrecognized option '--bogus'"),
    ("-x", "invalid option -- 'x'"),
    ("--port", "option '--port' requires an argument"),
    ("--verbose=1", "option '--verbose' doesn't allow an argument"),
    ("-p ../x", f"'../x' {NAME_HINT}"),
    ("profile", "'profile' takes create, list, show, set or delete"),
    ("profile make", "'profile' takes create, list, show, set or delete, not 'make'"),
    ("profile list x", "unexpected argument 'x'"),
    ("profile list --host x", "--host does not belong to 'profile list'"),
    ("profile show", "'profile show' takes the name of a profile"),
    ("profile show a/b", f"'a/b' {NAME_HINT}"),
    ("profile show a b", "unexpected argument 'b'"),
    ("profile create", "'profile create' takes the name of a profile"),
    ("profile create x --host h --port 1", "'profile create' needs --host, --port and --key"),
    ("profile create x --wait 1", "--wait does not belong to 'profile create'"),
    ("profile create x -p y", "--profile does not belong to 'profile create'"),
    ("profile set x", SET_HINT),
    ("profile delete ..", f"'..' {NAME_HINT}"),
    ("help me", "no help for 'me': there is 'send' and 'profile'"),
])
def test_wrong_usage(user, argv, message):
    done = user.fails(2, message, *argv.split())
    assert done.stderr.endswith("Try 'spale-send --help'.\n")
    assert done.stdout == ""


@pytest.mark.parametrize("argv", [
    "--help", "-h", "help", "send --help", "profile --help", "profile show --help",
    "--port 1 --help --bogus"])
def test_help(user, argv):
    text = user.ok(*argv.split())
    assert text.startswith("Usage: spale-send ")
    for word in ("--profile", "--wait", "--overwrite", "Exit status: 0 "):
        assert word in text


def test_help_topics(user):
    assert "--overwrite" not in user.ok("help", "send")
    assert "--timeout" not in user.ok("help", "profile")


def test_version(user):
    assert re.fullmatch(r"spale-send \d+\.\d+\.\d+\n", user.ok("--version"))


# ---- profiles ----------------------------------------------------------------------------------

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


# ---- waiting -----------------------------------------------------------------------------------

WAIT_PORT = 7022


@contextlib.contextmanager
def listener(network, address, delay=0.0):
    """Listens at ADDRESS after DELAY seconds; until then the port is closed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = network.server.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, WAIT_PORT))
    timer = threading.Timer(delay, sock.listen)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        sock.close()


@pytest.mark.parametrize("port", [WAIT_PORT, f"{WAIT_PORT}/tcp", f"{WAIT_PORT}/TCP"])
@pytest.mark.parametrize("delay", [0, 0.7])
def test_wait_until_open(user, port, delay):
    begin = time.monotonic()
    with listener(user.net, SERVER4, delay):
        done = user.send(*target("dual4"), "--key", user.bundle, "--wait", port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert delay - 0.1 <= time.monotonic() - begin < delay + 1
    user.knocks(1)


def test_wait_for_either_family(user):
    with listener(user.net, SERVER6, 0.3):
        done = user.send(*target(), "--key", user.bundle, "--wait", WAIT_PORT, "-v")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert f"spale-send: waiting for {SERVER4}:{WAIT_PORT}" in lines
    assert f"spale-send: waiting for [{SERVER6}]:{WAIT_PORT}" in lines
    assert lines[-1] == f"spale-send: [{SERVER6}]:{WAIT_PORT} answers"
    user.knocks(2)


@pytest.mark.parametrize("host, reason", [
    ("dual4", f"waited 1s for {SERVER4}:{WAIT_PORT}: Connection refused"),
    ("silent", f"waited 1s for {SILENT4}:{WAIT_PORT}: no answer"),
    ("two", "Connection refused")])
def test_wait_times_out(user, host, reason):
    begin = time.monotonic()
    done = user.send(*target(host), "--key", user.bundle, "--wait", WAIT_PORT, "--timeout", 1)
    assert 1 <= time.monotonic() - begin < 2.5
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.startswith("spale-send: waited 1s for ")
    assert done.stderr.endswith(f"{reason}\n")
    assert ("and the host's other addresses" in done.stderr) == (host == "two")
    user.net.received({"dual4": 1, "silent": 0, "two": 2}[host])


def test_wait_when_the_answer_takes_longer_than_the_pause(user):
    """A try is not given up when the next one starts: here the handshake takes over 0.3 s."""
    begin = time.monotonic()
    with listener(user.net, SERVER4):
        user.net.client.ip(f"neigh replace {SERVER4} lladdr 02:00:00:00:00:98 dev c0 "
                           "nud permanent")
        timer = threading.Timer(0.35, user.net.client.ip, [f"neigh del {SERVER4} dev c0"])
        timer.start()
        try:
            done = user.send(*target("dual4"), "--key", user.bundle, "--wait", WAIT_PORT)
        finally:
            timer.join()
    assert done.returncode == 0
    assert 0.3 <= time.monotonic() - begin < 1.2


def test_wait_from_the_source(user):
    seen = []
    sock = user.net.server.socket(socket.AF_INET, socket.SOCK_STREAM)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((SERVER4, WAIT_PORT))
        sock.listen()
        sock.settimeout(5)
        done = user.send(*target(), "--key", user.bundle, "--wait", WAIT_PORT,
                         "--source", CLIENT4B)
        connection, source = sock.accept()
        connection.close()
        seen.append(source[0])
    assert done.returncode == 0 and seen == [CLIENT4B]
    user.knocks(1)


def test_a_port_does_not_answer_itself(user):
    """On one machine a connection can meet itself, where the port is one of the ephemeral ones."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first = int(file.read().split()[0])
    done = user.send("--host", "127.0.0.1", "--port", PORT, "--key", user.bundle,
                     "--wait", first, "--timeout", 2)
    assert done.returncode == 3


def test_usable_in_a_proxy_command(user):
    """Nothing on standard output, and standard input is left for whoever comes next."""
    with listener(user.net, SERVER4):
        done = user.send(*target("dual4"), "--key", user.bundle, "-v", "--wait", WAIT_PORT,
                         stdin=subprocess.DEVNULL)
        assert done.stdout == ""
        script = 'spale-send "$@" && cat'
        shell = subprocess.run(
            user.net.command("sh", "-c", script.replace("spale-send", str(SPALE_SEND)), "sh",
                             *target("dual4"), "--key", user.bundle, "--wait", WAIT_PORT),
            input="for ssh", capture_output=True, text=True, timeout=10, check=True)
    assert shell.stdout == "for ssh"
    user.knocks(2)


# ---- keys stay where they are ------------------------------------------------------------------

def test_no_core_dumps(user):
    """While it waits: no core file, and its memory is nobody's but root's."""
    with tempfile.TemporaryDirectory() as directory:
        # Where another user may look, wherever tests and build are.
        os.chmod(directory, 0o755)
        program = shutil.copy(SPALE_SEND, directory)
        key = shutil.copy(user.bundle, directory)
        os.chmod(key, 0o644)
        process = subprocess.Popen(
            user.net.command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                             program, *target("silent"), "--key", key, "--wait", 1,
                             "--timeout", 20), env=user.environment(), stderr=subprocess.PIPE,
            text=True)
        with process:
            try:
                assert process.stderr.readline().endswith("chmod 600 it\n")
                with open(f"/proc/{process.pid}/limits", encoding="ascii") as limits:
                    assert re.search(r"Max core file size +0 +0 ", limits.read())
                assert os.stat(f"/proc/{process.pid}/status").st_uid == 0
            finally:
                process.kill()
