# SPDX-License-Identifier: MIT
"""The real spale-send between two namespaces of its own; what it sends is opened by an
implementation of format 1 that shares no code with it."""

import hashlib
import hmac
import os
import select
import socket
import subprocess
import time

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

BUNDLE_HINT = ("a client's key file holds the server's public and the client's private key, as "
               "'spale-keygen client --bundle' writes it")


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


def step_now(seconds=30):
    return int(time.time()) // seconds


def assert_step(knock, before, seconds=30):
    assert before <= knock.time_step <= step_now(seconds)


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


def target(host="dual", port=PORT):
    return ("--host", host, "--port", port)
