# SPDX-License-Identifier: MIT
"""Configuration, keys and clients that can't be used: the exact words that a person gets to read.

Run through the real `spaled --check-config`; what is unusable ends with exit status 78, and a daemon
does not start with it.
"""

import base64
import fcntl
import os
import pathlib
import re
import subprocess

import pytest

from lib.daemon import SPALED
from lib.netns import tcp_open, wait_until

USABLE, UNUSABLE = 0, 78

PORTS = "ports such as 22, 22/tcp or 8000-8010/udp"
PREFIXES = "addresses and prefixes such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32"
DURATION = "a duration such as 90 (seconds), 5min, 1h 30min or infinity"
SECOND = DURATION + ", from 1 second"
RATE = "a rate from 1/h to 1000000/s such as 3/s"
UDP_PORTS = "UDP ports such as 62201 or 62201/udp"
INTERFACES = "names of interfaces, or patterns of glob(7)"
ONLY_FORMAT = "a knock of format 1, the only one of this version,"

# (section, key, value, why, what it takes)
VALUES = [
    ("Protect", "Ports", "ssh", "", PORTS),
    ("Protect", "Ports", "0", "", PORTS),
    ("Protect", "Ports", "65536", "", PORTS),
    ("Protect", "Ports", "90-80", "", PORTS),
    ("Protect", "Ports", "22/icmp", "", PORTS),
    ("Protect", "Ports", "-22", "", PORTS),
    ("Protect", "Ports", "0x16", "", PORTS),
    ("Protect", "Ports", "99999999999999999999", "", PORTS),
    ("Protect", "Mode", "ebpf", "", "tc or xdp"),
    ("Protect", "Scope", "others", "", "local or all"),
    ("Protect", "KeepEstablished", "udp", "", "yes or no"),
    ("Protect", "AlwaysAllow", "10.0.0.0/33", "", PREFIXES),
    ("Protect", "AlwaysAllow", "localhost", "", PREFIXES),
    ("Protect", "AlwaysAllow", "10.0.1", "", PREFIXES),
    ("Protect", "AlwaysAllow", "010.0.0.1", "", PREFIXES),
    ("Protect", "AlwaysAllow", "2001:db8::/129", "", PREFIXES),
    ("Protect", "LogOnly", "maybe", "", "yes or no"),
    ("Protect", "Interfaces", "../s0", "", INTERFACES),
    ("Protect", "Interfaces", "a-name-that-is-too-long",
     "names of interfaces have 15 characters at most", INTERFACES),
    ("Knock", "Ports", "62201/tcp", "a knock is one UDP datagram", UDP_PORTS),
    ("Knock", "Addresses", "10.0.0.0/8", "",
     "any, or addresses of this host; 0.0.0.0 and :: are any of their family"),
    ("Knock", "Formats", "2", "format 2 is not available in this version", "1"),
    ("Knock", "RateLimit", "fast", "", RATE + " or 100/min, or no"),
    ("Knock", "RateLimit", "0/s", "", RATE + " or 100/min, or no"),
    ("Knock", "RateBurst", "0", "", "a number from 1 to 100000"),
    ("Knock", "RateBurst", "100001", "", "a number from 1 to 100000"),
    ("Knock", "TotalRateLimit", "no", "", "a rate from 1/h to 1000000/s such as 2000/s"),
    ("Grant", "Idle", "soon", "", SECOND),
    ("Grant", "Idle", "0", "", SECOND),
    ("Grant", "Idle", "-2", "", SECOND),
    ("Grant", "Grace", "5 fortnights", "", DURATION),
    ("Grant", "Lifetime", "1y2", "", SECOND),
    ("Grant", "Prefix4", "15", "", "a prefix length from 16 to 32"),
    ("Grant", "Prefix6", "129", "", "a prefix length from 32 to 128"),
    ("Grant", "RequireSourceMatch", "yes", ONLY_FORMAT + " does not state it", "auto or no"),
    ("Nftables", "Mirror", "yes", "the family is inet, ip, ip6, netdev or bridge",
     "no, own, or FAMILY TABLE SET4 SET6 of nftables"),
    ("Log", "Level", "loud", "", "debug, info, warning or error"),
]


class Setup:
    """Configuration, keys and one client, all of them good, in a directory of their own."""

    def __init__(self, directory):
        self.directory = directory
        (directory / "clients").mkdir()
        self.key("server.key", "-algorithm", "X25519")
        self.public("clients/alice.pem", self.key("alice.key", "-algorithm", "X25519"))
        self.settings = {"Protect": {"Interfaces": "s0", "Ports": "22/tcp"},
                         "Knock": {"Ports": "62201"}}

    def key(self, name, *options):
        subprocess.run(["openssl", "genpkey", *options, "-out", self.directory / name], check=True,
                       capture_output=True)
        (self.directory / name).chmod(0o600)
        return name

    def public(self, name, private):
        subprocess.run(["openssl", "pkey", "-in", self.directory / private, "-pubout", "-out",
                        self.directory / name], check=True)

    def text(self):
        return "".join(f"[{section}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items())
                       for section, keys in self.settings.items())

    def check(self, text=None, *options):
        """Exit status and lines, in which the directory is left out."""
        path = self.directory / "spale.conf"
        path.write_bytes(text if isinstance(text, bytes) else (text or self.text()).encode())
        done = subprocess.run([SPALED, "--check-config", "-c", path, *options], text=True,
                              capture_output=True, check=False, timeout=10)
        lines = (done.stdout + done.stderr).replace(f"{self.directory}/", "").splitlines()
        return done.returncode, [line for line in lines if ": notice: " not in line]


@pytest.fixture
def setup(tmp_path):
    return Setup(tmp_path)


def test_good(setup):
    assert setup.check() == (USABLE, ["configuration is usable"])


@pytest.mark.parametrize("section, key, value, why, takes", VALUES,
                         ids=[f"{row[1]}={row[2]}" for row in VALUES])
def test_value(setup, section, key, value, why, takes):
    setup.settings.setdefault(section, {})[key] = value
    number = setup.text().splitlines().index(f"{key}={value}") + 1
    why = f": {why}" if why else ""
    assert setup.check() == (UNUSABLE, [
        f'spale.conf:{number}: error: [{section}] {key}= cannot take "{value}"{why}; '
        f'it takes {takes}'])


@pytest.mark.parametrize("section, key, legacy", [
    ("Protect", "Interfaces", "IFACE, option -i"), ("Protect", "Ports", "PROTECTED_PORTS"),
    ("Knock", "Ports", "LISTEN_PORT, option -S")])
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_required(setup, section, key, legacy, how):
    if how == "missing":
        del setup.settings[section][key]
    else:
        setup.settings[section][key] = ""
    assert setup.check() == (UNUSABLE, [
        f"error: [{section}] {key}= is required (legacy: {legacy})"])


def test_one_bad_item_of_a_list(setup):
    setup.settings["Protect"]["Ports"] = "22 443/tpc 80"
    assert setup.check() == (UNUSABLE, [
        f'spale.conf:3: error: [Protect] Ports= cannot take "443/tpc"; it takes {PORTS}'])


def test_too_many_keys(setup):
    setup.settings["Knock"]["ServerKey"] = "a b c d e"
    assert setup.check() == (UNUSABLE, [
        'spale.conf:6: error: [Knock] ServerKey= has too many items at "e"'])


def test_every_error_is_said(setup):
    setup.settings["Protect"] |= {"Ports": "x", "Mode": "y", "LogOnly": "z"}
    assert setup.check() == (UNUSABLE, [
        f'spale.conf:3: error: [Protect] Ports= cannot take "x"; it takes {PORTS}',
        'spale.conf:4: error: [Protect] Mode= cannot take "y"; it takes tc or xdp',
        'spale.conf:5: error: [Protect] LogOnly= cannot take "z"; it takes yes or no'])


@pytest.mark.parametrize("text, line", [
    ("hello\n", 'spale.conf:6: error: "hello" is neither KEY=VALUE, nor a [section], '
                'nor a comment'),
    ("[Grant\n", 'spale.conf:6: error: "[Grant" lacks the closing "]" of a section'),
    ("\0\n", "spale.conf:6: error: the line holds a NUL byte; this is not a text file"),
])
def test_line(setup, text, line):
    assert setup.check(setup.text() + text) == (UNUSABLE, [line])


@pytest.mark.parametrize("section, key, line", [
    ("Protect", "Colour", "spale.conf:4: warning: unknown key Colour= in [Protect]"),
    ("Protekt", "Ports", "spale.conf:7: warning: unknown section [Protekt]: Ports= has no effect"),
])
def test_unknown_words_are_warnings(setup, section, key, line):
    setup.settings.setdefault(section, {})[key] = "1"
    assert setup.check() == (USABLE, ["configuration is usable", line])


def test_escapes_do_not_reach_a_terminal(setup):
    setup.settings["Protect"]["Ports"] = "22\x1b[31m"
    status, lines = setup.check()
    assert status == UNUSABLE
    assert "\x1b" not in "".join(lines)


def test_long_line_is_read_whole(setup):
    """5,000 bytes of AlwaysAllow=: its last item counts like its first."""
    prefixes = " ".join(f"10.{n // 256}.{n % 256}.0/24" for n in range(400))
    assert len(prefixes) > 5000
    setup.settings["Protect"]["AlwaysAllow"] = prefixes
    assert setup.check() == (USABLE, ["configuration is usable"])
    setup.settings["Protect"]["AlwaysAllow"] = prefixes + " 10.9.9.9/99"
    assert setup.check() == (UNUSABLE, [
        'spale.conf:4: error: [Protect] AlwaysAllow= cannot take "10.9.9.9/99"; '
        f'it takes {PREFIXES}'])


def test_long_line_is_in_force(daemon, lab):
    prefixes = " ".join(f"172.{16 + n // 256}.{n % 256}.0/24" for n in range(400))
    daemon.start(Protect={"AlwaysAllow": f"{prefixes} 10.77.0.2"})
    assert tcp_open(lab.client, "ipv4", 7001)


@pytest.mark.parametrize("key, value, takes", [
    ("LISTEN_PORT", "abc", UDP_PORTS), ("IDLE_SEC", "-3", SECOND),
    ("LOG_LEVEL", "9", "debug, info, warning or error"), ("MODE", "ebpf", "tc or xdp"),
    ("ALICE_PORTS", "x", PORTS), ("ALICE_IDLE_SEC", "x", SECOND), ("ALICE_GRACE_SEC", "x", DURATION),
    ("ALWAYS_ALLOW", "home", PREFIXES), ("SPA_RL_BURST", "0", "a number from 1 to 100000")])
def test_legacy_value(setup, key, value, takes):
    settings = {"IFACE": "s0", "PROTECTED_PORTS": "22", "LISTEN_PORT": "62201"}
    settings[key] = value
    number = list(settings).index(key) + 1
    status, lines = setup.check("".join(f"{k}={v}\n" for k, v in settings.items()))
    assert status == UNUSABLE
    assert (f'spale.conf:{number}: error: {key}= cannot take "{value}"; it takes {takes}') in lines


def test_legacy_client_that_does_not_exist(setup):
    text = "IFACE=s0\nPROTECTED_PORTS=22\nLISTEN_PORT=62201\nALICE_PORTS=22\nALCIE_PORTS=22\n"
    status, lines = setup.check(text)
    assert status == USABLE
    assert [line for line in lines if "no client is named" in line] == [
        "clients: warning: no client is named like the settings ALCIE_…= in the configuration, "
        "which have no effect"]


def test_configuration_that_does_not_exist(setup):
    done = subprocess.run([SPALED, "--check-config", "-c", setup.directory / "none.conf"],
                          capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == UNUSABLE
    assert "none.conf" in done.stderr


# ---- keys -----------------------------------------------------------------------------------

def test_no_core_dump_has_keys(setup):
    """Seen while the program waits for somebody to read the last that it says."""
    path = setup.directory / "spale.conf"
    path.write_text(setup.text(), encoding="ascii")
    reader, writer = os.pipe()
    os.write(writer, b"x" * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))
    with subprocess.Popen([SPALED, "--check-config", "-c", path], stdout=writer) as process:
        try:
            limits = pathlib.Path(f"/proc/{process.pid}/limits")
            assert wait_until(lambda: re.search(r"Max core file size +0 +0 ",
                                                limits.read_text(encoding="ascii")))
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)


MISSING_KEY = "server.key: error: the private key is missing: make a key with 'spale-keygen server'"
WRONG_KEY = ("error: the {} key is encrypted or of another algorithm: only plain X25519 keys work")
NO_CLIENT = "clients: warning: there is no usable client, so nobody can open anything"


@pytest.mark.parametrize("content, line", [
    (b"", MISSING_KEY),
    (b"hello\n", MISSING_KEY),
    (b"x" * 2000000, "server.key: error: is larger than 1048576 bytes: not a key file"),
], ids=["empty", "text", "huge"])
def test_server_key_that_is_none(setup, content, line):
    (setup.directory / "server.key").write_bytes(content)
    assert setup.check() == (UNUSABLE, [line])


@pytest.mark.parametrize("options", [
    ["-algorithm", "ED25519"], ["-algorithm", "X448"],
    ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ["-algorithm", "X25519", "-aes256", "-pass", "pass:secret"],
], ids=["ed25519", "x448", "rsa", "encrypted"])
def test_server_key_of_another_kind(setup, options):
    setup.key("server.key", *options)
    assert setup.check() == (UNUSABLE, ["server.key: " + WRONG_KEY.format("private")])


def test_server_key_that_is_public(setup):
    (setup.directory / "server.key").write_bytes(
        (setup.directory / "clients" / "alice.pem").read_bytes())
    assert setup.check() == (UNUSABLE, [MISSING_KEY])


@pytest.mark.parametrize("damage", [lambda text: text[:-30], lambda text: text[:40] + text[41:]],
                         ids=["cut", "byte-lost"])
def test_server_key_that_is_damaged(setup, damage):
    path = setup.directory / "server.key"
    path.write_bytes(damage(path.read_bytes()))
    assert setup.check() == (UNUSABLE, ["server.key: error: the private key is damaged"])


def test_server_key_that_is_not_there(setup):
    setup.settings["Knock"]["ServerKey"] = "none.key"
    assert setup.check() == (UNUSABLE, [
        "none.key: error: does not exist: make a key with 'spale-keygen server'"])
    setup.settings["Knock"]["ServerKey"] = "clients"
    assert setup.check() == (UNUSABLE, ["clients: error: is a directory, not a key file"])


def test_server_key_that_others_may_read(setup):
    (setup.directory / "server.key").chmod(0o644)
    assert setup.check() == (USABLE, [
        "configuration is usable",
        "server.key: warning: others may get at this private key (mode 0644): chmod 0600 it"])


# ---- clients --------------------------------------------------------------------------------

def spki(raw):
    """Raw bytes as a public key in PEM, whether they are a good one or not."""
    der = bytes.fromhex("302a300506032b656e032100") + raw
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der) + b"\n-----END PUBLIC KEY-----\n"


UNUSED_KEY = "error: the public key is one that nobody may use: not canonical, or of small order"
NO_PUBLIC = ("error: the public key is missing: expected an X25519 key in PEM "
             "('BEGIN PUBLIC KEY')")


@pytest.mark.parametrize("content, line", [
    (b"", NO_PUBLIC), (b"hello\n", NO_PUBLIC),
    (spki(bytes(32)), UNUSED_KEY), (spki(b"\x01" + bytes(31)), UNUSED_KEY),
    (spki(b"\xff" * 32), UNUSED_KEY), (spki(b"\xed" + b"\xff" * 30 + b"\x7f"), UNUSED_KEY),
], ids=["empty", "text", "zero", "one", "all-ones", "the-prime"])
def test_client_key(setup, content, line):
    (setup.directory / "clients" / "alice.pem").write_bytes(content)
    assert setup.check() == (UNUSABLE, [f"clients/alice.pem: {line}", NO_CLIENT])


def test_client_key_of_another_kind(setup):
    setup.public("clients/alice.pem", setup.key("ed.key", "-algorithm", "ED25519"))
    assert setup.check() == (UNUSABLE, [
        "clients/alice.pem: " + WRONG_KEY.format("public"), NO_CLIENT])


def test_client_key_that_is_private(setup):
    (setup.directory / "clients" / "alice.pem").write_bytes(
        (setup.directory / "alice.key").read_bytes())
    assert setup.check() == (UNUSABLE, [
        "clients/alice.pem: error: holds a private key, which is its owner's alone: the file with "
        "the public key is meant", NO_CLIENT])


MOMENT = "a moment in UTC such as 2030-01-31 or 2030-01-31 18:30:05"


@pytest.mark.parametrize("key, value, takes", [
    ("Ports", "ssh", PORTS), ("Idle", "0", SECOND), ("Grace", "x", DURATION),
    ("Lifetime", "x", SECOND), ("NotAfter", "tomorrow", MOMENT), ("NotBefore", "2030-02-30", MOMENT),
    ("AllowedSources", "home", PREFIXES), ("Enabled", "perhaps", "yes or no")])
def test_client_value(setup, key, value, takes):
    (setup.directory / "clients" / "alice.conf").write_text(f"[Client]\n{key}={value}\n")
    assert setup.check() == (UNUSABLE, [
        f'clients/alice.conf:2: error: [Client] {key}= cannot take "{value}"; it takes {takes}',
        NO_CLIENT])


@pytest.mark.parametrize("text, line", [
    ("PresharedKeyFile=/x\n", 'clients/alice.conf:2: error: [Client] PresharedKeyFile= cannot take '
     f'"/x": {ONLY_FORMAT} cannot use it; it takes no value'),
    ("Formats=2\n", "clients/alice.conf: error: [Client] Formats= is without format 1, the only "
     "one of this version, so this client could not knock"),
    ("NotBefore=2030-01-01\nNotAfter=2020-01-01\n", "clients/alice.conf: error: [Client] NotBefore= "
     "is not before NotAfter=, so this client would never be valid"),
], ids=["preshared-key", "format", "dates"])
def test_client_that_could_never_knock(setup, text, line):
    (setup.directory / "clients" / "alice.conf").write_text("[Client]\n" + text)
    assert setup.check() == (UNUSABLE, [line, NO_CLIENT])


def test_one_key_in_two_files(setup):
    clients = setup.directory / "clients"
    (clients / "bob.pem").write_bytes((clients / "alice.pem").read_bytes())
    status, lines = setup.check()
    assert status == UNUSABLE
    assert sorted(lines) == sorted([
        "clients/alice.pem: error: holds the same key as clients/bob.pem; neither counts: "
        "remove one",
        "clients/bob.pem: error: holds the same key as clients/alice.pem; neither counts: "
        "remove one",
        NO_CLIENT])


def test_file_that_names_no_client(setup):
    clients = setup.directory / "clients"
    (clients / "bad name.pem").write_bytes((clients / "alice.pem").read_bytes())
    assert setup.check() == (UNUSABLE, [
        'clients/bad name.pem: error: is no name for a client: up to 64 letters, digits, "_", "-" '
        'and ".", not beginning with "."'])


def test_conf_without_a_key(setup):
    (setup.directory / "clients" / "carol.conf").write_text("[Client]\nPorts=22\n")
    assert setup.check() == (USABLE, [
        "configuration is usable",
        'clients: warning: "carol.conf" is of no use without a key in "carol.pem"'])


@pytest.mark.parametrize("text, line", [
    ("[Client]\nPort=22\n", "clients/alice.conf:2: error: unknown key Port= in [Client]"),
    ("Ports=22\n", "clients/alice.conf:1: error: unknown key Ports= before the section [Client]"),
    ("[Klient]\nPorts=22\n", "clients/alice.conf:2: error: unknown section [Klient] with Ports="),
])
def test_conf_with_unknown_words(setup, text, line):
    """They may have been meant to restrict the client, so it is refused."""
    (setup.directory / "clients" / "alice.conf").write_text(text)
    assert setup.check() == (UNUSABLE, [
        line + ": the client is refused, for it may have been meant to restrict it", NO_CLIENT])


def test_no_clients(setup):
    (setup.directory / "clients" / "alice.pem").unlink()
    assert setup.check() == (USABLE, ["configuration is usable", NO_CLIENT])
    setup.settings["Knock"]["ClientsDirectory"] = "none"
    assert setup.check() == (UNUSABLE, [
        "none: error: the clients' directory cannot be listed: No such file or directory; "
        "make it, or say ClientsDirectory="])


def test_keys_stay_out_of_messages(setup):
    """Not even a damaged key file is quoted."""
    path = setup.directory / "server.key"
    key = path.read_bytes()
    path.write_bytes(key.replace(b"PRIVATE KEY-----\n", b"PRIVATE KEY-----\nPorts=", 1))
    _, lines = setup.check()
    body = key.splitlines()[1].decode()
    assert len(body) == 64 and body not in "".join(lines)


def test_ports_that_the_host_sends_from(daemon, lab):
    """As the server has them; what is reserved is not sent from."""
    def set_reserved(value):
        with lab.server.enter():
            path = "/proc/sys/net/ipv4/ip_local_reserved_ports"
            with open(path, "w", encoding="ascii") as file:
                file.write(value + "\n")

    ports = {"Ports": "7001/tcp 40000/tcp"}
    daemon.start(Protect=ports)
    assert "Ports= has 40000/tcp (and perhaps others) in net.ipv4.ip_local_port_range" in daemon.log()
    set_reserved("40000-40001")
    try:
        mark = daemon.mark()
        daemon.reload()
        assert "ip_local_port_range" not in daemon.log(mark)
    finally:
        set_reserved("")
