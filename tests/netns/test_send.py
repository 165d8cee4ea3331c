# SPDX-License-Identifier: MIT
"""spale-send: knocks, what it says of wrong ones, and waiting."""

import base64
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)

from lib.client import (
    BUNDLE_HINT, CLIENT4, CLIENT4B, CLIENT6, CLIENT6B, PORT, SERVER4, SERVER6, SILENT4, Knock,
    assert_step, public_bytes, step_now, target)
from lib.daemon import SPALE_SEND


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


# ---- knocking ----------------------------------------------------------------------------------

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
    user.net.client.ip("route add prohibit 10.88.9.9")
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

def test_keys_are_erased_before_waiting(user):
    """Neither the key nor a piece of its PEM text is left anywhere in memory. (Half a key may be
    in a vector register, which the dynamic linker puts on the stack.)"""
    der = user.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    text = base64.b64encode(der)
    pieces = [der[-32:], text[24:44], text[44:64]]
    process = subprocess.Popen(user.net.command(
        SPALE_SEND, *target("silent"), "--key", user.bundle, "--wait", 1, "--timeout", 20, "-v"),
        env=user.environment(), stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stderr.readline().startswith("spale-send: knocked at ")
            assert process.stderr.readline().startswith("spale-send: waiting for ")
            regions = list(memory(process.pid))
            # The search finds what is there: the command line is on the stack.
            assert any(os.fsencode(user.bundle) in region for region in regions)
            assert not [piece for piece in pieces for region in regions if piece in region]
        finally:
            process.kill()


def memory(pid):
    """What is in the readable and writable memory of a process."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            begin, end, mode = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            size = int(end, 16) - int(begin, 16)
            if mode.startswith("rw") and size < 1 << 28:  # not the tables of a sanitizer
                mem.seek(int(begin, 16))
                yield mem.read(size)


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
